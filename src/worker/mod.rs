//! Delivers what is due: find, take, deliver, record.
//!
//! No transaction is open while it sends, and it never renews a lease: the rows of a crashed worker fall due again.

mod deliverer;
mod fetcher;
mod finder;
mod full_scan;
mod heartbeat;
mod lanes;
mod listener;
mod local_faults;
mod outage;
mod ownership;
mod pace;
mod parcels;
mod peers;
mod recorder;
mod signal;
mod timers;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
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
use crate::store::{Clock, Role, Store};
use crate::supervisor::Supervisor;
use crate::telemetry::Metrics;
use deliverer::Deliverer;
use fetcher::Fetcher;
use outage::Outage;
use recorder::Recorder;
use signal::Signals;

#[derive(Clone)]
pub struct WorkerParts {
    pub store: Store,
    pub sender: Sender,
    pub keyring: Arc<Keyring>,
    pub clock: Clock,
    /// Limits what is in flight; shared with the handoff.
    pub slots: Slots,
    pub metrics: Metrics,
    pub rules: WorkerRules,
}

#[derive(Debug, Clone)]
pub struct WorkerRules {
    /// Duration of a lease; longer for a subscription with a longer request timeout.
    pub lease: Duration,
    pub request_timeout: Duration,
    pub retries: RetryPolicy,
    pub lifetime: Duration,
    pub breaker: BreakerRules,
}

impl WorkerRules {
    fn longest_lease(&self) -> Duration {
        policy::lease(self.lease, Some(*policy::REQUEST_TIMEOUT_RANGE.end()))
    }
}

#[derive(Debug, Clone)]
pub struct Stopping {
    /// Says when to stop; the worker's own tasks stop it if they panic.
    pub supervisor: Supervisor,
    /// Time to finish what is in flight after that.
    pub grace: Duration,
}

pub struct Worker {
    parts: WorkerParts,
    id: WorkerId,
}

impl Worker {
    pub fn new(parts: WorkerParts) -> Self {
        Self { parts, id: WorkerId::from(Uuid::new_v4()) }
    }

    /// Without one of its tasks, deliveries would be sent twice or never: a panic begins the stop, in which what is known
    /// is still recorded.
    pub async fn run(self, handoff: Option<HandoffReceiver>, stopping: Stopping) {
        let Self { parts, id } = self;
        let Stopping { supervisor, grace } = stopping;
        let stop = supervisor.stop().clone();
        let sending = TaskTracker::new();
        let outage = Outage::default();
        let (sender, inbox) = unbounded_channel();
        let signals = Signals::new(sender);
        let (recorder, reports) = Recorder::new(parts.clone(), signals.clone(), outage.clone());
        let recording = supervisor.spawn_lasting("the recorder", recorder.run());
        let role = if handoff.is_some() { Role::Serve } else { Role::Worker };
        let beating =
            supervisor.spawn_lasting("the heartbeat", heartbeat::beat(parts.clone(), id, role, signals.clone()));
        let listening =
            supervisor.spawn_lasting("the listener", listener::listen(parts.store.clone(), signals.clone()));
        let deliverer = Deliverer::new((parts.clone(), id), stop.clone(), sending.clone(), reports);
        let receiving = handoff.map(|handoff| {
            supervisor.spawn_lasting("the handoff", Arc::clone(&deliverer).receive(handoff, signals.clone()))
        });
        let fetcher = Fetcher::new(parts.clone(), id, deliverer, outage, (signals, inbox));
        let owned = supervisor.guard("the fetcher", Box::pin(fetcher.run(&stop))).await.unwrap_or_default();
        if !stop.is_cancelled() {
            supervisor.fail("a task of the fetcher panicked".to_owned());
        }
        beating.abort();
        listening.abort();
        let deadline = tokio::time::Instant::now() + grace;
        // The handoff closes after intake has ended; parcels handed over before are still sent.
        if let Some(mut receiving) = receiving
            && tokio::time::timeout_at(deadline, &mut receiving).await.is_err()
        {
            receiving.abort();
        }
        sending.close();
        if tokio::time::timeout_at(deadline, sending.wait()).await.is_err() {
            tracing::warn!(
                unfinished = sending.len(),
                "POSTRIDER_SHUTDOWN_GRACE is over; unfinished attempts are repeated after their leases lapse"
            );
        } else if !owned.is_empty() && parts.store.drop_owned(id, &owned).await.is_err() {
            tracing::debug!("ownerships were not released; they will expire");
        }
        if tokio::time::timeout_at(deadline + recorder::LAST_RECORDING, recording).await.is_err() {
            tracing::error!("outcomes could not be recorded before the end; their leases will lapse");
        } else if sending.is_empty() && parts.store.leave(id.uuid()).await.is_err() {
            tracing::debug!("the worker was not deregistered; others will report it as lost");
        }
    }
}
