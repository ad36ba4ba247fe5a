//! The benchmark: `make bench`. A program of its own, no part of the product.
//!
//! Starts a private, durable PostgreSQL and a `serve` process in a temporary folder, loads
//! it over loopback with real requests to a real receiver, and prints latencies, rates, the
//! cost of each event, the ledger (what was accepted must have arrived, once), and how far
//! all that is from the floor. Then, on databases of their own, what a delivery costs when
//! an event goes to many, and what features cost an event that uses none of them.

mod backlog;
mod beside;
mod check;
mod comeback;
mod crowd;
mod dead;
mod driver;
mod failure;
mod fan_out;
mod floor;
mod load;
mod meter;
mod service;
mod sink;
mod sizes;
mod way;

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use postrider::commands::dev::Cluster;
use postrider::shutdown;

use self::dead::Dead;
use self::driver::Driver;
use self::failure::Failure;
use self::floor::Floor;
use self::load::{PLAIN, Produced, Producer};
use self::meter::{Meter, Spent, resident_mib};
use self::service::Service;
use self::sink::Sink;
use self::sizes::{QUICK, Sizes, WHOLE};

/// How to load the service.
#[derive(Debug, Parser)]
#[command(name = "benches/run", args_conflicts_with_subcommands = true)]
struct Bench {
    #[command(subcommand)]
    part: Option<Part>,
    /// Everything, with fewer events: a minute or two
    #[arg(long)]
    quick: bool,
    /// Events of the main phase; default 20000, with --quick 10000
    #[arg(long)]
    events: Option<usize>,
    /// Connections of the main phase
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Size of each payload, in bytes
    #[arg(long, default_value_t = 760)]
    payload_bytes: usize,
    /// Given by `cargo bench`
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Counts what an event costs the database and compares it with bounds, whatever the clock says
    Check,
    /// A dead receiver with a backlog beside healthy ones, alone
    Dead(Dead),
    /// One side of the floor; started by the benchmark itself
    #[command(hide = true)]
    Floor(Driver),
}

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

/// Slices of the main phase, between which the floor is measured.
const SLICES: usize = 5;
/// Events in a statement while the floor warms up.
const WARM_BATCH: usize = 32;
/// Until the last outcomes of a slice are recorded.
const RECORDED: Duration = Duration::from_millis(20);

/// What is loaded, with what, and what counts it.
struct Rig<'a> {
    service: &'a Service,
    producer: Producer,
    meter: Meter,
}

fn main() -> ExitCode {
    let bench = Bench::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ran = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(run(&bench)));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for and prints what it measured.
