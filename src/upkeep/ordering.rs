//! Advances ordering groups that stalled because a process died before `advance`, or their head ended unsent.

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{TICK, Upkeep};
use crate::domain::ordering::OrderingGroup;
use crate::store::{Store, StoreError};

const PAGE_GROUPS: usize = 1_000;
const PAGES: usize = 10;

/// A walk over all ordering groups. It continues where the last tick ended.
#[derive(Debug, Default)]
pub struct GroupWalker {
    after: Option<OrderingGroup>,
}

impl GroupWalker {
    /// Returns how many deliveries became due and whether groups are left; `None` while another process does this.
    pub async fn advance(&mut self, store: &Store, most: usize) -> Result<(usize, bool), StoreError> {
        let Some(walk) = store.advance_groups(self.after.as_ref(), most).await? else { return Ok((0, false)) };
        let more = walk.looked_at >= most;
        self.after = walk.last.filter(|_| more);
        Ok((walk.released, more))
    }
}

impl Upkeep {
    pub(super) async fn advance(&self, stop: &CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut walker = GroupWalker::default();
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if self.advance_pages(&mut walker).await
                && let Err(error) = self.store.notify_due().await
            {
                tracing::debug!(%error, "workers were not notified; polling finds the deliveries");
            }
        }
    }

    async fn advance_pages(&self, walker: &mut GroupWalker) -> bool {
        let mut any = false;
        for _ in 0..PAGES {
            match walker.advance(&self.store, PAGE_GROUPS).await {
                Ok((released, more)) => {
                    if released > 0 {
                        tracing::debug!(released, "released deliveries of stalled ordering groups");
                    }
                    any |= released > 0;
                    if !more {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "ordering groups were not checked; the next tick retries");
                    break;
                }
            }
        }
        any
    }
}
