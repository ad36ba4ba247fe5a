//! Roll-ups for analytics: written behind the mark of `log/complete_before`.

use time::OffsetDateTime;
use tokio_postgres::types::Type;

use super::connection::Param;
use super::{Store, StoreError, sql};

/// What one step added to the roll-ups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded {
    /// Everything before is in the roll-ups.
    pub reached: OffsetDateTime,
    pub attempts: i64,
    pub events: i64,
    /// Another step is possible now.
    pub more: bool,
}

/// Where the views for people are, and whether their role may read them.
#[derive(Debug, Clone)]
pub(crate) struct AnalyticsViews {
    pub(crate) schema: String,
    pub(crate) schema_of_tables: String,
    /// This connection's role, quoted for SQL.
    pub(crate) owner: String,
    /// Something else is in the schema `analytics`.
    pub(crate) is_taken: bool,
    pub(crate) has_role: bool,
    pub(crate) may_read: bool,
}

impl Store {
    /// Adds the next span of at most about `most` attempts and events to the roll-ups. `None` while another process
    /// does this.
    ///
    /// # Errors
    /// [`StoreError`] from the database; then nothing was added.
    pub async fn fold_rollups(&self, most: i64) -> Result<Option<Folded>, StoreError> {
        let rows = self.maintenance().await?.query(&sql::FOLD_ROLLUPS, &[(&most, Type::INT8)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(reached) = row.try_get("reached")? else { return Ok(None) };
        let (attempts, events) = (row.try_get("attempts")?, row.try_get("events")?);
        Ok(Some(Folded { reached, attempts, events, more: row.try_get("more")? }))
    }

    /// Deletes up to `most` old rows of each table. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn forget_rollups(&self, most: i64) -> Result<i64, StoreError> {
        let params: [Param<'_>; 1] = [(&most, Type::INT8)];
        let rows = self.maintenance().await?.query(&sql::FORGET_ROLLUPS, &params).await?;
        Ok(rows.first().map(|row| row.try_get("forgotten")).transpose()?.unwrap_or(0))
    }

    /// Summarises new ranges of the log's indexes by time. Returns how many.
    pub(crate) async fn summarise_log(&self) -> Result<i64, StoreError> {
        let rows = self.maintenance().await?.query(&sql::SUMMARISE_LOG, &[]).await?;
        Ok(rows.first().map(|row| row.try_get("summarised")).transpose()?.unwrap_or(0))
    }

    /// `None`: somebody dropped the views.
    pub(crate) async fn analytics_views(&self) -> Result<Option<AnalyticsViews>, StoreError> {
        let rows = self.interactive().await?.query(&sql::ANALYTICS_VIEWS, &[]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(AnalyticsViews {
            schema: row.try_get("place")?,
            schema_of_tables: row.try_get("of_schema")?,
            owner: row.try_get("owner")?,
            is_taken: row.try_get("is_taken")?,
            has_role: row.try_get("has_role")?,
            may_read: row.try_get("may_read")?,
        }))
    }
}
