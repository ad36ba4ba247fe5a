//! A delivery in a worker: taken as a [`Parcel`], returned as a [`Report`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use time::OffsetDateTime;

use super::attempt::Attempt;
use super::backoff::MAX_DELAY;
use super::content_type::ContentType;
use super::end::EndReason;
use super::event_type::EventType;
use super::hops::Hops;
use super::id::{EventId, LeaseToken, SubscriptionId, TenantId};
use super::next_step::NextStep;
use super::ordering::{OrderingGroup, OrderingKey};
use super::subscription::Destination;
use super::trigger::Trigger;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryKey {
    pub event: EventId,
    pub subscription: SubscriptionId,
    pub tenant: TenantId,
}

/// Due, unleased deliveries of one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    pub(crate) tenant: TenantId,
    pub(crate) subscription: SubscriptionId,
    /// Their least number; `None` if unknown.
    pub(crate) rows: Option<usize>,
    /// Earliest due time, by the database's clock.
    pub(crate) since: OffsetDateTime,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    /// Fences: recording with another token changes nothing.
    pub(crate) token: LeaseToken,
    /// Measured from before the leasing statement, so never later than in the database.
    pub(crate) ends: Instant,
}

impl Lease {
    pub(crate) fn has(&self, needed: Duration, now: Instant) -> bool {
        self.ends.saturating_duration_since(now) >= needed
    }
}

/// A leased delivery with all that sending needs.
#[derive(Debug, Clone)]
pub struct Parcel {
    pub(crate) key: DeliveryKey,
    pub(crate) lease: Lease,
    pub(crate) attempt_number: u32,
    /// Attempts that do not count as retries.
    pub(crate) free_attempts: u32,
    pub(crate) trigger: Trigger,
    pub(crate) event_type: Option<EventType>,
    pub(crate) payload: Bytes,
    pub(crate) content_type: ContentType,
    pub(crate) hops: Hops,
    pub(crate) subscription_version: i64,
    pub(crate) destination: Arc<Destination>,
    /// Set if it is the head of an ordering group.
    pub(crate) ordering_key: Option<OrderingKey>,
    /// Attempts after which an ordering group skips its head.
    pub(crate) skip_after: Option<u32>,
}

/// The result of a parcel.
#[derive(Debug, Clone)]
pub struct Report {
    pub key: DeliveryKey,
    pub token: LeaseToken,
    pub subscription_version: i64,
    pub event_type: Option<EventType>,
    /// Oldest first; empty if nothing was sent.
    pub attempts: Vec<Attempt>,
    /// How many of them do not count as retries.
    pub free_attempts: u32,
    /// Set if it was the head of an ordering group.
    pub ordering_key: Option<OrderingKey>,
    pub step: NextStep,
}

impl Report {
    pub(crate) fn unsent(key: DeliveryKey, token: LeaseToken, subscription_version: i64, step: NextStep) -> Self {
        Self {
            key,
            token,
            subscription_version,
            event_type: None,
            attempts: Vec::new(),
            free_attempts: 0,
            ordering_key: None,
            step,
        }
    }

    /// The ordering group whose next delivery may go once this is recorded.
    pub(crate) fn ended_group(&self) -> Option<OrderingGroup> {
        let ended = matches!(self.step, NextStep::Done | NextStep::GiveUp(_));
        let key = self.ordering_key.as_ref().filter(|_| ended)?;
        Some(OrderingGroup { subscription: self.key.subscription, key: key.clone() })
    }

    /// Why the next attempt will be made, if there is one.
    pub(crate) fn next_trigger(&self) -> Trigger {
        let asked = self.attempts.last().and_then(|last| last.answer.retry_after);
        match self.step {
            NextStep::RetryIn(delay) if asked.map(|asked| asked.min(MAX_DELAY)) == Some(delay) => Trigger::RetryAfter,
            _ => Trigger::Schedule,
        }
    }

    /// Why the receiver wants the subscription disabled: a 410 or a directive.
    pub(crate) fn disable_reason(&self) -> Option<&'static str> {
        let asked = self.attempts.last().is_some_and(|last| last.answer.directives.disable);
        match self.step {
            NextStep::GiveUp(EndReason::Gone) => Some(EndReason::Gone.as_str()),
            _ if asked => Some("receiver"),
            _ => None,
        }
    }
}
