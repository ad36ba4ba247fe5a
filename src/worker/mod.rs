//! Taking deliveries away: claim, deliver, record, as three visible steps.
//!
//! The worker meets the API only in the database. It claims due rows for its free slots,
//! sends each without any transaction open, and records the outcomes in batches. A fresh
//! event of the same process may skip the claim through the handoff. Nothing here renews a
//! lease: a crashed worker's rows simply fall due again.

mod claim;
mod deliver;
mod floor;
mod lines;
mod listen;
mod outage;
mod pace;
mod parking;
mod record;
mod wake;

pub use wake::Wake;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::domain::breaker::BreakerRules;
use crate::domain::delivery::{Parcel, Report};
use crate::domain::handoff::HandoffReceiver;
use crate::domain::id::{SubscriptionId, WorkerId};
use crate::domain::keyring::Keyring;
use crate::domain::next_step::{NextStep, RetryPolicy};
use crate::domain::slots::{Slot, Slots};
use crate::sender::Sender;
use crate::store::{Clock, Store, StoreError};
use crate::telemetry::Metrics;
use claim::Claimer;
use deliver::Courier;
use outage::Outage;
use pace::{Pacer, Ticket};
use record::Recorder;
use wake::Appetite;

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
    /// How long a claimed delivery belongs to the worker, where its subscription asks for no
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

/// How a worker is told to stop.
#[derive(Debug, Clone)]
pub struct Stopping {
    /// Cancelled: claim no more.
    pub token: CancellationToken,
    /// How long to wait for what is in flight after that.
    pub grace: Duration,
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Deliveries claimed.
    pub claimed: usize,
    /// Reports recorded.
    pub recorded: usize,
    /// Reports whose lease had gone to another.
    pub fenced: usize,
}

/// A delivery whose report waits to be recorded, with the slot it keeps until then.
struct Settled {
    report: Report,
    #[expect(dead_code, reason = "held for its drop: the slot is free when the report is recorded")]
    slot: Option<Slot>,
}

/// A worker of one process.
pub struct Worker {
    parts: WorkerParts,
    courier: Arc<Courier>,
    id: WorkerId,
}

impl Worker {
    /// A worker that does nothing yet.
    pub fn new(parts: WorkerParts) -> Self {
        let courier = Arc::new(Courier::new(parts.clone()));
        Self { parts, courier, id: WorkerId::from(Uuid::new_v4()) }
    }

    /// One round for tests: claims what is due now, sends it, records it.
    ///
    /// # Errors
    /// [`StoreError`] when claiming or recording fails.
    pub async fn run_once(&self) -> Result<Round, StoreError> {
        let mut claimer = Claimer::new(self.parts.clone(), Outage::default());
        let batch = claimer.claim().await?;
        let claimed = batch.parcels.len();
        let mut reports = batch.unreadable;
        let sending = TaskTracker::new();
        let mut answers = Vec::new();
        for parcel in batch.parcels {
            let courier = Arc::clone(&self.courier);
            let mut slot = self.parts.slots.take(parcel.key.subscription);
            answers.push(sending.spawn(async move {
                match slot.as_mut() {
                    Some(slot) => courier.deliver(parcel, slot).await,
                    None => unsent(&parcel, NextStep::Park),
                }
            }));
        }
        for answer in answers {
            reports.extend(answer.await.ok());
        }
        let recorded = if reports.is_empty() { Default::default() } else { self.parts.store.record(&reports).await? };
        lines::advance(&self.parts.store, &lines::ended(&reports)).await;
        record::note_health(&self.parts, &reports, &recorded.ailing).await;
        Ok(Round { claimed, recorded: recorded.recorded, fenced: recorded.fenced })
    }

