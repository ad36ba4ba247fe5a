//! `/operations`: how the service itself does, for operators. It reads catalogs and small tables, each in one statement.

use std::sync::Arc;
use std::time::Duration;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::Api;
use super::access::{AllowedForAll, Staff};
use super::docs::Resource;
use super::payload::Answer;
use super::problem::Problem;
use crate::store::PartitionRow;

mod answers;

use answers::{
    DatabaseAnswer, OldestTransaction, OutboxAnswer, PartitionAnswer, QueueAnswer, ReplicaAnswer, SettingAnswer,
};

/// Far more than one database serves.
const MAX_REPLICAS: usize = 200;
/// Both tables for most of a year. Each costs about seven looks at the size of a file.
const MAX_PARTITIONS: usize = 500;
/// Counted at most.
const MAX_OUTBOX_ROWS: i64 = 10_000;
/// No day is dropped before another has passed.
const SPARED: Duration = Duration::from_secs(86_400);

/// What the settings of this replica say.
#[derive(Debug, Clone)]
pub struct OperationsSettings {
    pub payload_retention: Duration,
    pub log_retention: Duration,
    /// Without secrets.
    pub settings: Arc<[ShownSetting]>,
}

/// A setting, its value and where that comes from.
#[derive(Debug, Clone)]
pub struct ShownSetting {
    pub name: &'static str,
    pub value: String,
    pub source: String,
}

/// The resource.
pub(super) struct OperationsApi(pub(super) Arc<Api>);

/// How the service does.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct Operations {
    /// Version of the replica that answers.
    version: &'static str,
    /// All replicas, newest first; at most 200.
    replicas: Vec<ReplicaAnswer>,
    /// Pending deliveries, and the space that they take.
    queue: QueueAnswer,
    /// Events that were published from SQL and wait to be accepted.
    outbox: OutboxAnswer,
    /// The oldest transaction in the database: until it ends, nothing that became old since can be removed. Null if there
    /// is none, or none that postrider's role may see.
    oldest_transaction: Option<OldestTransaction>,
    /// Days of events and of attempts, newest first; at most 500.
    partitions: Vec<PartitionAnswer>,
    /// Whether there are older partitions than those.
    partitions_more: bool,
    /// The server.
    database: DatabaseAnswer,
    /// Settings of the replica that answers, as `postrider settings` shows them; secrets are masked.
    settings: Vec<SettingAnswer>,
}

#[OpenApi(prefix_path = "/operations", tag = "Resource::Operations")]
impl OperationsApi {
    /// See how the service does
    ///
    /// Replicas, the queue, the outbox, the oldest transaction, partitions with the time at which each is dropped, and
    /// settings with their sources. Needs an operator key. It reads no table that grows with the load.
    #[oai(path = "/", method = "get", operation_id = "read_operations")]
    async fn read(&self, caller: AllowedForAll<Staff>) -> Result<Answer<Operations>, Problem> {
        caller.operator()?;
        let (store, settings) = (&self.0.store, &self.0.settings.operations);
        let replicas = store.list_replicas(MAX_REPLICAS).await?;
        let queue = store.queue_size().await?;
        let outbox = store.outbox_size_in_time(MAX_OUTBOX_ROWS).await?;
        let snapshots = store.old_snapshots(0.0).await?;
        let mut partitions = store.list_partitions(MAX_PARTITIONS + 1).await?;
        let facts = store.server_facts().await?;
        let partitions_more = partitions.len() > MAX_PARTITIONS;
        partitions.truncate(MAX_PARTITIONS);
        let partition = |row: PartitionRow| {
            let kept = settings.kept(&row.parent);
            PartitionAnswer::of(row, kept)
        };
        Ok(Answer::Value(Operations {
            version: env!("CARGO_PKG_VERSION"),
            replicas: replicas.into_iter().map(ReplicaAnswer::of).collect(),
            queue: QueueAnswer::of(queue),
            outbox: OutboxAnswer::of(outbox, MAX_OUTBOX_ROWS),
            oldest_transaction: snapshots.into_iter().find_map(OldestTransaction::of),
            partitions: partitions.into_iter().map(partition).collect(),
            partitions_more,
            database: DatabaseAnswer::of(facts),
            settings: settings.settings.iter().map(SettingAnswer::of).collect(),
        }))
    }
}

impl OperationsSettings {
    /// How long a partition stays after the end of its day; `past_partitions` decides by the same rule.
    fn kept(&self, table: &str) -> Duration {
        let retention =
            if table == "events" { self.payload_retention } else { self.payload_retention.max(self.log_retention) };
        retention.max(SPARED)
    }
}
