//! When each key was last used, written in the background. For finding unused keys; uses during an outage are lost.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::domain::id::ApiKeyId;
use crate::store::Store;

/// Between two writes of one process.
const WRITTEN_EVERY: Duration = Duration::from_secs(60);
/// Further keys are recorded at their next use.
const MAX_NOTED: usize = 10_000;
/// At the end of the process.
const LAST_WRITE: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(super) struct KeyUses {
    noted: Mutex<HashMap<ApiKeyId, OffsetDateTime>>,
    any: Notify,
}

impl KeyUses {
    pub(super) fn note(&self, id: ApiKeyId, at: OffsetDateTime) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= MAX_NOTED && !noted.contains_key(&id) {
            return;
        }
        if noted.insert(id, at).is_none() {
            self.any.notify_one();
        }
    }

    /// The first use at once, then every minute, until `shutdown`.
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
        // Replicas must lock the same keys in the same order.
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
            url,
            direct_url: None,
            tls: Default::default(),
            prepare: true,
            pool_size: 6,
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
