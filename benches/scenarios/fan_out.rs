//! `fan-out`: what a delivery costs when one event goes to many.
//!
//! `POST /events` to 1, 10 and 100 subscriptions, beside a plain ingest to one, by one `serve`.
//! The connections are as many as in `steady`, so a fan-out to 100 soon has more deliveries
//! than there are slots: what has none is taken from the queue, and that is in its cost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::failure::Failure;
use crate::findings::{Findings, Table};
use crate::lab::Lab;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::meter::{Meter, Spent};
use crate::producer::{PAYLOAD_BYTES, PLAIN, Producer};
use crate::receiver::Receiver;
use crate::service::{Launch, Service};
use crate::tenant::Tenant;

/// Subscriptions that want an event, its type, and how many such events make a slice.
const WIDTHS: [(usize, &str, usize); 3] =
    [(1, "bench.to_1", 5_000), (10, "bench.to_10", 1_000), (100, "bench.to_100", 100)];
/// Events of a slice of the plain ingest.
const PLAIN_SLICE: usize = 5_000;
/// Room for all that is in flight to one subscription, so that none of the loads is an overload.
const SETTINGS: [(&str, &str); 2] =
    [("POSTRIDER_MAX_IN_FLIGHT", "2048"), ("POSTRIDER_MAX_IN_FLIGHT_PER_SUBSCRIPTION", "512")];
/// Longest wait for the last deliveries of a slice.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

/// Events of one width, and what their deliveries have cost.
struct Width {
    name: String,
    producer: Producer,
    slice: usize,
    spent: Spent,
}

/// Loads all widths in turn.
pub(crate) async fn run(lab: &Lab) -> Result<Findings, Failure> {
    let mut ledger = Ledger::default();
    let mut table = Table::new([
        "receiver takes (ms)",
        "event",
        "deliveries (1/s)",
        "CPU per delivery (µs)",
        "postrider (µs)",
        "PostgreSQL (µs)",
        "WAL per delivery (B)",
        "ratio to plain: CPU",
        "WAL",
    ]);
    for takes in [0, 20] {
        let widths = measure(lab, Duration::from_millis(takes)).await?;
        let Some(plain) = widths.first().map(|width| width.spent) else { continue };
        for Width { name, spent, producer, .. } in &widths {
            ledger.add(producer.receiver());
            table.row([
                takes.to_string(),
                name.clone(),
                format!("{:.0}", spent.rate()),
                format!("{:.1}", spent.cpu()),
                format!("{:.1}", spent.service_cpu()),
                format!("{:.1}", spent.postgres_cpu()),
                format!("{:.0}", spent.wal()),
                format!("{:.2}", spent.cpu() / plain.cpu()),
                format!("{:.2}", spent.wal() / plain.wal()),
            ]);
        }
    }
    let how = format!(
        "One `serve`, {PAYLOAD_BYTES} bytes, 64 connections; slices of each kind of event in turn. Goal: a delivery of an event \
         for many costs no more than a plain one."
    );
    Ok(Findings::new(table, how, ledger))
}

async fn measure(lab: &Lab, takes: Duration) -> Result<Vec<Width>, Failure> {
    eprintln!("fan-out: a receiver that takes {} ms", takes.as_millis());
    let database = lab.database().await?;
    let launch = Launch::on(&database.url).with(&SETTINGS);
    let service = launch.serve().await?;
    let tenants = launch.tenants(["north", "south"]).await?;
    let [north, south] = tenants.as_slice() else { return Err(Failure::new("there are two tenants")) };
    let rounds = lab.pick(3, 1);
    let mut widths = vec![plain(&service, south, takes, rounds).await?];
    for width in WIDTHS {
        widths.push(wide(&service, north, takes, rounds, width).await?);
    }
    let meter = Meter::new(lab, &database, [&service])?;
    for width in &mut widths {
        width.send().await?;
    }
    for _ in 0..rounds {
        for width in &mut widths {
            let (before, began) = (meter.read().await?, Instant::now());
            let deliveries = width.send().await?;
            width.spent += meter.since(&before, deliveries, began.elapsed()).await?;
        }
    }
    service.stop().await?;
    database.remove().await?;
    Ok(widths)
}

async fn plain(service: &Service, tenant: &Tenant, takes: Duration, rounds: usize) -> Result<Width, Failure> {
    let receiver = Arc::new(Receiver::new((rounds + 1) * PLAIN_SLICE, takes));
    let target = (Arc::clone(&receiver).serve().await?, 0);
    let subscription = tenant.subscribe(service.api, target, PLAIN, Value::Null).await?;
    let producer = Producer::new(service.api, vec![tenant.route_to(subscription)], &receiver, 0..receiver.room())?;
    Ok(Width { name: "plain ingest to 1".to_owned(), producer, slice: PLAIN_SLICE, spent: Spent::default() })
}

async fn wide(
    service: &Service,
    tenant: &Tenant,
    takes: Duration,
    rounds: usize,
    (width, event_type, slice): (usize, &'static str, usize),
) -> Result<Width, Failure> {
    let receiver = Arc::new(Receiver::with_targets((rounds + 1) * slice, width, takes));
    let address = Arc::clone(&receiver).serve().await?;
    for target in 0..width {
        tenant.subscribe(service.api, (address, target), event_type, Value::Null).await?;
    }
    let producer = Producer::new(service.api, vec![tenant.route_to_all()], &receiver, 0..receiver.room())?;
    let producer = producer.with_type(event_type);
    Ok(Width { name: format!("event to {width}"), producer, slice, spent: Spent::default() })
}

impl Width {
    /// Sends a slice until all has arrived; returns how many deliveries that were.
    async fn send(&self) -> Result<usize, Failure> {
        let before = self.producer.receiver().books().delivered;
        let sent = self.producer.send(Load::flood(self.slice)).await?;
        self.producer.receiver().drain(&sent.events, DRAIN_LIMIT).await;
        Ok(self.producer.receiver().books().delivered - before)
    }
}
