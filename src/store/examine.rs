//! What an operator asks the database about itself. Read rarely, by hand.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Store, StoreError, sql};
use crate::domain::keyring::SealContext;

/// What the server is, and how it is set on our connections.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    /// As 150018 for 15.18.
    pub version_number: i32,
    /// As the server writes it.
    pub version: String,
    /// Whether commits reach the disk.
    pub fsync: bool,
    /// Whether torn pages can be mended after a crash.
    pub full_page_writes: bool,
    /// What a commit waits for.
    pub synchronous_commit: String,
    /// Whether finished rows are removed.
    pub autovacuum: bool,
    /// Most connections of the server.
    pub max_connections: i32,
    /// Connections open now.
    pub connections: i64,
    /// The role we connect as, quoted where SQL needs it.
    pub role: String,
    /// Whether that role may see the transactions of others.
    pub sees_others: bool,
    /// Whether it only repeats another server.
    pub is_replica: bool,
    /// Of the database.
    pub encoding: String,
}

/// Something that keeps finished rows from being removed.
#[derive(Debug, Clone, PartialEq)]
pub struct OldSnapshot {
    /// `transaction`, `prepared` or `slot`.
    pub kind: String,
    /// Process id, transaction id or name of the slot.
    pub name: String,
    /// Whose it is.
    pub detail: String,
    /// For how long, where that is known.
    pub seconds: Option<f64>,
}

/// What is sealed with one master key.
#[derive(Debug, Clone)]
pub struct SealedWith {
    /// Id of the key.
    pub key_id: String,
    /// How many subscriptions.
    pub subscriptions: i64,
    /// Where what is sealed of the oldest of them stands.
    pub place: SealContext,
    /// That, sealed.
    pub content: Vec<u8>,
    /// Whether it is headers; a secret otherwise.
    pub is_headers: bool,
}

/// How large the queue's table is.
#[derive(Debug, Clone, Copy, Default)]
pub struct QueueSize {
    /// Rows, as last counted.
    pub live_rows: i64,
    /// Finished rows that wait for vacuum, as last counted.
    pub dead_rows: i64,
    /// Bytes of the table.
    pub table_bytes: i64,
    /// Bytes of its indexes.
    pub index_bytes: i64,
}

impl Store {
    /// What the server is.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn server_facts(&self) -> Result<ServerFacts, StoreError> {
        let rows = self.interactive().await?.query(&sql::FACTS, &[]).await?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("the database has no facts".to_owned()))?;
        Ok(ServerFacts {
            version_number: row.try_get("version_number")?,
            version: row.try_get("version")?,
            fsync: row.try_get("fsync")?,
            full_page_writes: row.try_get("full_page_writes")?,
            synchronous_commit: row.try_get("synchronous_commit")?,
            autovacuum: row.try_get("autovacuum")?,
            max_connections: row.try_get("max_connections")?,
            connections: row.try_get("connections")?,
            role: row.try_get("role")?,
            sees_others: row.try_get("sees_others")?,
            is_replica: row.try_get("is_replica")?,
            encoding: row.try_get("encoding")?,
        })
    }

    /// What has kept finished rows for longer than this, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
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

    /// How large the queue's table is.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn queue_size(&self) -> Result<QueueSize, StoreError> {
        let rows = self.interactive().await?.query(&sql::QUEUE_SIZE, &[]).await?;
        let Some(row) = rows.first() else { return Ok(QueueSize::default()) };
        Ok(QueueSize {
            live_rows: row.try_get("live_rows")?,
            dead_rows: row.try_get("dead_rows")?,
            table_bytes: row.try_get("table_bytes")?,
            index_bytes: row.try_get("index_bytes")?,
        })
    }

    /// The master keys in use, by id, with what each has sealed.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn sealed_with(&self) -> Result<Vec<SealedWith>, StoreError> {
        let rows = self.maintenance().await?.query(&sql::SEALED_WITH, &[]).await?;
        let read = |row: &tokio_postgres::Row| {
            let (tenant, subscription): (Uuid, Uuid) = (row.try_get("tenant_id")?, row.try_get("subscription_id")?);
            Ok(SealedWith {
                key_id: row.try_get("key_id")?,
                subscriptions: row.try_get("subscriptions")?,
                place: SealContext { tenant: tenant.into(), subscription: subscription.into() },
                content: row.try_get("content")?,
                is_headers: row.try_get("is_headers")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Targets of the newest active subscriptions.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn newest_targets(&self, most: i64) -> Result<Vec<String>, StoreError> {
        let rows = self.interactive().await?.query(&sql::NEWEST_TARGETS, &[(&most, Type::INT8)]).await?;
        rows.iter().map(|row| Ok(row.try_get("target_url")?)).collect()
    }
}
