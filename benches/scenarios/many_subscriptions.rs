//! `many-subscriptions`: ten thousand active subscriptions of a hundred tenants against one.
//!
//! The same events to two replicas in turn, each with a database of its own: to one
//! subscription there, to each of ten thousand in turn here, where no copy of a subscription
//! in memory is used twice for a while.

use std::sync::Arc;
use std::time::Duration;

use crate::deployment::{Deployment, Plan};
use crate::failure::Failure;
use crate::findings::{Findings, Table, met};
use crate::lab::Lab;
use crate::latency::Latencies;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::producer::{PAYLOAD_BYTES, PLAIN, Producer};
use crate::receiver::Receiver;
use crate::rows;
use crate::service::Launch;
use crate::tenant::Tenant;

/// Pairs of slices.
const PAIRS: usize = 4;
/// Events a second while latencies are taken.
const PER_SECOND: f64 = 500.0;

/// Room for all that is in flight to one subscription, so that it is no overload.
const SETTINGS: [(&str, &str); 1] = [("POSTRIDER_MAX_IN_FLIGHT_PER_SUBSCRIPTION", "512")];

/// What was measured of one replica.
struct Row {
    name: String,
    deployment: Deployment,
    answers: Latencies,
    arrivals: Latencies,
}

/// Measures both.
pub(crate) async fn run(lab: &Lab) -> Result<Findings, Failure> {
    let (tenants, subscriptions) = lab.pick((100, 10_000), (20, 1_000));
    let mut table = Table::new([
        "receiver takes (ms)",
        "subscriptions",
        "500/s: to 202, p50 / p99 (ms)",
        "to arrival, p50 / p99 (ms)",
        "flood (1/s)",
        "CPU (µs)",
        "postrider (µs)",
        "PostgreSQL (µs)",
        "WAL (B)",
        "statements",
        "ratio of CPU",
        "of WAL",
        "goal met",
    ]);
    let mut ledger = Ledger::default();
    for takes in [0, 20].map(Duration::from_millis) {
        let mut rows = measure(lab, takes, tenants, subscriptions).await?;
        let Some(one) = rows.first().map(|row| row.deployment.spent) else { continue };
        for Row { name, deployment, answers, arrivals } in &mut rows {
            let counts = deployment.stop().await?;
            ledger.join(&deployment.ledger());
            let spent = deployment.spent;
            let (cpu, wal) = (spent.cpu() / one.cpu(), spent.wal() / one.wal());
            let pair = |latencies: &Latencies| format!("{:.2} / {:.2}", latencies.p50(), latencies.p99());
            table.row([
                takes.as_millis().to_string(),
                name.clone(),
                pair(answers),
                pair(arrivals),
                format!("{:.0}", spent.rate()),
                format!("{:.1}", spent.cpu()),
                format!("{:.1}", spent.service_cpu()),
                format!("{:.1}", spent.postgres_cpu()),
                format!("{:.0}", spent.wal()),
                format!("{:.3}", counts.statements(deployment.receiver.books().accepted)),
                format!("{cpu:.2}"),
                format!("{wal:.2}"),
                met(cpu <= 1.2 && wal <= 1.2).to_owned(),
            ]);
        }
    }
    let how = format!(
        "One `serve` each, {PAYLOAD_BYTES} bytes; {PER_SECOND} events a second, then floods over 64 connections in {PAIRS} pairs of \
         slices, in turn. Goal: at most 1.2 x one subscription."
    );
    Ok(Findings::new(table, how, ledger))
}

async fn measure(lab: &Lab, takes: Duration, tenants: usize, subscriptions: usize) -> Result<Vec<Row>, Failure> {
    eprintln!("many-subscriptions: {subscriptions} against 1, a receiver that takes {} ms", takes.as_millis());
    let (paced, slice) = lab.pick((5_000, 5_000), (1_500, 2_000));
    // Each subscription once, to warm up.
    let events = subscriptions + paced + PAIRS * slice;
    let one = Deployment::start(lab, Plan::serve(takes, 1, events), &SETTINGS).await?;
    let many = start(lab, Plan::serve(takes, subscriptions, events), tenants).await?;
    let names = ["1".to_owned(), format!("{subscriptions} of {tenants} tenants")];
    let mut rows = Vec::new();
    for (deployment, name) in [one, many].into_iter().zip(names) {
        deployment.send(Load::flood(subscriptions)).await?;
        let sent = deployment.send(Load::paced(paced, PER_SECOND)).await?;
        rows.push(Row { name, arrivals: deployment.latencies(&sent.events), answers: sent.answers, deployment });
    }
    for pair in 0..PAIRS {
        for place in 0..rows.len() {
            // Each begins as often as the other.
            let count = rows.len();
            if let Some(row) = rows.get_mut((place + pair) % count) {
                row.deployment.slice(lab, Load::flood(slice)).await?;
            }
        }
    }
    Ok(rows)
}

/// A replica with so many subscriptions of so many tenants.
async fn start(lab: &Lab, plan: Plan, tenants: usize) -> Result<Deployment, Failure> {
    let database = lab.database().await?;
    let launch = Launch::on(&database.url).with(&SETTINGS);
    let mut deployment = Deployment::launch(database, launch, Plan { subscriptions: 2, ..plan }).await?;
    let receiver = Arc::new(Receiver::new(plan.events, plan.takes));
    let address = Arc::clone(&receiver).serve().await?;
    let of_each = plan.subscriptions / tenants;
    let mut routes = Vec::with_capacity(plan.subscriptions);
    for number in 0..tenants {
        let tenant = deployment.launch.tenants([format!("tenant-{number}").as_str()]).await?;
        let [tenant] = tenant.as_slice() else { return Err(Failure::new("one tenant was asked for")) };
        routes.extend(add(&deployment, tenant, of_each, address).await?);
    }
    deployment.producer = Producer::new(deployment.first()?.api, routes, &receiver, 0..plan.events)?;
    deployment.receiver = receiver;
    Ok(deployment)
}

async fn add(
    deployment: &Deployment,
    tenant: &Tenant,
    count: usize,
    address: std::net::SocketAddr,
) -> Result<Vec<crate::load::Route>, Failure> {
    let target = |_| format!("http://{address}/");
    let ids = rows::add_subscriptions(&deployment.database.client, &tenant.name, PLAIN, count, target).await?;
    Ok(ids.into_iter().map(|id| tenant.route_to(id)).collect())
}
