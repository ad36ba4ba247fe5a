//! How many deliveries waited: counted by upkeep, read for analytics.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::id::TenantId;

/// How many deliveries waited at one time; `None`: it is not known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueDepth {
    pub(crate) at: OffsetDateTime,
    pub(crate) pending: Option<i64>,
    pub(crate) held: Option<i64>,
}

impl Store {
    /// Counts how many deliveries wait, at most `most` of them, of all tenants together and of the `most_tenants` of which
    /// most wait. Returns how many were counted; `None` if this minute has been counted, another process does it, or the
    /// last count is less than `least_pause` times as long ago as it took.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn measure_queue_depth(
        &self,
        most: i64,
        most_tenants: i64,
        least_pause: f64,
    ) -> Result<Option<i64>, StoreError> {
        let params: [Param<'_>; 3] = [(&most, Type::INT8), (&most_tenants, Type::INT8), (&least_pause, Type::FLOAT8)];
        let rows = self.maintenance().await?.query(&sql::MEASURE_QUEUE_DEPTH, &params).await?;
        Ok(rows.first().map(|row| row.try_get("examined")).transpose()?.flatten())
    }

    /// `tenant` is `None` for all together. By the minute, or the most of each hour; oldest first.
    pub(crate) async fn queue_depths(
        &self,
        tenant: Option<TenantId>,
        by_minute: bool,
        since: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<Vec<QueueDepth>, StoreError> {
        let tenant = tenant.map_or(Uuid::nil(), TenantId::uuid);
        let params: [Param<'_>; 4] =
            [(&by_minute, Type::BOOL), (&tenant, Type::UUID), (&since, Type::TIMESTAMPTZ), (&until, Type::TIMESTAMPTZ)];
        let rows = self.interactive().await?.query(&sql::READ_QUEUE_DEPTH, &params).await?;
        let depth = |row: &Row| {
            Ok(QueueDepth { at: row.try_get("at")?, pending: row.try_get("pending")?, held: row.try_get("held")? })
        };
        rows.iter().map(depth).collect()
    }
}
