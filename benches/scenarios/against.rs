//! `steady --against PROGRAM`: the same load to this postrider and to another one, each on a
//! database of its own, in slices that alternate. The ratio of each pair of slices shows
//! whether the hot path got dearer, and the spread of the ratios how far to believe it.

use std::path::Path;
use std::time::Duration;

use super::steady::SUBSCRIPTIONS;
use crate::deployment::{Deployment, Plan, Processes};
use crate::failure::Failure;
use crate::findings::{Findings, Table, spread};
use crate::lab::Lab;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::meter::Spent;
use crate::service::Launch;

/// Pairs of slices of each comparison.
const PAIRS: usize = 6;
/// How long receivers take over an answer, in milliseconds, and in which processes.
const COMPARED: [(u64, Processes, &str); 4] = [
    (0, Processes::Serve, "serve"),
    (20, Processes::Serve, "serve"),
    (0, Processes::Apart(1), "api + worker"),
    (20, Processes::Apart(1), "api + worker"),
];

/// Ratios of this postrider to the other.
struct Ratios {
    cpu: f64,
    wal: f64,
}

/// Compares in each way.
pub(crate) async fn run(lab: &Lab, program: &Path) -> Result<Findings, Failure> {
    let slice = lab.pick(5_000, 2_000);
    let mut ledger = Ledger::default();
    let pairs = (1..=PAIRS).map(|pair| format!("pair {pair}: CPU / WAL"));
    let columns =
        ["receiver takes (ms)", "processes", "this: CPU (µs)", "other: CPU (µs)", "median of pairs: CPU / WAL"];
    let mut table = Table::new(columns.map(str::to_owned).into_iter().chain(pairs));
    for (takes, processes, name) in COMPARED {
        eprintln!("steady: against {}, {name}, a receiver that takes {takes} ms", program.display());
        let plan = Plan::serve(Duration::from_millis(takes), SUBSCRIPTIONS, (PAIRS + 1) * slice);
        let plan = plan.in_processes(processes);
        let mut this = Deployment::start(lab, plan, &[]).await?;
        let database = lab.database().await?;
        let launch = Launch::of(program, &database.url);
        let mut other = Deployment::launch(database, launch, plan).await?;
        let ratios = pairs_of_slices(lab, &mut this, &mut other, slice).await?;
        let median = Ratios {
            cpu: spread(ratios.iter().map(|ratio| ratio.cpu)).0,
            wal: spread(ratios.iter().map(|ratio| ratio.wal)).0,
        };
        let figures = [this.spent.cpu(), other.spent.cpu()].map(|cpu| format!("{cpu:.1}"));
        let cells = [takes.to_string(), name.to_owned()].into_iter().chain(figures);
        table.row(cells.chain([&median].into_iter().chain(&ratios).map(ToString::to_string)));
        for deployment in [&mut this, &mut other] {
            deployment.stop().await?;
            ledger.join(&deployment.ledger());
        }
    }
    let how = format!(
        "Floods of {slice} events over 64 connections to {SUBSCRIPTIONS} subscriptions, this postrider and {} in turn, each \
         on a database of its own. Below 1 this one is cheaper. Goal: at most 1, within the spread of the pairs.",
        program.display()
    );
    Ok(Findings::new(table, how, ledger))
}

async fn pairs_of_slices(
    lab: &Lab,
    this: &mut Deployment,
    other: &mut Deployment,
    slice: usize,
) -> Result<Vec<Ratios>, Failure> {
    this.send(Load::flood(slice)).await?;
    other.send(Load::flood(slice)).await?;
    let mut ratios = Vec::with_capacity(PAIRS);
    for pair in 0..PAIRS {
        // Each begins as often as the other.
        let (mine, others) = if pair % 2 == 0 {
            let mine = this.slice(lab, Load::flood(slice)).await?;
            (mine, other.slice(lab, Load::flood(slice)).await?)
        } else {
            let others = other.slice(lab, Load::flood(slice)).await?;
            (this.slice(lab, Load::flood(slice)).await?, others)
        };
        ratios.push(Ratios::of(&mine.spent, &others.spent));
    }
    Ok(ratios)
}

impl Ratios {
    fn of(this: &Spent, other: &Spent) -> Self {
        Self { cpu: this.cpu() / other.cpu(), wal: this.wal() / other.wal() }
    }
}

impl std::fmt::Display for Ratios {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} / {:.2}", self.cpu, self.wal)
    }
}
