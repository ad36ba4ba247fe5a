//! What a delivery costs when one event goes to many: `POST /events` to 1, 10 and 100
//! subscriptions, beside a plain ingest to one, all to one receiver and by one replica.
//!
//! The connections are as many as in the main phase, so a fan-out to 100 soon has more
//! deliveries than the handoff has slots: what has none is claimed, and that is in its cost.

use std::sync::Arc;

use serde_json::Value;

use crate::failure::Failure;
use crate::load::PLAIN;
use crate::meter::{Meter, connect};
use crate::service::{Service, make_database};
use crate::sink::Sink;
use crate::way::Way;
use crate::{Bench, ledger, postmaster};
use postrider::commands::dev::Cluster;

/// Subscriptions that want an event, its type, and how many such events make a slice.
const WIDTHS: [(usize, &str, usize); 3] =
    [(1, "bench.to_1", 5_000), (10, "bench.to_10", 1_000), (100, "bench.to_100", 100)];
/// Events of a slice of the plain ingest.
const PLAIN_SLICE: usize = 5_000;

/// A way and its statements. They are counted between readings that are settled, hence not
/// by the way itself.
struct Row {
    name: String,
    way: Way,
    statements: i64,
}

/// Loads all widths in turn and prints what a delivery of each costs.
///
/// # Errors
/// [`Failure`] when something does not start, or the ledger does not close.
pub(crate) async fn run(bench: &Bench, cluster: &Cluster) -> Result<(), Failure> {
    let url = make_database(&cluster.url(), "fan_out").await?;
    let service = Service::start("serve", &url, &[]).await?;
    let meter =
        Meter { database: connect(&url).await?, services: vec![service.pid()], postmaster: postmaster(cluster)? };
    let rounds = bench.sizes().rounds;
    let mut rows = vec![plain(bench, &service, rounds).await?];
    for (width, event_type, slice) in WIDTHS {
        rows.push(wide(bench, &service, rounds, (width, event_type, slice)).await?);
    }
    for row in &mut rows {
        row.way.warm_up(bench).await?;
    }
    let mut before = meter.settled().await?;
    for _ in 0..rounds {
        for row in &mut rows {
            row.way.slice(bench, &meter).await?;
            let after = meter.settled().await?;
            row.statements += after.transactions - before.transactions;
            before = after;
        }
    }
    service.stop().await?;
    print(&rows);
    ledger(rows.iter().map(|row| row.way.sink()))
}

async fn plain(bench: &Bench, service: &Service, rounds: usize) -> Result<Row, Failure> {
    let sink = Arc::new(Sink::new((rounds + 1) * PLAIN_SLICE));
    let receiver = Arc::clone(&sink).serve().await?;
    let path = service.subscribe_plainly(receiver).await?;
    let way = Way::new(bench.producer(service, vec![path], PLAIN, sink), PLAIN_SLICE);
    Ok(Row { name: "plain ingest".to_owned(), way, statements: 0 })
}

async fn wide(
    bench: &Bench,
    service: &Service,
    rounds: usize,
    (width, event_type, slice): (usize, &'static str, usize),
) -> Result<Row, Failure> {
    let sink = Arc::new(Sink::wide((rounds + 1) * slice, width));
    let receiver = Arc::clone(&sink).serve().await?;
    for target in 0..width {
        service.subscribe(receiver, target, event_type, Value::Null).await?;
    }
    let way = Way::new(bench.producer(service, vec!["/events".to_owned()], event_type, sink), slice);
    Ok(Row { name: format!("event to {width}"), way, statements: 0 })
}

fn print(rows: &[Row]) {
    let Some(plain) = rows.first().map(|row| row.way.cost()) else { return };
    println!("each delivery of an event that goes to many, beside a plain ingest:");
    for row in rows {
        let cost = row.way.cost();
        let (cpu, wal) = cost.ratios(&plain);
        let statements = row.statements as f64 / row.way.deliveries();
        println!("  {:<13} {cost}   {statements:.3} statements; ratio of CPU {cpu:.2}, of WAL {wal:.2}", row.name);
    }
}
