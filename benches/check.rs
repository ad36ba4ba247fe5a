//! `postrider bench check`: bounds on what an event costs the database, counted, not timed.
//!
//! Counted are statements, WAL, rows and buffers of a fixed number of events at a fixed
//! concurrency, on both ways an event can take: born leased to the replica that accepted
//! it, and left due for a worker to claim; and of as many deliveries of events that go to a
//! hundred subscriptions each, all of them claimed. A slow or busy machine counts the same, so this
//! also runs beside other work and with a debug build; times are for `postrider bench`.
//!
//! What would come and go between runs is kept out. Full page images depend on when the
//! last checkpoint was, so the server makes none here, and vacuum comes by the clock, so it
//! is off. PostgreSQL counts for certain only what a connection did that has ended: every reading is
//! taken when the service has stopped. Its starting is in the figures, some dozen
//! statements among thousands.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_postgres::Client;

use crate::failure::Failure;
use crate::load::{PLAIN, Producer};
use crate::service::Service;
use crate::sink::Sink;
use crate::{drain, ledger, meter};

/// Events sent before anything is counted, and on each way.
const WARM_UP: usize = 500;
const EVENTS: usize = 6_000;
const PAYLOAD_BYTES: usize = 760;
/// Subscriptions that want an event that is fanned out, and the type of such events.
const WIDTH: usize = 100;
const FANNED: &str = "bench.to_100";
/// Connections of the producers, and so the most events in an accepting statement.
const CONCURRENCY: usize = 64;
/// Room for every event under way, so that none that should be born leased is left due.
const SETTINGS: [(&str, &str); 1] = [("POSTRIDER_MAX_IN_FLIGHT_PER_SUBSCRIPTION", "512")];
/// Longest wait for the last connection of a stopped service to be counted.
const COUNTED_LIMIT: Duration = Duration::from_secs(10);

/// What is counted, as the columns of the reading and the rows of a way are ordered.
const COUNTED: &str = "
    select
        (select xact_commit + xact_rollback from pg_stat_database where datname = current_database()),
        (pg_current_wal_insert_lsn() - '0/0')::bigint,
        (select sum(n_tup_ins)::bigint from pg_stat_user_tables),
        (select sum(n_tup_upd)::bigint from pg_stat_user_tables),
        (select sum(n_tup_del)::bigint from pg_stat_user_tables),
        (select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables),
        (
            select sum(
                heap_blks_hit + heap_blks_read
                + coalesce(idx_blks_hit + idx_blks_read, 0)
                + coalesce(toast_blks_hit + toast_blks_read, 0)
            )::bigint
            from pg_statio_user_tables
        )";
const COUNTS: usize = 7;

/// One count for one delivery: what it is usual, and the most that is allowed.
struct Bound {
    name: &'static str,
    usual: f64,
    limit: f64,
}

const fn bound(name: &'static str, usual: f64, limit: f64) -> Bound {
    Bound { name, usual, limit }
}

/// What an event may cost that is sent by the replica that accepted it. Statements depend on
/// how many events meet in one, and so a little on the machine; the rest does not.
const BORN_LEASED: [Bound; COUNTS] = [
    bound("statements", 0.08, 0.15),
    bound("bytes of WAL", 1_773.0, 2_050.0),
    bound("rows inserted", 3.0, 3.1),
    bound("rows updated", 0.0, 0.1),
    bound("rows deleted", 1.0, 1.1),
    bound("rows read", 2.0, 2.4),
    bound("buffers touched", 21.4, 25.0),
];

/// What an event may cost that was left due and claimed: a claim also parks some rows for
/// which there is no room.
const CLAIMED: [Bound; COUNTS] = [
    bound("statements", 0.09, 0.15),
    bound("bytes of WAL", 2_275.0, 2_650.0),
    bound("rows inserted", 3.0, 3.1),
    bound("rows updated", 1.05, 1.25),
    bound("rows deleted", 1.0, 1.1),
    bound("rows read", 7.1, 8.5),
    bound("buffers touched", 41.0, 48.0),
];

/// What each delivery of an event may cost that goes to [`WIDTH`] subscriptions and was left
/// due: the event is written once for all of them.
const FANNED_OUT: [Bound; COUNTS] = [
    bound("statements", 0.03, 0.06),
    bound("bytes of WAL", 1_315.0, 1_520.0),
    bound("rows inserted", 2.01, 2.1),
    bound("rows updated", 1.0, 1.2),
    bound("rows deleted", 1.0, 1.1),
    bound("rows read", 7.1, 8.5),
    bound("buffers touched", 39.8, 46.0),
];

