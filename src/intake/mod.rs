//! Accepting events: who wants them, write them down, wake the workers.
//!
//! Knows nothing of HTTP. A caller has already checked the payload, the signature and the
//! filter on a copy of the subscription; the accepting statement joins the row itself and
//! has the last word, so a copy that is out of date is found out and never acted on.

use std::sync::Arc;

use crate::domain::event_type::EventType;
use crate::domain::id::EventId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::payload::Payload;
use crate::domain::subscription::Subscription;

/// An event on its way in, addressed to one subscription.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The subscription it was checked against; its tenant owns the event.
    pub subscription: Arc<Subscription>,
    /// What kind it is.
    pub event_type: Option<EventType>,
    /// The bytes.
    pub payload: Payload,
    /// The producer's promise that a repeated request is the same one.
    pub idempotency_key: Option<IdempotencyKey>,
}

/// The event is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub event: EventId,
    /// Whether an earlier request with the same idempotency key had committed it.
    pub duplicate: bool,
}

/// Why an event is not accepted; nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The copy of the subscription is out of date: read it again, check again, try again.
    #[error("the subscription has changed")]
    SubscriptionChanged,
    /// The key was used before for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The database is away, the queue to it is full, or the clocks are too far apart.
    #[error("events cannot be accepted now: {0}")]
    Unavailable(String),
}

/// The way in. Clones share it.
#[derive(Clone)]
pub struct Intake;

impl Intake {
    /// Writes the event and its delivery down, together with others that arrive at the same
    /// time, and returns when the commit is on disk.
    ///
    /// # Errors
    /// [`Refusal`] says why not. After `Unavailable` the commit may have happened all the
    /// same; an idempotency key makes the repetition safe.
    pub async fn accept(&self, _submission: Submission) -> Result<Accepted, Refusal> {
        Err(Refusal::Unavailable("not connected".to_owned()))
    }
}
