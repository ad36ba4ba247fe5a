//! When each key was used last: noted in memory, written beside the requests.
//!
//! It helps to find keys that nobody uses. It is no audit: what was noted while the database
//! is away is lost, and nothing waits for it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::id::ApiKeyId;
use crate::store::Store;

/// Least time between two writes of this process, and so of any one key.
const WRITTEN_EVERY: Duration = Duration::from_secs(60);
/// Most keys noted between two writes; further ones wait for their next use.
const MAX_NOTED: usize = 10_000;
/// Most time for the last write, at the end of the process.
const LAST_WRITE: Duration = Duration::from_millis(500);

/// The keys that were used since the last write.
#[derive(Default)]
pub(super) struct KeyUses {
    noted: Mutex<HashMap<ApiKeyId, OffsetDateTime>>,
    any: Notify,
}

impl KeyUses {
    /// Notes that a key was used.
    pub(super) fn note(&self, id: ApiKeyId, at: OffsetDateTime) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= MAX_NOTED && !noted.contains_key(&id) {
            return;
        }
        if noted.insert(id, at).is_none() {
            self.any.notify_one();
        }
    }

    /// Writes what is noted, the first use at once and then every minute, until `shutdown`.
    pub(super) async fn write(&self, store: &Store, shutdown: &CancellationToken) {
        let writing = async {
            loop {
                self.any.notified().await;
                self.write_once(store).await;
                tokio::time::sleep(WRITTEN_EVERY).await;
            }
        };
        if shutdown.run_until_cancelled(writing).await.is_none() {
            let _lost_if_late = tokio::time::timeout(LAST_WRITE, self.write_once(store)).await;
        }
    }

    async fn write_once(&self, store: &Store) {
        let noted = std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        if noted.is_empty() {
            return;
        }
        let mut uses: Vec<_> = noted.into_iter().collect();
        // Replicas that write the same keys at the same moment take them in the same order.
        uses.sort_unstable();
        if let Err(error) = store.touch_api_keys(&uses).await {
            tracing::debug!(%error, keys = uses.len(), "the last use of keys is not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreConfig;

    #[tokio::test]
    async fn without_a_database_what_was_noted_is_let_go() {
        let url = "postgres://postgres@%2Fnowhere/nothing".to_owned();
        let away = Store::new(&StoreConfig {
            direct_url: url.clone(),
            url,
            prepare: true,
            pool_size: 5,
            schema: "public".to_owned(),
        })
        .unwrap();
        let uses = KeyUses::default();
        let now = OffsetDateTime::UNIX_EPOCH;
        uses.note(ApiKeyId::at(now, uuid::Uuid::new_v4().into_bytes()), now);
        uses.write_once(&away).await;
        assert!(uses.noted.lock().unwrap().is_empty());
    }
}
