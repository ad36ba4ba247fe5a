//! One subscription with a dead receiver and a large backlog beside a hundred healthy ones,
//! over one API and two workers, of which some are killed.
//!
//! Healthy events are timed alone, while the backlog is put on hold, beside it, while a worker
//! is lost, while the receiver is back and its backlog drains, and alone again. At the end
//! everything has to have arrived, in order of age, and nothing may be left.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::backlog::{Backlog, OWED};
use crate::comeback::Comeback;
use crate::crowd::{Crowd, HEALTHY, PER_SECOND};
use crate::failure::Failure;
use crate::meter::{Meter, connect};
use crate::service::{Service, make_database};
use crate::sizes::{QUICK, WHOLE};
use crate::{Bench, RECORDED, postmaster, spread};
use postrider::commands::dev::Cluster;

/// Short leases, so that what a killed worker had is soon another's, and a probe each second,
/// so that nobody waits for one.
const SETTINGS: [(&str, &str); 5] = [
    ("POSTRIDER_REQUEST_TIMEOUT", "1s"),
    ("POSTRIDER_LEASE", "6s"),
    ("POSTRIDER_BREAKER_PROBE", "1s"),
    ("POSTRIDER_BREAKER_PROBE_MAX", "1s"),
    ("POSTRIDER_RETRY_SCHEDULE", "2s,4s,8s,16s,32s"),
];
/// Most requests at a time to one subscription; the default, by which the order is judged.
const MOST_IN_FLIGHT: usize = 64;
/// In how many rounds of a slow start the greatest number of requests at once is told.
const ROUNDS: u32 = 6;
const WORKERS: usize = 2;
/// How far from its place by age an event may arrive: as far as there are requests at a time,
/// of the worker that was killed and of the one that follows it. Farther may be no more events
/// than the killed one had begun to send.
const PLACES: usize = 2 * MOST_IN_FLIGHT;
/// How long all workers are watched to find the one that sends most.
const WATCH: Duration = Duration::from_millis(500);
/// Longest wait for the drain to come so far, and for the last delivery.
const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(20);

/// How to run this part.
#[derive(Debug, Args)]
pub(crate) struct Dead {
    /// With fewer deliveries, and shorter
    #[arg(long)]
    pub(crate) quick: bool,
    /// Deliveries that wait for the dead receiver; default 200000, with --quick 20000
    #[arg(long)]
    pub(crate) pending: Option<usize>,
}

/// What takes part.
struct Scene {
    database: Client,
    url: String,
    api: Service,
    workers: Vec<Service>,
    crowd: Crowd,
    dead: Uuid,
    receiver: Arc<Comeback>,
    postmaster: u32,
    pending: usize,
}

/// Healthy events while something goes on.
struct Phase {
    name: &'static str,
    events: Range<usize>,
}

/// How the backlog went once its receiver was back.
struct Drain {
    took: Duration,
    /// Without a worker that sent, as its owner was killed.
    paused: Duration,
    /// Arrivals before the kill.
    before: usize,
}

/// Runs all phases and prints what healthy events noticed of each.
///
/// # Errors
/// [`Failure`] when something does not start, an event is lost or comes far out of its order,
/// or a delivery is left.
pub(crate) async fn run(bench: &Bench, cluster: &Cluster, part: &Dead) -> Result<(), Failure> {
    let sizes = if part.quick { QUICK } else { WHOLE };
    let (pending, seconds) = (part.pending.unwrap_or(sizes.pending), sizes.beside_seconds);
    let mut scene = Scene::start(bench, cluster, pending).await?;
    println!("one dead receiver with {pending} pending deliveries beside {HEALTHY} healthy ones at {PER_SECOND}/s:");
    scene.crowd.send_for(1).await?;
    let (alone, cost_alone) = scene.measure("alone", seconds).await?;
    let holding = scene.hold(bench).await?;
    let (beside, cost_beside) = scene.measure("beside it", seconds).await?;
    let (drained, drain) = scene.drain(!part.quick).await?;
    let left = scene.backlog().over(PATIENCE).await?;
    let (again, cost_again) = scene.measure("alone again", seconds).await?;
    let both = scene.crowd.latencies([alone.events.clone(), again.events.clone()]);
    for phase in [&alone, &holding, &beside, &drained, &again] {
        let latencies = scene.crowd.latencies([phase.events.clone()]);
        let ratios = (at(&latencies, 0.5) / at(&both, 0.5), at(&latencies, 0.99) / at(&both, 0.99));
        println!("  {:<15} {}   ratio {:.2}, {:.2}", phase.name, spread(&latencies), ratios.0, ratios.1);
    }
    println!("  CPU of an event beside it: {:.2} of that alone", cost_beside * 2.0 / (cost_alone + cost_again));
    scene.print(&drain);
    let verdict = scene.close(left);
    scene.stop().await?;
    verdict
}

