//! Retention and the stock of partitions: what is past goes, and how much stands ahead.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::connection::Param;
use super::{Store, StoreError, sql};

/// Most time one call may take. It begins nothing new after 30 seconds, and a single
/// partition takes less than that.
const CALL_LIMIT: Duration = Duration::from_secs(120);

/// What one call of retention did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retained {
    /// Partitions of which nothing was owed.
    pub dropped: Vec<String>,
    /// Partitions that hold what is still owed and nothing else.
    pub replaced: Vec<String>,
    /// Partitions that are past and have to wait: a lock was not to be had, or too much of
    /// them is owed.
    pub postponed: Vec<String>,
    /// Partitions that are past and which the database refused to drop; its log says why.
    pub failed: Vec<String>,
    /// Rows of other tables that named events which are gone.
    pub forgotten: i64,
}

impl Store {
    /// Retires what is older than it may be, a partition or a batch a transaction.
    ///
    /// # Errors
    /// [`StoreError`] from the database; what was committed before stays.
    pub async fn retain(&self, payloads: Duration, log: Duration) -> Result<Retained, StoreError> {
        let (payloads, log) = (payloads.as_secs_f64(), log.as_secs_f64());
        let params: [Param<'_>; 2] = [(&payloads, Type::FLOAT8), (&log, Type::FLOAT8)];
        // A connection of its own: the call takes longer than a pooled statement may, and it
        // commits as it goes.
        let client = self.direct_client().await?;
        let calling = async {
            // Whatever the role or the database say, as on every other connection.
            client.batch_execute("set default_transaction_isolation = 'read committed'").await?;
            client.query_typed(sql::RETAIN.text, &params).await
        };
        let rows = tokio::time::timeout(CALL_LIMIT, calling).await;
        let rows = rows.map_err(|_| StoreError::Unavailable("retention did not end in time".to_owned()))??;
        let Some(row) = rows.first() else { return Ok(Retained::default()) };
        Ok(Retained {
            dropped: row.try_get("dropped")?,
            replaced: row.try_get("replaced")?,
            postponed: row.try_get("postponed")?,
            failed: row.try_get("failed")?,
            forgotten: row.try_get("forgotten")?,
        })
    }

    /// For how many days after today both partitioned tables have partitions.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn partitions_ahead(&self) -> Result<i64, StoreError> {
        let rows = self.yard().await?.query(&sql::PARTITIONS_AHEAD, &[]).await?;
        Ok(rows.first().map(|row| row.try_get("days")).transpose()?.unwrap_or(0))
    }
}
