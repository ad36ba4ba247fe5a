//! `many-tenants`: events for ten thousand tenants through one operator key against events for one tenant.
//!
//! One `serve`. Each tenant has one subscription; one tenant has as many, and one has a single one. Each subscription
//! wants a type of its own, so that an event to `/events` has one delivery, as one to `/ingest/{id}` has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use hyper::header::HeaderValue;
use serde_json::Value;

use crate::counts::Counts;
use crate::failure::Failure;
use crate::findings::{Findings, Table, met};
use crate::http;
use crate::lab::{Database, Lab};
use crate::latency::Latencies;
use crate::ledger::Ledger;
use crate::load::{Load, Route, Sent};
use crate::meter::{Meter, Spent};
use crate::producer::{PAYLOAD_BYTES, Producer};
use crate::receiver::Receiver;
use crate::rows;
use crate::service::{Launch, Service};
use crate::tenant::Tenant;

/// How long the receiver takes over an answer.
const TAKES: Duration = Duration::from_millis(20);
/// External ids of the tenant with as many subscriptions, and of the one with a single one.
const ALONE: [&str; 2] = ["one", "single"];
/// Routes, and for each the owners of subscriptions.
const CASES: usize = 2 * OWNERS;
const OWNERS: usize = 1 + ALONE.len();
/// Events a second while latencies are taken.
const PER_SECOND: f64 = 500.0;
/// Most CPU, WAL and statements of an event for one of many tenants, as a multiple of one tenant's.
const GOAL: f64 = 1.1;
/// Connections over which subscriptions are made and first used: few, as the first event of each tenant reads what is not
/// in memory yet, over the three connections of the interactive pool.
const CONNECTIONS: usize = 8;
/// Longest wait for the last deliveries of a slice.
const DRAIN_LIMIT: Duration = Duration::from_secs(120);
/// Room for all that is in flight to one subscription.
const SETTINGS: [(&str, &str); 1] = [("POSTRIDER_MAX_IN_FLIGHT_PER_SUBSCRIPTION", "512")];

/// How many of each.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    tenants: usize,
    /// Each tenant has as many events in a slice as another.
    slice: usize,
    paced: usize,
    /// Measured slices of each case.
    rounds: usize,
}

const WHOLE: Sizes = Sizes { tenants: 10_000, slice: 10_000, paced: 2_500, rounds: 4 };
const QUICK: Sizes = Sizes { tenants: 1_000, slice: 2_000, paced: 1_000, rounds: 2 };

/// Events by one route for the tenants or for one tenant, and what they cost.
struct Case {
    route: &'static str,
    owner: String,
    producer: Producer,
    answers: Latencies,
    spent: Spent,
    statements: f64,
}

/// Measures all cases in turn.
pub(crate) async fn run(lab: &Lab) -> Result<Findings, Failure> {
    let sizes = lab.pick(WHOLE, QUICK);
    let database = lab.database().await?;
    let launch = Launch::on(&database.url).with(&SETTINGS);
    let service = launch.serve().await?;
    let receiver = Arc::new(Receiver::new(CASES * sizes.events(), TAKES));
    eprintln!("many-tenants: {} tenants", sizes.tenants);
    let mut cases = prepare(&database, &launch, &service, &receiver, sizes).await?;
    for case in &cases {
        case.send(Load { connections: CONNECTIONS, ..Load::flood(sizes.slice) }).await?;
    }
    for case in &mut cases {
        case.answers = case.send(Load::paced(sizes.paced, PER_SECOND)).await?.answers;
    }
    let meter = Meter::new(lab, &database, [&service])?;
    for round in 0..sizes.rounds {
        for place in 0..cases.len() {
            let count = cases.len();
            if let Some(case) = cases.get_mut((place + round) % count) {
                let (before, began) = (meter.read().await?, Instant::now());
                case.send(Load::flood(sizes.slice)).await?;
                case.spent += meter.since(&before, sizes.slice, began.elapsed()).await?;
            }
        }
    }
    eprintln!("many-tenants: counting statements");
    let mut before = Counts::read_idle(&database).await?;
    for case in &mut cases {
        case.send(Load::flood(sizes.slice)).await?;
        let now = Counts::read_idle(&database).await?;
        case.statements = now.since(&before).statements(sizes.slice);
        before = now;
    }
    service.stop().await?;
    database.remove().await?;
    let how = format!(
        "One `serve`, one operator key, {PAYLOAD_BYTES} bytes, a receiver that takes {} ms; {PER_SECOND} events a second, then floods \
         over 64 connections in {} slices of each row, in turn; statements of one more slice, with those of the idle service for \
         about 12 s. Goal: CPU, WAL and statements of an event for one of the tenants at most {GOAL} x one tenant's.",
        TAKES.as_millis(),
        sizes.rounds
    );
    Ok(Findings::new(table(&cases), how, Ledger::of([&*receiver])))
}

impl Sizes {
    /// Events of a case: a slice to warm up, the paced ones, the measured slices and a counted one.
    const fn events(self) -> usize {
        self.paced + (self.rounds + 2) * self.slice
    }
}

