//! `dead-receiver`: healthy receivers beside a dead one with a large backlog.
//!
//! One API, two workers, a hundred healthy subscriptions of two tenants at 500 events a
//! second, and one subscription whose receiver answers 500 while its whole backlog becomes due
//! at one moment. Healthy events are timed alone, while that happens, beside the backlog,
//! while a worker is killed, while the receiver is back and the backlog drains (and the worker
//! that sends is killed half-way), and alone again.

use std::ops::Range;
use std::time::{Duration, Instant};

use clap::Args;
use time::OffsetDateTime;

use super::dead_receiver_stage::{HEALTHY, PER_SECOND, Stage};
use crate::bare;
use crate::failure::Failure;
use crate::findings::{Findings, Table, met};
use crate::lab::Lab;
use crate::latency::Latencies;
use crate::ledger::Ledger;
use crate::meter::Meter;
use crate::rows;
use crate::takeover::Takeover;

/// How long every receiver takes over an answer.
pub(crate) const TAKES: Duration = Duration::from_millis(20);
/// Most requests at a time to one subscription; the default.
const MOST_AT_ONCE: usize = 64;
/// Events of a backlog that are published in a second, with a margin: it must be there when it
/// becomes due.
const PUBLISHED_PER_SECOND: usize = 10_000;
/// Time to look around before the backlog becomes due.
const AHEAD: Duration = Duration::from_secs(3);

/// How large the backlog is.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DeadReceiver {
    /// Deliveries that wait for the dead receiver; default 200000, with --quick 20000
    #[arg(long)]
    pending: Option<usize>,
}

/// Healthy events while something goes on.
struct Phase {
    name: &'static str,
    events: Range<usize>,
    /// CPU of an event, in µs, where nothing else was sent.
    cpu: Option<f64>,
}

/// How the backlog went once its receiver was back.
pub(crate) struct Drain {
    pub(crate) takeover: Takeover,
    /// From the return of the receiver to the last arrival, in seconds.
    pub(crate) took: f64,
    /// From the return of the receiver until its breaker was closed, in seconds.
    pub(crate) closed: f64,
}

impl DeadReceiver {
    /// Runs all phases.
    pub(crate) async fn run(&self, lab: &Lab) -> Result<Findings, Failure> {
        let pending = self.pending.unwrap_or(lab.pick(200_000, 20_000));
        let seconds = lab.pick(10, 4);
        let capacity = bare::capacity(TAKES, MOST_AT_ONCE, lab.pick(4, 2)).await?;
        let mut stage = Stage::start(lab, pending).await?;
        stage.background.send_for(2).await?;
        let mut phases = vec![stage.measure(lab, "alone", seconds).await?];
        phases.extend(stage.become_due(pending, seconds).await?);
        phases.push(stage.measure(lab, "beside the backlog", seconds).await?);
        phases.push(stage.lose_a_worker(seconds).await?);
        let (drain, events) = stage.drain(pending).await?;
        phases.push(Phase { name: "while it drains", events, cpu: None });
        stage.finish().await?;
        phases.push(stage.measure(lab, "alone again", seconds).await?);
        let ledger = Ledger { may_repeat: true, ..Ledger::of([&*stage.healthy, &*stage.dead]) };
        let (phases, drain) = (phases_table(&stage, &phases), drain_table(&drain, capacity));
        let disorder = stage.most_out_of_order(pending);
        stage.stop().await?;
        let how = format!(
            "{pending} deliveries for one receiver that answers 500, all due at one moment, beside {HEALTHY} healthy ones at \
             {PER_SECOND}/s; receivers take {} ms; one `api`, two `worker`s, of which one is killed beside the backlog and the \
             one that sends while it drains; a bare client with {MOST_AT_ONCE} connections gets {capacity:.0}/s. Farthest from \
             its place by age: {disorder} places. Goals: p99 at most 1.5 x alone + 20 ms from the first second; 0.9 of the \
             bare client.",
            TAKES.as_millis()
        );
        Ok(Findings::new(phases, how, ledger).and(drain))
    }
}

impl Stage {
    /// Healthy events for so many seconds.
    async fn measure(&self, lab: &Lab, name: &'static str, seconds: usize) -> Result<Phase, Failure> {
        let meter = Meter::new(lab, &self.database, self.services())?;
        let (before, began) = (meter.read().await?, Instant::now());
        let events = self.background.send_for(seconds).await?;
        let spent = meter.since(&before, events.len(), began.elapsed()).await?;
        Ok(Phase { name, events, cpu: Some(spent.cpu()) })
    }

