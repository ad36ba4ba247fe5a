//! `check`: bounds on what an event costs, counted, not timed.
//!
//! Counted are statements, WAL, rows and buffers of a fixed number of events at a fixed
//! concurrency: born leased to the replica that accepted them; left due for a worker to
//! take; and as many deliveries of events that go to a hundred subscriptions each, all of
//! them taken. Then the instructions of the pure parts that every event goes through. A slow
//! or busy machine counts the same, so this also runs beside other work and with a debug
//! build; times are for the other scenarios.
//!
//! What would come and go between runs is kept out. Full page images depend on when the
//! last checkpoint was, so they are off, and vacuum comes by the clock, so it is off too. So does folding into
//! roll-ups, 15 s behind, and the count of the queue, once a minute: locks keep them away, and `stored` measures them.

mod bounds;
pub(crate) mod instructions;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::check::bounds::{BORN_LEASED, Bounds, FANNED_OUT, TAKEN, compare};
use crate::counts::Counts;
use crate::failure::Failure;
use crate::findings::{Findings, Table};
use crate::lab::{Database, Lab};
use crate::ledger::Ledger;
use crate::load::Load;
use crate::producer::{PAYLOAD_BYTES, Producer};
use crate::receiver::Receiver;
use crate::service::Launch;
use crate::tenant::subscribe_all;

/// Events sent before anything is counted, and in each count.
const WARM_UP: usize = 500;
const EVENTS: usize = 6_000;
/// Subscriptions that want an event that is fanned out, and the type of such events.
const WIDTH: usize = 100;
const FANNED: &str = "bench.to_100";
/// Room for every event in flight, so that none that should be born leased is left due.
const SETTINGS: [(&str, &str); 1] = [("POSTRIDER_MAX_IN_FLIGHT_PER_SUBSCRIPTION", "512")];
/// Held by this session until its end. The schema is that of the tables: this session has a search path of its own.
const LOCKS: &str = "
    select
        pg_advisory_lock(hashtext(c.relnamespace::regnamespace::text || '.rollups')),
        pg_advisory_lock(hashtext(c.relnamespace::regnamespace::text || '.queue_depth'))
    from pg_class as c
    where c.oid = 'rollup_progress'::regclass";
/// What changes if one of them came all the same.
const TRACES: &str = "
    select p.folded_until::text || ' ' || (select count(*) from queue_depth_minutes as q)
    from rollup_progress as p";
/// Longest wait for the last deliveries.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

/// The load, and the services it is sent to, which are started for each count.
struct Counted {
    database: Database,
    launch: Launch,
    plain: Producer,
    wide: Producer,
}

/// Counts and compares.
pub(crate) async fn run(lab: &Lab) -> Result<Findings, Failure> {
    lab.configure(&["full_page_writes = off", "autovacuum = off"]).await?;
    let mut counted = Counted::prepare(lab).await?;
    counted.database.client.batch_execute(LOCKS).await?;
    let traces = counted.traces().await?;
    let start = Counts::read(&counted.database).await?;
    counted.serve(EVENTS).await?;
    let served = Counts::read(&counted.database).await?;
    counted.take_plain().await?;
    let taken = Counts::read(&counted.database).await?;
    counted.take_wide().await?;
    let fanned_out = Counts::read(&counted.database).await?;
    if counted.traces().await? != traces {
        return Err(Failure::new("roll-ups were folded, or the queue was counted, while events were counted"));
    }

    let mut table = Table::new(["what", "each", "measured", "usual", "bound", "within"]);
    let mut exceeded = 0;
    let mut add = |name: &str, bounds: &Bounds, counts: Counts| {
        exceeded += compare(&mut table, name, bounds, &counts.0.map(|count| count as f64 / EVENTS as f64));
    };
    add("born leased", &BORN_LEASED, served.since(&start));
    add("taken", &TAKEN, taken.since(&served));
    add("fanned out, taken", &FANNED_OUT, fanned_out.since(&taken));
    exceeded += instructions::count(&mut table).await?;
    let how = format!(
        "Each of {EVENTS} deliveries, {PAYLOAD_BYTES} bytes, 64 connections, from the start of the service to its stop; \
         instructions of each call, of a debug build, by callgrind. Goal: all within their bounds."
    );
    let ledger = Ledger::of([counted.plain.receiver(), counted.wide.receiver()]);
    Ok(Findings { exceeded, ..Findings::new(table, how, ledger) })
}

impl Counted {
    /// Schema, tenants and subscriptions, and what is slower the first time.
    async fn prepare(lab: &Lab) -> Result<Self, Failure> {
        let database = lab.database().await?;
        let launch = Launch::on(&database.url).with(&SETTINGS);
        let service = launch.serve().await?;
        let tenants = launch.tenants(["north", "south"]).await?;
        let receiver = Arc::new(Receiver::new(WARM_UP + 2 * EVENTS, Duration::ZERO));
        let target = Arc::clone(&receiver).serve().await?;
        let routes = subscribe_all(&tenants, service.api, target, 1).await?;
        let plain = Producer::new(service.api, routes, &receiver, 0..receiver.room())?;
        let fanned = Arc::new(Receiver::with_targets(EVENTS / WIDTH, WIDTH, Duration::ZERO));
        let target = Arc::clone(&fanned).serve().await?;
        let tenant = tenants.first().ok_or_else(|| Failure::new("there is no tenant"))?;
        for number in 0..WIDTH {
            tenant.subscribe(service.api, (target, number), FANNED, Value::Null).await?;
        }
        let wide = Producer::new(service.api, vec![tenant.route_to_all()], &fanned, 0..fanned.room())?;
        service.stop().await?;
        let mut counted = Self { database, launch, plain, wide: wide.with_type(FANNED) };
        counted.serve(WARM_UP).await?;
        Ok(counted)
    }

    /// Events that the replica that accepts them also sends.
    async fn serve(&mut self, events: usize) -> Result<(), Failure> {
        let service = self.launch.serve().await?;
        self.plain.turn_to(service.api);
        let sent = self.plain.send(Load::flood(events)).await?;
        self.plain.receiver().drain(&sent.events, DRAIN_LIMIT).await;
        service.stop().await
    }

    async fn traces(&self) -> Result<String, Failure> {
        Ok(self.database.client.query_one(TRACES, &[]).await?.try_get(0)?)
    }

    async fn take_plain(&mut self) -> Result<(), Failure> {
        let sent = self.launch.accept(&mut self.plain, EVENTS).await?;
        self.launch.deliver(&self.plain, &sent).await
    }

    async fn take_wide(&mut self) -> Result<(), Failure> {
        let sent = self.launch.accept(&mut self.wide, EVENTS / WIDTH).await?;
        self.launch.deliver(&self.wide, &sent).await
    }
}

/// Events of which one half accepts all before the other half sends the first.
impl Launch {
    async fn accept(&self, producer: &mut Producer, events: usize) -> Result<Range<usize>, Failure> {
        let api = self.api().await?;
        producer.turn_to(api.api);
        let sent = producer.send(Load::flood(events)).await?;
        api.stop().await?;
        Ok(sent.events)
    }

    async fn deliver(&self, producer: &Producer, events: &Range<usize>) -> Result<(), Failure> {
        let worker = self.worker().await?;
        producer.receiver().drain(events, DRAIN_LIMIT).await;
        worker.stop().await
    }
}
