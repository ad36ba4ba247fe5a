//! Heartbeats of replicas, by which workers know of each other and operators of all.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::id::WorkerId;

pub(crate) const BEAT_EVERY: Duration = Duration::from_secs(3);
/// Three heartbeats and one second.
const LOST_AFTER: Duration = Duration::from_secs(10);

/// Which halves a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// API, worker and upkeep.
    Serve,
    Api,
    /// Worker and upkeep.
    Worker,
}

impl Role {
    pub(crate) const ALL: [Self; 3] = [Self::Serve, Self::Api, Self::Worker];

    /// The command that runs it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }
}

/// A sign of life.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beat {
    pub(crate) replica: Uuid,
    pub(crate) role: Role,
    /// Zero if it takes none.
    pub(crate) longest_lease: Duration,
    /// Deliveries in its memory.
    pub(crate) backlog: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownWorker {
    pub(crate) id: WorkerId,
    pub(crate) is_lost: bool,
}

/// A process, for operators.
#[derive(Debug, Clone)]
pub(crate) struct ReplicaRow {
    pub(crate) id: Uuid,
    pub(crate) role: String,
    pub(crate) version: String,
    pub(crate) started_at: OffsetDateTime,
    pub(crate) heartbeat_at: OffsetDateTime,
    pub(crate) is_lost: bool,
    pub(crate) backlog: i32,
}

impl Store {
    /// Writes a heartbeat and returns all workers. A lost one is listed until a minute after its last lease.
    pub(crate) async fn beat(&self, beat: &Beat) -> Result<Vec<KnownWorker>, StoreError> {
        let version = env!("CARGO_PKG_VERSION");
        let (lease, silence) = (beat.longest_lease.as_secs_f64(), LOST_AFTER.as_secs_f64());
        let backlog = i32::try_from(beat.backlog).unwrap_or(i32::MAX);
        let params: [Param<'_>; 6] = [
            (&beat.replica, Type::UUID),
            (&beat.role.as_str(), Type::TEXT),
            (&version, Type::TEXT),
            (&lease, Type::FLOAT8),
            (&backlog, Type::INT4),
            (&silence, Type::FLOAT8),
        ];
        let known =
            |row: &Row| Ok(KnownWorker { id: row.try_get::<_, Uuid>("id")?.into(), is_lost: row.try_get("is_lost")? });
        self.queue().await?.query(&sql::BEAT, &params).await?.iter().map(known).collect()
    }

    /// Removes a replica that stopped in order.
    pub(crate) async fn leave(&self, replica: Uuid) -> Result<(), StoreError> {
        self.queue().await?.query(&sql::LEAVE, &[(&replica, Type::UUID)]).await.map(drop)
    }

    /// Newest first.
    pub(crate) async fn list_replicas(&self, most: usize) -> Result<Vec<ReplicaRow>, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let silence = LOST_AFTER.as_secs_f64();
        let params: [Param<'_>; 2] = [(&silence, Type::FLOAT8), (&most, Type::INT8)];
        let rows = self.interactive().await?.query(&sql::LIST_REPLICAS, &params).await?;
        let read = |row: &Row| {
            Ok(ReplicaRow {
                id: row.try_get("id")?,
                role: row.try_get("role")?,
                version: row.try_get("version")?,
                started_at: row.try_get("started_at")?,
                heartbeat_at: row.try_get("heartbeat_at")?,
                is_lost: row.try_get("is_lost")?,
                backlog: row.try_get("backlog")?,
            })
        };
        rows.iter().map(read).collect()
    }
}