impl Scene {
    async fn start(bench: &Bench, cluster: &Cluster, pending: usize) -> Result<Self, Failure> {
        let url = make_database(&cluster.url(), "dead").await?;
        let api = Service::start("api", &url, &SETTINGS).await?;
        let mut workers = Vec::new();
        for _ in 0..WORKERS {
            workers.push(Service::start("worker", &url, &SETTINGS).await?);
        }
        let crowd = Crowd::gather(bench, &api).await?;
        let receiver = Arc::new(Comeback::new(pending));
        let id = api.subscribe(Arc::clone(&receiver).serve().await?, 0, OWED, Value::Null).await?;
        let dead = Uuid::parse_str(&id)?;
        let postmaster = postmaster(cluster)?;
        Ok(Self { database: connect(&url).await?, url, api, workers, crowd, dead, receiver, postmaster, pending })
    }

    fn backlog(&self) -> Backlog<'_> {
        Backlog { database: &self.database, subscription: self.dead }
    }

    /// Healthy events for so many seconds, and the CPU of each in µs.
    async fn measure(&self, name: &'static str, seconds: usize) -> Result<(Phase, f64), Failure> {
        let services = std::iter::once(&self.api).chain(&self.workers).map(Service::pid).collect();
        let meter = Meter { database: connect(&self.url).await?, services, postmaster: self.postmaster };
        let (before, began) = (meter.read().await?, Instant::now());
        let events = self.crowd.send_for(seconds).await?;
        tokio::time::sleep(RECORDED).await;
        let (service, postgres) = meter.read().await?.since(&before, events.len(), began.elapsed()).micros();
        Ok((Phase { name, events }, service + postgres))
    }

    /// The backlog falls due, and is put on hold.
    async fn hold(&self, bench: &Bench) -> Result<Phase, Failure> {
        let backlog = self.backlog();
        backlog.write(self.pending, bench.payload_bytes).await?;
        backlog.fall_due().await?;
        let began = Instant::now();
        let holding = async {
            backlog.held().await?;
            Ok(began.elapsed())
        };
        let (held, events) = self.crowd.send_during(holding).await?;
        println!("  held within {:.1} s, after {} failures", held.as_secs_f64(), self.receiver.refused());
        Ok(Phase { name: "while it is held", events })
    }

    /// A worker is lost while the receiver is dead, which is not the one that probes. Then the
    /// receiver comes back, and a quarter on another is: the one that sends, if `kills_sender`.
    async fn drain(&mut self, kills_sender: bool) -> Result<(Phase, Drain), Failure> {
        let Self { database, url, workers, crowd, dead, receiver, pending, .. } = self;
        let draining = async {
            let sender = sends_most(workers, "http_5xx").await?;
            replace(workers, (sender + 1) % WORKERS, url).await?;
            Backlog { database, subscription: *dead }.settled().await?;
            receiver.come_back();
            let began = Instant::now();
            arrived(receiver, *pending / 4).await?;
            let sender = sends_most(workers, "delivered").await?;
            replace(workers, if kills_sender { sender } else { (sender + 1) % WORKERS }, url).await?;
            let killed = (receiver.books().delivered, Instant::now());
            arrived(receiver, pending.saturating_sub(1).min(killed.0 + MOST_IN_FLIGHT)).await?;
            let paused = killed.1.elapsed();
            arrived(receiver, *pending).await?;
            Ok(Drain { took: began.elapsed(), paused, before: killed.0 })
        };
        let (drain, events) = crowd.send_during(draining).await?;
        Ok((Phase { name: "while it drains", events }, drain))
    }

    fn print(&self, drain: &Drain) {
        let sending = drain.took.saturating_sub(drain.paused).as_secs_f64();
        println!(
            "  drained within {:.1} s at {:.0}/s; a worker was killed after {} arrivals, the next ones came {:.1} s later",
            drain.took.as_secs_f64(),
            self.pending as f64 / sending,
            drain.before,
            drain.paused.as_secs_f64()
        );
        let rounds =
            (0..ROUNDS).map(|round| self.receiver.most_at_once((1 << round) - 1..(2 << round) - 1).to_string());
        let rounds: Vec<String> = rounds.collect();
        let (all, away) = (self.receiver.most_at_once(0..usize::MAX), self.receiver.most_out_of_order());
        let farther = self.receiver.farther_than(PLACES);
        println!("  requests at once, by rounds of 1, 2, 4 … arrivals: {} … {all}", rounds.join(" "));
        println!("  farthest from its place by age: {away} places; {farther} farther than {PLACES}");
    }

    /// Closes the books: all that was accepted has arrived, in order, and nothing is left.
    fn close(&self, left: (i64, i64, i64)) -> Result<(), Failure> {
        let (sent, arrived, again) = self.crowd.books();
        let books = self.receiver.books();
        println!(
            "ledger           accepted {} = delivered {} + lost {}; duplicated {}, unexpected {}; left {}, held {}, ended otherwise {}",
            sent + self.pending,
            arrived + books.delivered,
            sent + self.pending - arrived - books.delivered,
            again + books.duplicated,
            books.unexpected,
            left.0,
            left.1,
            left.2
        );
        let is_whole = arrived == sent && books.delivered == self.pending && books.unexpected == 0;
        if !is_whole || left != (0, 0, 0) {
            return Err(Failure::new("the ledger does not close".to_owned()));
        }
        if self.receiver.farther_than(PLACES) > MOST_IN_FLIGHT {
            return Err(Failure::new("the backlog did not come in order of age".to_owned()));
        }
        Ok(())
    }

    async fn stop(self) -> Result<(), Failure> {
        for service in self.workers.into_iter().chain([self.api]) {
            service.stop().await?;
        }
        Ok(())
    }
}

