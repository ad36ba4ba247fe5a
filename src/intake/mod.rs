//! Publishing events: who wants them, write them down, wake the workers.
//!
//! Knows nothing of HTTP. [`Publisher`] finds the audience of an event in copies of subscriptions; the accepting
//! statement confirms it on the rows. Events that arrive while a statement runs share the next one (group commit), and
//! each is answered only after its own commit.

mod batch;
mod entry;
mod notifier;
mod publication;
mod publish;
mod queue;
mod rates;
mod writer;

pub use notifier::Notifier;
pub use publication::Refusal;
pub(crate) use publication::{Address, Publication, Times, To};
pub(crate) use publish::Publisher;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::domain::audience::{Audience, Recipient};
use crate::domain::event_type::EventType;
use crate::domain::handoff::Handoff;
use crate::domain::id::{EventId, SubscriptionId};
use crate::domain::idempotency::{Fingerprint, IdempotencyKey};
use crate::domain::ordering::OrderingKey;
use crate::domain::payload::Payload;
use crate::domain::timing::Timing;
use crate::store::{Clock, Store};
use crate::subscriptions::Subscriptions;
use crate::telemetry::Metrics;
use crate::tenants::Tenants;
use queue::Queue;
use rates::Rates;
use writer::Writer;

/// An event on its way in, with those it is for.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Whom it is for, as checked on copies; their tenant owns the event.
    pub audience: Audience,
    /// What kind it is.
    pub event_type: Option<EventType>,
    /// The bytes.
    pub payload: Payload,
    /// When it is delivered, at the earliest and at the latest.
    pub timing: Timing,
    /// What keeps it in order with others, where a subscription is ordered.
    pub ordering_key: Option<OrderingKey>,
    /// The producer's promise that a repeated request is the same one, and what the request is.
    pub key: Option<(IdempotencyKey, Fingerprint)>,
}

/// The event is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub event: EventId,
    /// How many deliveries it made; `None` where an earlier request with the same idempotency
    /// key had committed it.
    pub deliveries: Option<usize>,
    /// Subscriptions that stand otherwise than its audience had them. The event is right all
    /// the same; the next one is cheaper when they are read again.
    pub outdated: Vec<SubscriptionId>,
}

impl Accepted {
    /// The event that an earlier request with the same idempotency key had committed.
    pub fn earlier(event: EventId) -> Self {
        Self { event, deliveries: None, outdated: Vec::new() }
    }

    /// Whether an earlier request with the same idempotency key had committed it.
    pub fn is_duplicate(&self) -> bool {
        self.deliveries.is_none()
    }
}

/// What an intake stands on.
pub struct IntakeParts {
    /// Where limits of tenants are found.
    pub tenants: Tenants,
    /// Most events a second of a tenant without a limit of its own.
    pub publish_per_second: Option<u32>,
    /// Most bytes of events that wait for their commit.
    pub queue_bytes: usize,
    /// Where audiences are found.
    pub subscriptions: Subscriptions,
    /// Where events are written.
    pub store: Store,
    /// The database's time, which ids carry.
    pub clock: Clock,
    /// The way to this process's worker, where it has one.
    pub handoff: Option<Handoff>,
    /// Notifies workers of what is left due.
    pub notifier: Notifier,
    /// Lease of deliveries that are born leased, where the subscription asks for no longer one.
    pub lease: Duration,
    /// What is counted.
    pub metrics: Metrics,
}

/// What an event and a recipient hold beside the payload: their structs, and their columns in the statement.
const EVENT_BYTES: usize = 512;
const RECIPIENT_BYTES: usize = size_of::<Recipient>() + 80;

/// A request that waits for its commit.
struct Pending {
    submission: Submission,
    answer: oneshot::Sender<Result<Accepted, Refusal>>,
}

impl Pending {
    /// Bytes that it holds while it waits, with those of the statement that is made of it.
    fn bytes(&self) -> usize {
        let Submission { payload, audience, .. } = &self.submission;
        payload.bytes().len() + EVENT_BYTES + audience.recipients.len() * RECIPIENT_BYTES
    }
}

/// The way in. Clones share it; when the last is dropped, its writer ends.
#[derive(Clone)]
pub struct Intake {
    open: Arc<Open>,
    clock: Clock,
    store: Store,
    subscriptions: Subscriptions,
    rates: Arc<Rates>,
    /// Whether this process has a worker that may send at once.
    has_worker: bool,
}

/// Closes the queue when the last intake is gone.
struct Open(Arc<Queue>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Intake {
    /// Starts the writer on the current runtime. Its task ends after the last intake is gone; one that ends
    /// sooner broke off.
    pub fn start(parts: IntakeParts) -> (Self, JoinHandle<()>) {
        let queue = Arc::new(Queue::new(parts.queue_bytes));
        let intake = Self {
            open: Arc::new(Open(Arc::clone(&queue))),
            clock: parts.clock.clone(),
            store: parts.store.clone(),
            subscriptions: parts.subscriptions.clone(),
            rates: Arc::new(Rates::new(&parts)),
            has_worker: parts.handoff.is_some(),
        };
        (intake, tokio::spawn(Arc::new(Writer::new(parts)).run(queue)))
    }

    /// The pipeline for the events of one request.
    pub(crate) fn publisher(&self) -> Publisher<'_> {
        Publisher::new(self)
    }
}
