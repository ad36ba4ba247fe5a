//! Publishes events: find the audience, write the deliveries, notify workers. Knows nothing of HTTP.
//!
//! `Publisher` finds the audience in copies of subscriptions; the accepting statement confirms it on the rows.
//! Events that arrive while a statement runs share the next one (group commit). Each request is answered after its
//! commit.

mod batch;
mod entry;
mod notifier;
mod outbox;
mod publication;
mod publish;
mod queue;
mod rates;
mod writer;

pub use notifier::Notifier;
pub use outbox::{Outbox, OutboxRules};
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
use crate::domain::hops::Hops;
use crate::domain::id::{EventId, SubscriptionId};
use crate::domain::idempotency::{Fingerprint, IdempotencyKey};
use crate::domain::ordering::OrderingKey;
use crate::domain::payload::Payload;
use crate::domain::timing::Timing;
use crate::store::{Clock, Store};
use crate::subscriptions::Subscriptions;
use crate::supervisor::Supervisor;
use crate::telemetry::Metrics;
use crate::tenants::Tenants;
use queue::Queue;
use rates::Rates;
use writer::Writer;

#[derive(Debug, Clone)]
pub struct Submission {
    /// Found in copies; their tenant owns the event.
    pub audience: Audience,
    pub event_type: Option<EventType>,
    pub payload: Payload,
    pub hops: Hops,
    pub timing: Timing,
    pub ordering_key: Option<OrderingKey>,
    /// A repeated request has the same key and fingerprint.
    pub key: Option<(IdempotencyKey, Fingerprint)>,
    /// Of an event from the outbox, which has its id already.
    pub from_outbox: Option<FromOutbox>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FromOutbox {
    pub id: EventId,
    /// Its partition may be dropped at any time, and the statement fails then.
    pub is_late: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub event: EventId,
    /// `None` if an earlier request with the same idempotency key created it.
    pub deliveries: Option<usize>,
    /// Subscriptions edited since the audience was matched. Reading them again makes the next event cheaper.
    pub edited: Vec<SubscriptionId>,
}

impl Accepted {
    /// Committed by an earlier request with the same idempotency key.
    pub fn earlier(event: EventId) -> Self {
        Self { event, deliveries: None, edited: Vec::new() }
    }

    /// Whether an earlier request with the same idempotency key committed it.
    pub fn is_duplicate(&self) -> bool {
        self.deliveries.is_none()
    }
}

pub struct IntakeParts {
    pub tenants: Tenants,
    pub publish_per_second: Option<u32>,
    pub queue_bytes: usize,
    pub subscriptions: Subscriptions,
    pub store: Store,
    pub clock: Clock,
    pub handoff: Option<Handoff>,
    pub notifier: Notifier,
    /// Least lease of deliveries that are created leased.
    pub lease: Duration,
    pub metrics: Metrics,
    pub supervisor: Supervisor,
}

/// Besides the payload: structs, and columns of the statement.
const EVENT_BYTES: usize = 512;
const RECIPIENT_BYTES: usize = size_of::<Recipient>() + 80;

struct Pending {
    submission: Submission,
    answer: oneshot::Sender<Result<Accepted, Refusal>>,
}

impl Pending {
    /// Includes its part of the statement.
    fn bytes(&self) -> usize {
        let Submission { payload, audience, .. } = &self.submission;
        payload.bytes().len() + EVENT_BYTES + audience.recipients.len() * RECIPIENT_BYTES
    }
}

#[derive(Clone)]
pub struct Intake {
    open: Arc<Open>,
    clock: Clock,
    store: Store,
    subscriptions: Subscriptions,
    rates: Arc<Rates>,
    tenants: Tenants,
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
    /// The writer's task ends after the last intake is dropped.
    pub fn start(parts: IntakeParts) -> (Self, JoinHandle<()>) {
        let queue = Arc::new(Queue::new(parts.queue_bytes));
        let intake = Self {
            open: Arc::new(Open(Arc::clone(&queue))),
            clock: parts.clock.clone(),
            store: parts.store.clone(),
            subscriptions: parts.subscriptions.clone(),
            rates: Arc::new(Rates::new(&parts)),
            tenants: parts.tenants.clone(),
            has_worker: parts.handoff.is_some(),
        };
        let supervisor = parts.supervisor.clone();
        (intake, supervisor.spawn_lasting("intake's writer", Arc::new(Writer::new(parts)).run(queue)))
    }

    pub(crate) fn publisher(&self) -> Publisher<'_> {
        Publisher::new(self)
    }
}
