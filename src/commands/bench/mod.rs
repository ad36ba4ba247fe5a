//! `postrider bench`: the load generator of `make bench`.
//!
//! Starts a private, durable PostgreSQL and a `serve` process in a temporary folder, loads
//! it over loopback with real requests to a real receiver, and prints latencies, rates, the
//! cost of each event, and the ledger: what was accepted must have arrived, once.

mod load;
mod meter;
mod sink;

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::process::{Child, Command};

use self::load::{Produced, Producer};
use self::meter::{Cost, Meter, resident_mib};
use self::sink::Sink;
use super::Failure;
use super::dev::Cluster;
use crate::domain::keyring::Keyring;

/// How to load the service.
#[derive(Debug, Args)]
pub struct Bench {
    /// Events of the main phase
    #[arg(long, default_value_t = 20_000)]
    events: usize,
    /// Connections of the main phase
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Size of each payload, in bytes
    #[arg(long, default_value_t = 760)]
    payload_bytes: usize,
}

/// Events of the idle phase, and how many a second.
const IDLE: (usize, u32) = (200, 20);
/// Events of the paced phase, and how many a second.
const PACED: (usize, u32) = (5_000, 1_000);
/// Events sent before anything is measured.
const WARM_UP: usize = 2_000;
/// Longest wait for the last deliveries of a phase.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

/// Runs the benchmark and prints what it measured.
///
/// # Errors
/// [`Failure`] when something does not start, or the ledger does not close.
pub async fn run(bench: &Bench) -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("postrider-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let place = folder.clone();
    let starting = tokio::task::spawn_blocking(move || Cluster::start(&place));
    let cluster = starting.await.map_err(|error| Failure::new(error.to_string()))??;
    let measured = measure(bench, &cluster).await;
    let stopping = tokio::task::spawn_blocking(move || cluster.stop());
    let stopped = stopping.await.map_err(|error| Failure::new(error.to_string()))?;
    let _ = std::fs::remove_dir_all(&folder);
    measured.and(stopped.map_err(Failure::from))
}

async fn measure(bench: &Bench, cluster: &Cluster) -> Result<(), Failure> {
    let (api, mut service) = start_service(&cluster.url()).await?;
    let result = load(bench, cluster, api, service.id().unwrap_or(0)).await;
    service.kill().await.map_err(|error| Failure::new(error.to_string()))?;
    result
}

async fn load(bench: &Bench, cluster: &Cluster, api: SocketAddr, service: u32) -> Result<(), Failure> {
    let total = WARM_UP + IDLE.0 + PACED.0 + bench.events;
    let sink = Arc::new(Sink::new(total));
    let receiver = Arc::clone(&sink).serve().await.map_err(|error| Failure::new(error.to_string()))?;
    let path = subscribe(api, receiver).await?;
    let producer = Producer { api, path, payload_bytes: bench.payload_bytes, sink: Arc::clone(&sink) };
    let (database, connection) = tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls)
        .await
        .map_err(|error| Failure::new(error.to_string()))?;
    tokio::spawn(connection);
    let meter = Meter { database, service, postmaster: cluster.postmaster_pid().unwrap_or(0) };
    println!("idle memory      {:>9.1} MiB", resident_mib(service));

    let mut from = 0;
    let mut phase = |events: usize| {
        let range = from..from + events;
        from += events;
        range
    };
    let range = phase(WARM_UP);
    producer.closed_loop(range.clone(), bench.concurrency).await?;
    drain(&sink, range).await;

    let range = phase(IDLE.0);
    producer.paced(range.clone(), IDLE.1).await?;
    drain(&sink, range.clone()).await;
    println!("at {}/s           {} to the receiver", IDLE.1, spread(&sink.latencies(range)));

    let range = phase(PACED.0);
    let paced = producer.paced(range.clone(), PACED.1).await?;
    drain(&sink, range.clone()).await;
    println!("at {}/s         {} to the 202", PACED.1, spread(&paced.latencies));
    println!("                 {} to the receiver", spread(&sink.latencies(range)));

    let before = settled_reading(&meter).await?;
    let range = phase(bench.events);
    let began = Instant::now();
    let produced = producer.closed_loop(range.clone(), bench.concurrency).await?;
    drain(&sink, range.clone()).await;
    let took = began.elapsed();
    let cost = settled_reading(&meter).await?.cost_since(&before, bench.events);
    print_main(bench, &produced, &sink.latencies(range), took, cost);
    println!("loaded memory    {:>9.1} MiB", resident_mib(service));
    ledger(&sink, total)
}

