//! Listening for notifications from other processes, as long as it works.

use std::time::Duration;

use super::signal::{Signal, Signals};
use crate::store::Store;

/// Pause between two tries to listen. Until one succeeds, polling finds what is due.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Passes each notification on to the loop, until the task is dropped.
pub(super) async fn listen(store: Store, signals: Signals) {
    loop {
        let passing = signals.clone();
        if let Err(error) = store.listen_due(move |notice| passing.send(Signal::Noticed(notice))).await {
            tracing::debug!(%error, "not listening for notifications; polling finds what is due");
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}
