//! `overload`: one receiver is offered more than it takes.
//!
//! One subscription, whose receiver takes 20 or 50 ms, 64 requests at once: half as much again
//! as a bare client with 64 connections gets rid of is offered for some seconds, and then the
//! backlog drains. What an event costs then is compared with the unhindered run: as many events,
//! accepted by an `api` and taken by a `worker` at half the capacity, so that each is due now
//! and taken with nothing in its way. Another tenant's receiver gets 20 events a second
//! meanwhile. Then one burst beside a steady load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::burst;
use crate::background::Background;
use crate::bare;
use crate::counts::Counts;
use crate::deployment::{Deployment, Plan, Processes};
use crate::failure::Failure;
use crate::findings::{Findings, Table, met};
use crate::lab::Lab;
use crate::latency::Latencies;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::meter::{Meter, Spent};
use crate::producer::{PAYLOAD_BYTES, PLAIN, Producer};
use crate::receiver::Receiver;

/// How long the receiver takes over an answer, in milliseconds.
const TAKES: [u64; 2] = [20, 50];
/// Most requests at once to one subscription; the default.
pub(crate) const MOST_AT_ONCE: usize = 64;
/// What is offered, as a multiple of what the receiver takes.
const OFFERED: f64 = 1.5;
const UNHINDERED: f64 = 0.5;
/// Events a second to the other tenant's receiver, and room for them.
const NEIGHBOUR_PER_SECOND: usize = 20;
const MOST_NEIGHBOURS: usize = 600 * NEIGHBOUR_PER_SECOND;
/// Longest wait for a backlog to drain.
const DRAIN_LIMIT: Duration = Duration::from_secs(300);

/// One run.
struct Run {
    name: &'static str,
    offered: f64,
    /// Arrivals a second in all, while events were offered, and after.
    rates: [f64; 3],
    spent: Spent,
    counts: Counts,
    events: usize,
    neighbour: Latencies,
}

/// Measures both receivers, and the bursts.
pub(crate) async fn run(lab: &Lab) -> Result<Findings, Failure> {
    let mut ledger = Ledger::default();
    let mut table = Table::new([
        "receiver takes (ms)",
        "run",
        "offered (1/s)",
        "arrivals (1/s)",
        "of the bare client",
        "while offered",
        "while draining",
        "CPU (µs)",
        "WAL (B)",
        "buffers",
        "rows written",
        "statements",
        "ratio of CPU",
        "of WAL",
        "of buffers",
        "neighbour p99 (ms)",
        "goal met",
    ]);
    let mut bursts = burst::table();
    for takes in TAKES.map(Duration::from_millis) {
        let before = bare::capacity(takes, MOST_AT_ONCE, lab.pick(4, 2)).await?;
        let events = (before * OFFERED * lab.pick(10.0, 4.0)) as usize;
        let apart = Processes::Apart(1);
        let mut runs = Vec::new();
        for (name, processes, share) in [
            ("unhindered, api + worker", apart, UNHINDERED),
            ("overload, api + worker", apart, OFFERED),
            ("overload, serve", Processes::Serve, OFFERED),
        ] {
            eprintln!("overload: {name}, a receiver that takes {} ms", takes.as_millis());
            let plan = Plan::serve(takes, 1, events).in_processes(processes);
            runs.push(measure(lab, plan, name, share * before, &mut ledger).await?);
        }
        burst::run(lab, takes, before, &mut bursts, &mut ledger).await?;
        let capacity = f64::midpoint(before, bare::capacity(takes, MOST_AT_ONCE, lab.pick(4, 2)).await?);
        add(&mut table, takes, capacity, &runs);
    }
    let how = format!(
        "One subscription, {MOST_AT_ONCE} requests at once, {PAYLOAD_BYTES} bytes; offered {OFFERED} x what a bare client with as \
         many connections gets from such a receiver in this run, until all has arrived; cost per event against the unhindered \
         run at {UNHINDERED} x. Goals: 0.92 of the bare client; WAL and buffers 1.2 x; after a burst back to normal within twice \
         the time that its events take."
    );
    Ok(Findings::new(table, how, ledger).and(bursts))
}

