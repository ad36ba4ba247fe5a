//! Maintenance: partitions, retention, expiry, stalled ordering groups, replays, roll-ups, depth of the queue,
//! system events, vacuum.
//! An advisory try-lock per job lets one process at a time do the work. A failed job is retried at the next tick.

mod expiry;
mod ordering;
mod queue_depth;
mod replays;
mod retention;
mod rollups;
mod system_events;

pub use expiry::Expiry;
pub use ordering::GroupWalker;
pub use retention::Retention;
pub use system_events::SystemEvents;

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::store::{Clock, Store, StoreError};
use crate::telemetry::{BREAKER_STATES, Metrics};

const TICK: Duration = Duration::from_secs(5);
/// Tenants of one tick, and subscriptions that one statement ends.
const TENANTS_TO_END: i64 = 100;
const SUBSCRIPTIONS_TO_END: i64 = 500;
const VACUUM_INTERVAL: Duration = Duration::from_secs(15);
const MEASURE_TICKS: u64 = 2;
/// Every 10 minutes: partitions exist a week ahead.
const PARTITION_TICKS: u64 = 120;
/// Finished rows that make a vacuum worth its cost.
const VACUUM_FROM_ROWS: i64 = 5_000;
/// Counted at most.
const OUTBOX_ROWS: i64 = 10_000;
const CLOCK_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct Upkeep {
    pub store: Store,
    pub clock: Clock,
    pub metrics: Metrics,
    pub lifetime: Duration,
    /// Disables a subscription after this long without a success; `None` = never.
    pub disable_after: Option<Duration>,
    pub retention: Retention,
    pub system_events: SystemEvents,
}

impl Upkeep {
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::join!(
            self.run_jobs(&stop),
            self.advance(&stop),
            self.replay(&stop),
            self.vacuum(&stop),
            self.retain(&stop),
            self.fold(&stop),
            self.count_queue(&stop)
        );
    }

    async fn vacuum(&self, stop: &CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(VACUUM_INTERVAL)).await.is_some() {
            log_job("vacuum", self.store.vacuum_queue(VACUUM_FROM_ROWS).await.map(i64::from));
        }
    }

    async fn run_jobs(&self, stop: &CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut tick, mut expiry) = (0_u64, Expiry::default());
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.run_jobs_once(tick, &mut expiry).await;
            tick = tick.wrapping_add(1);
        }
    }

    /// `tick` decides which of the less frequent jobs run.
    async fn run_jobs_once(&self, tick: u64, expiry: &mut Expiry) {
        let expired = expiry.sweep(&self.store, self.clock.now() - self.lifetime).await;
        log_job("expire", expired.map(|count| i64::try_from(count).unwrap_or(i64::MAX)));
        log_job("tenants", self.end_tenants().await);
        self.disable_failing().await;
        self.report().await;
        if tick.is_multiple_of(PARTITION_TICKS) {
            log_job("forget", self.store.forget_stale().await);
            log_job("partitions", self.store.ensure_partitions().await.map(i64::from));
            self.count_partitions().await;
        }
        if tick.is_multiple_of(MEASURE_TICKS) {
            self.estimate_pending().await;
            self.count_breakers().await;
            self.measure_outbox().await;
        }
    }

    /// Ends subscriptions of deleted tenants that the request did not end. Returns how many.
    async fn end_tenants(&self) -> Result<i64, StoreError> {
        let mut ended = 0;
        for tenant in self.store.tenants_to_end(TENANTS_TO_END).await? {
            ended += self.store.end_subscriptions(tenant, SUBSCRIPTIONS_TO_END, None).await?.0;
        }
        Ok(ended)
    }

    async fn disable_failing(&self) {
        let Some(after) = self.disable_after else { return };
        match self.store.disable_failing(after).await {
            Ok(disabled) => {
                for subscription in disabled {
                    tracing::warn!(%subscription, "subscription disabled: no successful delivery for too long");
                }
            }
            Err(error) => tracing::warn!(%error, "failing subscriptions were not checked"),
        }
    }

    async fn count_breakers(&self) {
        match self.store.count_breakers().await {
            Ok(counts) => {
                for state in BREAKER_STATES {
                    let count = counts.iter().find(|(known, _)| known == state).map_or(0, |(_, count)| *count);
                    self.metrics.breakers.with_label_values(&[state]).set(count as f64);
                }
            }
            Err(error) => tracing::warn!(%error, "breakers could not be counted"),
        }
    }

    async fn measure_outbox(&self) {
        match self.store.outbox_size(OUTBOX_ROWS).await {
            Ok((rows, oldest)) => {
                self.metrics.outbox_rows.set(rows as f64);
                self.metrics.outbox_oldest.set(oldest.as_secs_f64());
            }
            Err(error) => tracing::warn!(%error, "the outbox could not be measured"),
        }
    }

    async fn estimate_pending(&self) {
        match self.store.estimate_pending().await {
            Ok(pending) => self.metrics.pending.set(pending as f64),
            Err(error) => tracing::warn!(%error, "pending deliveries could not be estimated"),
        }
    }
}

/// Reads the database's clock repeatedly until `stop` is cancelled.
pub(crate) async fn follow_clock(clock: Clock, store: Store, metrics: Metrics, stop: CancellationToken) {
    let mut ticks = interval(CLOCK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut agreed = true;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = clock.measure(&store).await {
            tracing::debug!(%error, "the database's clock could not be read");
        }
        let skew_seconds = clock.skew().as_secs_f64();
        metrics.clock_skew.set(skew_seconds);
        match (agreed, clock.agrees()) {
            (true, false) => tracing::error!(
                skew_seconds,
                "this machine's clock and the database's differ by more than 120 s: nothing is accepted until they agree"
            ),
            (false, true) => tracing::info!(skew_seconds, "this machine's clock agrees with the database's again"),
            _ => {}
        }
        agreed = clock.agrees();
    }
}

fn log_job(job: &'static str, done: Result<i64, StoreError>) {
    match done {
        Ok(0) => {}
        Ok(count) => tracing::debug!(job, count, "upkeep"),
        Err(error) => tracing::warn!(job, %error, "upkeep failed; the next tick retries"),
    }
}
