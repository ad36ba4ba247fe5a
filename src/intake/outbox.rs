//! Publishes rows of the outbox, which callers' transactions insert with `postrider.publish()`.
//!
//! One process at a time does it, by a lease that is a row. The lease only saves work: the accepting statement removes
//! the rows that it writes, so no two processes publish one row, and no crash loses one.

mod look;
mod row;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Intake;
use crate::domain::id::EventId;
use crate::store::{Lead, OutboxRow, RefusedRow, StoreError};
use crate::telemetry::Metrics;
use look::{Look, Settled};
use row::Read;

/// A lost notification, or `notify => false`, costs this much.
const POLL: Duration = Duration::from_secs(3);
/// A process that was lost is replaced after it. Longer costs time then, shorter costs idle statements: with 10 s, four
/// replicas make one a second together.
const LEASE: Duration = Duration::from_secs(10);
/// So that several processes do not ask for a lease that ended at the same moment.
const JITTER_MILLIS: u128 = 1_000;
const PAUSE: Duration = Duration::from_secs(1);
/// Events of one look wait for their commits at most this long, so that the lease is prolonged in time.
const LOOK_BUDGET: Duration = Duration::from_secs(2);
/// Partitions of these many days before today are there; see `ensure_partitions`.
const DAY: time::Duration = time::Duration::days(1);

/// What a row must keep to, as a request must.
#[derive(Debug, Clone, Copy)]
pub struct OutboxRules {
    pub max_payload_bytes: usize,
    pub lifetime: Duration,
}

pub struct Outbox {
    intake: Intake,
    rules: OutboxRules,
    metrics: Metrics,
    process: Uuid,
}

impl Outbox {
    pub fn new(intake: Intake, rules: OutboxRules, metrics: Metrics) -> Self {
        Self { intake, rules, metrics, process: Uuid::new_v4() }
    }

