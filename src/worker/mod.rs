//! Taking deliveries away: find, take, deliver, record, as visible steps.
//!
//! The worker meets the API only in the database. It remembers which subscriptions have something due and asks for
//! those that have room, sends each delivery without any transaction open, and records the outcomes in batches. A fresh
//! event of the same process may skip finding and taking through the handoff. Nothing here renews a
//! lease: a crashed worker's rows simply fall due again.

mod alarms;
mod deliverer;
mod dispatcher;
mod fetcher;
mod finder;
mod full_look;
mod heartbeat;
mod lanes;
mod listener;
mod outage;
mod ownership;
mod pace;
mod parcels;
mod peers;
mod recorder;
mod signal;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::domain::breaker::BreakerRules;
use crate::domain::handoff::HandoffReceiver;
use crate::domain::id::WorkerId;
use crate::domain::keyring::Keyring;
use crate::domain::next_step::RetryPolicy;
use crate::domain::policy;
use crate::domain::slots::Slots;
use crate::sender::Sender;
use crate::store::{Clock, Store};
use crate::telemetry::Metrics;
use deliverer::Deliverer;
use dispatcher::Dispatcher;
use fetcher::Fetcher;
use outage::Outage;
use recorder::Recorder;
use signal::Signals;

/// What a worker stands on.
#[derive(Clone)]
pub struct WorkerParts {
    /// The queue.
    pub store: Store,
    /// Makes the requests.
    pub sender: Sender,
    /// Opens the secrets that sign.
    pub keyring: Arc<Keyring>,
    /// The database's time.
    pub clock: Clock,
    /// Places in flight, shared with the handoff.
    pub slots: Slots,
    /// What is counted.
    pub metrics: Metrics,
    /// The rules.
    pub rules: WorkerRules,
}

/// The rules of a worker.
#[derive(Debug, Clone)]
pub struct WorkerRules {
    /// How long a taken delivery belongs to the worker, where its subscription asks for no
    /// longer time limit.
    pub lease: Duration,
    /// Time limit of one attempt, where the subscription has none of its own.
    pub request_timeout: Duration,
    /// When failed deliveries are tried again, where the subscription does not say it.
    pub retries: RetryPolicy,
    /// Age at which a pending delivery expires.
    pub lifetime: Duration,
    /// When breakers open, and how they ask.
    pub breaker: BreakerRules,
}

impl WorkerRules {
    /// How long any lease lasts at most.
    fn longest_lease(&self) -> Duration {
        policy::lease(self.lease, Some(*policy::REQUEST_TIMEOUT_RANGE.end()))
    }
}

/// How a worker is told to stop.
#[derive(Debug, Clone)]
pub struct Stopping {
    /// Cancelled: take no more.
    pub token: CancellationToken,
    /// How long to wait for what is in flight after that.
    pub grace: Duration,
}

/// A worker of one process.
pub struct Worker {
    parts: WorkerParts,
    id: WorkerId,
}

impl Worker {
    /// A worker that does nothing yet.
    pub fn new(parts: WorkerParts) -> Self {
        Self { parts, id: WorkerId::from(Uuid::new_v4()) }
    }

    /// Works until told to stop, then finishes what is in flight within the grace, and records it. Ends
    /// early where one of its tasks broke off: without it deliveries would be sent twice, or not at all.
    pub async fn run(self, handoff: Option<HandoffReceiver>, stopping: Stopping) {
        let Self { parts, id } = self;
        let sending = TaskTracker::new();
        let outage = Outage::default();
        let (sender, inbox) = unbounded_channel();
        let signals = Signals::new(sender);
        let (recorder, reports) = Recorder::new(parts.clone(), signals.clone(), outage.clone());
        let mut recording = tokio::spawn(recorder.run());
        let mut beating = tokio::spawn(heartbeat::beat(parts.clone(), id, signals.clone()));
        let mut listening = tokio::spawn(listener::listen(parts.store.clone(), signals.clone()));
        let deliverer = Arc::new(Deliverer::new(parts.clone(), stopping.token.clone()));
        let dispatcher = Dispatcher::new(deliverer, sending.clone(), reports);
        let mut receiving = JoinSet::new();
        if let Some(handoff) = handoff {
            receiving.spawn(dispatcher.clone().receive(handoff, signals.clone()));
        }
        let fetcher = Fetcher::new(parts.clone(), id, dispatcher, outage, (signals, inbox));
        let owned = tokio::select! {
            owned = fetcher.run(&stopping.token) => owned,
            _ = &mut recording => return tracing::error!("the recorder broke off"),
            _ = &mut beating => return tracing::error!("the heartbeat broke off"),
            _ = &mut listening => return tracing::error!("the listener broke off"),
            Some(Err(_)) = receiving.join_next() => return tracing::error!("the handoff broke off"),
        };
        beating.abort();
        listening.abort();
        let deadline = tokio::time::Instant::now() + stopping.grace;
        // The handoff closes when intake is gone; what was given before is still sent.
        let _unfinished = tokio::time::timeout_at(deadline, receiving.join_next()).await;
        receiving.abort_all();
        sending.close();
        if tokio::time::timeout_at(deadline, sending.wait()).await.is_err() {
            tracing::warn!(unfinished = sending.len(), "grace is over: unfinished attempts are left to their leases");
        } else if !owned.is_empty() && parts.store.drop_owned(id, &owned).await.is_err() {
            tracing::debug!("ownerships were not given up and will end by themselves");
        }
        if tokio::time::timeout_at(deadline + recorder::LAST_RECORDING, recording).await.is_err() {
            tracing::error!("outcomes could not be recorded before the end: their leases will lapse");
        } else if sending.is_empty() && parts.store.leave(id).await.is_err() {
            tracing::debug!("the worker was not signed off and will be taken for lost");
        }
    }
}
