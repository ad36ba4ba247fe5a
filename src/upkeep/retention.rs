//! Asks the database once a minute to drop old partitions. The database decides, so that pg_cron can do the same.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::Upkeep;
use crate::store::{Retained, StoreError};

const INTERVAL: Duration = Duration::from_secs(60);
/// Rows of the audit, of `unpublished`, of `refusals` or of `api_keys` that one statement deletes.
const DELETED_ROWS: i64 = 5_000;
/// Such statements per run.
const DELETING_STEPS: usize = 20;

/// Attempts are kept for the longer of both times.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    pub payloads: Duration,
    pub log: Duration,
    /// Rows of the audit.
    pub audit: Duration,
    /// Refused requests.
    pub refusals: Duration,
}

impl Upkeep {
    pub(super) async fn retain(&self, stop: &CancellationToken) {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let retaining = Box::pin(self.retain_once());
            if let Some(Err(error)) = stop.run_until_cancelled(retaining).await {
                tracing::warn!(%error, "retention failed; the next try is in a minute");
            }
        }
    }

    pub async fn retain_once(&self) -> Result<Retained, StoreError> {
        if !self.clock.agrees() {
            tracing::warn!(
                "retention is paused: the clocks of this machine and of the database differ too much; correct the wrong one"
            );
            return Ok(Retained::default());
        }
        for _ in 0..DELETING_STEPS {
            if self.store.forget_audit(self.retention.audit, DELETED_ROWS).await? < DELETED_ROWS {
                break;
            }
        }
        for _ in 0..DELETING_STEPS {
            if self.store.forget_unpublished(self.retention.payloads, DELETED_ROWS).await? < DELETED_ROWS {
                break;
            }
        }
        for _ in 0..DELETING_STEPS {
            if self.store.forget_refusals(self.retention.refusals, DELETED_ROWS).await? < DELETED_ROWS {
                break;
            }
        }
        for _ in 0..DELETING_STEPS {
            if self.store.forget_portal_sessions(DELETED_ROWS).await? < DELETED_ROWS {
                break;
            }
        }
        let retained = self.store.retain(self.retention.payloads, self.retention.log).await?;
        self.metrics.partitions_dropped.inc_by(retained.dropped.len() as u64);
        let Retained { dropped, replaced, postponed, failed, forgotten } = &retained;
        self.metrics.partitions_past.set((postponed.len() + failed.len()) as f64);
        if !failed.is_empty() {
            tracing::warn!(?failed, "partitions past their retention cannot be dropped; see the database's log");
        }
        if !dropped.is_empty() || !replaced.is_empty() || *forgotten > 0 {
            tracing::info!(?dropped, ?replaced, ?postponed, forgotten, "dropped partitions past their retention");
        } else if !postponed.is_empty() {
            tracing::debug!(?postponed, "partitions past their retention cannot be dropped yet");
        }
        Ok(retained)
    }

    pub(super) async fn count_partitions(&self) {
        match self.store.partitions_ahead().await {
            Ok(days) => self.metrics.partitions_ahead.set(days as f64),
            Err(error) => tracing::warn!(%error, "future partitions could not be counted"),
        }
    }
}
