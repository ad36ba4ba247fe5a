//! `processes`: one `api` and 1, 2 or 4 `worker`s, beside one `serve`.
//!
//! From the producer's request to the receiver at 50 and 500 events a second, the most that is
//! delivered, and how many takes from the queue bring nothing; for one subscription and for a
//! hundred. Then a worker is killed that shares a backlog with another.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::backlog::{self, Backlog};
use crate::deployment::{Deployment, Plan, Processes};
use crate::failure::Failure;
use crate::findings::{Findings, Table, met};
use crate::lab::Lab;
use crate::latency::Latencies;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::receiver::Receiver;
use crate::service::Service;
use crate::takeover::{Takeover, arrived, sends_most};

/// How long receivers take over an answer.
const TAKES: Duration = Duration::from_millis(20);
const SUBSCRIPTIONS: [usize; 2] = [1, 100];
const PROCESSES: [(&str, Processes); 4] = [
    ("serve", Processes::Serve),
    ("api + 1 worker", Processes::Apart(1)),
    ("api + 2 workers", Processes::Apart(2)),
    ("api + 4 workers", Processes::Apart(4)),
];
/// Most events a second that there is room for.
const MOST_PER_SECOND: usize = 12_000;
/// Most events that are accepted and have not arrived, while as many as possible are delivered.
const MOST_OUTSTANDING: usize = 4_000;
/// Deliveries that both workers share when one of them is killed.
const BACKLOG: usize = 20_000;
/// Short leases, so that what the killed worker held is soon the other's.
const SHORT_LEASES: [(&str, &str); 2] = [("POSTRIDER_REQUEST_TIMEOUT", "1s"), ("POSTRIDER_LEASE", "6s")];

/// Measures each number of processes.
pub(crate) async fn run(lab: &Lab) -> Result<Findings, Failure> {
    let mut table = Table::new([
        "subscriptions",
        "processes",
        "50/s: to arrival, p50 / p99 (ms)",
        "500/s: p50 / p99 (ms)",
        "empty takes at 500/s",
        "most (1/s)",
        "CPU (µs)",
        "WAL (B)",
        "empty takes at most",
        "goal met",
    ]);
    let mut ledger = Ledger::default();
    for subscriptions in SUBSCRIPTIONS {
        for (name, processes) in PROCESSES {
            eprintln!("processes: {subscriptions} subscriptions, {name}");
            let row = measure(lab, subscriptions, processes, &mut ledger).await?;
            table.row([subscriptions.to_string(), name.to_owned()].into_iter().chain(row));
        }
    }
    let takeover = takeover(lab, &mut ledger).await?;
    let mut lost = Table::new(["a worker is killed", "arrivals before (1/s)", "after (1/s)", "longest pause (s)"]);
    lost.row([
        format!("one of two, with {BACKLOG} due deliveries"),
        format!("{:.0}", takeover.before),
        format!("{:.0}", takeover.after),
        format!("{:.2}", takeover.pause),
    ]);
    let how = format!(
        "Receivers take {} ms; the most is what 64 connections bring with at most {MOST_OUTSTANDING} events in flight, and one \
         subscription gets 64 requests at once from each process. The pause is the longest time without an arrival after the \
         kill. Goals: p50 10 ms at both rates; a tenth of empty takes.",
        TAKES.as_millis()
    );
    Ok(Findings::new(table, how, ledger).and(lost))
}

/// The cells of one row after its names.
async fn measure(
    lab: &Lab,
    subscriptions: usize,
    processes: Processes,
    ledger: &mut Ledger,
) -> Result<[String; 8], Failure> {
    let (slow, fast, seconds) = lab.pick((250, 5_000, 10), (100, 1_500, 4));
    let events = slow + fast + MOST_PER_SECOND * seconds;
    let plan = Plan::serve(TAKES, subscriptions, events).in_processes(processes);
    let mut deployment = Deployment::start(lab, plan, &[]).await?;
    let slow = deployment.send(Load::paced(slow, 50.0)).await?;
    let before = takes(&deployment.services).await?;
    let fast = deployment.send(Load::paced(fast, 500.0)).await?;
    let between = takes(&deployment.services).await?;
    let until = Instant::now() + Duration::from_secs(u64::try_from(seconds)?);
    let load =
        Load { until: Some(until), most_outstanding: Some(MOST_OUTSTANDING), ..Load::flood(MOST_PER_SECOND * seconds) };
    let spent = deployment.slice(lab, load).await?.spent;
    let after = takes(&deployment.services).await?;
    deployment.stop().await?;
    ledger.join(&deployment.ledger());
    let (slow, fast) = (deployment.latencies(&slow.events), deployment.latencies(&fast.events));
    let pair = |latencies: &Latencies| format!("{:.2} / {:.2}", latencies.p50(), latencies.p99());
    let share = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{share:.2}"));
    let (at_500, at_most) = (empty(before, between), empty(between, after));
    let is_met = slow.p50() <= 10.0 && fast.p50() <= 10.0 && at_most.is_none_or(|share| share <= 0.1);
    Ok([
        pair(&slow),
        pair(&fast),
        share(at_500),
        format!("{:.0}", spent.rate()),
        format!("{:.1}", spent.cpu()),
        format!("{:.0}", spent.wal()),
        share(at_most),
        met(is_met).to_owned(),
    ])
}

/// Takes of all processes that brought something and that brought nothing.
async fn takes(services: &[Service]) -> Result<Option<(f64, f64)>, Failure> {
    let mut all = None;
    for service in services {
        if let Some((some, none)) = service.takes().await? {
            let (before_some, before_none) = all.unwrap_or((0.0, 0.0));
            all = Some((before_some + some, before_none + none));
        }
    }
    Ok(all)
}

/// Share of takes that brought nothing.
fn empty(before: Option<(f64, f64)>, after: Option<(f64, f64)>) -> Option<f64> {
    let ((some, none), (some_after, none_after)) = before.zip(after)?;
    let (some, none) = (some_after - some, none_after - none);
    (some + none > 0.0).then(|| none / (some + none))
}

/// Two workers share a backlog; the one that sends more is killed.
async fn takeover(lab: &Lab, ledger: &mut Ledger) -> Result<Takeover, Failure> {
    eprintln!("processes: a worker is killed");
    let plan = Plan::serve(TAKES, 1, 1).in_processes(Processes::Apart(0));
    let mut deployment = Deployment::start(lab, plan, &SHORT_LEASES).await?;
    let api = deployment.first()?.api;
    let receiver = std::sync::Arc::new(Receiver::new(BACKLOG, TAKES));
    let target = (std::sync::Arc::clone(&receiver).serve().await?, 0);
    let tenant = deployment.tenants.first().ok_or_else(|| Failure::new("there is no tenant"))?;
    let subscription = tenant.subscribe(api, target, backlog::TYPE, Value::Null).await?;
    Backlog { tenant, api, subscription, receiver: &receiver }.write(BACKLOG, None).await?;
    let mut workers = vec![deployment.launch.worker().await?, deployment.launch.worker().await?];
    arrived(&receiver, BACKLOG / 4).await?;
    let sender = sends_most(&workers, "delivered").await?;
    let lost_at = receiver.now();
    workers.remove(sender).kill().await?;
    arrived(&receiver, BACKLOG).await?;
    for worker in workers {
        worker.stop().await?;
    }
    deployment.stop().await?;
    ledger.add(&receiver);
    ledger.may_repeat = true;
    Ok(Takeover::of(&receiver.arrivals(&(0..BACKLOG)), lost_at))
}
