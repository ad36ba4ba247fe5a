//! Records reports in batches and keeps them until they are recorded or fenced.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::Instrument as _;

use super::WorkerParts;
use super::outage::Outage;
use super::signal::{Signal, Signals, one_due};
use crate::domain::breaker::ResponseClass;
use crate::domain::delivery::{Due, Report};
use crate::domain::id::SubscriptionId;
use crate::domain::next_step::NextStep;
use crate::domain::ordering::OrderingGroup;
use crate::domain::slots::Slot;
use crate::store::{HealthReport, StoreError};

pub(super) const LAST_RECORDING: Duration = Duration::from_secs(5);

const MAX_BATCH: usize = 256;
/// Batching makes a report cheaper; only its slot waits.
const LINGER: Duration = Duration::from_millis(5);
const RETRY_PAUSE: Duration = Duration::from_millis(250);
const MAX_PARTITION_TRIES: u32 = 3;

/// The slots that reports keep bound the channel.
#[derive(Clone)]
pub(super) struct Inbox(UnboundedSender<(Report, Slot)>);

impl Inbox {
    pub(super) fn send(&self, report: Report, slot: Slot) {
        if self.0.send((report, slot)).is_err() {
            tracing::error!("a report arrived after the recorder ended; its lease will lapse");
        }
    }
}

pub(super) struct Recorder {
    parts: WorkerParts,
    signals: Signals,
    outage: Outage,
    reports: UnboundedReceiver<(Report, Slot)>,
}

impl Recorder {
    pub(super) fn new(parts: WorkerParts, signals: Signals, outage: Outage) -> (Self, Inbox) {
        let (sender, reports) = unbounded_channel();
        (Self { parts, signals, outage, reports }, Inbox(sender))
    }