    /// Writes the backlog, and sends healthy events from a moment before it becomes due until its
    /// breaker has opened, so many seconds at least.
    async fn become_due(&self, pending: usize, seconds: usize) -> Result<[Phase; 2], Failure> {
        let writing = Duration::from_secs_f64(pending as f64 / PUBLISHED_PER_SECOND as f64);
        let due = OffsetDateTime::now_utc() + writing + AHEAD;
        self.backlog().write(pending, Some(due)).await?;
        let wait = due - OffsetDateTime::now_utc();
        tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
        let opening = async {
            let first = tokio::time::Instant::now();
            self.until_breaker("open").await?;
            tokio::time::sleep_until(first + Duration::from_secs(u64::try_from(seconds)?)).await;
            Ok(())
        };
        let ((), events) = self.background.send_during(opening).await?;
        let first = events.start..events.start + PER_SECOND;
        let first = Phase { name: "first second of the backlog", events: first, cpu: None };
        Ok([first, Phase { name: "until its breaker is open", events, cpu: None }])
    }

    /// The worker that does not probe is killed and replaced.
    async fn lose_a_worker(&mut self, seconds: usize) -> Result<Phase, Failure> {
        let prober = self.sends_most("http_5xx").await?;
        let Self { workers, launch, background, .. } = self;
        let losing = async {
            let first = tokio::time::Instant::now();
            workers.remove((prober + 1) % workers.len()).kill().await?;
            workers.push(launch.worker().await?);
            tokio::time::sleep_until(first + Duration::from_secs(u64::try_from(seconds)?)).await;
            Ok(())
        };
        let ((), events) = background.send_during(losing).await?;
        Ok(Phase { name: "while a worker is killed", events, cpu: None })
    }

    /// Waits until nothing is left of any delivery.
    async fn finish(&self) -> Result<(), Failure> {
        /// Longest wait for the last delivery.
        const PATIENCE: Duration = Duration::from_secs(180);
        let deadline = Instant::now() + PATIENCE;
        loop {
            match rows::all_outstanding(&self.database.client).await? {
                (0, 0) => return Ok(()),
                (left, ended) if Instant::now() > deadline => {
                    let sentence = format!("{left} deliveries are left, {ended} ended without a success");
                    return Err(Failure::new(sentence));
                }
                _ => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

fn phases_table(stage: &Stage, phases: &[Phase]) -> Table {
    let columns =
        ["healthy events", "events", "p50 (ms)", "p99 (ms)", "worst (ms)", "p99 of alone", "CPU (µs)", "goal met"];
    let mut table = Table::new(columns);
    // Both phases alone together are less of a chance than the first.
    let mut alone = Latencies::default();
    for phase in [phases.first(), phases.last()].into_iter().flatten() {
        alone.join(stage.background.latencies(&phase.events));
    }
    for phase in phases {
        let latencies = stage.background.latencies(&phase.events);
        table.row([
            phase.name.to_owned(),
            latencies.len().to_string(),
            format!("{:.1}", latencies.p50()),
            format!("{:.1}", latencies.p99()),
            format!("{:.1}", latencies.greatest()),
            format!("{:.2}", latencies.p99() / alone.p99()),
            phase.cpu.map_or("-".to_owned(), |cpu| format!("{cpu:.0}")),
            met(latencies.p99() <= 1.5 * alone.p99() + 20.0).to_owned(),
        ]);
    }
    table
}

fn drain_table(drain: &Drain, capacity: f64) -> Table {
    let mut table = Table::new(["drain", "arrivals (1/s)", "of the bare client", "goal met"]);
    for (name, rate) in
        [("before the worker that sends is killed", drain.takeover.before), ("after", drain.takeover.after)]
    {
        let share = rate / capacity;
        table.row([name.to_owned(), format!("{rate:.0}"), format!("{share:.2}"), met(share >= 0.9).to_owned()]);
    }
    let seconds = [
        ("longest pause after the kill (s)", drain.takeover.pause),
        ("from the receiver's return to the last arrival (s)", drain.took),
        ("to the closed breaker (s)", drain.closed),
    ];
    for (name, seconds) in seconds {
        table.row([name.to_owned(), format!("{seconds:.1}"), "-".to_owned(), "-".to_owned()]);
    }
    table
}
