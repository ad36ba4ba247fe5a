//! Accepting events: who wants them, write them down, wake the workers.
//!
//! Knows nothing of HTTP. A caller has already checked the payload, the signature and the
//! filter on a copy of the subscription; the accepting statement joins the row itself and
//! has the last word, so a copy that is out of date is found out and never acted on.
//! Requests that arrive while a statement runs share the next one (group commit), and each
//! is answered only after its own commit.

mod bell;
mod writer;

pub use bell::Bell;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::domain::event_type::EventType;
use crate::domain::handoff::Handoff;
use crate::domain::id::EventId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::payload::Payload;
use crate::domain::subscription::Subscription;
use crate::store::{Clock, MAX_SKEW, Store};
use crate::telemetry::Metrics;
use writer::{Pending, Writer};

/// Most events that wait for a statement; beyond it requests are refused at once.
const QUEUE_LIMIT: usize = 4_096;
/// Most time between a request and its answer, in all.
const ANSWER_LIMIT: Duration = Duration::from_millis(1_800);
/// Accepting statements under way at once. A second one would split the batches, and the
/// cost of an event is the cost of its statement divided by its batch.
const WRITERS: usize = 1;

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

/// What an intake stands on.
pub struct IntakeParts {
    /// Where events are written.
    pub store: Store,
    /// The database's time, which ids carry.
    pub clock: Clock,
    /// The way to this process's worker, where it has one.
    pub handoff: Option<Handoff>,
    /// Wakes workers for what is left due.
    pub bell: Bell,
    /// Lease of deliveries that are born leased, where the subscription asks for no longer one.
    pub lease: Duration,
    /// What is counted.
    pub metrics: Metrics,
}

/// The way in. Clones share it; when the last is dropped, its writers end.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::Sender<Pending>,
    clock: Clock,
}

impl Intake {
    /// Starts the writers on the current runtime.
    pub fn start(parts: IntakeParts) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_LIMIT);
        let waiting = Arc::new(Mutex::new(waiting));
        let clock = parts.clock.clone();
        let writer = Arc::new(Writer::new(parts));
        for _ in 0..WRITERS {
            tokio::spawn(Arc::clone(&writer).run(Arc::clone(&waiting)));
        }
        Self { queue, clock }
    }

    /// Writes the event and its delivery down, together with others that arrive at the same
    /// time, and returns when the commit is on disk.
    ///
    /// # Errors
    /// [`Refusal`] says why not. After `Unavailable` the commit may have happened all the
    /// same; an idempotency key makes the repetition safe.
    pub async fn accept(&self, submission: Submission) -> Result<Accepted, Refusal> {
        if self.clock.skew() > MAX_SKEW {
            return Err(Refusal::Unavailable("this machine's clock is too far from the database's".to_owned()));
        }
        let (answer, answered) = oneshot::channel();
        self.queue
            .try_send(Pending { submission, answer })
            .map_err(|_| Refusal::Unavailable("too many events wait already".to_owned()))?;
        match tokio::time::timeout(ANSWER_LIMIT, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Refusal::Unavailable("this process is stopping".to_owned())),
            Err(_) => Err(Refusal::Unavailable("the database did not answer in time".to_owned())),
        }
    }
}
