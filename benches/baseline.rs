//! The baseline: what this machine and this PostgreSQL could do at best, in the same run.
//!
//! In it: the accepting and the recording statement of the service, on the same schema with
//! the same parameters, in batches as large as the loaded service had on average, one of
//! each at a time as there, every commit on disk; and beside them one bare POST for each
//! event, of the same payload to a receiver that takes as long. They go on at once, so they
//! share the machine; the rate is the number of events divided by the time until all are
//! done. Deliveries are born leased, so there is no take.
//!
//! Not in it: producers and the API, parsing, signing, address checks, waiting of one half
//! for the other, upkeep. The second baseline adds a bare POST in for each event, from the
//! process of the producers to the driver's: no service that is called over HTTP can do
//! without.
//!
//! The driver is a process of its own, so that its CPU is told from that of producers and
//! receiver, as the service's is.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::driver::{Driver, Slice};
use crate::failure::Failure;
use crate::lab::{Database, Lab};
use crate::load::Load;
use crate::meter::Spent;
use crate::producer::Producer;
use crate::receiver::Receiver;

/// Connections of the producers that post in.
const CONNECTIONS: usize = 64;

/// What the baseline is measured with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// How long the receiver takes over an answer.
    pub(crate) takes: Duration,
    /// Connections to the receiver.
    pub(crate) connections: usize,
    /// Size of each payload, in bytes.
    pub(crate) payload_bytes: usize,
    /// Events in all.
    pub(crate) events: usize,
}

impl Shape {
    /// As many connections as a receiver needs that takes so long, at 10,000 events a second.
    pub(crate) fn new(takes: Duration, payload_bytes: usize, events: usize) -> Self {
        let busy = usize::try_from(takes.as_millis()).unwrap_or(0) * 10;
        Self { takes, connections: CONNECTIONS + busy, payload_bytes, events }
    }
}

/// The driver's process, and what it is given to do.
pub(crate) struct Baseline {
    database: Database,
    process: Child,
    commands: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    /// Posts in, where a slice has that.
    producer: Producer,
    receiver: Arc<Receiver>,
    /// Number of the next event.
    next: usize,
}

impl Baseline {
    /// Starts the driver on a database of its own.
    pub(crate) async fn start(lab: &Lab, shape: Shape) -> Result<Self, Failure> {
        let receiver = Arc::new(Receiver::new(shape.events, shape.takes));
        let database = lab.database().await?;
        let driver = Driver {
            database: database.url.clone(),
            postmaster: lab.postmaster()?,
            receiver: Arc::clone(&receiver).serve().await?,
            events: shape.events,
            connections: shape.connections,
            payload_bytes: shape.payload_bytes,
        };
        let (mut process, commands, mut said) = spawn(&driver)?;
        let inlet = said.next_line().await?.and_then(|line| line.parse().ok());
        let Some(inlet) = inlet else {
            process.kill().await?;
            return Err(not_measured());
        };
        let producer = Producer::bare(inlet, &receiver, 0..shape.events)?.with_payload(shape.payload_bytes);
        Ok(Self { database, process, commands, said, producer, receiver, next: 0 })
    }

    /// Runs a slice of so many events with so many in a statement.
    pub(crate) async fn slice(&mut self, events: usize, batch: usize, posts_in: bool) -> Result<Spent, Failure> {
        let range = self.next..self.next + events;
        self.next = range.end;
        let slice = Slice { events, batch: batch.max(1), posts_in };
        self.commands.write_all(format!("{slice}\n").as_bytes()).await?;
        self.line().await?;
        if posts_in {
            self.producer.send(Load { connections: CONNECTIONS, ..Load::flood(events) }).await?;
        }
        let line = self.line().await?;
        if self.receiver.arrived(&range) < events {
            return Err(Failure::new("not every POST of the baseline arrived"));
        }
        let figures: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let &[seconds, service_micros, postgres_micros] = figures.as_slice() else { return Err(not_measured()) };
        Ok(Spent { events: events as f64, seconds, service_micros, postgres_micros, wal_bytes: 0.0 })
    }

    /// Ends the driver.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        drop(self.commands);
        self.process.wait().await?;
        self.database.remove().await
    }

    async fn line(&mut self) -> Result<String, Failure> {
        self.said.next_line().await?.ok_or_else(not_measured)
    }
}

fn spawn(driver: &Driver) -> Result<(Child, ChildStdin, Lines<BufReader<ChildStdout>>), Failure> {
    let mut process = Command::new(std::env::current_exe()?)
        .args(["driver", "--database", &driver.database])
        .args(["--postmaster", &driver.postmaster.to_string()])
        .args(["--receiver", &driver.receiver.to_string()])
        .args(["--events", &driver.events.to_string()])
        .args(["--connections", &driver.connections.to_string()])
        .args(["--payload-bytes", &driver.payload_bytes.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let commands = process.stdin.take().expect("its standard input is a pipe");
    let said = process.stdout.take().expect("its standard output is a pipe");
    Ok((process, commands, BufReader::new(said).lines()))
}

fn not_measured() -> Failure {
    Failure::new("the baseline was not measured")
}
