//! The parts of the answer.

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use super::ShownSetting;
use crate::api::text::Moment;
use crate::store::{OldSnapshot, PartitionRow, QueueSize, ReplicaRow, ServerFacts};

/// A running process of postrider.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all, rename = "Replica")]
pub(in crate::api) struct ReplicaAnswer {
    /// Its id; of one that delivers, the `worker` of its attempts.
    id: Uuid,
    /// The command that runs it: `serve` for API, worker and upkeep; `api`; `worker` for worker and upkeep.
    role: String,
    /// Its version.
    version: String,
    /// When it started.
    started_at: Moment,
    /// Its last sign of life, every 3 seconds.
    heartbeat_at: Moment,
    /// Whether the last is more than 10 seconds ago: it was killed, or cannot reach the database. It is listed until a
    /// minute after its last lease.
    is_lost: bool,
    /// Deliveries in its memory: being sent, or about to be; 0 for an `api`.
    backlog: i32,
}

/// Pending deliveries, as the database's statistics count them.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all, rename = "QueueSize")]
pub(in crate::api) struct QueueAnswer {
    /// Estimated pending deliveries.
    pending: i64,
    /// Estimated finished rows that wait for vacuum.
    dead_rows: i64,
    /// Bytes of the table.
    table_bytes: i64,
    /// Bytes of its indexes.
    index_bytes: i64,
}

/// Events from SQL that wait to be accepted.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all, rename = "OutboxSize")]
pub(in crate::api) struct OutboxAnswer {
    /// How many, counted up to 10,000.
    waiting: i64,
    /// Whether there may be more.
    waiting_more: bool,
    /// How long the oldest has waited.
    lag_seconds: f64,
}

/// A transaction that has not ended.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct OldestTransaction {
    /// `transaction`, or `prepared` for one that waits for its second phase.
    kind: String,
    /// Its process id in PostgreSQL, or its name.
    name: String,
    /// Program, role and state.
    detail: String,
    /// How long ago it began.
    seconds: f64,
}

/// A day of events or attempts.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all, rename = "Partition")]
pub(in crate::api) struct PartitionAnswer {
    /// `events` or `attempts`.
    table: String,
    /// Its name in the database.
    name: String,
    /// The first time in it.
    since: Moment,
    /// The first time after it.
    until: Moment,
    /// Its size with indexes.
    bytes: i64,
    /// When its retention ends, by the settings of the replica that answers. It is dropped soon after, later while
    /// deliveries of it are outstanding.
    drops_at: Moment,
}

/// PostgreSQL.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all, rename = "DatabaseServer")]
pub(in crate::api) struct DatabaseAnswer {
    /// Its version.
    version: String,
    /// Open connections, of all programs.
    connections: i64,
    /// Most that it accepts.
    max_connections: i32,
}

/// A setting.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all, rename = "Setting")]
pub(in crate::api) struct SettingAnswer {
    /// Its variable.
    name: &'static str,
    /// Its value; `********` for a secret.
    value: String,
    /// `default`, `flag`, `environment`, `this command`, or the file that sets it.
    source: String,
}

impl ReplicaAnswer {
    pub(super) fn of(row: ReplicaRow) -> Self {
        let ReplicaRow { id, role, version, started_at, heartbeat_at, is_lost, backlog } = row;
        let (started_at, heartbeat_at) = (Moment(started_at), Moment(heartbeat_at));
        Self { id, role, version, started_at, heartbeat_at, is_lost, backlog }
    }
}

impl QueueAnswer {
    pub(super) fn of(size: QueueSize) -> Self {
        let QueueSize { live_rows, dead_rows, table_bytes, index_bytes } = size;
        Self { pending: live_rows, dead_rows, table_bytes, index_bytes }
    }
}

impl OutboxAnswer {
    /// `most`: how many rows were counted at most.
    pub(super) fn of((waiting, lag): (i64, std::time::Duration), most: i64) -> Self {
        Self { waiting, waiting_more: waiting >= most, lag_seconds: lag.as_secs_f64() }
    }
}

impl OldestTransaction {
    /// `None` for a replication slot, which has no age.
    pub(super) fn of(held: OldSnapshot) -> Option<Self> {
        let OldSnapshot { kind, name, detail, seconds } = held;
        Some(Self { kind, name, detail, seconds: seconds? })
    }
}

impl PartitionAnswer {
    /// `kept`: how long after its end.
    pub(super) fn of(row: PartitionRow, kept: std::time::Duration) -> Self {
        let drops_at = Moment(row.until + kept);
        let (since, until) = (Moment(row.since), Moment(row.until));
        Self { table: row.parent, name: row.partition, since, until, bytes: row.bytes, drops_at }
    }
}

impl DatabaseAnswer {
    pub(super) fn of(facts: ServerFacts) -> Self {
        let ServerFacts { version, connections, max_connections, .. } = facts;
        Self { version, connections, max_connections }
    }
}

impl SettingAnswer {
    pub(super) fn of(shown: &ShownSetting) -> Self {
        Self { name: shown.name, value: shown.value.clone(), source: shown.source.clone() }
    }
}