/// Counts and compares.
///
/// # Errors
/// [`Failure`] when a bound is exceeded, something does not start, or the ledger does not
/// close.
pub(crate) async fn run(database_url: &str) -> Result<(), Failure> {
    let counter = meter::connect(database_url).await?;
    for setting in ["full_page_writes = off", "autovacuum = off", "checkpoint_timeout = '1h'"] {
        counter.batch_execute(&format!("alter system set {setting}")).await?;
    }
    counter.batch_execute("select pg_reload_conf()").await?;
    let sink = Arc::new(Sink::new(WARM_UP + 2 * EVENTS));
    let receiver = Arc::clone(&sink).serve().await?;
    let fanned = Arc::new(Sink::wide(EVENTS / WIDTH, WIDTH));
    let target = Arc::clone(&fanned).serve().await?;
    let service = Service::start("serve", database_url, &SETTINGS).await?;
    let path = service.subscribe_plainly(receiver).await?;
    for number in 0..WIDTH {
        service.subscribe(target, number, FANNED, Value::Null).await?;
    }
    let mut plain = producer(path, PLAIN, &sink);
    let mut wide = producer("/events".to_owned(), FANNED, &fanned);
    serve(service, &mut plain, 0..WARM_UP).await?;

    let start = read(&counter).await?;
    let service = Service::start("serve", database_url, &SETTINGS).await?;
    serve(service, &mut plain, WARM_UP..WARM_UP + EVENTS).await?;
    let served = read(&counter).await?;
    by_halves(database_url, &mut plain, WARM_UP + EVENTS..WARM_UP + 2 * EVENTS).await?;
    let claimed = read(&counter).await?;
    by_halves(database_url, &mut wide, 0..EVENTS / WIDTH).await?;
    let fanned_out = read(&counter).await?;

    ledger([&*sink, &*fanned])?;
    println!("each of {EVENTS} deliveries, {PAYLOAD_BYTES} bytes, concurrency {CONCURRENCY}:");
    let exceeded = compare("born leased", &BORN_LEASED, &start, &served)
        + compare("claimed", &CLAIMED, &served, &claimed)
        + compare("fanned out, claimed", &FANNED_OUT, &claimed, &fanned_out);
    if exceeded == 0 { Ok(()) } else { Err(Failure::new(format!("{exceeded} bounds are exceeded"))) }
}

fn producer(path: String, event_type: &'static str, sink: &Arc<Sink>) -> Producer {
    // Each way has services of its own; their address is set then.
    let api = SocketAddr::from(([127, 0, 0, 1], 0));
    Producer {
        api,
        paths: vec![path],
        event_type,
        payload_bytes: PAYLOAD_BYTES,
        insists: false,
        sink: Arc::clone(sink),
    }
}

/// Events that the replica that accepts them also sends.
async fn serve(service: Service, producer: &mut Producer, events: Range<usize>) -> Result<(), Failure> {
    producer.api = service.api;
    producer.closed_loop(events.clone(), CONCURRENCY).await?;
    drain(&producer.sink, &events).await;
    service.stop().await
}

/// Events of which one half accepts all before the other half sends the first.
async fn by_halves(database_url: &str, producer: &mut Producer, events: Range<usize>) -> Result<(), Failure> {
    let api = Service::start("api", database_url, &[]).await?;
    producer.api = api.api;
    producer.closed_loop(events.clone(), CONCURRENCY).await?;
    api.stop().await?;
    let worker = Service::start("worker", database_url, &SETTINGS).await?;
    drain(&producer.sink, &events).await;
    worker.stop().await
}

/// The counts now, when every connection of the service has ended and so was counted.
async fn read(counter: &Client) -> Result<[i64; COUNTS], Failure> {
    const CONNECTIONS: &str = "select count(*) from pg_stat_activity where application_name = 'postrider'";
    let deadline = Instant::now() + COUNTED_LIMIT;
    while counter.query_one(CONNECTIONS, &[]).await?.get::<_, i64>(0) > 0 {
        if Instant::now() > deadline {
            return Err(Failure::new("connections of the stopped service are still open".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let row = counter.query_one(COUNTED, &[]).await?;
    Ok(std::array::from_fn(|column| row.get(column)))
}

/// Prints one way an event can take; returns how many bounds were exceeded.
fn compare(way: &str, bounds: &[Bound; COUNTS], before: &[i64; COUNTS], after: &[i64; COUNTS]) -> usize {
    println!("{way:<19} measured     usual     bound");
    let mut exceeded = 0;
    for (bound, (before, after)) in bounds.iter().zip(before.iter().zip(after)) {
        let measured = (after - before) as f64 / EVENTS as f64;
        let verdict = if measured <= bound.limit { "ok" } else { "EXCEEDED" };
        exceeded += usize::from(measured > bound.limit);
        println!("  {:<16}{measured:>10.3}{:>10.2}{:>10.2}  {verdict}", bound.name, bound.usual, bound.limit);
    }
    exceeded
}
