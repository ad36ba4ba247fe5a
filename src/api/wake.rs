//! Telling workers of what a request has made due. A hint: they find by polling what they are
//! not told of, and upkeep lets lines go on that were not.

use super::Api;
use crate::domain::ordering::Line;

impl Api {
    /// Deliveries are due.
    pub(super) async fn wake_workers(&self) {
        if let Err(error) = self.store.notify_due().await {
            tracing::debug!(%error, "workers were not woken and will find what is due by polling");
        }
    }

    /// The heads of these lines may have ended.
    pub(super) async fn let_go_on(&self, lines: &[Line]) {
        if lines.is_empty() {
            return;
        }
        match self.store.advance(lines).await {
            Ok(0) => {}
            Ok(_) => self.wake_workers().await,
            Err(error) => tracing::debug!(%error, "lines did not go on and wait for upkeep"),
        }
    }
}
