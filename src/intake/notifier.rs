//! Notifies workers of due deliveries, rarely. A lost notification costs one poll interval.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::store::{Notice, Store};

/// Commits that notify share one lock, so their rate is bounded, not their delay.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Default)]
pub struct Notifier {
    /// Earliest due time not yet notified.
    since: Arc<Mutex<Option<OffsetDateTime>>>,
    has_news: Arc<Notify>,
}

impl Notifier {
    /// Call it after a commit that left deliveries due since then.
    pub fn notify(&self, since: OffsetDateTime) {
        let mut earliest = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        *earliest = Some(earliest.map_or(since, |earliest| earliest.min(since)));
        self.has_news.notify_one();
    }

    pub async fn run(self, store: Store) {
        let mut is_refused = false;
        loop {
            self.has_news.notified().await;
            let since = self.since.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(since) = since else { continue };
            match store.notify(Notice::DueSince(since)).await {
                Ok(()) => is_refused = false,
                // As a full queue of notifications, which a session with an open transaction causes.
                Err(error) if !error.is_unavailable() && !std::mem::replace(&mut is_refused, true) => {
                    tracing::warn!(%error, "PostgreSQL takes no notifications; polling finds the deliveries, up to a second later");
                }
                Err(error) => tracing::debug!(%error, "workers were not notified; polling finds the deliveries"),
            }
            tokio::time::sleep(NOTIFY_INTERVAL).await;
        }
    }
}