fn print_main(bench: &Bench, produced: &Produced, latencies: &[u64], took: Duration, cost: Cost) {
    let rate = |count: usize, time: Duration| count as f64 / time.as_secs_f64();
    println!("{} events at concurrency {}, {} bytes each:", bench.events, bench.concurrency, bench.payload_bytes);
    println!("  ingest         {:>9.0} /s   {}", rate(produced.accepted, produced.took), spread(&produced.latencies));
    println!("  end to end     {:>9.0} /s   {}", rate(latencies.len(), took), spread(latencies));
    let (service, postgres) = (cost.service_micros, cost.postgres_micros);
    println!("  CPU per event  {:>9.1} µs   = postrider {service:.1} + PostgreSQL {postgres:.1}", service + postgres);
    println!("  WAL per event  {:>9.0} B", cost.wal_bytes);
    println!("  statements     {:>9.3} per event", cost.statements);
}

/// Closes the books: everything accepted arrived, nothing twice, nothing from nowhere.
fn ledger(sink: &Sink, accepted: usize) -> Result<(), Failure> {
    let delivered = sink.arrived(0..accepted);
    let (duplicated, strangers) = (sink.duplicates.load(Ordering::Relaxed), sink.strangers.load(Ordering::Relaxed));
    let lost = accepted - delivered;
    println!(
        "ledger           accepted {accepted} = delivered {delivered} + lost {lost}; duplicated {duplicated}, unexpected {strangers}"
    );
    if lost + duplicated + strangers == 0 { Ok(()) } else { Err(Failure::new("the ledger does not close".to_owned())) }
}

/// `p50 … p99 …` of sorted microseconds.
fn spread(micros: &[u64]) -> String {
    let at = |share: f64| {
        let index = (micros.len() as f64 * share) as usize;
        micros.get(index.min(micros.len().saturating_sub(1))).copied().unwrap_or(0) as f64 / 1_000.0
    };
    format!("p50 {:>7.2} ms   p99 {:>7.2} ms", at(0.50), at(0.99))
}

async fn drain(sink: &Sink, range: std::ops::Range<usize>) {
    let deadline = Instant::now() + DRAIN_LIMIT;
    while sink.arrived(range.clone()) < range.len() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A reading after the last outcomes were recorded and every backend reported its counters.
async fn settled_reading(meter: &Meter) -> Result<meter::Reading, Failure> {
    /// Backends report once a second at best.
    const REPORTED: Duration = Duration::from_millis(1_500);
    tokio::time::sleep(REPORTED).await;
    meter.read().await
}

/// Starts `serve` on free ports, and waits until it is ready.
async fn start_service(database_url: &str) -> Result<(SocketAddr, Child), Failure> {
    let (api, ops) = (free_address()?, free_address()?);
    let program = std::env::current_exe().map_err(|error| Failure::new(error.to_string()))?;
    let child = Command::new(program)
        .arg("serve")
        .env("DATABASE_URL", database_url)
        .env("POSTRIDER_MASTER_KEYS", Keyring::entry("bench", [0; 32]))
        .env("POSTRIDER_AUTH", "off")
        .env("POSTRIDER_ALLOW_HTTP", "true")
        .env("POSTRIDER_ALLOW_TARGETS", "127.0.0.0/8")
        .env("POSTRIDER_LISTEN", api.to_string())
        .env("POSTRIDER_OPS_LISTEN", ops.to_string())
        .env("POSTRIDER_LOG", "warn")
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure::new(error.to_string()))?;
    let deadline = Instant::now() + DRAIN_LIMIT;
    while tokio::net::TcpStream::connect(api).await.is_err() {
        if Instant::now() > deadline {
            return Err(Failure::new("the service did not start".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok((api, child))
}

fn free_address() -> Result<SocketAddr, Failure> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| Failure::new(error.to_string()))?;
    listener.local_addr().map_err(|error| Failure::new(error.to_string()))
}

/// Makes a subscription to the receiver and returns its ingest path.
async fn subscribe(api: SocketAddr, receiver: SocketAddr) -> Result<String, Failure> {
    let answer = load::post(api, "/subscriptions/", format!("{{\"target_url\":\"http://{receiver}/\"}}")).await?;
    let document: serde_json::Value =
        serde_json::from_str(&answer).map_err(|_| Failure::new(format!("no subscription was made: {answer}")))?;
    let id = document.get("id").and_then(serde_json::Value::as_str);
    id.map(|id| format!("/ingest/{id}")).ok_or_else(|| Failure::new(format!("no subscription was made: {answer}")))
}
