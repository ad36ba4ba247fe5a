//! The end of what is older than it may be: once a minute the database is told to retire it.
//! What may go, and in which order, is decided there (`past_partitions`, `retire_partition`), so that pg_cron
//! can do the same without a replica.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Upkeep;
use crate::store::{MAX_SKEW, Retained, StoreError};

/// Time between two looks for what is past.
const INTERVAL: Duration = Duration::from_secs(60);

/// How long what is over is kept. Attempts stay for the longer of both, so that none goes
/// before its event.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Events, from their acceptance.
    pub payloads: Duration,
    /// Attempts, from their beginning.
    pub log: Duration,
}

impl Upkeep {
    pub(super) async fn retain(&self, stop: &CancellationToken) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // A stop need not wait for it: what is committed is done, the rest is undone.
            let retaining = Box::pin(self.retain_once());
            if let Some(Err(error)) = stop.run_until_cancelled(retaining).await {
                tracing::warn!(%error, "retention failed; trying again in a minute");
            }
        }
    }

    /// Retires what is past, as far as it can be done now.
    ///
    /// # Errors
    /// [`StoreError`] from the database; what was retired before stays retired.
    pub async fn retain_once(&self) -> Result<Retained, StoreError> {
        if self.clock.skew() > MAX_SKEW {
            tracing::warn!(
                "nothing is retired: this machine's clock is too far from the database's, and one of them is wrong"
            );
            return Ok(Retained::default());
        }
        let retained = self.store.retain(self.retention.payloads, self.retention.log).await?;
        self.metrics.partitions_dropped.inc_by(retained.dropped.len() as u64);
        let Retained { dropped, replaced, postponed, failed, forgotten } = &retained;
        self.metrics.partitions_past.set((postponed.len() + failed.len()) as f64);
        if !failed.is_empty() {
            tracing::warn!(?failed, "partitions past their retention cannot be dropped; the database's log says why");
        }
        if !dropped.is_empty() || !replaced.is_empty() || *forgotten > 0 {
            tracing::info!(?dropped, ?replaced, ?postponed, forgotten, "retired what is past its retention");
        } else if !postponed.is_empty() {
            tracing::debug!(?postponed, "partitions past their retention have to wait");
        }
        Ok(retained)
    }

    pub(super) async fn count_partitions(&self) {
        match self.store.partitions_ahead().await {
            Ok(days) => self.metrics.partitions_ahead.set(days as f64),
            Err(error) => tracing::warn!(%error, "the partitions ahead could not be counted"),
        }
    }
}
