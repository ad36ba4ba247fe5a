//! Lines that came to a standstill: a process was lost after a commit and before it let the
//! line go on, or the head ended while it was held.

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{TURN, Upkeep};
use crate::domain::ordering::Line;
use crate::store::{Store, StoreError};

/// Most lines of one statement.
const PAGE_LINES: usize = 1_000;
/// Most statements of one turn; the next goes on where it ended.
const PAGES: usize = 10;

/// A walk along all lines, from turn to turn.
#[derive(Debug, Default)]
pub struct Lines {
    after: Option<Line>,
}

impl Lines {
    /// Looks at the next lines, `most` of them, and lets go on those that can. At the end it
    /// begins anew. Returns how many went on, and whether there are more to look at.
    ///
    /// # Errors
    /// [`StoreError`] from the database; the next look is at the same lines.
    pub async fn advance(&mut self, store: &Store, most: usize) -> Result<(usize, bool), StoreError> {
        let sweep = store.advance_lines(self.after.as_ref(), most).await?;
        let more = sweep.examined >= most;
        self.after = sweep.last.filter(|_| more);
        Ok((sweep.released, more))
    }
}

impl Upkeep {
    /// Lets lines go on, turn by turn, until told to stop.
    pub(super) async fn advance(&self, stop: &CancellationToken) {
        let mut turns = interval(TURN);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut lines = Lines::default();
        while stop.run_until_cancelled(turns.tick()).await.is_some() {
            self.advance_pages(&mut lines).await;
        }
    }

    async fn advance_pages(&self, lines: &mut Lines) {
        for _ in 0..PAGES {
            match lines.advance(&self.store, PAGE_LINES).await {
                Ok((released, more)) => {
                    if released > 0 {
                        tracing::debug!(released, "lines that stood still go on");
                    }
                    if !more {
                        return;
                    }
                }
                Err(error) => return tracing::warn!(%error, "lines were not looked at; trying again at the next turn"),
            }
        }
    }
}
