//! What keeps the queue healthy: releasing what nobody holds, ending what is over, vacuum.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::id::EventId;

/// How much waits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backlog {
    /// Deliveries pending, in whatever state.
    pub pending: i64,
    /// For how long the oldest due delivery has waited for a worker, in seconds.
    pub oldest_due_seconds: f64,
}

/// What a call to announce did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Announced {
    /// Changes that were noted, be anybody asking or not; while there are any, there may be more.
    pub told: i64,
    /// Those for which an event was written.
    pub written: i64,
}

impl Store {
    /// How much is pending now. Counts the queue's rows, so callers keep it rare.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        let rows = self.yard().await?.query(&sql::BACKLOG, &[]).await?;
        let Some(row) = rows.first() else { return Ok(Backlog::default()) };
        Ok(Backlog { pending: row.try_get("pending")?, oldest_due_seconds: row.try_get("oldest_due_seconds")? })
    }

    /// Releases parked deliveries whose hold has no owner any more. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn release_ownerless(&self, most: usize) -> Result<i64, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.yard().await?.query(&sql::RELEASE_OWNERLESS, &[(&most, Type::INT8)]).await?;
        Ok(rows.first().map(|row| row.try_get("released")).transpose()?.unwrap_or(0))
    }

    /// Ends parked deliveries of events with a smaller id than `expired_before`, at most so
    /// many of each subscription. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn expire_parked(&self, expired_before: EventId, most: usize) -> Result<i64, StoreError> {
        let (expired_before, most) = (expired_before.uuid(), i64::try_from(most).unwrap_or(i64::MAX));
        let params: [Param<'_>; 2] = [(&expired_before, Type::UUID), (&most, Type::INT8)];
        let rows = self.yard().await?.query(&sql::EXPIRE_PARKED, &params).await?;
        Ok(rows.first().map(|row| row.try_get("ended")).transpose()?.unwrap_or(0))
    }

    /// Writes the events that tell tenants how their subscriptions fare, some of them a call.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn announce(&self, warn_after: &[Duration], pause: Duration) -> Result<Announced, StoreError> {
        let warn_after: Vec<f64> = warn_after.iter().map(Duration::as_secs_f64).collect();
        let pause = pause.as_secs_f64();
        let params: [Param<'_>; 2] = [(&warn_after, Type::FLOAT8_ARRAY), (&pause, Type::FLOAT8)];
        let rows = self.yard().await?.query(&sql::ANNOUNCE, &params).await?;
        let Some(row) = rows.first() else { return Ok(Announced::default()) };
        Ok(Announced { told: row.try_get("told")?, written: row.try_get("written")? })
    }

    /// Deletes what was told long ago, and paces of owners that are lost. Returns how many rows.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn forget_stale(&self) -> Result<i64, StoreError> {
        let rows = self.yard().await?.query(&sql::FORGET_STALE, &[]).await?;
        Ok(rows.first().map(|row| row.try_get("forgotten")).transpose()?.unwrap_or(0))
    }

    /// Vacuums the queue when at least this many finished rows wait for it. Returns
    /// whether it did.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn vacuum_queue(&self, at_least: i64) -> Result<bool, StoreError> {
        let rows = self.desk().await?.query(&sql::DEAD_ROWS, &[]).await?;
        let dead: i64 = rows.first().map(|row| row.try_get("dead_rows")).transpose()?.unwrap_or(0);
        if dead < at_least {
            return Ok(false);
        }
        // A connection of its own: a vacuum takes longer than a pooled statement may. The
        // lock goes with the session, so another replica does not vacuum at the same time.
        let client = self.direct_client().await?;
        let turn = client.query_one("select pg_try_advisory_lock(hashtext('postrider.vacuum'))", &[]).await?;
        if !turn.try_get::<_, bool>(0)? {
            return Ok(false);
        }
        client.batch_execute("set lock_timeout = '1s'").await?;
        client.batch_execute("vacuum (truncate off) deliveries").await?;
        Ok(true)
    }
}
