//! System events (operational webhooks): telling tenants how their subscriptions fare. What has changed is decided
//! in the database (`upkeep/report`), in the transaction that writes it down as reported.

use std::time::Duration;

use super::{Upkeep, log_job};
use crate::store::Raised;

/// Most calls of one tick.
const CALLS: usize = 20;

/// When tenants are told.
#[derive(Debug, Clone)]
pub struct SystemEvents {
    /// Times without a success after which a warning is given, one for each.
    pub warn_after: Vec<Duration>,
    /// Least time between two reports of a subscription's failed deliveries.
    pub report_interval: Duration,
}

impl Upkeep {
    /// Raises events about what changed; workers are notified of what somebody asked for.
    pub(super) async fn report(&self) {
        let mut raised = 0;
        // A call reports a few changes only, so that its locks are short.
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
            tracing::debug!(%error, "workers were not notified and will find the system events by polling");
        }
    }
}