    /// Works until told to stop, then hands back what is unsent, finishes what is in flight
    /// within the grace, and records it.
    pub async fn run(self, handoff: Option<HandoffReceiver>, wake: Arc<Notify>, stopping: Stopping) {
        let sending = TaskTracker::new();
        let wake = Wake::new(wake);
        let outage = Outage::default();
        let (recorder, settled) = Recorder::new(self.parts.clone(), wake.clone(), outage.clone());
        let mut recording = tokio::spawn(recorder.run());
        let listening = tokio::spawn(listen::listen(self.parts.store.clone(), wake.clone()));
        let office = Office { courier: Arc::clone(&self.courier), sending: sending.clone(), settled };
        let receiving = handoff.map(|lane| tokio::spawn(receive(lane, office.clone())));
        let claimer = Claimer::new(self.parts.clone(), outage);
        let news = Arc::new(Notify::new());
        let pacer = Pacer::new(self.parts.clone(), office.clone(), self.id, Arc::clone(&news));
        let claiming = self.claim_until_stopped(claimer, &office, &wake, &news, &stopping.token);
        let owned = tokio::select! {
            ((), owned) = async { tokio::join!(claiming, pacer.run(stopping.token.clone())) } => owned,
            // Without a recorder every delivery would be sent again: stop at once.
            _ = &mut recording => return tracing::error!("the recorder broke off"),
        };
        listening.abort();
        let deadline = tokio::time::Instant::now() + stopping.grace;
        // The lane closes when intake is gone; what was given before is still sent.
        if let Some(mut receiving) = receiving
            && tokio::time::timeout_at(deadline, &mut receiving).await.is_err()
        {
            receiving.abort();
        }
        sending.close();
        if tokio::time::timeout_at(deadline, sending.wait()).await.is_err() {
            tracing::warn!(unfinished = sending.len(), "grace is over: unfinished attempts are left to their leases");
        } else if !owned.is_empty() && self.parts.store.drop_paces(self.id, &owned).await.is_err() {
            tracing::debug!("paces were not given up and will end by themselves");
        }
        drop(office);
        if tokio::time::timeout_at(deadline + record::LAST_RECORDING, recording).await.is_err() {
            tracing::error!("outcomes could not be recorded before the end: their leases will lapse");
        }
    }

    async fn claim_until_stopped(
        &self,
        mut claimer: Claimer,
        office: &Office,
        wake: &Wake,
        news: &Notify,
        stop: &CancellationToken,
    ) {
        let mut parking = parking::Parking::new(self.parts.clone(), self.id);
        while !stop.is_cancelled() {
            let more = match claimer.claim().await {
                Ok(batch) => {
                    let more = batch.more;
                    parking.remember(&batch.parked);
                    parking.remember(&office.dispatch(batch, &self.parts.slots, stop));
                    more
                }
                Err(_) => false,
            };
            let released = parking.release().await;
            let appetite = match (more || released, parking.is_empty()) {
                (true, _) => Appetite::MoreIsDue,
                (false, false) => Appetite::SomeAreParked,
                (false, true) => Appetite::Sated,
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = wake.next(appetite, &self.parts.slots) => {}
            }
            // What rang may have been for paced deliveries.
            news.notify_one();
        }
        parking.leave().await;
    }
}

/// Where parcels become tasks, and reports go to be recorded.
#[derive(Clone)]
struct Office {
    courier: Arc<Courier>,
    sending: TaskTracker,
    settled: record::Inbox,
}

impl Office {
    /// Sends every parcel of a batch that has a slot and parks the rest. Returns the
    /// subscriptions of those.
    fn dispatch(&self, batch: claim::Batch, slots: &Slots, stop: &CancellationToken) -> Vec<SubscriptionId> {
        let mut parked = Vec::new();
        for report in batch.unreadable {
            self.settled.send(Settled { report, slot: None });
        }
        for parcel in batch.parcels {
            match slots.take(parcel.key.subscription) {
                // A stop came while the claim was under way: nothing of it is sent.
                _ if stop.is_cancelled() => {
                    self.settled.send(Settled { report: unsent(&parcel, NextStep::HandBack), slot: None })
                }
                Some(slot) => self.send(parcel, slot, None),
                None => {
                    parked.push(parcel.key.subscription);
                    self.settled.send(Settled { report: unsent(&parcel, NextStep::Park), slot: None });
                }
            }
        }
        parked
    }

    /// Sends a parcel; one that was drawn comes with its ticket.
    fn send(&self, parcel: Parcel, mut slot: Slot, ticket: Option<Ticket>) {
        let office = self.clone();
        self.sending.spawn(async move {
            let report = office.courier.deliver(parcel, &mut slot).await;
            slot.answered();
            let report = match ticket {
                Some(mut ticket) => ticket.learn(report),
                None => report,
            };
            office.settled.send(Settled { report, slot: Some(slot) });
        });
    }
}

/// Sends what intake hands over, until intake is gone.
async fn receive(mut lane: HandoffReceiver, office: Office) {
    while let Some(handed_over) = lane.recv().await {
        office.send(handed_over.parcel, handed_over.slot, None);
    }
}

/// The report of a parcel that was not sent.
fn unsent(parcel: &Parcel, step: NextStep) -> Report {
    Report {
        key: parcel.key,
        token: parcel.lease.token,
        subscription_version: parcel.subscription_version,
        event_type: parcel.event_type.clone(),
        attempts: Vec::new(),
        free_attempts: 0,
        ordering_key: parcel.ordering_key.clone(),
        step,
    }
}