    pub(super) async fn run(mut self) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while self.reports.recv_many(&mut batch, MAX_BATCH).await > 0 {
            self.linger(&mut batch).await;
            let (reports, slots): (Vec<Report>, Vec<Slot>) = batch.drain(..).unzip();
            let span = tracing::debug_span!("record", reports = reports.len());
            self.record(reports).instrument(span).await;
            drop(slots);
        }
    }

    async fn linger(&mut self, batch: &mut Vec<(Report, Slot)>) {
        let deadline = tokio::time::Instant::now() + LINGER;
        while batch.len() < MAX_BATCH && self.parts.slots.in_flight() > batch.len() {
            let room = MAX_BATCH - batch.len();
            match tokio::time::timeout_at(deadline, self.reports.recv_many(batch, room)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
        }
    }

    /// Retries until the reports are recorded or fenced.
    async fn record(&self, mut reports: Vec<Report>) {
        self.parts.metrics.record_batch.observe(reports.len() as f64);
        let (mut is_reported, mut missing) = (false, 0);
        loop {
            match self.parts.store.record(&reports).await {
                Ok(recorded) => {
                    self.parts.metrics.fenced.inc_by(recorded.fenced as u64);
                    for subscription in &recorded.disabled {
                        tracing::warn!(%subscription, "subscription disabled at its receiver's request");
                    }
                    self.signal(&reports);
                    self.advance(&reports).await;
                    return self.record_health(&reports, &recorded.failing).await;
                }
                Err(StoreError::Deadlock) => {}
                // After days without a database the partition may be past retention. Then the lease lapses, as if
                // the attempt had been cut off.
                Err(StoreError::NoPartition) if missing < MAX_PARTITION_TRIES => {
                    missing += u32::from(self.make_partitions().await);
                }
                Err(error) if error.is_unavailable() => {
                    self.outage.report();
                    if !std::mem::replace(&mut is_reported, true) {
                        tracing::warn!(%error, reports = reports.len(), "the database is not available; outcomes wait in memory");
                    }
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) if reports.len() == 1 => {
                    return tracing::error!(%error, "cannot record an outcome; its lease will lapse");
                }
                Err(_) => {
                    let rest = reports.split_off(reports.len() / 2);
                    Box::pin(self.record(rest)).await;
                }
            }
        }
    }

    async fn make_partitions(&self) -> bool {
        let made = self.parts.store.ensure_partitions().await;
        if let Err(error) = &made {
            tracing::warn!(%error, "a partition of the attempts table is missing and could not be created yet");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        made.is_ok()
    }

    fn signal(&self, reports: &[Report]) {
        let (now, database_now) = (Instant::now(), self.parts.clock.now());
        for report in reports {
            let due = |delay| one_due(report.key.tenant, report.key.subscription, database_now + delay);
            tracing::trace!(event = %report.key.event, subscription = %report.key.subscription, step = ?report.step, "recorded");
            match report.step {
                NextStep::HandBack(Duration::ZERO) => self.signals.send(Signal::Left(due(Duration::ZERO))),
                NextStep::RetryIn(delay) | NextStep::HandBack(delay) => {
                    self.signals.send(Signal::Retry(due(delay), now + delay));
                }
                NextStep::Done | NextStep::GiveUp(_) => {}
            }
        }
    }

    /// Releases the next delivery of each ordering group whose head ended. Upkeep repairs a failure.
    async fn advance(&self, reports: &[Report]) {
        let ended = reports.iter().filter_map(|report| Some((report.ended_group()?, report.key.tenant)));
        let ended: BTreeMap<OrderingGroup, _> = ended.collect();
        if ended.is_empty() {
            return;
        }
        let groups: Vec<OrderingGroup> = ended.keys().cloned().collect();
        match self.parts.store.advance(&groups).await {
            Ok(released) => {
                let now = self.parts.clock.now();
                for (group, tenant) in released.iter().filter_map(|group| Some((group, ended.get(group)?))) {
                    self.signals.send(Signal::Left(one_due(*tenant, group.subscription, now)));
                }
            }
            Err(error) => tracing::debug!(%error, "ordering groups were not advanced; upkeep will do it"),
        }
    }

    /// A lost count is harmless: the next attempt counts again.
    async fn record_health(&self, reports: &[Report], failing: &[SubscriptionId]) {
        let found = health_reports(reports, failing);
        if found.is_empty() {
            return;
        }
        match self.parts.store.record_health(&found, self.parts.rules.breaker).await {
            Ok(turned) => {
                let since = self.parts.clock.now();
                let due = |subscription, tenant| Due { tenant, subscription, rows: None, since };
                for turned in &turned {
                    tracing::warn!(subscription = %turned.subscription, breaker = turned.state, "breaker changed state");
                }
                let paced: Vec<Due> = turned.iter().map(|turned| due(turned.subscription, turned.tenant)).collect();
                if !paced.is_empty() {
                    self.signals.send(Signal::Paced(paced));
                }
            }
            Err(error) => tracing::warn!(%error, "the failures of subscriptions were not counted"),
        }
    }
}

/// Counts results per subscription, in the order of the responses. Successes count only after failures.
fn health_reports(reports: &[Report], failing: &[SubscriptionId]) -> Vec<HealthReport> {
    let mut found: HashMap<SubscriptionId, HealthReport> = HashMap::new();
    for report in reports {
        let subscription = report.key.subscription;
        let Some(last) = report.attempts.last() else { continue };
        let class = ResponseClass::of(&last.answer);
        if class == ResponseClass::Success && !failing.contains(&subscription) && !found.contains_key(&subscription) {
            continue;
        }
        let version = report.subscription_version;
        let nothing = HealthReport { subscription, version, succeeded: false, failed: 0, wait: None };
        let of_one = found.entry(subscription).or_insert(nothing);
        // The later version wins.
        if of_one.version < version {
            *of_one = nothing;
        }
        if of_one.version > version {
            continue;
        }
        match class {
            ResponseClass::Success => (of_one.succeeded, of_one.failed) = (true, 0),
            ResponseClass::Failure => of_one.failed += 1,
            ResponseClass::Wait(wait) => {
                (of_one.failed, of_one.wait) = (of_one.failed + 1, of_one.wait.max(Some(wait)))
            }
        }
    }
    let mut found: Vec<HealthReport> = found.into_values().collect();
    // Rows are locked in this order.
    found.sort_unstable_by_key(|of_one| of_one.subscription);
    found
}