/// Which of the workers makes most attempts with this outcome; waits until one does.
async fn sends_most(workers: &[Service], outcome: &str) -> Result<usize, Failure> {
    loop {
        let mut made = Vec::with_capacity(workers.len());
        for worker in workers {
            made.push(worker.attempts(outcome).await?);
        }
        tokio::time::sleep(WATCH).await;
        for (worker, before) in workers.iter().zip(&mut made) {
            *before = worker.attempts(outcome).await? - *before;
        }
        let most = made.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1));
        if let Some((worker, 1.0..)) = most.map(|(worker, made)| (worker, *made)) {
            return Ok(worker);
        }
    }
}

/// Kills one of the workers and starts another.
async fn replace(workers: &mut Vec<Service>, worker: usize, url: &str) -> Result<(), Failure> {
    workers.remove(worker).kill().await?;
    workers.push(Service::start("worker", url, &SETTINGS).await?);
    Ok(())
}

/// Waits until so many different events have arrived.
async fn arrived(receiver: &Comeback, events: usize) -> Result<(), Failure> {
    // A thousand a second is the least that is waited for.
    let draining = Duration::from_millis(u64::try_from(events).unwrap_or(u64::MAX));
    let deadline = Instant::now() + PATIENCE + draining;
    while receiver.books().delivered < events {
        if Instant::now() > deadline {
            let delivered = receiver.books().delivered;
            return Err(Failure::new(format!("the backlog does not drain: {delivered} arrived, {events} should have")));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// The time below which this share of the sorted latencies is.
fn at(latencies: &[u64], share: f64) -> f64 {
    let index = (latencies.len() as f64 * share) as usize;
    latencies.get(index.min(latencies.len().saturating_sub(1))).copied().unwrap_or(0) as f64
}
