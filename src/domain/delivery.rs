//! A delivery (the duty to bring one event to one subscription) on its way through a
//! worker: claimed as a [`Parcel`], handed back as a [`Report`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::attempt::Attempt;
use super::event_type::EventType;
use super::id::{EventId, LeaseToken, SubscriptionId, TenantId};
use super::next_step::{EndReason, NextStep};
use super::ordering::{Line, OrderingKey};
use super::subscription::Destination;

/// What names a delivery: the key of the queue's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryKey {
    /// Owner of both event and subscription.
    pub tenant: TenantId,
    /// The event to bring.
    pub event: EventId,
    /// The subscription to bring it to.
    pub subscription: SubscriptionId,
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

/// A claimed delivery with all that sending needs.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Which delivery it is.
    pub key: DeliveryKey,
    /// The claim on it.
    pub lease: Lease,
    /// Number of the attempt that this claim counted; 1 for the first.
    pub attempt_number: u16,
    /// Attempts so far that used up no step of the schedule.
    pub free_attempts: u16,
    /// The event's type, sent as a header.
    pub event_type: Option<EventType>,
    /// The event's bytes.
    pub payload: Bytes,
    /// Version of the subscription that the destination was read from.
    pub subscription_version: i64,
    /// Where to, and what signs it.
    pub destination: Arc<Destination>,
    /// The line it is the head of, where it is in one.
    pub ordering_key: Option<OrderingKey>,
    /// Attempts after which the head of a line makes room for the next.
    pub skip_after: Option<u16>,
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
    /// The requests made, oldest first; none where the parcel went back unsent.
    pub attempts: Vec<Attempt>,
    /// Of these, how many used up no step of the schedule.
    pub free_attempts: u16,
    /// The line it is the head of, where it is in one.
    pub ordering_key: Option<OrderingKey>,
    /// What follows.
    pub step: NextStep,
}

impl Report {
    /// The line whose next delivery has its turn when this is recorded, if there is one.
    pub fn ended_line(&self) -> Option<Line> {
        let ended = matches!(self.step, NextStep::Done | NextStep::GiveUp(_));
        let key = self.ordering_key.as_ref().filter(|_| ended)?;
        Some(Line { subscription: self.key.subscription, key: key.clone() })
    }

    /// Why the receiver wants nothing more for the subscription, where it said so: a 410, or
    /// its wish.
    pub fn unwanted(&self) -> Option<&'static str> {
        let asked = self.attempts.last().is_some_and(|last| last.answer.wishes.disable);
        match self.step {
            NextStep::GiveUp(EndReason::Gone) => Some(EndReason::Gone.as_str()),
            _ if asked => Some("receiver"),
            _ => None,
        }
    }
}
