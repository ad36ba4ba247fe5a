//! Heartbeats of workers.

use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::id::WorkerId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownWorker {
    pub(crate) id: WorkerId,
    pub(crate) is_lost: bool,
}

impl Store {
    /// Writes a heartbeat and returns all workers. A lost worker is listed until a minute after its last lease.
    pub(crate) async fn beat(
        &self,
        worker: WorkerId,
        longest_lease: Duration,
        silence: Duration,
    ) -> Result<Vec<KnownWorker>, StoreError> {
        let (worker, version) = (worker.uuid(), env!("CARGO_PKG_VERSION"));
        let (lease, silence) = (longest_lease.as_secs_f64(), silence.as_secs_f64());
        let params: [Param<'_>; 4] =
            [(&worker, Type::UUID), (&version, Type::TEXT), (&lease, Type::FLOAT8), (&silence, Type::FLOAT8)];
        let known =
            |row: &Row| Ok(KnownWorker { id: row.try_get::<_, Uuid>("id")?.into(), is_lost: row.try_get("is_lost")? });
        self.queue().await?.query(&sql::BEAT, &params).await?.iter().map(known).collect()
    }

    /// Removes a worker that stopped in order.
    pub(crate) async fn leave(&self, worker: WorkerId) -> Result<(), StoreError> {
        let worker = worker.uuid();
        self.queue().await?.query(&sql::LEAVE, &[(&worker, Type::UUID)]).await.map(drop)
    }
}
