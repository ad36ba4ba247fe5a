//! Listens for notifications from other processes.

use std::time::Duration;

use super::signal::{Signal, Signals};
use crate::store::Store;

/// Polling finds due deliveries meanwhile.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn listen(store: Store, signals: Signals) {
    loop {
        let passing = signals.clone();
        if let Err(error) = store.listen_due(move |notice| passing.send(Signal::Notified(notice))).await {
            tracing::debug!(%error, "not listening for notifications; polling finds what is due");
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}
