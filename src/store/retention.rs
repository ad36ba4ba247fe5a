//! Drops old partitions, counts future ones, lists all.

use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::connection::Param;
use super::{Store, StoreError, sql};

/// No new partition is started after this time; one partition takes less than the rest of [`CALL_LIMIT`].
const CALL_BUDGET: Duration = Duration::from_secs(30);
const CALL_LIMIT: Duration = Duration::from_secs(120);
/// A deleted subscription is kept longer than its log.
const SUBSCRIPTION_MARGIN: Duration = Duration::from_secs(86_400);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retained {
    pub dropped: Vec<String>,
    pub replaced: Vec<String>,
    /// Partitions that must wait: locked, or too much is outstanding.
    pub postponed: Vec<String>,
    /// Partitions that the database failed to drop; see its log.
    pub failed: Vec<String>,
    pub forgotten: i64,
}

/// A day of events or attempts.
#[derive(Debug, Clone)]
pub(crate) struct PartitionRow {
    pub(crate) parent: String,
    pub(crate) partition: String,
    pub(crate) since: OffsetDateTime,
    /// The first time after it.
    pub(crate) until: OffsetDateTime,
    /// 0 if it was dropped meanwhile.
    pub(crate) bytes: i64,
}

impl Store {
    /// One partition or batch per transaction. Commits before an error stay.
    pub async fn retain(&self, payloads: Duration, log: Duration) -> Result<Retained, StoreError> {
        let client = self.direct_client().await?;
        let retaining = async {
            client.batch_execute("set default_transaction_isolation = 'read committed'").await?;
            retain(&client, payloads, log).await
        };
        let retained = tokio::time::timeout(CALL_LIMIT, retaining).await;
        retained.unwrap_or_else(|_| Err(StoreError::Unavailable("retention did not end in time".to_owned())))
    }

    /// Newest first.
    pub(crate) async fn list_partitions(&self, most: usize) -> Result<Vec<PartitionRow>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.interactive().await?.query(&sql::LIST_PARTITIONS, &[(&most, Type::INT8)]).await?;
        let read = |row: &Row| {
            Ok(PartitionRow {
                parent: row.try_get("parent")?,
                partition: row.try_get("partition")?,
                since: row.try_get("since")?,
                until: row.try_get("until")?,
                bytes: row.try_get::<_, Option<i64>>("bytes")?.unwrap_or(0),
            })
        };
        rows.iter().map(read).collect()
    }

    /// Days after today for which both tables have partitions.
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
        // Writers queue behind a lock on the parent, so wait for it only once per call.
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
