//! Expiry, system events, vacuum.

use std::time::Duration;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::id::EventId;

#[derive(Debug, Clone, Copy, Default)]
pub struct Sweep {
    pub ended: usize,
    /// Rows of old events that were read.
    pub looked_at: usize,
    /// Where the next sweep continues; `None` at the end.
    pub(crate) reached: Option<EventId>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Raised {
    pub checked: i64,
    pub raised: i64,
}

impl Store {
    pub(crate) async fn estimate_pending(&self) -> Result<i64, StoreError> {
        let rows = self.maintenance().await?.query(&sql::ESTIMATE, &[]).await?;
        Ok(rows.first().map(|row| row.try_get("pending")).transpose()?.unwrap_or(0))
    }

    /// Ends expired deliveries, and those of events between `after` and `expired_before`. `None` while another
    /// process does this.
    pub async fn expire(
        &self,
        expired_before: EventId,
        after: Option<EventId>,
        most: usize,
    ) -> Result<Option<Sweep>, StoreError> {
        let (expired_before, after) = (expired_before.uuid(), after.map_or(Uuid::nil(), EventId::uuid));
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let params: [Param<'_>; 3] = [(&expired_before, Type::UUID), (&after, Type::UUID), (&most, Type::INT8)];
        let rows = self.maintenance().await?.query(&sql::EXPIRE, &params).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let count = |name: &str| {
            Ok::<_, StoreError>(row.try_get::<_, Option<i64>>(name)?.and_then(|count| usize::try_from(count).ok()))
        };
        let Some(looked_at) = count("looked_at")? else { return Ok(None) };
        let reached = row.try_get::<_, Option<Uuid>>("reached")?.map(EventId::from);
        Ok(Some(Sweep { ended: count("ended")?.unwrap_or(0), looked_at, reached }))
    }

    /// Raises system events about recent changes.
    pub async fn report(&self, warn_after: &[Duration], interval: Duration) -> Result<Raised, StoreError> {
        let warn_after: Vec<f64> = warn_after.iter().map(Duration::as_secs_f64).collect();
        let interval = interval.as_secs_f64();
        let params: [Param<'_>; 2] = [(&warn_after, Type::FLOAT8_ARRAY), (&interval, Type::FLOAT8)];
        let rows = self.maintenance().await?.query(&sql::REPORT, &params).await?;
        let Some(row) = rows.first() else { return Ok(Raised::default()) };
        Ok(Raised { checked: row.try_get("checked")?, raised: row.try_get("raised")? })
    }

    pub async fn forget_stale(&self) -> Result<i64, StoreError> {
        let rows = self.maintenance().await?.query(&sql::FORGET_STALE, &[]).await?;
        Ok(rows.first().map(|row| row.try_get("forgotten")).transpose()?.unwrap_or(0))
    }

    /// Vacuums the queue if it has this many dead rows. Returns whether it did.
    pub(crate) async fn vacuum_queue(&self, at_least: i64) -> Result<bool, StoreError> {
        let rows = self.maintenance().await?.query(&sql::DEAD_ROWS, &[]).await?;
        let dead: i64 = rows.first().map(|row| row.try_get("dead_rows")).transpose()?.unwrap_or(0);
        if dead < at_least {
            return Ok(false);
        }
        // A vacuum takes longer than a pooled statement may. The session's lock keeps other replicas out.
        let client = self.direct_client().await?;
        let turn =
            client.query_one("select pg_try_advisory_lock(hashtext(current_schema() || '.vacuum'))", &[]).await?;
        if !turn.try_get::<_, bool>(0)? {
            return Ok(false);
        }
        client.batch_execute("set lock_timeout = '1s'").await?;
        client.batch_execute("vacuum (truncate off) deliveries").await?;
        Ok(true)
    }
}
