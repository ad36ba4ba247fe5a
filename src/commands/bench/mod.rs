//! `postrider bench`: the load generator of `make bench`.
//!
//! Starts a private, durable PostgreSQL and a `serve` process in a temporary folder, loads
//! it over loopback with real requests to a real receiver, and prints latencies, rates, the
//! cost of each event, the ledger (what was accepted must have arrived, once), and how far
//! all that is from the floor.

mod check;
mod driver;
mod floor;
mod load;
mod meter;
mod service;
mod sink;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use self::driver::Driver;
use self::load::{Produced, Producer};
use self::meter::{Cost, Meter, resident_mib};
use self::service::Service;
use self::sink::Sink;
use super::Failure;
use super::dev::Cluster;
use crate::shutdown;

/// How to load the service.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Bench {
    #[command(subcommand)]
    part: Option<Part>,
    /// Everything, with fewer events: under a minute
    #[arg(long)]
    quick: bool,
    /// Events of the main phase; default 20000, with --quick 5000
    #[arg(long)]
    events: Option<usize>,
    /// Connections of the main phase
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Size of each payload, in bytes
    #[arg(long, default_value_t = 760)]
    payload_bytes: usize,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Counts what an event costs the database and compares it with bounds, whatever the clock says
    Check,
    /// One side of the floor; started by the benchmark itself
    #[command(hide = true)]
    Floor(Driver),
}

/// How much each phase sends.
struct Sizes {
    /// Events sent before anything is measured.
    warm_up: usize,
    /// Events of the idle phase, and how many a second.
    idle: (usize, u32),
    /// Events of the paced phase, and how many a second.
    paced: (usize, u32),
    /// Events of the main phase.
    main: usize,
}

const WHOLE: Sizes = Sizes { warm_up: 2_000, idle: (200, 20), paced: (5_000, 1_000), main: 20_000 };
const QUICK: Sizes = Sizes { warm_up: 1_000, idle: (60, 20), paced: (2_000, 1_000), main: 5_000 };

/// Longest wait for the last deliveries of a phase.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

/// Deliveries that wait for their time while the main phase is repeated.
const SCHEDULED: i32 = 100_000;
/// Writes as many, due in a day.
const SCHEDULE: &str = "
    insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at)
    select s.tenant_id, uuid_v7(), s.id, now() + interval '1 day'
    from subscriptions as s
    cross join generate_series(1, $1)";

/// What the main phase came to, for comparison with the floor.
struct Loaded {
    per_second: f64,
    cost: Cost,
}

