//! What events cost: CPU of the service and of PostgreSQL from /proc, and WAL.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Client;

use crate::failure::Failure;
use crate::lab::{Database, Lab};
use crate::service::Service;

/// Until the last outcomes of a slice are recorded.
const RECORDED: Duration = Duration::from_millis(20);

/// Counters at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// CPU of the service, in clock ticks.
    service_ticks: u64,
    /// CPU of PostgreSQL and of every child, those that ended included, in clock ticks.
    postgres_ticks: u64,
    wal_bytes: i64,
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

    /// CPU of the service and of PostgreSQL together, in µs an event.
    pub(crate) fn cpu(&self) -> f64 {
        self.service_cpu() + self.postgres_cpu()
    }

    /// CPU of the service, in µs an event.
    pub(crate) fn service_cpu(&self) -> f64 {
        self.service_micros / self.events
    }

    /// CPU of PostgreSQL, in µs an event.
    pub(crate) fn postgres_cpu(&self) -> f64 {
        self.postgres_micros / self.events
    }

    /// WAL, in bytes an event.
    pub(crate) fn wal(&self) -> f64 {
        self.wal_bytes / self.events
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

/// Reads counters of processes of the service and of one PostgreSQL.
pub(crate) struct Meter {
    database: Arc<Client>,
    services: Vec<u32>,
    postmaster: u32,
}

impl Meter {
    /// Of these processes.
    pub(crate) fn new<'s>(
        lab: &Lab,
        database: &Database,
        services: impl IntoIterator<Item = &'s Service>,
    ) -> Result<Self, Failure> {
        let services = services.into_iter().map(Service::pid).collect();
        Ok(Self { database: Arc::clone(&database.client), services, postmaster: lab.postmaster()? })
    }

    /// Of this process itself.
    pub(crate) fn of_this_process(database: Arc<Client>, postmaster: u32) -> Self {
        Self { database, services: vec![std::process::id()], postmaster }
    }

    /// The counters now.
    pub(crate) async fn read(&self) -> Result<Reading, Failure> {
        let wal = "select (pg_current_wal_lsn() - '0/0')::bigint";
        let wal_bytes = self.database.query_one(wal, &[]).await?.get(0);
        let postgres = std::iter::once(self.postmaster).chain(children_of(self.postmaster));
        Ok(Reading {
            service_ticks: self.services.iter().copied().map(ticks).sum(),
            postgres_ticks: postgres.map(ticks).sum(),
            wal_bytes,
        })
    }

    /// What so many events spent that took so long, once their outcomes are recorded.
    pub(crate) async fn since(&self, earlier: &Reading, events: usize, took: Duration) -> Result<Spent, Failure> {
        tokio::time::sleep(RECORDED).await;
        let now = self.read().await?;
        let tick_micros = 1e6 / rustix::param::clock_ticks_per_second() as f64;
        let micros = |now: u64, before: u64| now.saturating_sub(before) as f64 * tick_micros;
        Ok(Spent {
            events: events as f64,
            seconds: took.as_secs_f64(),
            service_micros: micros(now.service_ticks, earlier.service_ticks),
            postgres_micros: micros(now.postgres_ticks, earlier.postgres_ticks),
            wal_bytes: (now.wal_bytes - earlier.wal_bytes) as f64,
        })
    }
}

/// Resident memory of a process, in MiB.
pub(crate) fn resident_mib(service: &Service) -> f64 {
    memory_mib(service.pid(), "VmRSS:")
}

/// The most memory that was resident of a process so far, in MiB.
pub(crate) fn peak_mib(service: &Service) -> f64 {
    memory_mib(service.pid(), "VmHWM:")
}

fn memory_mib(pid: u32, line: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|text| text.strip_prefix(line));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1_024.0
}

/// User and system time of a process and of its ended children. A process that is gone has
/// none of its own; its parent's count then holds it.
pub(crate) fn ticks(pid: u32) -> u64 {
    /// utime, stime, cutime and cstime, counted after the command's closing parenthesis.
    const FIELDS: std::ops::Range<usize> = 11..15;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields = after_name.split_whitespace().skip(FIELDS.start).take(FIELDS.len());
    fields.filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Processes that this one started and that run.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir(Path::new("/proc")) else { return Vec::new() };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
