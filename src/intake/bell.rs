//! Waking workers when deliveries were left due: this process's at once, those of other
//! processes by a notification that is sent rarely. A lost ring costs a poll interval.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::store::Store;

/// Least time between two notifications. Every commit with one takes a lock that all
/// notifying commits share, so their number is bounded, not their delay.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(20);

/// The bell of a process.
#[derive(Debug, Clone, Default)]
pub struct Bell {
    here: Arc<Notify>,
    elsewhere: Arc<Notify>,
}

impl Bell {
    /// What this process's worker waits for.
    pub fn here(&self) -> Arc<Notify> {
        Arc::clone(&self.here)
    }

    /// Deliveries are due.
    pub fn ring(&self) {
        self.here.notify_one();
        self.elsewhere.notify_one();
    }

    /// Announces to other processes what [`Bell::ring`] rang for, until the task is dropped.
    pub async fn announce(self, store: Store) {
        loop {
            self.elsewhere.notified().await;
            if let Err(error) = store.notify_due().await {
                tracing::debug!(%error, "workers elsewhere were not woken and will find the deliveries by polling");
            }
            tokio::time::sleep(NOTIFY_INTERVAL).await;
        }
    }
}
