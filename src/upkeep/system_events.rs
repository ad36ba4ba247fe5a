//! Raises system events. `upkeep/report` finds what changed and marks it reported in the same transaction.

use std::time::Duration;

use super::{Upkeep, log_job};
use crate::store::Raised;

const CALLS: usize = 20;

#[derive(Debug, Clone)]
pub struct SystemEvents {
    /// Warns once for each of these times without a successful delivery.
    pub warn_after: Vec<Duration>,
    /// Minimum time between two reports of failed deliveries of one subscription.
    pub report_interval: Duration,
}

impl Upkeep {
    pub(super) async fn report(&self) {
        let mut raised = 0;
        // One call reports few changes, so that its locks are short.
        for _ in 0..CALLS {
            let reported = self.store.report(&self.system_events.warn_after, self.system_events.report_interval).await;
            let Raised { checked, raised: now } = reported.as_ref().copied().unwrap_or_default();
            log_job("report", reported.map(|_| checked));
            raised += now;
            if checked == 0 {
                break;
            }
        }
        if raised > 0
            && let Err(error) = self.store.notify_due().await
        {
            tracing::debug!(%error, "workers were not notified; polling finds the system events");
        }
    }
}
