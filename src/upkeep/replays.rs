//! Replays: what somebody wants to be delivered again is owed again, step by step. What a step
//! does is decided in the database (`replays/step`), which also sees to it that a replay takes
//! one step a second, whichever process takes it.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Upkeep;
use crate::domain::id::{ReplayId, TenantId};
use crate::store::StoreError;

/// Time between two steps of a replay.
const STEP: Duration = Duration::from_secs(1);
/// Most replays that one tick steps.
const MOST_REPLAYS: i64 = 64;
/// Most events that one step looks at.
const LOOK_ROWS: i64 = 2_000;
/// Most steps of one replay in a tick, within its rate; so many that the highest rate can be had.
const LOOKS: usize = 10;
/// Turns between two looks for replays that ended long ago.
const FORGET_TICKS: u64 = 3_600;
/// How long a replay is kept after its end.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

impl Upkeep {
    /// Steps replays until told to stop.
    pub(super) async fn replay(&self, stop: &CancellationToken) {
        let mut ticks = interval(STEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut tick = 0_u64;
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.step_replays().await {
                tracing::warn!(%error, "replays were not stepped; trying again at the next tick");
            }
            if tick.is_multiple_of(FORGET_TICKS)
                && let Err(error) = self.store.forget_replays(KEPT).await
            {
                tracing::warn!(%error, "replays that ended long ago were not deleted");
            }
            tick = tick.wrapping_add(1);
        }
    }

    /// The next step of every replay that is due. Workers are woken for what is due.
    ///
    /// # Errors
    /// [`StoreError`] from the database; what was committed before stays.
    pub async fn step_replays(&self) -> Result<(), StoreError> {
        let mut written = 0;
        let mut failed = Ok(());
        for replay in self.store.running_replays(MOST_REPLAYS).await? {
            match self.step(replay).await {
                Ok(count) => written += count,
                // The other replays are stepped all the same.
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
