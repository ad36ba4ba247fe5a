//! Listening for announcements from other processes, as long as it works.

use std::time::Duration;

use super::Wake;
use crate::store::Store;

/// Pause between two tries to listen. Until one succeeds, polling finds what is due.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Rings the worker for each announcement, until the task is aborted.
pub(super) async fn listen(store: Store, wake: Wake) {
    loop {
        let ringing = wake.clone();
        if let Err(error) = store.listen_due(move || ringing.ring()).await {
            tracing::debug!(%error, "not listening for due deliveries; polling finds them");
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}
