//! What keeps the database healthy without anybody asking: partitions ahead of time, the end
//! of those that are past, parked deliveries that nobody holds any more or whose time is
//! over, lines that came to a standstill, replays, vacuum.
//!
//! Every `serve` and `worker` runs it; releasing, expiring, advancing, retention and vacuum take an advisory
//! try-lock, so one process at a time does the work and none waits. Deliveries of deleted
//! subscriptions need no sweep: status calls them cancelled at once, and the claim ends
//! them when they fall due. A failure is logged and
//! tried again at the next turn; nothing here is needed for correctness within a turn.

mod announce;
mod lines;
mod replays;
mod retention;

pub use announce::Announcements;
pub use lines::Lines;
pub use retention::Retention;

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::id::EventId;
use crate::store::{Clock, Store, StoreError};
use crate::telemetry::{BREAKER_STATES, Metrics};

/// Parked rows whose hold ended are released within this time.
const TURN: Duration = Duration::from_secs(5);
/// Time between two vacuums of the queue, where there is something to vacuum.
const VACUUM_INTERVAL: Duration = Duration::from_secs(15);
/// Turns between two looks at the backlog.
const BACKLOG_TURNS: u64 = 2;
/// Turns between two looks for missing partitions, which stand a week ahead, and for what is stale.
const PARTITION_TURNS: u64 = 120;
/// Finished rows from which a vacuum pays.
const VACUUM_FROM_ROWS: i64 = 5_000;
/// Most rows of one subscription that one statement releases or ends.
const BATCH_ROWS: usize = 2_000;
/// Most times a statement is repeated in one turn while there is more for it to do.
const REPEATS: usize = 200;
/// How often the database's clock is read.
const CLOCK_INTERVAL: Duration = Duration::from_secs(10);

/// What upkeep stands on.
#[derive(Clone)]
pub struct Upkeep {
    /// The database.
    pub store: Store,
    /// Its time.
    pub clock: Clock,
    /// What is measured.
    pub metrics: Metrics,
    /// Age at which a pending delivery expires.
    pub lifetime: Duration,
    /// How long no attempt has succeeded when a subscription is disabled; never where there is
    /// none.
    pub disable_after: Option<Duration>,
    /// How long what is over is kept.
    pub retention: Retention,
    /// When tenants are told how their subscriptions fare.
    pub announcements: Announcements,
}

impl Upkeep {
    /// Works turn by turn until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        tokio::join!(
            self.take_turns(&stop),
            self.advance(&stop),
            self.replay(&stop),
            self.vacuum(&stop),
            self.retain(&stop)
        );
    }

    /// As [`Upkeep::run`], and then waits: its end is not the end of those beside it.
    pub async fn run_for_ever(self, stop: CancellationToken) {
        self.run(stop).await;
        std::future::pending().await
    }

    async fn vacuum(&self, stop: &CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(VACUUM_INTERVAL)).await.is_some() {
            report("vacuum", self.store.vacuum_queue(VACUUM_FROM_ROWS).await.map(i64::from));
        }
    }

    async fn take_turns(&self, stop: &CancellationToken) {
        let mut turns = interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turn = 0_u64;
        while stop.run_until_cancelled(turns.tick()).await.is_some() {
            self.take_turn(turn).await;
            turn = turn.wrapping_add(1);
        }
    }

    /// One turn; the number decides which of the rarer jobs are done.
    pub async fn take_turn(&self, turn: u64) {
        let expired_before = EventId::floor(self.clock.now() - self.lifetime);
        // Expired ones first: what is released is looked at by the claim once more.
        for _ in 0..REPEATS {
            let ended = self.store.expire_parked(expired_before, BATCH_ROWS).await;
            if !report("expire", ended) {
                break;
            }
        }
        for _ in 0..REPEATS {
            let released = self.store.release_ownerless(BATCH_ROWS).await;
            if !report("release", released) {
                break;
            }
        }
        self.disable_failing().await;
        self.announce().await;
        if turn.is_multiple_of(PARTITION_TURNS) {
            report("forget", self.store.forget_stale().await);
            report("partitions", self.store.ensure_partitions().await.map(i64::from));
            self.count_partitions().await;
        }
        if turn.is_multiple_of(BACKLOG_TURNS) {
            self.measure_backlog().await;
            self.count_breakers().await;
        }
    }

    async fn disable_failing(&self) {
        let Some(after) = self.disable_after else { return };
        match self.store.disable_failing(after).await {
            Ok(disabled) => {
                for subscription in disabled {
                    tracing::warn!(%subscription, "disabled: its receiver has failed for too long");
                }
            }
            Err(error) => tracing::warn!(%error, "failing subscriptions were not looked for"),
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

    async fn measure_backlog(&self) {
        match self.store.backlog().await {
            Ok(backlog) => {
                self.metrics.pending.set(backlog.pending as f64);
                self.metrics.oldest_due.set(backlog.oldest_due_seconds);
            }
            Err(error) => tracing::warn!(%error, "the backlog could not be measured"),
        }
    }
}

/// Follows the database's clock until told to stop; every process that runs needs it.
pub async fn follow_clock(clock: Clock, store: Store, metrics: Metrics, stop: CancellationToken) {
    let mut ticks = interval(CLOCK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = clock.measure(&store).await {
            tracing::debug!(%error, "the database's clock could not be read");
        }
        metrics.clock_skew.set(clock.skew().as_secs_f64());
    }
}

/// Logs what a job did. Returns whether it may have more to do.
fn report(job: &'static str, done: Result<i64, StoreError>) -> bool {
    match done {
        Ok(0) => false,
        Ok(count) => {
            tracing::debug!(job, count, "upkeep");
            usize::try_from(count).unwrap_or(0) >= BATCH_ROWS
        }
        Err(error) => {
            tracing::warn!(job, %error, "upkeep failed; trying again at the next turn");
            false
        }
    }
}
