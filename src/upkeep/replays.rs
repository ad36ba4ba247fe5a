//! Runs replays. `replays/step` limits each replay to one step per second over all processes.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Upkeep;
use crate::domain::id::{ReplayId, TenantId};
use crate::store::StoreError;

const STEP: Duration = Duration::from_secs(1);
const MOST_REPLAYS: i64 = 64;
const LOOK_ROWS: i64 = 2_000;
/// Steps of one replay per tick: enough for the highest rate.
const LOOKS: usize = 10;
const FORGET_TICKS: u64 = 3_600;
/// Deleted by one statement, of replays and of plans each.
const FORGOTTEN_ROWS: i64 = 1_000;
const KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

impl Upkeep {
    pub(super) async fn replay(&self, stop: &CancellationToken) {
        let mut ticks = interval(STEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tick = 0_u64;
        let mut is_forgetting = false;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.step_replays().await {
                tracing::warn!(%error, "replays did not advance; the next tick retries");
            }
            // A piece between two steps, so that no running replay waits for all of it.
            if is_forgetting || tick.is_multiple_of(FORGET_TICKS) {
                is_forgetting = self.forget_replays().await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "old replays were not deleted");
                    false
                });
            }
            tick = tick.wrapping_add(1);
        }
    }

    /// Whether there may be more.
    async fn forget_replays(&self) -> Result<bool, StoreError> {
        let (replays, plans) = self.store.forget_replays(KEPT, FORGOTTEN_ROWS).await?;
        Ok(replays.max(plans) == FORGOTTEN_ROWS)
    }

    pub(crate) async fn step_replays(&self) -> Result<(), StoreError> {
        let mut written = 0;
        let mut failed = Ok(());
        for replay in self.store.running_replays(MOST_REPLAYS).await? {
            match self.step(replay).await {
                Ok(count) => written += count,
                Err(error) => failed = Err(error),
            }
        }
        if written > 0 {
            self.store.notify_due().await?;
        }
        failed
    }

    async fn step(&self, replay: (TenantId, ReplayId)) -> Result<i64, StoreError> {
        let mut written = 0;
        for _ in 0..LOOKS {
            let Some(step) = self.store.step_replay(replay, self.lifetime, LOOK_ROWS).await? else { break };
            written += step.written;
            if !step.may_go_on {
                break;
            }
        }
        Ok(written)
    }
}
