//! Telling tenants how their subscriptions fare, by events of our own. What is news is decided
//! in the database (`announce`), in the transaction that writes it down as told.

use std::time::Duration;

use super::{REPEATS, Upkeep, report};
use crate::store::Announced;

/// When tenants are told.
#[derive(Debug, Clone)]
pub struct Announcements {
    /// Times without a success after which a warning is given, one for each.
    pub warn_after: Vec<Duration>,
    /// Least time between two reports of a subscription's failed deliveries.
    pub pause: Duration,
}

impl Upkeep {
    /// Announces what is new; workers are woken for what somebody asked for.
    pub(super) async fn announce(&self) {
        let mut written = 0;
        // A call tells a few changes only, so that its locks are short.
        for _ in 0..REPEATS {
            let announced = self.store.announce(&self.announcements.warn_after, self.announcements.pause).await;
            let Announced { told, written: now } = announced.as_ref().copied().unwrap_or_default();
            report("announce", announced.map(|_| told));
            written += now;
            if told == 0 {
                break;
            }
        }
        if written > 0
            && let Err(error) = self.store.notify_due().await
        {
            tracing::debug!(%error, "workers were not woken and will find the announcements by polling");
        }
    }
}
