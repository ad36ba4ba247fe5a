//! `held-transaction`: a transaction that somebody leaves open.
//!
//! `begin isolation level repeatable read` and one `select`: from then on PostgreSQL may not
//! remove a row version that became dead later, and whatever walks over the queue walks over
//! them all. Beside it events are left due and claimed, or born leased, as fast as they are
//! delivered; each slice must cost what the first did.

use std::time::{Duration, Instant};

use super::steady::SUBSCRIPTIONS;
use crate::failure::Failure;
use crate::findings::{Findings, Table, met};
use crate::lab::{self, Lab};
use crate::ledger::Ledger;
use crate::load::Load;
use crate::meter::Spent;
use crate::side::{Plan, Processes, Side};

/// How long receivers take over an answer.
const TAKES: Duration = Duration::from_millis(20);
/// Most events a second that there is room for.
const MOST_PER_SECOND: usize = 12_000;
/// Most events that are accepted and have not arrived: enough to keep all busy, and no backlog.
const MOST_OUTSTANDING: usize = 1_000;

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
        "rate of the first",
        "CPU of the first",
        "goal met",
    ]);
    let mut ledger = Ledger::default();
    for (name, processes) in [("api + worker", Processes::Apart(1)), ("serve", Processes::Serve)] {
        for (slice, spent, first) in measure(lab, processes, name, &mut ledger).await? {
            let (rate, cpu) = (spent.rate() / first.rate(), spent.cpu() / first.cpu());
            table.row([
                name.to_owned(),
                slice,
                format!("{:.0}", spent.rate()),
                format!("{:.1}", spent.cpu()),
                format!("{:.1}", spent.service_cpu()),
                format!("{:.1}", spent.postgres_cpu()),
                format!("{:.0}", spent.wal()),
                format!("{rate:.2}"),
                format!("{cpu:.2}"),
                met(rate >= 0.9 && cpu <= 1.1).to_owned(),
            ]);
        }
    }
    let how = format!(
        "{SUBSCRIPTIONS} subscriptions, receivers take {} ms, 64 connections, at most {MOST_OUTSTANDING} events under way; a \
         transaction of isolation level repeatable read is open from the first slice on. Goal: flat, 0.9 of the rate and 1.1 \
         of the CPU of the slice before it.",
        TAKES.as_millis()
    );
    Ok(Findings::new(table, how, ledger))
}

/// The slice before, those beside the transaction, and the one after; each with the first.
async fn measure(
    lab: &Lab,
    processes: Processes,
    name: &str,
    ledger: &mut Ledger,
) -> Result<Vec<(String, Spent, Spent)>, Failure> {
    eprintln!("held-transaction: {name}");
    let (slices, seconds) = lab.pick((6, 10), (3, 5));
    let events = MOST_PER_SECOND * seconds * (slices + 3);
    let plan = Plan::serve(TAKES, SUBSCRIPTIONS, events).in_processes(processes);
    let mut side = Side::start(lab, plan, &[]).await?;
    side.load_for(lab, seconds).await?;
    let first = side.load_for(lab, seconds).await?;
    let mut measured = vec![("before".to_owned(), first, first)];
    let holder = lab::connect(&side.database.url).await?;
    holder.batch_execute("begin isolation level repeatable read; select count(*) from pg_class").await?;
    for slice in 0..slices {
        let spent = side.load_for(lab, seconds).await?;
        measured.push((format!("open for {} to {} s", slice * seconds, (slice + 1) * seconds), spent, first));
    }
    holder.batch_execute("commit").await?;
    measured.push(("after".to_owned(), side.load_for(lab, seconds).await?, first));
    side.stop().await?;
    ledger.join(&side.ledger());
    Ok(measured)
}

impl Side {
    /// As many events as are delivered in so many seconds, and none that waits.
    async fn load_for(&mut self, lab: &Lab, seconds: usize) -> Result<Spent, Failure> {
        let until = Instant::now() + Duration::from_secs(u64::try_from(seconds)?);
        let load = Load {
            until: Some(until),
            most_outstanding: Some(MOST_OUTSTANDING),
            ..Load::flood(MOST_PER_SECOND * seconds)
        };
        Ok(self.slice(lab, load).await?.spent)
    }
}