    /// Ends soon after `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let wait = match self.lead().await {
                Ok(Lead { is_mine: true, .. }) => self.publish_while_leading(&stop).await,
                Ok(Lead { left, .. }) => left + self.jitter(),
                Err(_) => PAUSE,
            };
            stop.run_until_cancelled(tokio::time::sleep(wait)).await;
        }
        if self.intake.store.leave_outbox(self.process).await.is_err() {
            tracing::debug!("the lease of the outbox was not given back; it will lapse");
        }
    }

    async fn lead(&self) -> Result<Lead, StoreError> {
        let OutboxRules { max_payload_bytes, lifetime } = self.rules;
        self.intake.store.lead_outbox(self.process, LEASE, max_payload_bytes, lifetime).await
    }

    fn jitter(&self) -> Duration {
        Duration::from_millis(u64::try_from(Uuid::new_v4().as_u128() % JITTER_MILLIS).unwrap_or_default())
    }

    /// Returns how long to wait before asking for the lease again.
    async fn publish_while_leading(&self, stop: &CancellationToken) -> Duration {
        let notified = Arc::new(Notify::new());
        tokio::select! {
            () = self.listen(&notified) => PAUSE,
            wait = self.publish_when_notified(&notified, stop) => wait,
        }
    }

    async fn listen(&self, notified: &Notify) {
        loop {
            if let Err(error) = self.intake.store.listen_outbox(|| notified.notify_one()).await {
                tracing::debug!(%error, "not listening for published rows; polling finds them");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn publish_when_notified(&self, notified: &Notify, stop: &CancellationToken) -> Duration {
        let (mut look, mut prolong_at) = (Look::default(), Instant::now() + LEASE / 2);
        let mut is_stuck = false;
        loop {
            if Instant::now() >= prolong_at {
                let asked = Instant::now();
                match self.lead().await {
                    Ok(Lead { is_mine: true, .. }) => prolong_at = asked + LEASE / 2,
                    Ok(Lead { left, .. }) => return left + self.jitter(),
                    Err(_) => return PAUSE,
                }
            }
            let wait = match self.look(&mut look).await {
                Ok(is_more) => {
                    is_stuck = false;
                    if is_more { Duration::ZERO } else { look.wait(POLL) }
                }
                Err(error) => {
                    if error.is_unavailable() {
                        tracing::debug!(%error, "the outbox waits for the database");
                    } else if !std::mem::replace(&mut is_stuck, true) {
                        tracing::error!(%error, "events from SQL cannot be published; the next try is in a second");
                    }
                    look = Look::default();
                    PAUSE
                }
            };
            let pausing = async {
                if wait > Duration::ZERO {
                    let _elapsed = timeout(wait, notified.notified()).await;
                }
            };
            if stop.run_until_cancelled(pausing).await.is_none() {
                return Duration::ZERO;
            }
        }
    }

    /// Publishes all rows that are committed now; for tests, which have no time to wait.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn publish_all(&self) -> Result<(), StoreError> {
        let mut look = Look::default();
        while self.look(&mut look).await? {}
        Ok(())
    }

    /// Publishes the next rows. Returns whether there may be more that can be published now.
    async fn look(&self, look: &mut Look) -> Result<bool, StoreError> {
        let (rows, is_more) = look.next(&self.intake.store).await?;
        if rows.is_empty() {
            return Ok(is_more);
        }
        self.ensure_partitions(&rows).await?;
        let settled = self.publish(rows).await?;
        let ended: Vec<RefusedRow> = settled.iter().filter_map(Settled::ended).cloned().collect();
        if !ended.is_empty() {
            let count = self.intake.store.refuse_from_outbox(&ended).await?;
            self.metrics.outbox_refused.inc_by(u64::try_from(count).unwrap_or_default());
        }
        let published = settled.iter().filter(|one| matches!(one, Settled::Published)).count();
        self.metrics.outbox_published.inc_by(u64::try_from(published).unwrap_or_default());
        look.settle(&settled);
        Ok(is_more)
    }

    /// A row whose transaction was open for days needs a partition of its day.
    async fn ensure_partitions(&self, rows: &[OutboxRow]) -> Result<(), StoreError> {
        let now = self.intake.clock.now();
        let oldest =
            rows.iter().filter_map(|row| row.id.accepted_at()).filter(|at| now - *at < self.rules.lifetime).min();
        match oldest.filter(|at| now - *at > DAY) {
            Some(oldest) => self.intake.store.ensure_partitions_since(oldest).await.map(drop),
            None => Ok(()),
        }
    }

    async fn publish(&self, rows: Vec<OutboxRow>) -> Result<Vec<Settled>, StoreError> {
        let (rules, now) = (self.rules, self.intake.clock.now());
        // Reading megabytes would block other tasks.
        let reading = move || rows.into_iter().map(|row| row::read(row, rules, now)).collect::<Vec<Read>>();
        let read = tokio::task::spawn_blocking(reading).await;
        let read = read.map_err(|_| StoreError::Unavailable("rows of the outbox were not read".to_owned()))?;
        let publications: Vec<_> = read.iter().filter_map(Read::publication).cloned().collect();
        let deadline = Instant::now() + LOOK_BUDGET;
        let mut publisher = self.intake.publisher();
        let publishing = publisher.publish_all(&publications, deadline);
        // Each part has the deadline too; only a tenant's look-up has its own.
        let results = timeout_at(deadline + PAUSE, publishing).await;
        let results = results.map_err(|_| StoreError::Unavailable("no answer in time".to_owned()))?;
        let mut results = results.into_iter();
        let mut settled = Vec::with_capacity(read.len());
        for row in read {
            settled.push(match row {
                Read::Refused(refused) => Settled::Ended(refused),
                Read::Valid(tenant, id, _) => match results.next() {
                    Some(result) => row::settle(tenant, id, result)?,
                    None => Settled::Waits(tenant, id, PAUSE),
                },
            });
        }
        Ok(settled)
    }
}

/// Just below this id.
fn before(id: EventId) -> EventId {
    Uuid::from_u128(id.uuid().as_u128().saturating_sub(1)).into()
}
