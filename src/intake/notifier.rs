//! Notifying workers of deliveries that were left due, by notifications that are sent rarely. One that is lost costs a
//! poll interval.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::store::{Notice, Store};

/// Least time between two notifications. Every commit with one takes a lock that all notifying commits share, so
/// their number is bounded, not their delay.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(5);

/// What is to be notified. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Notifier {
    /// The earliest due time that was left and not notified yet.
    since: Arc<Mutex<Option<OffsetDateTime>>>,
    has_news: Arc<Notify>,
}

impl Notifier {
    /// Deliveries that fell due at this time, at the earliest, were left to whoever takes them.
    pub fn notify(&self, since: OffsetDateTime) {
        let mut earliest = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        *earliest = Some(earliest.map_or(since, |earliest| earliest.min(since)));
        self.has_news.notify_one();
    }

    /// Sends what is to be notified, until the task is dropped.
    pub async fn run(self, store: Store) {
        loop {
            self.has_news.notified().await;
            let since = self.since.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(since) = since else { continue };
            if let Err(error) = store.notify(Notice::DueSince(since)).await {
                tracing::debug!(%error, "workers were not notified; polling finds the deliveries");
            }
            tokio::time::sleep(NOTIFY_INTERVAL).await;
        }
    }
}