async fn run(bench: &Bench) -> Result<(), Failure> {
    if let Some(Part::Floor(driver)) = &bench.part {
        return driver.run().await;
    }
    let stop = shutdown::on_signals()?;
    let folder = std::env::temp_dir().join(format!("postrider-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
    let place = folder.clone();
    let starting = tokio::task::spawn_blocking(move || Cluster::start(&place));
    let cluster = starting.await??;
    let measuring = async {
        match &bench.part {
            Some(Part::Check) => check::run(&cluster.url()).await,
            Some(Part::Dead(dead)) => dead::run(bench, &cluster, dead).await,
            _ => bench.measure(&cluster).await,
        }
    };
    // The server is detached from the terminal: it has to be stopped after ctrl-c too.
    let measured = stop.run_until_cancelled(measuring).await;
    let measured = measured.unwrap_or_else(|| Err(Failure::new("interrupted".to_owned())));
    let stopping = tokio::task::spawn_blocking(move || cluster.stop());
    let stopped = stopping.await?;
    let _ = std::fs::remove_dir_all(&folder);
    measured.and(stopped.map_err(Failure::from))
}

impl Bench {
    fn sizes(&self) -> Sizes {
        let sizes = if self.quick { QUICK } else { WHOLE };
        Sizes { main: self.events.unwrap_or(sizes.main), ..sizes }
    }

    fn producer(&self, service: &Service, paths: Vec<String>, event_type: &'static str, sink: Arc<Sink>) -> Producer {
        Producer { api: service.api, paths, event_type, payload_bytes: self.payload_bytes, insists: false, sink }
    }

    async fn measure(&self, cluster: &Cluster) -> Result<(), Failure> {
        let service = Service::start("serve", &cluster.url(), &[]).await?;
        self.load(cluster, &service).await?;
        service.stop().await?;
        fan_out::run(self, cluster).await?;
        beside::run(self, cluster).await?;
        dead::run(self, cluster, &Dead { quick: self.quick, pending: None }).await
    }

    /// All phases over the service, and their ledger.
    async fn load(&self, cluster: &Cluster, service: &Service) -> Result<(), Failure> {
        let sizes = self.sizes();
        let total = sizes.warm_up + sizes.idle.0 + sizes.paced.0 + 2 * sizes.main;
        let sink = Arc::new(Sink::new(total));
        let receiver = Arc::clone(&sink).serve().await?;
        let path = service.subscribe_plainly(receiver).await?;
        let producer = self.producer(service, vec![path], PLAIN, Arc::clone(&sink));
        let database = meter::connect(&cluster.url()).await?;
        let meter = Meter { database, services: vec![service.pid()], postmaster: postmaster(cluster)? };
        let rig = Rig { service, producer, meter };
        println!("idle memory      {:>9.1} MiB", resident_mib(service.pid()));

        let mut from = 0;
        let mut phase = |events: usize| {
            let range = from..from + events;
            from += events;
            range
        };
        self.flood(&rig.producer, phase(sizes.warm_up)).await?;

        let range = phase(sizes.idle.0);
        rig.producer.paced(range.clone(), sizes.idle.1).await?;
        drain(&sink, &range).await;
        println!("at {}/s           {} to the receiver", sizes.idle.1, spread(&sink.latencies(range)));

        let range = phase(sizes.paced.0);
        let paced = rig.producer.paced(range.clone(), sizes.paced.1).await?;
        drain(&sink, &range).await;
        println!("at {}/s         {} to the 202", sizes.paced.1, spread(&paced.latencies));
        println!("                 {} to the receiver", spread(&sink.latencies(range)));

        // Two floors of as many events, and fewer to warm up.
        let events = sizes.main.next_multiple_of(SLICES) * 3;
        let floor = Floor::start(&cluster.url(), rig.meter.postmaster, events, self).await?;
        let loaded = self.main_phase(&rig, floor, phase(sizes.main)).await?;

        rig.meter.database.execute(SCHEDULE, &[&SCHEDULED]).await?;
        let (_, took) = self.flood(&rig.producer, phase(sizes.main)).await?;
        let beside = sizes.main as f64 / took.as_secs_f64();
        println!("beside {SCHEDULED} scheduled deliveries:");
        println!("  end to end     {beside:>9.0} /s   ratio {:.2}", beside / loaded.rate());
        println!("loaded memory    {:>9.1} MiB", resident_mib(service.pid()));
        ledger([&*sink])
    }

    /// Slices of the loaded service and of the floor in turn.
    async fn main_phase(&self, rig: &Rig<'_>, mut floor: Floor, range: Range<usize>) -> Result<Spent, Failure> {
        let Rig { service, producer, meter } = rig;
        let slice = range.len().div_ceil(SLICES).max(1);
        floor.slice(slice, WARM_BATCH, false).await?;
        let (mut loaded, mut out, mut both) = (Spent::default(), Spent::default(), Spent::default());
        let mut produced = Produced::default();
        let before = meter.settled().await?;
        for start in range.clone().step_by(slice) {
            let part = start..range.end.min(start + slice);
            let (earlier, batches) = (meter.read().await?, service.batches().await?);
            let (met, took) = self.flood(producer, part.clone()).await?;
            tokio::time::sleep(RECORDED).await;
            loaded += meter.read().await?.since(&earlier, part.len(), took);
            produced.join(met);
            // The service spends two statements on a batch of events.
            let batches = (service.batches().await? - batches) / 2.0;
            let batch = (part.len() as f64 / batches).round().max(1.0) as usize;
            out += floor.slice(part.len(), batch, false).await?;
            both += floor.slice(part.len(), batch, true).await?;
        }
        floor.stop().await?;
        let statements = (meter.settled().await?.transactions - before.transactions) as f64 / loaded.events;
        println!("{} events at concurrency {}, {} bytes each:", range.len(), self.concurrency, self.payload_bytes);
        print_main(&produced, &producer.sink.latencies(range), &loaded, statements);
        println!("the floor, the same statements beside bare POSTs:");
        floor::print("POSTs out", &out, &loaded);
        floor::print("POSTs in, out", &both, &loaded);
        Ok(loaded)
    }

    /// As fast as the connections allow; returns with the last arrival, and the time until then.
    async fn flood(&self, producer: &Producer, range: Range<usize>) -> Result<(Produced, Duration), Failure> {
        let began = Instant::now();
        let produced = producer.closed_loop(range.clone(), self.concurrency).await?;
        drain(&producer.sink, &range).await;
        Ok((produced, began.elapsed()))
    }
}

fn postmaster(cluster: &Cluster) -> Result<u32, Failure> {
    cluster.postmaster_pid().ok_or_else(|| Failure::new("the process id of PostgreSQL is not known".to_owned()))
}

fn print_main(produced: &Produced, latencies: &[u64], loaded: &Spent, statements: f64) {
    let ingest = produced.accepted as f64 / produced.took.as_secs_f64();
    println!("  ingest         {ingest:>9.0} /s   {}", spread(&produced.latencies));
    println!("  end to end     {:>9.0} /s   {}", loaded.rate(), spread(latencies));
    let (service, postgres) = loaded.micros();
    println!("  CPU per event  {:>9.1} µs   = postrider {service:.1} + PostgreSQL {postgres:.1}", service + postgres);
    println!("  WAL per event  {:>9.0} B", loaded.wal_bytes / loaded.events);
    println!("  statements     {statements:>9.3} per event");
}

/// Closes the books: everything accepted arrived, nothing twice, nothing from nowhere.
fn ledger<'a>(sinks: impl IntoIterator<Item = &'a Sink>) -> Result<(), Failure> {
    let (mut accepted, mut delivered, mut duplicated, mut strangers) = (0, 0, 0, 0);
    for sink in sinks {
        let (owed, arrived) = sink.books();
        accepted += owed;
        delivered += arrived;
        duplicated += sink.duplicates.load(Ordering::Relaxed);
        strangers += sink.strangers.load(Ordering::Relaxed);
    }
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

async fn drain(sink: &Sink, events: &Range<usize>) {
    let deadline = Instant::now() + DRAIN_LIMIT;
    while sink.arrived(events) < sink.owed(events) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
