//! `stored`: beside millions of rows against a fresh database.
//!
//! Ten million attempts, two million events and two million scheduled deliveries of a thousand
//! tenants are written by SQL; then the same load to a replica on that database and to one on a
//! fresh one, in slices that alternate.

use std::time::Duration;

use clap::Args;

use super::steady::SUBSCRIPTIONS;
use crate::dataset::{self, Sizes};
use crate::deployment::{Deployment, Plan, Processes};
use crate::failure::Failure;
use crate::findings::{Findings, Table, met};
use crate::lab::{Database, Lab};
use crate::latency::Latencies;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::looks::{self, Looks};
use crate::meter::Spent;
use crate::service::Launch;

/// How long receivers take over an answer.
const TAKES: Duration = Duration::from_millis(20);
/// Pairs of slices.
const PAIRS: usize = 5;
/// Events a second while latencies are taken.
const PER_SECOND: f64 = 500.0;

/// How much is stored.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Stored {
    /// Attempts in the log; default 10000000, with --quick 500000
    #[arg(long)]
    attempts: Option<usize>,
    /// Events; default 2000000, with --quick 100000
    #[arg(long)]
    events: Option<usize>,
    /// Deliveries that are scheduled, at most as many as events; default 2000000, with --quick 100000
    #[arg(long)]
    scheduled: Option<usize>,
    /// Tenants; default 1000, with --quick 50
    #[arg(long)]
    tenants: Option<usize>,
    /// Only lists, searches and analytics, without the load beside a fresh database
    #[arg(long)]
    looks: bool,
    /// Also the screens of the dashboard, in Chromium; needs Node and `make dashboard` once
    #[arg(long)]
    screens: bool,
}

const LOOKED: &str = "Lists, searches and analytics: the first page, ten calls after one that warms; a plus says that there is more. \
                      Goal: a median below 200 ms, payload searches apart; no table of the history is read in sequence.";

/// What was measured of one database.
struct Measured {
    spent: Spent,
    latencies: Latencies,
}

impl Stored {
    fn sizes(&self, lab: &Lab) -> Sizes {
        Sizes {
            attempts: self.attempts.unwrap_or(lab.pick(10_000_000, 500_000)),
            events: self.events.unwrap_or(lab.pick(2_000_000, 100_000)),
            scheduled: self.scheduled.unwrap_or(lab.pick(2_000_000, 100_000)),
            tenants: self.tenants.unwrap_or(lab.pick(1_000, 50)),
        }
    }

    /// Writes the rows and compares.
    pub(crate) async fn run(&self, lab: &Lab) -> Result<Findings, Failure> {
        let sizes = self.sizes(lab);
        let (paced, slice) = lab.pick((5_000, 5_000), (1_500, 2_000));
        let plan = Plan::serve(TAKES, SUBSCRIPTIONS, 2 * (paced + (PAIRS + 1) * slice));
        eprintln!("stored: writing {} attempts", sizes.attempts);
        let database = lab.database().await?;
        let launch = Launch::on(&database.url);
        launch.serve().await?.stop().await?;
        dataset::write(&database.client, sizes).await?;
        let looks = looks(&database, &launch, self.screens).await?;
        if self.looks {
            let findings = Findings::new(looks.table, LOOKED, Ledger::default());
            return Ok(Findings { exceeded: looks.exceeded, ..findings });
        }
        let mut deployments =
            [Deployment::start(lab, plan, &[]).await?, Deployment::launch(database, launch, plan).await?];
        let mut table = Table::new([
            "processes",
            "database",
            "500/s: to arrival, p50 / p99 (ms)",
            "flood (1/s)",
            "CPU (µs)",
            "postrider (µs)",
            "PostgreSQL (µs)",
            "WAL (B)",
            "rate of fresh",
            "CPU of fresh",
            "goal met",
        ]);
        for (name, processes) in [("serve", Processes::Serve), ("api + worker", Processes::Apart(1))] {
            eprintln!("stored: {name}");
            let measured = measure(lab, &mut deployments, processes, paced, slice).await?;
            add(&mut table, name, &measured);
        }
        let mut ledger = Ledger::default();
        for deployment in &mut deployments {
            deployment.stop().await?;
            ledger.join(&deployment.ledger());
        }
        let how = format!(
            "{} attempts, {} events, {} scheduled deliveries, {} tenants against a fresh database; {SUBSCRIPTIONS} subscriptions, \
             receivers take {} ms; {PAIRS} pairs of slices in turn. Goal: 0.9 of the fresh one.",
            sizes.attempts,
            sizes.events,
            sizes.scheduled,
            sizes.tenants,
            TAKES.as_millis()
        );
        let findings = Findings::new(table, format!("{how} {LOOKED}"), ledger).and(looks.table);
        Ok(Findings { exceeded: looks.exceeded, ..findings })
    }
}

/// By a replica that has folded the history into its analytics.
async fn looks(database: &Database, launch: &Launch, with_screens: bool) -> Result<Looks, Failure> {
    let folded = looks::fold(&database.client).await?;
    eprintln!("folding an attempt into the roll-ups took {folded:.1} µs");
    let service = launch.serve().await?;
    let operator = launch.operator().await?;
    let looks = looks::look(database, &service, &operator).await?;
    if with_screens {
        looks::screens(&service, &operator).await?;
    }
    service.stop().await?;
    Ok(looks)
}

/// The fresh database first.
async fn measure(
    lab: &Lab,
    deployments: &mut [Deployment; 2],
    processes: Processes,
    paced: usize,
    slice: usize,
) -> Result<[Measured; 2], Failure> {
    let mut latencies = Vec::with_capacity(deployments.len());
    for deployment in deployments.iter_mut() {
        deployment.restart(processes).await?;
        deployment.spent = Spent::default();
        deployment.send(Load::flood(slice)).await?;
        let sent = deployment.send(Load::paced(paced, PER_SECOND)).await?;
        latencies.push(deployment.latencies(&sent.events));
    }
    for pair in 0..PAIRS {
        // Each begins as often as the other.
        let order = if pair % 2 == 0 { [0, 1] } else { [1, 0] };
        for place in order {
            if let Some(deployment) = deployments.get_mut(place) {
                deployment.slice(lab, Load::flood(slice)).await?;
            }
        }
    }
    let [fresh, stored] = deployments;
    let mut latencies = latencies.into_iter();
    Ok([fresh, stored]
        .map(|deployment| Measured { spent: deployment.spent, latencies: latencies.next().unwrap_or_default() }))
}

fn add(table: &mut Table, processes: &str, measured: &[Measured; 2]) {
    let [fresh, _] = measured;
    for (name, Measured { spent, latencies }) in ["fresh", "stored"].into_iter().zip(measured) {
        let (rate, cpu) = (spent.rate() / fresh.spent.rate(), spent.cpu() / fresh.spent.cpu());
        table.row([
            processes.to_owned(),
            name.to_owned(),
            format!("{:.2} / {:.2}", latencies.p50(), latencies.p99()),
            format!("{:.0}", spent.rate()),
            format!("{:.1}", spent.cpu()),
            format!("{:.1}", spent.service_cpu()),
            format!("{:.1}", spent.postgres_cpu()),
            format!("{:.0}", spent.wal()),
            format!("{rate:.2}"),
            format!("{cpu:.2}"),
            met(rate >= 0.9 && cpu <= 1.0 / 0.9).to_owned(),
        ]);
    }
}