/// Runs the benchmark and prints what it measured.
///
/// # Errors
/// [`Failure`] when something does not start, or the ledger does not close.
pub async fn run(bench: &Bench) -> Result<(), Failure> {
    if let Some(Part::Floor(driver)) = &bench.part {
        return driver.run().await;
    }
    let stop = shutdown::on_signals()?;
    let folder = std::env::temp_dir().join(format!("postrider-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let place = folder.clone();
    let starting = tokio::task::spawn_blocking(move || Cluster::start(&place));
    let cluster = starting.await.map_err(|error| Failure::new(error.to_string()))??;
    let measuring = async {
        match bench.part {
            Some(Part::Check) => check::run(&cluster.url()).await,
            _ => bench.measure(&cluster).await,
        }
    };
    // The server is detached from the terminal: it has to be stopped after ctrl-c too.
    let measured = stop.run_until_cancelled(measuring).await;
    let measured = measured.unwrap_or_else(|| Err(Failure::new("interrupted".to_owned())));
    let stopping = tokio::task::spawn_blocking(move || cluster.stop());
    let stopped = stopping.await.map_err(|error| Failure::new(error.to_string()))?;
    let _ = std::fs::remove_dir_all(&folder);
    measured.and(stopped.map_err(Failure::from))
}

impl Bench {
    fn sizes(&self) -> Sizes {
        let sizes = if self.quick { QUICK } else { WHOLE };
        Sizes { main: self.events.unwrap_or(sizes.main), ..sizes }
    }

    async fn measure(&self, cluster: &Cluster) -> Result<(), Failure> {
        let service = Service::start("serve", &cluster.url(), None).await?;
        let loaded = self.load(cluster, &service).await?;
        service.stop().await?;
        floor::compare(self, cluster, &loaded).await
    }

    /// All phases over the service, and their ledger.
    async fn load(&self, cluster: &Cluster, service: &Service) -> Result<Loaded, Failure> {
        let sizes = self.sizes();
        let total = sizes.warm_up + sizes.idle.0 + sizes.paced.0 + 2 * sizes.main;
        let sink = Arc::new(Sink::new(total));
        let receiver = Arc::clone(&sink).serve().await?;
        let path = service.subscribe(receiver).await?;
        let producer = Producer { api: service.api, path, payload_bytes: self.payload_bytes, sink: Arc::clone(&sink) };
        let database = meter::connect(&cluster.url()).await?;
        let meter = Meter { database, service: service.pid(), postmaster: postmaster(cluster)? };
        println!("idle memory      {:>9.1} MiB", resident_mib(service.pid()));

        let mut from = 0;
        let mut phase = |events: usize| {
            let range = from..from + events;
            from += events;
            range
        };
        self.flood(&producer, phase(sizes.warm_up)).await?;

        let range = phase(sizes.idle.0);
        producer.paced(range.clone(), sizes.idle.1).await?;
        drain(&sink, range.clone()).await;
        println!("at {}/s           {} to the receiver", sizes.idle.1, spread(&sink.latencies(range)));

        let range = phase(sizes.paced.0);
        let paced = producer.paced(range.clone(), sizes.paced.1).await?;
        drain(&sink, range.clone()).await;
        println!("at {}/s         {} to the 202", sizes.paced.1, spread(&paced.latencies));
        println!("                 {} to the receiver", spread(&sink.latencies(range)));

        let range = phase(sizes.main);
        let before = settled_reading(&meter).await?;
        let (produced, took) = self.flood(&producer, range.clone()).await?;
        let cost = settled_reading(&meter).await?.cost_since(&before, sizes.main);
        let loaded = Loaded { per_second: rate(sizes.main, took), cost };
        println!("{} events at concurrency {}, {} bytes each:", sizes.main, self.concurrency, self.payload_bytes);
        print_main(&produced, &sink.latencies(range), &loaded);

        meter.database.execute(SCHEDULE, &[&SCHEDULED]).await?;
        let (_, took) = self.flood(&producer, phase(sizes.main)).await?;
        let beside = rate(sizes.main, took);
        println!(
            "  end to end     {beside:>9.0} /s   beside {SCHEDULED} scheduled; ratio {:.2}",
            beside / loaded.per_second
        );
        println!("loaded memory    {:>9.1} MiB", resident_mib(service.pid()));
        ledger(&sink, total)?;
        Ok(loaded)
    }

    /// As fast as the connections allow; returns with the last arrival, and the time until then.
    async fn flood(&self, producer: &Producer, range: Range<usize>) -> Result<(Produced, Duration), Failure> {
        let began = Instant::now();
        let produced = producer.closed_loop(range.clone(), self.concurrency).await?;
        drain(&producer.sink, range).await;
        Ok((produced, began.elapsed()))
    }
}

fn postmaster(cluster: &Cluster) -> Result<u32, Failure> {
    cluster.postmaster_pid().ok_or_else(|| Failure::new("the process id of PostgreSQL is not known".to_owned()))
}

fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

fn print_main(produced: &Produced, latencies: &[u64], loaded: &Loaded) {
    let Loaded { per_second, cost } = loaded;
    println!("  ingest         {:>9.0} /s   {}", rate(produced.accepted, produced.took), spread(&produced.latencies));
    println!("  end to end     {per_second:>9.0} /s   {}", spread(latencies));
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

async fn drain(sink: &Sink, range: Range<usize>) {
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