/// Offers all events at this rate, and waits until they have arrived.
async fn measure(lab: &Lab, plan: Plan, name: &'static str, offered: f64, ledger: &mut Ledger) -> Result<Run, Failure> {
    let mut deployment = Deployment::start(lab, plan, &[]).await?;
    let neighbour = deployment.neighbour().await?;
    let meter = Meter::new(lab, &deployment.database, &deployment.services)?;
    let (before, began) = (meter.read().await?, Instant::now());
    let offering = async {
        let sent = deployment.producer.send(Load::paced(plan.events, offered)).await?;
        let over = deployment.receiver.now();
        deployment.receiver.drain(&sent.events, DRAIN_LIMIT).await;
        Ok((sent, over))
    };
    let ((sent, over), beside) = neighbour.send_during(offering).await?;
    let spent = meter.since(&before, plan.events + beside.len(), began.elapsed()).await?;
    let counts = deployment.stop().await?;
    ledger.join(&deployment.ledger());
    ledger.add(neighbour.producer.receiver());
    let arrivals = deployment.receiver.arrivals(&sent.events);
    let (offering, draining) = arrivals.split_at(arrivals.partition_point(|time| *time <= over));
    Ok(Run {
        name,
        offered,
        rates: [&arrivals, offering, draining].map(bare::rate),
        spent,
        counts,
        events: plan.events + beside.len(),
        neighbour: neighbour.latencies(&beside),
    })
}

/// The first run is the unhindered one.
fn add(table: &mut Table, takes: Duration, capacity: f64, runs: &[Run]) {
    let Some(unhindered) = runs.first() else { return };
    for run in runs {
        let [rate, offering, draining] = run.rates;
        let (share, is_overload) = (rate / capacity, run.offered > capacity);
        let buffers = run.counts.buffers(run.events);
        let of_wal = run.spent.wal() / unhindered.spent.wal();
        let of_buffers = buffers / unhindered.counts.buffers(unhindered.events);
        let (inserted, updated, deleted) = run.counts.rows(run.events);
        let is_met = share >= 0.92 && of_wal <= 1.2 && of_buffers <= 1.2;
        table.row([
            takes.as_millis().to_string(),
            run.name.to_owned(),
            format!("{:.0}", run.offered),
            format!("{rate:.0}"),
            format!("{share:.2}"),
            format!("{:.2}", offering / capacity),
            if is_overload { format!("{:.2}", draining / capacity) } else { "-".to_owned() },
            format!("{:.1}", run.spent.cpu()),
            format!("{:.0}", run.spent.wal()),
            format!("{buffers:.1}"),
            format!("{:.2}", inserted + updated + deleted),
            format!("{:.3}", run.counts.statements(run.events)),
            format!("{:.2}", run.spent.cpu() / unhindered.spent.cpu()),
            format!("{of_wal:.2}"),
            format!("{of_buffers:.2}"),
            format!("{:.1}", run.neighbour.p99()),
            if is_overload { met(is_met).to_owned() } else { "-".to_owned() },
        ]);
    }
}

impl Deployment {
    /// Another tenant's receiver, and events for it at a low rate.
    async fn neighbour(&self) -> Result<Background, Failure> {
        let receiver = Arc::new(Receiver::new(MOST_NEIGHBOURS, Duration::from_millis(20)));
        let target = (Arc::clone(&receiver).serve().await?, 0);
        let tenant = self.tenants.last().ok_or_else(|| Failure::new("there is no tenant"))?;
        let api = self.first()?.api;
        let subscription = tenant.subscribe(api, target, PLAIN, Value::Null).await?;
        let producer = Producer::new(api, vec![tenant.route_to(subscription)], &receiver, 0..MOST_NEIGHBOURS)?;
        Ok(Background::new(producer, NEIGHBOUR_PER_SECOND))
    }
}
