//! What events cost the database, counted by itself: statements, WAL, rows and buffers. The
//! same on a slow machine as on a fast one.
//!
//! A connection of PostgreSQL reports its counts when it ends, or when it has been idle for 10 s. So counts are
//! taken when the services have stopped ([`Counts::read`]) or have idled ([`Counts::read_idle`]); some dozen
//! statements of their own are in the figures, among thousands.

use std::time::Duration;

use crate::failure::Failure;
use crate::lab::Database;

/// PostgreSQL's PGSTAT_IDLE_INTERVAL of 10 s, and a second.
const IDLE: Duration = Duration::from_secs(11);

/// The names, as the columns of the reading are ordered.
pub(crate) const NAMES: [&str; 7] =
    ["statements", "bytes of WAL", "rows inserted", "rows updated", "rows deleted", "rows read", "buffers touched"];

const READ: &str = "
    select
        (select d.xact_commit + d.xact_rollback from pg_stat_database as d where d.datname = current_database()),
        (pg_current_wal_insert_lsn() - '0/0')::bigint,
        (select sum(t.n_tup_ins)::bigint from pg_stat_user_tables as t),
        (select sum(t.n_tup_upd)::bigint from pg_stat_user_tables as t),
        (select sum(t.n_tup_del)::bigint from pg_stat_user_tables as t),
        (select sum(t.seq_tup_read + coalesce(t.idx_tup_fetch, 0))::bigint from pg_stat_user_tables as t),
        (
            select sum(
                t.heap_blks_hit + t.heap_blks_read
                + coalesce(t.idx_blks_hit + t.idx_blks_read, 0)
                + coalesce(t.toast_blks_hit + t.toast_blks_read, 0)
            )::bigint
            from pg_statio_user_tables as t
        )";

/// Counts at one moment, or between two.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts(pub(crate) [i64; NAMES.len()]);

impl Counts {
    /// The counts now, when all services have stopped.
    pub(crate) async fn read(database: &Database) -> Result<Self, Failure> {
        database.quiet().await?;
        Self::reported(database).await
    }

    /// The counts of services that run, once their connections have reported.
    pub(crate) async fn read_idle(database: &Database) -> Result<Self, Failure> {
        tokio::time::sleep(IDLE).await;
        Self::reported(database).await
    }

    async fn reported(database: &Database) -> Result<Self, Failure> {
        let row = database.client.query_one(READ, &[]).await?;
        // There are no tables before the first migration.
        Ok(Self(std::array::from_fn(|column| row.get::<_, Option<i64>>(column).unwrap_or(0))))
    }

    /// What came since an earlier moment.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut counts = *self;
        for (count, before) in counts.0.iter_mut().zip(earlier.0) {
            *count -= before;
        }
        counts
    }

    /// For each of so many events: statements.
    pub(crate) fn statements(&self, events: usize) -> f64 {
        let [statements, ..] = self.0;
        statements as f64 / events as f64
    }

    /// For each of so many events: rows inserted, updated, deleted.
    pub(crate) fn rows(&self, events: usize) -> (f64, f64, f64) {
        let [_, _, inserted, updated, deleted, ..] = self.0;
        (inserted as f64 / events as f64, updated as f64 / events as f64, deleted as f64 / events as f64)
    }

    /// For each of so many events: buffers.
    pub(crate) fn buffers(&self, events: usize) -> f64 {
        let [.., buffers] = self.0;
        buffers as f64 / events as f64
    }
}
