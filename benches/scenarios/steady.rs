//! `steady`: what an event costs and how long it takes when nothing is wrong.
//!
//! Two tenants with fifty subscriptions each, over one `serve`: idle latency, 1,000 events a
//! second, and as many as 64 connections bring, in slices that alternate with the two
//! baselines. All of it with receivers that take 0, 20, 50 and 200 ms.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::against;
use crate::baseline::{Baseline, Shape};
use crate::counts::Counts;
use crate::deployment::{Deployment, Plan, Processes};
use crate::failure::Failure;
use crate::findings::{Findings, Table};
use crate::lab::Lab;
use crate::latency::Latencies;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::meter::{Spent, resident_mib};
use crate::producer::PAYLOAD_BYTES;

/// How long receivers take over an answer, in milliseconds.
pub(crate) const TAKES: [u64; 4] = [0, 20, 50, 200];
/// Subscriptions of both tenants together: enough that no cap of one of them is met.
pub(crate) const SUBSCRIPTIONS: usize = 100;
/// Slices of the flood, between which the baselines are measured.
const SLICES: usize = 5;
/// Events in a statement while the baseline warms up.
const WARM_BATCH: usize = 32;

/// What to compare with.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Steady {
    /// Another postrider to load in turn, as of the commit before; prints the ratios alone
    #[arg(long, value_name = "PROGRAM")]
    against: Option<PathBuf>,
}

/// Events of each phase.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    warm_up: usize,
    /// At 20 a second.
    idle: usize,
    /// At 1,000 a second.
    paced: usize,
    flood: usize,
}

const WHOLE: Sizes = Sizes { warm_up: 2_000, idle: 200, paced: 5_000, flood: 20_000 };
const QUICK: Sizes = Sizes { warm_up: 1_000, idle: 60, paced: 2_000, flood: 10_000 };

/// What was measured with one receiver.
struct Measured {
    idle_mib: f64,
    loaded_mib: f64,
    idle: Latencies,
    paced_answers: Latencies,
    paced: Latencies,
    flood: Flood,
    counts: (Counts, usize),
}

/// The flood and its baselines.
#[derive(Default)]
struct Flood {
    answers: Latencies,
    arrivals: Latencies,
    spent: Spent,
    posts_out: Spent,
    posts_in_out: Spent,
}

impl Steady {
    /// Measures each receiver after the other.
    pub(crate) async fn run(&self, lab: &Lab) -> Result<Findings, Failure> {
        if let Some(program) = &self.against {
            return against::run(lab, program).await;
        }
        let mut ledger = Ledger::default();
        let mut measured = Vec::new();
        for takes in TAKES {
            measured.push(measure(lab, Duration::from_millis(takes), &mut ledger).await?);
        }
        let how = format!(
            "Two tenants, {SUBSCRIPTIONS} subscriptions, {PAYLOAD_BYTES} bytes, one `serve`; the flood over 64 connections in \
             {SLICES} slices, in turn with the baselines: the same two statements beside bare POSTs out, or in and out. \
             Goals: idle p50 1.5 ms, p99 5 ms; 202 at 1,000/s p99 5 ms; CPU 80 µs; WAL 1,650 B; statements 0.05; 0.75 and \
             0.85 of the baselines; idle memory 15 MiB."
        );
        Ok(Findings::new(table(&measured), how, ledger))
    }
}

async fn measure(lab: &Lab, takes: Duration, ledger: &mut Ledger) -> Result<Measured, Failure> {
    eprintln!("steady: a receiver that takes {} ms", takes.as_millis());
    let sizes = lab.pick(WHOLE, QUICK);
    let events = 2 * sizes.warm_up + sizes.idle + sizes.paced + sizes.flood;
    let mut deployment = Deployment::start(lab, Plan::serve(takes, SUBSCRIPTIONS, events), &[]).await?;
    let idle_mib = resident_mib(deployment.first()?);
    deployment.send(Load::flood(sizes.warm_up)).await?;
    let idle = deployment.send(Load::paced(sizes.idle, 20.0)).await?;
    let paced = deployment.send(Load::paced(sizes.paced, 1_000.0)).await?;
    deployment.restart(Processes::Serve).await?;
    deployment.send(Load::flood(sizes.warm_up)).await?;
    let flood = flood(lab, &mut deployment, sizes.flood, takes).await?;
    let loaded_mib = resident_mib(deployment.first()?);
    let (idle, arrivals) = (deployment.latencies(&idle.events), deployment.latencies(&paced.events));
    let counts = deployment.stop().await?;
    ledger.join(&deployment.ledger());
    Ok(Measured {
        idle_mib,
        loaded_mib,
        idle,
        paced_answers: paced.answers,
        paced: arrivals,
        flood,
        counts: (counts, sizes.warm_up + sizes.flood),
    })
}

