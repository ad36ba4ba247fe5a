//! Retention and the stock of partitions: what is past goes, and how much stands ahead.

use std::time::{Duration, Instant};

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::connection::Param;
use super::{Store, StoreError, sql};

/// A call begins nothing new after this time; a single partition takes less than the rest of [`CALL_LIMIT`].
const CALL_BUDGET: Duration = Duration::from_secs(30);
/// Most time one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(120);
/// How much longer than the log a deleted subscription stays.
const SUBSCRIPTION_MARGIN: Duration = Duration::from_secs(86_400);

/// What one call of retention did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retained {
    /// Partitions of which nothing was outstanding.
    pub dropped: Vec<String>,
    /// Partitions that hold what is still outstanding and nothing else.
    pub replaced: Vec<String>,
    /// Partitions that are past and have to wait: a lock was not to be had, or too much of
    /// them is outstanding.
    pub postponed: Vec<String>,
    /// Partitions that are past and which the database refused to drop; its log says why.
    pub failed: Vec<String>,
    /// Rows of other tables that named events which are gone.
    pub forgotten: i64,
}

impl Store {
    /// Retires what is older than it may be, a partition or a batch of rows a transaction.
    ///
    /// # Errors
    /// [`StoreError`] from the database; what was committed before stays.
    pub async fn retain(&self, payloads: Duration, log: Duration) -> Result<Retained, StoreError> {
        // A connection of its own: a partition takes longer than a pooled statement may.
        let client = self.direct_client().await?;
        let retaining = async {
            // Whatever the role or the database say, as on every other connection.
            client.batch_execute("set default_transaction_isolation = 'read committed'").await?;
            retain(&client, payloads, log).await
        };
        let retained = tokio::time::timeout(CALL_LIMIT, retaining).await;
        retained.unwrap_or_else(|_| Err(StoreError::Unavailable("retention did not end in time".to_owned())))
    }

    /// For how many days after today both partitioned tables have partitions.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn partitions_ahead(&self) -> Result<i64, StoreError> {
        let rows = self.maintenance().await?.query(&sql::PARTITIONS_AHEAD, &[]).await?;
        Ok(rows.first().map(|row| row.try_get("days")).transpose()?.unwrap_or(0))
    }
}

async fn retain(client: &Client, payloads: Duration, log: Duration) -> Result<Retained, StoreError> {
    let began = Instant::now();
    let mut retained = Retained::default();
    let (payload_seconds, log_seconds) = (payloads.as_secs_f64(), log.as_secs_f64());
    let params: [Param<'_>; 2] = [(&payload_seconds, Type::FLOAT8), (&log_seconds, Type::FLOAT8)];
    let mut busy_parent = String::new();
    for past in client.query_typed(sql::PAST_PARTITIONS.text, &params).await? {
        let (parent, partition): (String, String) = (past.try_get("parent")?, past.try_get("partition")?);
        if began.elapsed() > CALL_BUDGET {
            break;
        }
        // Those who write wait while a lock on the parent is waited for: once a call is enough.
        if parent == busy_parent {
            retained.postponed.push(partition);
            continue;
        }
        let params: [Param<'_>; 2] = [(&parent, Type::TEXT), (&partition, Type::TEXT)];
        let row = client.query_typed(sql::RETIRE_PARTITION.text, &params).await?;
        match row.first().map(|row| row.try_get("fate")).transpose()? {
            Some("dropped") => retained.dropped.push(partition),
            Some("replaced") => retained.replaced.push(partition),
            Some("kept") => {}
            Some("waiting") => retained.postponed.push(partition),
            Some("busy") => {
                retained.postponed.push(partition);
                busy_parent = parent;
            }
            Some("failed") => retained.failed.push(partition),
            other => return Err(StoreError::Unreadable(format!("the fate {other:?} of a partition"))),
        }
    }
    while began.elapsed() < CALL_BUDGET {
        let rows = client.query_typed(sql::FORGET_ORPHANS.text, &[]).await?;
        let Some(row) = rows.first() else { break };
        retained.forgotten += row.try_get::<_, i64>("deleted")?;
        if !row.try_get::<_, bool>("more")? {
            break;
        }
    }
    let age = (payloads.max(log) + SUBSCRIPTION_MARGIN).as_secs_f64();
    let rows = client.query_typed(sql::FORGET_SUBSCRIPTIONS.text, &[(&age, Type::FLOAT8)]).await?;
    retained.forgotten += rows.first().map(|row| row.try_get("forgotten")).transpose()?.unwrap_or(0);
    Ok(retained)
}
