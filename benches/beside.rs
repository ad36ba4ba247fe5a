//! What features cost an event that uses none of them: the same plain load to two replicas in
//! turn, each with a database of its own. The tenant of the second also has subscriptions that
//! are ordered, limited in rate, limited in flight and served by a policy, and one whose
//! breaker is open before a backlog.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::failure::Failure;
use crate::load::PLAIN;
use crate::meter::{Meter, connect};
use crate::service::{Service, make_database};
use crate::sink::Sink;
use crate::way::Way;
use crate::{Bench, ledger, postmaster};
use postrider::commands::dev::Cluster;

/// Slices of each side. The ratios of the pairs are printed, for the noise of the figure.
const SLICES: usize = 6;
/// Of the events of the main phase, a slice has one in so many: enough that ten
/// milliseconds, in which CPU is counted, are little of it.
const SLICE_DIVISOR: usize = 4;
/// What nobody publishes.
const OTHER: &str = "bench.other";
/// Deliveries that wait for the open breaker.
const HELD: i32 = 10_000;
/// Opens the breaker; its next probe is after the benchmark.
const OPEN: &str = "
    insert into subscription_health (
        subscription_id, tenant_id, state, failures, failing_since, last_failure_at, opened_at, probe_at
    )
    select s.id, s.tenant_id, 'open', 10, now(), now(), now(), now() + interval '1 hour'
    from subscriptions as s
    where s.id = $1";
/// Writes so many deliveries that are held for it.
const HOLD: &str = "
    insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, held_for)
    select s.tenant_id, uuid_v7(), s.id, 'infinity', 'paced'
    from subscriptions as s
    cross join generate_series(1, $2)
    where s.id = $1";
/// Counts those that still are.
const STILL_HELD: &str = "
    select count(*)
    from deliveries as d
    inner join subscriptions as s
        on s.tenant_id = d.tenant_id
        and s.id = d.subscription_id
    where d.held_for = 'paced'
        and s.breaker = 'open'";

/// One replica with its database.
struct Side {
    service: Service,
    meter: Meter,
    way: Way,
}

/// Loads both sides in turn and prints what the features cost.
///
/// # Errors
/// [`Failure`] when something does not start, or the ledger does not close.
pub(crate) async fn run(bench: &Bench, cluster: &Cluster) -> Result<(), Failure> {
    let slice = bench.sizes().main.div_ceil(SLICE_DIVISOR);
    let mut without = Side::start(bench, cluster, "without", slice).await?;
    let mut with = Side::start(bench, cluster, "with", slice).await?;
    with.add_features().await?;
    without.way.warm_up(bench).await?;
    with.way.warm_up(bench).await?;
    let mut ratios = Vec::with_capacity(SLICES);
    for number in 0..SLICES {
        // Each begins as often as the other.
        let (first, second) = if number % 2 == 0 { (&mut without, &mut with) } else { (&mut with, &mut without) };
        let costs = (first.way.slice(bench, &first.meter).await?, second.way.slice(bench, &second.meter).await?);
        let (cost, plain) = if number % 2 == 0 { (costs.1, costs.0) } else { costs };
        ratios.push(cost.ratios(&plain).0);
    }
    let held: i64 = with.meter.database.query_one(STILL_HELD, &[]).await?.get(0);
    if held != i64::from(HELD) {
        return Err(Failure::new(format!("{held} of {HELD} deliveries are still held: the features were not idle")));
    }
    let (plain, beside) = (without.way.cost(), with.way.cost());
    let (cpu, wal) = beside.ratios(&plain);
    ratios.sort_by(f64::total_cmp);
    let spread = (ratios.first().copied().unwrap_or(0.0), ratios.last().copied().unwrap_or(0.0));
    println!("a plain event beside subscriptions with features, {HELD} deliveries held by a breaker:");
    println!("  without them  {plain}");
    println!("  beside them   {beside}; ratio of CPU {cpu:.2}, of WAL {wal:.2}");
    println!("  in each of {SLICES} pairs of slices: ratio of CPU {:.2} to {:.2}", spread.0, spread.1);
    without.service.stop().await?;
    with.service.stop().await?;
    ledger([without.way.sink(), with.way.sink()])
}

impl Side {
    async fn start(bench: &Bench, cluster: &Cluster, name: &str, slice: usize) -> Result<Self, Failure> {
        let url = make_database(&cluster.url(), &format!("features_{name}")).await?;
        let service = Service::start("serve", &url, &[]).await?;
        let sink = Arc::new(Sink::new((SLICES + 1) * slice));
        let receiver = Arc::clone(&sink).serve().await?;
        let path = service.subscribe_plainly(receiver).await?;
        let way = Way::new(bench.producer(&service, vec![path], PLAIN, sink), slice);
        let meter =
            Meter { database: connect(&url).await?, services: vec![service.pid()], postmaster: postmaster(cluster)? };
        Ok(Self { service, meter, way })
    }

    /// Subscriptions that use each feature, and get nothing.
    async fn add_features(&self) -> Result<(), Failure> {
        let features = [
            json!({"ordered": true}),
            json!({"rate_limit": 10}),
            json!({"max_in_flight": 5}),
            json!({
                "headers": {"X-Bench": "1"},
                "auth": {"type": "bearer", "token": "bench"},
                "retry_schedule": "day",
                "request_timeout_ms": 5_000,
            }),
        ];
        for fields in features {
            self.service.subscribe(self.service.api, 0, OTHER, fields).await?;
        }
        let id = self.service.subscribe(self.service.api, 0, OTHER, Value::Null).await?;
        let id = Uuid::parse_str(&id)?;
        self.meter.database.execute(OPEN, &[&id]).await?;
        self.meter.database.execute(HOLD, &[&id, &HELD]).await?;
        Ok(())
    }
}
