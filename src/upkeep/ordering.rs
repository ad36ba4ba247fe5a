//! Ordering groups that came to a standstill: a process was lost after a commit and before it advanced the
//! group, or the head ended otherwise than by being sent.

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{TICK, Upkeep};
use crate::domain::ordering::OrderingGroup;
use crate::store::{Store, StoreError};

/// Most groups of one statement.
const PAGE_GROUPS: usize = 1_000;
/// Most statements of one tick; the next goes on where it ended.
const PAGES: usize = 10;

/// A walk along all ordering groups, from tick to tick.
#[derive(Debug, Default)]
pub struct GroupWalker {
    after: Option<OrderingGroup>,
}

impl GroupWalker {
    /// Looks at the next groups, `most` of them, and advances those that can go on. At the end it
    /// begins anew. Returns how many deliveries became due, and whether there are more groups to look at; none while
    /// another process is at it.
    ///
    /// # Errors
    /// [`StoreError`] from the database; the next walk looks at the same groups.
    pub async fn advance(&mut self, store: &Store, most: usize) -> Result<(usize, bool), StoreError> {
        let Some(walk) = store.advance_groups(self.after.as_ref(), most).await? else { return Ok((0, false)) };
        let more = walk.looked_at >= most;
        self.after = walk.last.filter(|_| more);
        Ok((walk.released, more))
    }
}

impl Upkeep {
    /// Advances ordering groups, tick by tick, until told to stop.
    pub(super) async fn advance(&self, stop: &CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut walker = GroupWalker::default();
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if self.advance_pages(&mut walker).await
                && let Err(error) = self.store.notify_due().await
            {
                tracing::debug!(%error, "workers were not notified and will find the deliveries by polling");
            }
        }
    }

    /// Returns whether any delivery became due.
    async fn advance_pages(&self, walker: &mut GroupWalker) -> bool {
        let mut any = false;
        for _ in 0..PAGES {
            match walker.advance(&self.store, PAGE_GROUPS).await {
                Ok((released, more)) => {
                    if released > 0 {
                        tracing::debug!(released, "deliveries of ordering groups that stood still are due");
                    }
                    any |= released > 0;
                    if !more {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "ordering groups were not looked at; trying again at the next tick");
                    break;
                }
            }
        }
        any
    }
}
