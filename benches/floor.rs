//! The floor: what this machine and this PostgreSQL could do at best, in the same run.
//!
//! In it: the accepting and the recording statement of the service, on the same schema with
//! the same parameters, in batches as large as the loaded service had on average, one of
//! each at a time as there, every commit on disk; and beside them one bare POST for each
//! event, of the same payload to the same receiver over as many connections. They go on at
//! once, so they share the machine; the floor is the number of events divided by the time
//! until all are done. Deliveries are born leased, so there is no claim. Slices of the floor
//! alternate with slices of the loaded service, so that whatever else the machine does meets both.
//!
//! Not in it: producers and the API, parsing, signing, address checks, waiting of one half
//! for the other, upkeep. The second floor adds a bare POST in for each event, from the
//! process of the producers to the driver's: no service that is called over HTTP can do
//! without.
//!
//! The driver is a process of its own, so that its CPU is told from that of producers and
//! receiver, as the service's is.

use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::driver::{Driver, Slice};
use crate::failure::Failure;
use crate::load::{PLAIN, Producer};
use crate::meter::Spent;
use crate::service;
use crate::sink::Sink;

/// The driver's process, and what it is given to do.
pub(crate) struct Floor {
    process: Child,
    commands: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    /// Posts in, where a slice has that.
    producer: Producer,
    connections: usize,
    receiver: Arc<Sink>,
    /// Number of the next event.
    next: usize,
}

impl Floor {
    /// Starts the driver on a database of its own, beside the service's.
    pub(crate) async fn start(
        database_url: &str,
        postmaster: u32,
        events: usize,
        bench: &crate::Bench,
    ) -> Result<Self, Failure> {
        let receiver = Arc::new(Sink::new(events));
        let driver = Driver {
            database: service::make_database(database_url, "floor").await?,
            postmaster,
            receiver: Arc::clone(&receiver).serve().await?,
            events,
            connections: bench.concurrency,
            payload_bytes: bench.payload_bytes,
        };
        let (mut process, commands, mut said) = driver.spawn()?;
        let inlet = said.next_line().await?.and_then(|line| line.parse().ok());
        let Some(api) = inlet else {
            process.kill().await?;
            return Err(not_measured());
        };
        let (paths, sink) = (vec!["/".to_owned()], Arc::clone(&receiver));
        let producer =
            Producer { api, paths, event_type: PLAIN, payload_bytes: bench.payload_bytes, insists: false, sink };
        Ok(Self { process, commands, said, producer, connections: bench.concurrency, receiver, next: 0 })
    }

    /// Runs a slice of so many events with so many in a statement.
    pub(crate) async fn slice(&mut self, events: usize, batch: usize, posts_in: bool) -> Result<Spent, Failure> {
        let range = self.next..self.next + events;
        self.next = range.end;
        let slice = Slice { range: range.clone(), batch, posts_in };
        self.commands.write_all(format!("{slice}\n").as_bytes()).await?;
        self.line().await?;
        if posts_in {
            self.producer.closed_loop(range.clone(), self.connections).await?;
        }
        let line = self.line().await?;
        if self.receiver.arrived(&range) < events {
            return Err(Failure::new("not every POST of the floor arrived".to_owned()));
        }
        let figures: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let &[seconds, service_micros, postgres_micros] = figures.as_slice() else { return Err(not_measured()) };
        Ok(Spent { events: events as f64, seconds, service_micros, postgres_micros, wal_bytes: 0.0 })
    }

    /// Ends the driver.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        drop(self.commands);
        self.process.wait().await?;
        Ok(())
    }

    async fn line(&mut self) -> Result<String, Failure> {
        self.said.next_line().await?.ok_or_else(not_measured)
    }
}

impl Driver {
    fn spawn(&self) -> Result<(Child, ChildStdin, Lines<BufReader<ChildStdout>>), Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["floor", "--database", &self.database])
            .args(["--postmaster", &self.postmaster.to_string()])
            .args(["--receiver", &self.receiver.to_string()])
            .args(["--events", &self.events.to_string()])
            .args(["--connections", &self.connections.to_string()])
            .args(["--payload-bytes", &self.payload_bytes.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let commands = process.stdin.take().expect("its standard input is a pipe");
        let said = process.stdout.take().expect("its standard output is a pipe");
        Ok((process, commands, BufReader::new(said).lines()))
    }
}

/// Prints one floor, and how far from it the loaded service was.
pub(crate) fn print(name: &str, floor: &Spent, loaded: &Spent) {
    let (driver, postgres) = floor.micros();
    let (service, its_postgres) = loaded.micros();
    println!("  {name:<14} {:>9.0} /s   ratio to the floor {:.2}", floor.rate(), loaded.rate() / floor.rate());
    println!(
        "  CPU per event  {:>9.1} µs   = driver {driver:.1} + PostgreSQL {postgres:.1}; ratio {:.2}",
        driver + postgres,
        (service + its_postgres) / (driver + postgres)
    );
}

fn not_measured() -> Failure {
    Failure::new("the floor was not measured".to_owned())
}
