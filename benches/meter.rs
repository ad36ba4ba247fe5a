//! What a phase cost: CPU of the service and of PostgreSQL from /proc, WAL and
//! transactions from the database's own counters.

use std::path::Path;
use std::time::Duration;

use tokio_postgres::Client;

use crate::failure::Failure;

/// Counters at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// CPU of the service, in clock ticks.
    service_ticks: u64,
    /// CPU of the postmaster and of every child, those that ended included, in clock ticks.
    postgres_ticks: u64,
    wal_bytes: i64,
    /// Every statement of the service is one. Backends report once a second at best.
    pub(crate) transactions: i64,
}

/// What a number of events took, or several slices of them together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) events: f64,
    /// From the beginning to the last arrival, in seconds.
    pub(crate) seconds: f64,
    /// CPU of the service, in µs.
    pub(crate) service_micros: f64,
    /// CPU of PostgreSQL, in µs.
    pub(crate) postgres_micros: f64,
    /// WAL, in bytes.
    pub(crate) wal_bytes: f64,
}

impl Spent {
    /// Events a second.
    pub(crate) fn rate(&self) -> f64 {
        self.events / self.seconds
    }

    /// CPU of the service and of PostgreSQL, in µs an event.
    pub(crate) fn micros(&self) -> (f64, f64) {
        (self.service_micros / self.events, self.postgres_micros / self.events)
    }
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, slice: Self) {
        self.events += slice.events;
        self.seconds += slice.seconds;
        self.service_micros += slice.service_micros;
        self.postgres_micros += slice.postgres_micros;
        self.wal_bytes += slice.wal_bytes;
    }
}

/// Reads counters of the processes of a service and of one PostgreSQL.
pub(crate) struct Meter {
    pub(crate) database: Client,
    pub(crate) services: Vec<u32>,
    pub(crate) postmaster: u32,
}

impl Meter {
    /// The counters after the last outcomes were recorded and every backend reported.
    pub(crate) async fn settled(&self) -> Result<Reading, Failure> {
        /// Backends report once a second at best.
        const REPORTED: Duration = Duration::from_millis(1_500);
        tokio::time::sleep(REPORTED).await;
        self.read().await
    }

    /// The counters now.
    pub(crate) async fn read(&self) -> Result<Reading, Failure> {
        let counters = "select (pg_current_wal_lsn() - '0/0')::bigint, \
                        (select xact_commit + xact_rollback from pg_stat_database where datname = current_database())";
        let row = self.database.query_one(counters, &[]).await?;
        let postgres = std::iter::once(self.postmaster).chain(children_of(self.postmaster));
        Ok(Reading {
            service_ticks: self.services.iter().copied().map(ticks).sum(),
            postgres_ticks: postgres.map(ticks).sum(),
            wal_bytes: row.get(0),
            transactions: row.get(1),
        })
    }
}

impl Reading {
    /// What so many events spent since an earlier reading, in a time that was measured apart.
    pub(crate) fn since(&self, earlier: &Self, events: usize, took: Duration) -> Spent {
        let tick_micros = 1e6 / rustix::param::clock_ticks_per_second() as f64;
        let micros = |now: u64, before: u64| now.saturating_sub(before) as f64 * tick_micros;
        Spent {
            events: events as f64,
            seconds: took.as_secs_f64(),
            service_micros: micros(self.service_ticks, earlier.service_ticks),
            postgres_micros: micros(self.postgres_ticks, earlier.postgres_ticks),
            wal_bytes: (self.wal_bytes - earlier.wal_bytes) as f64,
        }
    }
}

/// A connection to count over, beside those of the service.
pub(crate) async fn connect(database_url: &str) -> Result<Client, Failure> {
    let (client, connection) = tokio_postgres::connect(database_url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Resident memory of a process, in MiB.
pub(crate) fn resident_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1_024.0
}

/// User and system time of a process and of its ended children. A process that is gone has
/// none of its own; its parent's count then holds it.
fn ticks(pid: u32) -> u64 {
    /// utime, stime, cutime and cstime, counted after the command's closing parenthesis.
    const FIELDS: std::ops::Range<usize> = 11..15;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields = after_name.split_whitespace().skip(FIELDS.start).take(FIELDS.len());
    fields.filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn children_of(parent: u32) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir(Path::new("/proc")) else { return Vec::new() };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