/// Makes the tenants, their subscriptions and the cases, route by route.
async fn prepare(
    database: &Database,
    launch: &Launch,
    service: &Service,
    receiver: &Arc<Receiver>,
    sizes: Sizes,
) -> Result<Vec<Case>, Failure> {
    let ids: Vec<String> = (0..sizes.tenants).map(|number| format!("t-{number}")).collect();
    rows::add_tenants(&database.client, &[&ids[..], &ALONE.map(str::to_owned)].concat()).await?;
    let operator = launch.operator().await?;
    let address = Arc::clone(receiver).serve().await?;
    let [one, single] = ALONE.map(|id| operator.tenant(id));
    let tenants = ids.iter().map(|id| operator.tenant(id)).collect::<Result<Vec<Tenant>, Failure>>()?;
    let owners = [
        (format!("{} tenants, 1 subscription each", sizes.tenants), tenants),
        (format!("1 tenant, {} subscriptions", sizes.tenants), vec![one?; sizes.tenants]),
        ("1 tenant, 1 subscription".to_owned(), vec![single?]),
    ];
    let (mut to_one, mut to_all) = (Vec::with_capacity(OWNERS), Vec::with_capacity(OWNERS));
    for (owner, tenants) in owners {
        let routes = subscribe(service.api, address, &tenants).await?;
        let (ingest, events) = routes.into_iter().map(|[ingest, events]| (ingest, events)).unzip();
        to_one.push(("POST /ingest/{id}", owner.clone(), ingest));
        to_all.push(("POST /events", owner, events));
    }
    let mut numbers = (0..receiver.room()).step_by(sizes.events());
    let case = |(route, owner, routes): (&'static str, String, Vec<Route>)| {
        let first = numbers.next().ok_or_else(|| Failure::new("there are more cases than numbers"))?;
        let producer = Producer::new(service.api, routes, receiver, first..first + sizes.events())?;
        let (answers, spent) = (Latencies::default(), Spent::default());
        Ok(Case { route, owner, producer, answers, spent, statements: 0.0 })
    };
    to_one.into_iter().chain(to_all).map(case).collect()
}

/// Makes a subscription for each of these in turn, several at a time. Returns for each the route to it and the one to
/// all of its tenant.
async fn subscribe(api: SocketAddr, receiver: SocketAddr, tenants: &[Tenant]) -> Result<Vec<[Route; 2]>, Failure> {
    let share = tenants.len().div_ceil(CONNECTIONS);
    let shares = tenants.chunks(share).enumerate().map(|(place, tenants)| async move {
        let mut connection = http::connect(api).await?;
        let mut routes = Vec::with_capacity(tenants.len());
        for (number, tenant) in (place * share..).zip(tenants) {
            let name = format!("bench.t{number:05}");
            let id = tenant.subscribe_over(&mut connection, (receiver, 0), &name, Value::Null).await?;
            let event_type: HeaderValue = name.parse()?;
            routes.push([tenant.route_to(id), tenant.route_to_all()].map(|route| route.with_type(event_type.clone())));
        }
        Ok::<_, Failure>(routes)
    });
    Ok(try_join_all(shares).await?.concat())
}

impl Case {
    /// Sends, and waits until all has arrived.
    async fn send(&self, load: Load) -> Result<Sent, Failure> {
        let sent = self.producer.send(load).await?;
        self.producer.receiver().drain(&sent.events, DRAIN_LIMIT).await;
        Ok(sent)
    }

    /// Its figures, and the ratios of the tenants' case to it unless it is that case.
    fn row(&self, tenants: Option<&Self>) -> Vec<String> {
        let Self { route, owner, answers, spent, statements, .. } = self;
        let figures = [
            (*route).to_owned(),
            owner.clone(),
            format!("{:.2} / {:.2}", answers.p50(), answers.p99()),
            format!("{:.0}", spent.rate()),
            format!("{:.1}", spent.cpu()),
            format!("{:.1}", spent.service_cpu()),
            format!("{:.1}", spent.postgres_cpu()),
            format!("{:.0}", spent.wal()),
            format!("{statements:.3}"),
        ];
        let compared = tenants.map(|tenants| {
            let ratios =
                [tenants.spent.cpu() / spent.cpu(), tenants.spent.wal() / spent.wal(), tenants.statements / statements];
            let is_met = ratios.iter().all(|ratio| *ratio <= GOAL);
            ratios.map(|ratio| format!("{ratio:.2}")).into_iter().chain([met(is_met).to_owned()])
        });
        figures.into_iter().chain(compared.into_iter().flatten()).collect()
    }
}

/// For each route the tenants, then what they are compared with.
fn table(cases: &[Case]) -> Table {
    let mut table = Table::new([
        "event",
        "for",
        "500/s: to 202, p50 / p99 (ms)",
        "flood (1/s)",
        "CPU (µs)",
        "postrider (µs)",
        "PostgreSQL (µs)",
        "WAL (B)",
        "statements",
        "tenants' ratio to it: CPU",
        "of WAL",
        "of statements",
        "goal met",
    ]);
    for cases in cases.chunks(OWNERS) {
        let Some((tenants, others)) = cases.split_first() else { continue };
        table.row(tenants.row(None));
        for case in others {
            table.row(case.row(Some(tenants)));
        }
    }
    table
}
