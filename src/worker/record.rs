//! Record: outcomes in batches, kept until they are recorded or their lease is another's.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::lines;
use super::outage::Outage;
use super::{Settled, Wake, WorkerParts};
use crate::domain::breaker::Met;
use crate::domain::delivery::Report;
use crate::domain::id::SubscriptionId;
use crate::domain::next_step::NextStep;
use crate::store::{HealthNote, StoreError};

/// Most time after the grace for recording what was sent in it.
pub(super) const LAST_RECORDING: Duration = Duration::from_secs(5);

/// Most reports in one statement.
const MAX_BATCH: usize = 256;
/// How long a batch waits for company while more is in flight. Nobody waits for a recording
/// but its slot, and the cost of a report is the cost of its statement divided by its batch.
const LINGER: Duration = Duration::from_millis(5);
/// Pause between two tries while the database is away.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// Times that making partitions is tried where one is missing.
const MAKING_TRIES: u32 = 3;

/// Where reports go. The channel is bounded by the slots that reports keep.
#[derive(Clone)]
pub(super) struct Inbox(UnboundedSender<Settled>);

impl Inbox {
    pub(super) fn send(&self, settled: Settled) {
        if self.0.send(settled).is_err() {
            tracing::error!("a report came after the recorder had ended; its lease will lapse");
        }
    }
}

/// Records reports until every inbox is gone.
pub(super) struct Recorder {
    parts: WorkerParts,
    wake: Wake,
    outage: Outage,
    reports: UnboundedReceiver<Settled>,
}

impl Recorder {
    pub(super) fn new(parts: WorkerParts, wake: Wake, outage: Outage) -> (Self, Inbox) {
        let (sender, reports) = unbounded_channel();
        (Self { parts, wake, outage, reports }, Inbox(sender))
    }

    pub(super) async fn run(mut self) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while self.reports.recv_many(&mut batch, MAX_BATCH).await > 0 {
            self.linger(&mut batch).await;
            let reports: Vec<Report> = batch.iter().map(|settled| settled.report.clone()).collect();
            self.record(reports).await;
            // The slots are free from here on.
            batch.clear();
            self.wake.slot_freed();
        }
    }

    /// Waits a moment for more reports, if more deliveries are in flight.
    async fn linger(&mut self, batch: &mut Vec<Settled>) {
        let deadline = tokio::time::Instant::now() + LINGER;
        while batch.len() < MAX_BATCH && self.parts.slots.in_flight() > batch.len() {
            let room = MAX_BATCH - batch.len();
            match tokio::time::timeout_at(deadline, self.reports.recv_many(batch, room)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Tries until the reports are recorded or fenced off. Recording comes before claiming:
    /// the slots that these reports keep are not free before.
    async fn record(&self, mut reports: Vec<Report>) {
        self.parts.metrics.record_batch.observe(reports.len() as f64);
        let (mut told, mut missing) = (false, 0);
        loop {
            match self.parts.store.record(&reports).await {
                Ok(recorded) => {
                    self.parts.metrics.fenced.inc_by(recorded.fenced as u64);
                    for subscription in &recorded.disabled {
                        tracing::warn!(%subscription, "disabled: its receiver wants no more");
                    }
                    if lines::advance(&self.parts.store, &lines::ended(&reports)).await {
                        self.wake.ring();
                    }
                    note_health(&self.parts, &reports, &recorded.ailing).await;
                    return self.set_alarms(&reports);
                }
                Err(StoreError::Deadlock) => {}
                // Not again when it did not help: after days without a database the partition of
                // an attempt may be past its retention. Its lease lapses then, as if it had been
                // cut off.
                Err(StoreError::NoPartition) if missing < MAKING_TRIES => {
                    missing += u32::from(self.make_partitions().await);
                }
                Err(error) if error.is_unavailable() => {
                    self.outage.note();
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(%error, reports = reports.len(), "outcomes wait to be recorded");
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) if reports.len() == 1 => {
                    return tracing::error!(%error, "an outcome cannot be recorded; its lease will lapse");
                }
                Err(_) => {
                    let rest = reports.split_off(reports.len() / 2);
                    Box::pin(self.record(rest)).await;
                }
            }
        }
    }

    /// Makes those around today; returns whether that could be done.
    async fn make_partitions(&self) -> bool {
        let made = self.parts.store.ensure_partitions().await;
        if let Err(error) = &made {
            tracing::warn!(%error, "a partition of the log is missing and could not be made yet");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        made.is_ok()
    }

    fn set_alarms(&self, reports: &[Report]) {
        for report in reports {
            match report.step {
                NextStep::RetryIn(delay) => self.wake.alarm(delay),
                NextStep::HandBack => self.wake.ring(),
                NextStep::Done | NextStep::GiveUp(_) | NextStep::Park | NextStep::Pace => {}
            }
        }
    }
}

/// Counts failures, and the successes that end them. A lost count is made good by the next
/// attempt.
pub(super) async fn note_health(parts: &WorkerParts, reports: &[Report], ailing: &[SubscriptionId]) {
    let notes = health_notes(reports, ailing);
    if notes.is_empty() {
        return;
    }
    match parts.store.note_health(&notes, parts.rules.breaker).await {
        Ok(turned) => {
            for (subscription, breaker) in turned {
                tracing::warn!(%subscription, breaker, "the breaker of a subscription turned");
            }
        }
        Err(error) => tracing::debug!(%error, "the health of subscriptions was not noted"),
    }
}

/// What the attempts say of their subscriptions, in the order in which they were answered.
/// Successes count only for those that were failing.
fn health_notes(reports: &[Report], ailing: &[SubscriptionId]) -> Vec<HealthNote> {
    let mut notes = BTreeMap::new();
    for report in reports {
        let subscription = report.key.subscription;
        let Some(last) = report.attempts.last() else { continue };
        let met = Met::of(&last.answer);
        if met == Met::Success && !ailing.contains(&subscription) && !notes.contains_key(&subscription) {
            continue;
        }
        let version = report.subscription_version;
        let nothing = HealthNote { subscription, version, succeeded: false, failed: 0, wait: None };
        let note = notes.entry(subscription).or_insert(nothing);
        // Of two versions the later one counts.
        if note.version < version {
            *note = nothing;
        }
        if note.version > version {
            continue;
        }
        match met {
            Met::Success => (note.succeeded, note.failed) = (true, 0),
            Met::Refusal | Met::Failure => note.failed += 1,
            Met::Wait(wait) => (note.failed, note.wait) = (note.failed + 1, note.wait.max(Some(wait))),
        }
    }
    notes.into_values().collect()
}
