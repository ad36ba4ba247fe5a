//! Keeps the roll-ups of analytics: adds what is complete, forgets what is old.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Upkeep, log_job};
use crate::store::StoreError;

/// Attempts or events of a step: about a second on a small machine.
const STEP_ROWS: i64 = 20_000;
/// After a step, so that folding takes at most a fiftieth of a connection's time: the more tenants and subscriptions,
/// the more costs a step, and the fewer and larger steps become.
const SHARE: u32 = 50;
/// The same while it catches up after an outage.
const SHARE_BEHIND: u32 = 4;
const LEAST_PAUSE: Duration = Duration::from_secs(5);
/// After a step that found nothing.
const IDLE_PAUSE: Duration = Duration::from_secs(10);
const MOST_PAUSE: Duration = Duration::from_secs(60);
const FORGET_INTERVAL: Duration = Duration::from_secs(600);
const FORGET_ROWS: i64 = 5_000;
/// Such statements per run.
const FORGET_STEPS: usize = 20;

impl Upkeep {
    pub(super) async fn fold(&self, stop: &CancellationToken) {
        let mut pause = LEAST_PAUSE;
        let mut forgot: Option<Instant> = None;
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            pause = self.fold_once().await;
            if forgot.is_none_or(|at| at.elapsed() >= FORGET_INTERVAL) {
                forgot = Some(Instant::now());
                log_job("forget roll-ups", self.forget_rollups().await);
            }
        }
    }

    /// Returns how long to wait before the next step.
    async fn fold_once(&self) -> Duration {
        let began = Instant::now();
        match self.store.fold_rollups(STEP_ROWS).await {
            Ok(Some(folded)) if folded.more => (began.elapsed() * SHARE_BEHIND).min(MOST_PAUSE),
            Ok(Some(folded)) if folded.attempts + folded.events > 0 => {
                let pause = (began.elapsed() * SHARE).clamp(LEAST_PAUSE, MOST_PAUSE);
                if let Err(error) = self.store.summarise_log().await {
                    tracing::debug!(%error, "indexes by time were not summarised; autovacuum does it later");
                }
                pause
            }
            Ok(_) => IDLE_PAUSE,
            Err(error) => {
                tracing::warn!(%error, "analytics did not advance; the next try is in {} s", LEAST_PAUSE.as_secs());
                LEAST_PAUSE
            }
        }
    }

    async fn forget_rollups(&self) -> Result<i64, StoreError> {
        let mut forgotten = 0;
        for _ in 0..FORGET_STEPS {
            let gone = self.store.forget_rollups(FORGET_ROWS).await?;
            forgotten += gone;
            if gone < FORGET_ROWS {
                break;
            }
        }
        Ok(forgotten)
    }
}
