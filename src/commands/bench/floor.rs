//! The floor: what this machine and this PostgreSQL could do at best, in the same run.
//!
//! In it: the accepting and the recording statement of the service, on the same schema with
//! the same parameters, in batches as large as the loaded service had on average, one of
//! each at a time as there, every commit on disk; and beside them one bare POST for each
//! event, of the same payload to the same receiver over as many connections. They go on at
//! once, so they share the machine; the floor is the number of events divided by the time
//! until all are done. Deliveries are born leased, so there is no claim.
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

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use super::driver::Driver;
use super::load::Producer;
use super::meter::connect;
use super::sink::Sink;
use super::{Bench, Loaded, postmaster};
use crate::commands::Failure;
use crate::commands::dev::Cluster;

/// One floor.
#[derive(Debug, Clone, Copy)]
struct Floor {
    /// Events a second.
    per_second: f64,
    /// CPU of the driver, in µs an event.
    driver_micros: f64,
    /// CPU of PostgreSQL, in µs an event.
    postgres_micros: f64,
}

/// Measures both floors in a database of their own and prints how far from them the loaded
/// service was.
pub(super) async fn compare(bench: &Bench, cluster: &Cluster, loaded: &Loaded) -> Result<(), Failure> {
    let sizes = bench.sizes();
    let mut driver = Driver {
        database: make_database(&cluster.url()).await?,
        postmaster: postmaster(cluster)?,
        receiver: ([127, 0, 0, 1], 0).into(),
        warm_up: sizes.warm_up,
        events: sizes.main,
        // The service spends two statements on a batch of events.
        batch: (2.0 / loaded.cost.statements).round().max(1.0) as usize,
        connections: bench.concurrency,
        payload_bytes: bench.payload_bytes,
    };
    let [_, _, last] = driver.ranges();
    let sink = Arc::new(Sink::new(last.end));
    driver.receiver = Arc::clone(&sink).serve().await?;
    let [out, both] = measure(&driver, &sink).await?;
    println!("floor: the same statements for {} events each, beside bare POSTs", driver.batch);
    out.print("POSTs out", loaded);
    both.print("POSTs in, out", loaded);
    if sink.arrived(0..last.end) == last.end {
        Ok(())
    } else {
        Err(Failure::new("not every request of the floor arrived".to_owned()))
    }
}

/// Runs the driver as a process; produces for the second floor.
async fn measure(driver: &Driver, sink: &Arc<Sink>) -> Result<[Floor; 2], Failure> {
    let mut process = Command::new(std::env::current_exe()?)
        .args(["bench", "floor", "--database", &driver.database])
        .args(["--postmaster", &driver.postmaster.to_string()])
        .args(["--receiver", &driver.receiver.to_string()])
        .args(["--warm-up", &driver.warm_up.to_string()])
        .args(["--events", &driver.events.to_string()])
        .args(["--batch", &driver.batch.to_string()])
        .args(["--connections", &driver.connections.to_string()])
        .args(["--payload-bytes", &driver.payload_bytes.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut said = BufReader::new(process.stdout.take().expect("its standard output is a pipe")).lines();
    let out = Floor::read(&line(&mut said).await?)?;
    let inlet = line(&mut said).await?.parse().map_err(|_| not_measured())?;
    let [_, _, range] = driver.ranges();
    let producer =
        Producer { api: inlet, path: "/".to_owned(), payload_bytes: driver.payload_bytes, sink: Arc::clone(sink) };
    producer.closed_loop(range, driver.connections).await?;
    let both = Floor::read(&line(&mut said).await?)?;
    process.wait().await?;
    Ok([out, both])
}

impl Floor {
    fn read(line: &str) -> Result<Self, Failure> {
        let figures: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match *figures.as_slice() {
            [per_second, driver_micros, postgres_micros] => Ok(Self { per_second, driver_micros, postgres_micros }),
            _ => Err(not_measured()),
        }
    }

    fn print(&self, name: &str, loaded: &Loaded) {
        let Self { per_second, driver_micros, postgres_micros } = self;
        let (rate, micros) = (loaded.per_second / per_second, driver_micros + postgres_micros);
        println!("  {name:<14} {per_second:>9.0} /s   ratio to the floor {rate:.2}");
        let ratio = (loaded.cost.service_micros + loaded.cost.postgres_micros) / micros;
        println!(
            "  CPU per event  {micros:>9.1} µs   = driver {driver_micros:.1} + PostgreSQL {postgres_micros:.1}; ratio {ratio:.2}"
        );
    }
}

async fn line(said: &mut Lines<BufReader<ChildStdout>>) -> Result<String, Failure> {
    said.next_line().await?.ok_or_else(not_measured)
}

fn not_measured() -> Failure {
    Failure::new("the floor was not measured".to_owned())
}

/// A database beside the service's, on the same server; returns its URL.
async fn make_database(beside: &str) -> Result<String, Failure> {
    const NAME: &str = "floor";
    connect(beside).await?.batch_execute(&format!("create database {NAME}")).await?;
    let server = beside.rsplit_once('/').map_or(beside, |(server, _)| server);
    Ok(format!("{server}/{NAME}"))
}
