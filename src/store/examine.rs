//! Reads the state of the server, for `postrider doctor`.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Store, StoreError, sql};
use crate::domain::keyring::SealContext;

#[derive(Debug, Clone)]
pub(crate) struct ServerFacts {
    pub(crate) version_number: i32,
    pub(crate) version: String,
    pub(crate) fsync: bool,
    pub(crate) full_page_writes: bool,
    pub(crate) synchronous_commit: String,
    /// Whether the values of our session arrived as connection options.
    pub(crate) has_options: bool,
    pub(crate) lock_timeout: String,
    pub(crate) statement_timeout: String,
    pub(crate) search_path: String,
    pub(crate) autovacuum: bool,
    pub(crate) max_connections: i32,
    pub(crate) connections: i64,
    /// Quoted if SQL needs it.
    pub(crate) role: String,
    pub(crate) sees_others: bool,
    pub(crate) is_replica: bool,
    pub(crate) encoding: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct OldSnapshot {
    pub kind: String,
    /// Process id, transaction id or name of the slot.
    pub(crate) name: String,
    pub detail: String,
    pub seconds: Option<f64>,
}

#[derive(Debug, Clone)]
pub(crate) struct SealedWith {
    pub(crate) key_id: String,
    pub(crate) subscriptions: i64,
    /// The seal context of the oldest subscription.
    pub(crate) context: SealContext,
    pub(crate) content: Vec<u8>,
    /// What `content` is: `secret`, `headers` or `ingest`.
    pub(crate) kind: String,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QueueSize {
    pub(crate) live_rows: i64,
    /// Finished rows waiting for vacuum; estimate.
    pub(crate) dead_rows: i64,
    pub(crate) table_bytes: i64,
    pub(crate) index_bytes: i64,
}

impl Store {
    pub(crate) async fn server_facts(&self) -> Result<ServerFacts, StoreError> {
        let rows = self.interactive().await?.query(&sql::FACTS, &[]).await?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("the database has no facts".to_owned()))?;
        Ok(ServerFacts {
            version_number: row.try_get("version_number")?,
            version: row.try_get("version")?,
            fsync: row.try_get("fsync")?,
            full_page_writes: row.try_get("full_page_writes")?,
            synchronous_commit: row.try_get("synchronous_commit")?,
            has_options: row.try_get("has_options")?,
            lock_timeout: row.try_get("lock_timeout")?,
            statement_timeout: row.try_get("statement_timeout")?,
            search_path: row.try_get("search_path")?,
            autovacuum: row.try_get("autovacuum")?,
            max_connections: row.try_get("max_connections")?,
            connections: row.try_get("connections")?,
            role: row.try_get("role")?,
            sees_others: row.try_get("sees_others")?,
            is_replica: row.try_get("is_replica")?,
            encoding: row.try_get("encoding")?,
        })
    }

    /// What has blocked vacuum for longer than `age_seconds`, oldest first.
    pub async fn old_snapshots(&self, age_seconds: f64) -> Result<Vec<OldSnapshot>, StoreError> {
        let rows = self.interactive().await?.query(&sql::OLD_SNAPSHOTS, &[(&age_seconds, Type::FLOAT8)]).await?;
        let read = |row: &tokio_postgres::Row| {
            Ok(OldSnapshot {
                kind: row.try_get("kind")?,
                name: row.try_get("name")?,
                detail: row.try_get("detail")?,
                seconds: row.try_get("seconds")?,
            })
        };
        rows.iter().map(read).collect()
    }

    pub(crate) async fn queue_size(&self) -> Result<QueueSize, StoreError> {
        let rows = self.interactive().await?.query(&sql::QUEUE_SIZE, &[]).await?;
        let Some(row) = rows.first() else { return Ok(QueueSize::default()) };
        Ok(QueueSize {
            live_rows: row.try_get("live_rows")?,
            dead_rows: row.try_get("dead_rows")?,
            table_bytes: row.try_get("table_bytes")?,
            index_bytes: row.try_get("index_bytes")?,
        })
    }

    /// Reads every subscription.
    pub(crate) async fn sealed_with(&self) -> Result<Vec<SealedWith>, StoreError> {
        read_seals(&self.maintenance().await?.query(&sql::SEALED_WITH, &[]).await?)
    }

    /// The same, given up after the time limit of a request of the API.
    pub(crate) async fn sealed_with_in_time(&self) -> Result<Vec<SealedWith>, StoreError> {
        read_seals(&self.interactive().await?.query(&sql::SEALED_WITH, &[]).await?)
    }

    pub(crate) async fn newest_targets(&self, most: i64) -> Result<Vec<String>, StoreError> {
        let rows = self.interactive().await?.query(&sql::NEWEST_TARGETS, &[(&most, Type::INT8)]).await?;
        rows.iter().map(|row| Ok(row.try_get("target_url")?)).collect()
    }
}

fn read_seals(rows: &[tokio_postgres::Row]) -> Result<Vec<SealedWith>, StoreError> {
    let read = |row: &tokio_postgres::Row| {
        let (tenant, subscription): (Uuid, Uuid) = (row.try_get("tenant_id")?, row.try_get("subscription_id")?);
        Ok(SealedWith {
            key_id: row.try_get("key_id")?,
            subscriptions: row.try_get("subscriptions")?,
            context: SealContext { tenant: tenant.into(), subscription: subscription.into() },
            content: row.try_get("content")?,
            kind: row.try_get("kind")?,
        })
    };
    rows.iter().map(read).collect()
}
