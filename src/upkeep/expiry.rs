//! Deliveries whose time is over and that no worker takes, as those of a disabled subscription.

use time::OffsetDateTime;

use crate::domain::id::EventId;
use crate::store::{Store, StoreError};

/// Most rows of one statement.
const BATCH_ROWS: usize = 2_000;
/// Most statements of one tick; the next goes on where it ended.
const BATCHES: usize = 20;

/// A sweep over old deliveries, from tick to tick.
#[derive(Debug, Default)]
pub struct Expiry {
    /// Old events up to this id were looked at.
    after: Option<EventId>,
}

impl Expiry {
    /// Ends what is over by a time of its own, or because its event is older than this. Returns how many ended.
    ///
    /// # Errors
    /// [`StoreError`] from the database; the next sweep looks at the same rows.
    pub async fn sweep(&mut self, store: &Store, expired_before: OffsetDateTime) -> Result<usize, StoreError> {
        let mut ended = 0;
        for _ in 0..BATCHES {
            let expired_before = EventId::floor(expired_before);
            let Some(sweep) = store.expire(expired_before, self.after, BATCH_ROWS).await? else { break };
            ended += sweep.ended;
            self.after = sweep.reached;
            if sweep.ended < BATCH_ROWS && sweep.reached.is_none() {
                break;
            }
        }
        Ok(ended)
    }
}
