//! `held-transaction`: a transaction that somebody leaves open.
//!
//! `begin isolation level repeatable read` and one `select`: from then on PostgreSQL may not
//! remove a row version that became dead later, and whatever walks over the queue walks over
//! them all. Beside it events are left due and taken, or born leased, as fast as they are
//! delivered. Each slice must cost what the first did, as multiples of the same load to another
//! database in turn, which the transaction does not concern: so a busy machine is told from a
//! slower queue.

use std::time::{Duration, Instant};

use super::steady::SUBSCRIPTIONS;
use crate::deployment::{Deployment, Plan, Processes};
use crate::failure::Failure;
use crate::findings::{Findings, Table, met};
use crate::lab::{self, Lab};
use crate::ledger::Ledger;
use crate::load::Load;
use crate::meter::Spent;

/// How long receivers take over an answer.
const TAKES: Duration = Duration::from_millis(20);
/// Most events a second that there is room for.
const MOST_PER_SECOND: usize = 12_000;
/// Most events that are accepted and have not arrived: enough to keep all busy, and no backlog.
const MOST_OUTSTANDING: usize = 1_000;

/// A slice with the transaction open, and the control on another database right after it.
struct Slice {
    name: String,
    spent: Spent,
    control: Spent,
}

/// Measures both loads.
pub(crate) async fn run(lab: &Lab) -> Result<Findings, Failure> {
    let mut table = Table::new([
        "processes",
        "slice",
        "events (1/s)",
        "CPU (µs)",
        "postrider (µs)",
        "PostgreSQL (µs)",
        "WAL (B)",
        "control (1/s)",
        "control CPU (µs)",
        "rate of the first",
        "CPU of the first",
        "goal met",
    ]);
    let mut ledger = Ledger::default();
    for (name, processes) in [("api + worker", Processes::Apart(1)), ("serve", Processes::Serve)] {
        let slices = measure(lab, processes, name, &mut ledger).await?;
        let Some(first) = slices.first() else { continue };
        for slice in &slices {
            let (rate, cpu) = (slice.rate() / first.rate(), slice.cpu() / first.cpu());
            table.row([
                name.to_owned(),
                slice.name.clone(),
                format!("{:.0}", slice.spent.rate()),
                format!("{:.1}", slice.spent.cpu()),
                format!("{:.1}", slice.spent.service_cpu()),
                format!("{:.1}", slice.spent.postgres_cpu()),
                format!("{:.0}", slice.spent.wal()),
                format!("{:.0}", slice.control.rate()),
                format!("{:.1}", slice.control.cpu()),
                format!("{rate:.2}"),
                format!("{cpu:.2}"),
                met(rate >= 0.9 && cpu <= 1.1).to_owned(),
            ]);
        }
    }
    let how = format!(
        "{SUBSCRIPTIONS} subscriptions, receivers take {} ms, 64 connections, at most {MOST_OUTSTANDING} events in flight; a \
         transaction of isolation level repeatable read is open from the second slice on. The last ratios are to the slice before \
         it, both as multiples of the control: the same load to another database, a third of each slice. Goal: flat, 0.9 of the \
         rate and 1.1 of the CPU.",
        TAKES.as_millis()
    );
    Ok(Findings::new(table, how, ledger))
}

/// The slice before, those beside the transaction, and the one after.
async fn measure(lab: &Lab, processes: Processes, name: &str, ledger: &mut Ledger) -> Result<Vec<Slice>, Failure> {
    eprintln!("held-transaction: {name}");
    let (count, seconds) = lab.pick((6, 10), (3, 5));
    let plan = Plan::serve(TAKES, SUBSCRIPTIONS, MOST_PER_SECOND * seconds * (count + 3)).in_processes(processes);
    let mut pair = [Deployment::start(lab, plan, &[]).await?, Deployment::start(lab, plan, &[]).await?];
    slice(lab, &mut pair, seconds, "to warm up").await?;
    let mut slices = vec![slice(lab, &mut pair, seconds, "before").await?];
    let [deployment, _] = &pair;
    let holder = lab::connect(&deployment.database.url).await?;
    holder.batch_execute("begin isolation level repeatable read; select count(*) from pg_class").await?;
    for number in 0..count {
        let name = format!("open for {} to {} s", number * seconds, (number + 1) * seconds);
        slices.push(slice(lab, &mut pair, seconds, &name).await?);
    }
    holder.batch_execute("commit").await?;
    slices.push(slice(lab, &mut pair, seconds, "after").await?);
    // Its connection would keep the database from being removed.
    drop(holder);
    for deployment in &mut pair {
        deployment.stop().await?;
        ledger.join(&deployment.ledger());
    }
    Ok(slices)
}

/// Two thirds of the time for the one, and one third for the control.
async fn slice(lab: &Lab, pair: &mut [Deployment; 2], seconds: usize, name: &str) -> Result<Slice, Failure> {
    let [deployment, control] = pair;
    let third = Duration::from_secs(u64::try_from(seconds)?) / 3;
    let spent = deployment.load_for(lab, 2 * third).await?;
    Ok(Slice { name: name.to_owned(), spent, control: control.load_for(lab, third).await? })
}

impl Slice {
    /// As a multiple of the control.
    fn rate(&self) -> f64 {
        self.spent.rate() / self.control.rate()
    }

    /// As a multiple of the control.
    fn cpu(&self) -> f64 {
        self.spent.cpu() / self.control.cpu()
    }
}

impl Deployment {
    /// As many events as are delivered in this time, and none that waits.
    async fn load_for(&mut self, lab: &Lab, time: Duration) -> Result<Spent, Failure> {
        let load = Load {
            until: Some(Instant::now() + time),
            most_outstanding: Some(MOST_OUTSTANDING),
            ..Load::flood(MOST_PER_SECOND * (usize::try_from(time.as_secs())? + 1))
        };
        Ok(self.slice(lab, load).await?.spent)
    }
}
