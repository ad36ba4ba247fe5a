//! Ends expired deliveries that no worker takes, such as those of a disabled subscription.

use time::OffsetDateTime;

use crate::domain::id::EventId;
use crate::store::{Store, StoreError};

const BATCH_ROWS: usize = 2_000;
const BATCHES: usize = 20;

/// A sweep over old deliveries. It continues where the last tick ended.
#[derive(Debug, Default)]
pub struct Expiry {
    after: Option<EventId>,
}

impl Expiry {
    /// Ends deliveries past their own expiry or whose event is older than `expired_before`. Returns how many ended.
    pub(crate) async fn sweep(&mut self, store: &Store, expired_before: OffsetDateTime) -> Result<usize, StoreError> {
        let mut ended = 0;
        for _ in 0..BATCHES {
            let expired_before = EventId::lower_bound(expired_before);
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
