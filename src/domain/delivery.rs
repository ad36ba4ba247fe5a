//! A delivery (the duty to bring one event to one subscription) on its way through a
//! worker: taken as a [`Parcel`], handed back as a [`Report`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use time::OffsetDateTime;

use super::attempt::Attempt;
use super::end::EndReason;
use super::event_type::EventType;
use super::id::{EventId, LeaseToken, SubscriptionId, TenantId};
use super::next_step::NextStep;
use super::ordering::{OrderingGroup, OrderingKey};
use super::subscription::Destination;

/// What names a delivery: the key of the queue's row is event and subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryKey {
    /// The event to bring.
    pub event: EventId,
    /// The subscription to bring it to.
    pub subscription: SubscriptionId,
    /// Owner of both.
    pub tenant: TenantId,
}

/// Deliveries of one subscription that are due and that nobody has leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its owner.
    pub tenant: TenantId,
    /// Which.
    pub subscription: SubscriptionId,
    /// How many there are at least; `None` where that is not known.
    pub rows: Option<usize>,
    /// When the first of them fell due, at the earliest, by the database's clock.
    pub since: OffsetDateTime,
}

/// The time during which a delivery belongs to one worker.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    /// Proof of it; recording with another token changes nothing.
    pub token: LeaseToken,
    /// Its end on the monotonic clock, counted from before the statement that granted
    /// it was sent: never later than the end the database knows.
    pub ends: Instant,
}

impl Lease {
    /// Whether this much time is left at `now`.
    pub fn has(&self, needed: Duration, now: Instant) -> bool {
        self.ends.saturating_duration_since(now) >= needed
    }
}

/// A leased delivery with all that sending needs.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Which delivery it is.
    pub key: DeliveryKey,
    /// The lease on it.
    pub lease: Lease,
    /// Number of the attempt that the lease counted; 1 for the first.
    pub attempt_number: u32,
    /// Attempts so far that used up no step of the schedule.
    pub free_attempts: u32,
    /// The event's type, sent as a header.
    pub event_type: Option<EventType>,
    /// The event's bytes.
    pub payload: Bytes,
    /// Version of the subscription that the destination was read from.
    pub subscription_version: i64,
    /// Where to, and what signs it.
    pub destination: Arc<Destination>,
    /// The key of its ordering group, where it is the head of one.
    pub ordering_key: Option<OrderingKey>,
    /// Attempts after which the head of an ordering group is skipped.
    pub skip_after: Option<u32>,
}

/// What a worker reports of a parcel.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which delivery it is.
    pub key: DeliveryKey,
    /// The lease under which it was sent.
    pub token: LeaseToken,
    /// Version of the subscription that it was sent to.
    pub subscription_version: i64,
    /// The event's type, kept in the log beside its attempts.
    pub event_type: Option<EventType>,
    /// The requests made, oldest first; none where nothing was sent.
    pub attempts: Vec<Attempt>,
    /// Of these, how many used up no step of the schedule.
    pub free_attempts: u32,
    /// The key of its ordering group, where it is the head of one.
    pub ordering_key: Option<OrderingKey>,
    /// What follows.
    pub step: NextStep,
}

impl Report {
    /// The report of a delivery that was leased and not sent.
    pub fn unsent(key: DeliveryKey, token: LeaseToken, subscription_version: i64, step: NextStep) -> Self {
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

    /// The ordering group whose next delivery has its turn when this is recorded, if there is one.
    pub fn ended_group(&self) -> Option<OrderingGroup> {
        let ended = matches!(self.step, NextStep::Done | NextStep::GiveUp(_));
        let key = self.ordering_key.as_ref().filter(|_| ended)?;
        Some(OrderingGroup { subscription: self.key.subscription, key: key.clone() })
    }

    /// Why the subscription is to be disabled, where its receiver said so: by a 410, or by a directive.
    pub fn disable_reason(&self) -> Option<&'static str> {
        let asked = self.attempts.last().is_some_and(|last| last.answer.directives.disable);
        match self.step {
            NextStep::GiveUp(EndReason::Gone) => Some(EndReason::Gone.as_str()),
            _ if asked => Some("receiver"),
            _ => None,
        }
    }
}