/// Slices of the loaded service and of the baselines in turn.
async fn flood(lab: &Lab, deployment: &mut Deployment, events: usize, takes: Duration) -> Result<Flood, Failure> {
    let slice = events / SLICES;
    // Both baselines of each slice, and one to warm up.
    let shape = Shape::new(takes, PAYLOAD_BYTES, (2 * SLICES + 1) * slice);
    let mut baseline = Baseline::start(lab, shape).await?;
    baseline.slice(slice, WARM_BATCH, false).await?;
    let mut flood = Flood::default();
    for _ in 0..SLICES {
        let earlier = deployment.first()?.batches().await?;
        let measured = deployment.slice(lab, Load::flood(slice)).await?;
        // The service spends two statements on a batch of events.
        let batches = (deployment.first()?.batches().await? - earlier) / 2.0;
        let batch = (slice as f64 / batches).round().max(1.0) as usize;
        flood.arrivals.join(deployment.latencies(&measured.sent.events));
        flood.answers.join(measured.sent.answers);
        flood.spent += measured.spent;
        flood.posts_out += baseline.slice(slice, batch, false).await?;
        flood.posts_in_out += baseline.slice(slice, batch, true).await?;
    }
    baseline.stop().await?;
    Ok(flood)
}

/// A line for each figure, a column for each receiver.
fn table(measured: &[Measured]) -> Table {
    let receivers = TAKES.iter().map(|takes| format!("receiver takes {takes} ms"));
    let mut table = Table::new(["what (unit)".to_owned()].into_iter().chain(receivers));
    let mut line = |name: &str, figure: &dyn Fn(&Measured) -> String| {
        table.row([name.to_owned()].into_iter().chain(measured.iter().map(figure)));
    };
    let pair = |latencies: &Latencies| format!("{:.2} / {:.2}", latencies.p50(), latencies.p99());
    line("idle memory (MiB)", &|m| format!("{:.1}", m.idle_mib));
    line("loaded memory (MiB)", &|m| format!("{:.1}", m.loaded_mib));
    line("20/s: request to arrival, p50 / p99 (ms)", &|m| pair(&m.idle));
    line("1,000/s: request to 202, p50 / p99 (ms)", &|m| pair(&m.paced_answers));
    line("1,000/s: request to arrival, p50 / p99 (ms)", &|m| pair(&m.paced));
    line("flood: events delivered (1/s)", &|m| format!("{:.0}", m.flood.spent.rate()));
    line("flood: request to 202, p50 / p99 (ms)", &|m| pair(&m.flood.answers));
    line("flood: request to arrival, p50 / p99 (ms)", &|m| pair(&m.flood.arrivals));
    line("flood: CPU per event (µs)", &|m| format!("{:.1}", m.flood.spent.cpu()));
    line("flood: of it postrider / PostgreSQL (µs)", &|m| {
        format!("{:.1} / {:.1}", m.flood.spent.service_cpu(), m.flood.spent.postgres_cpu())
    });
    line("flood: WAL per event (B)", &|m| format!("{:.0}", m.flood.spent.wal()));
    line("flood: statements per event", &|m| format!("{:.3}", m.counts.0.statements(m.counts.1)));
    line("flood: rows inserted / updated / deleted per event", &|m| {
        let (inserted, updated, deleted) = m.counts.0.rows(m.counts.1);
        format!("{inserted:.2} / {updated:.2} / {deleted:.2}")
    });
    line("flood: buffers per event", &|m| format!("{:.1}", m.counts.0.buffers(m.counts.1)));
    line("baseline \"POSTs out\": events (1/s)", &|m| format!("{:.0}", m.flood.posts_out.rate()));
    line("ratio to it: rate / CPU", &|m| ratios(&m.flood.spent, &m.flood.posts_out));
    line("baseline \"POSTs in, out\": events (1/s)", &|m| format!("{:.0}", m.flood.posts_in_out.rate()));
    line("ratio to it: rate / CPU", &|m| ratios(&m.flood.spent, &m.flood.posts_in_out));
    table
}

fn ratios(spent: &Spent, baseline: &Spent) -> String {
    format!("{:.2} / {:.2}", spent.rate() / baseline.rate(), spent.cpu() / baseline.cpu())
}
