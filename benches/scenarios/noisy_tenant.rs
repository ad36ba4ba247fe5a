//! `noisy-tenant`: a healthy tenant beside three whose receivers never answer.
//!
//! Each of the three has twice as many subscriptions as a worker has slots
//! (`POSTRIDER_MAX_IN_FLIGHT`); their receivers take the connection and say nothing. All of
//! these subscriptions get an event at one moment, and further events all the time. A fourth
//! tenant's receiver gets 100 events a second: alone, and beside them from the first second.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;

use crate::background::Background;
use crate::failure::Failure;
use crate::findings::{Findings, Table, met};
use crate::lab::{Database, Lab};
use crate::ledger::Ledger;
use crate::load::{Load, Route};
use crate::producer::{PLAIN, Producer};
use crate::receiver::Receiver;
use crate::rows;
use crate::service::{Launch, Service};
use crate::tenant::Tenant;

/// How long the healthy receiver takes over an answer.
const TAKES: Duration = Duration::from_millis(20);
/// Events a second to it.
const PER_SECOND: usize = 100;
/// Events a second to the subscriptions of all noisy tenants together.
const NOISE_PER_SECOND: usize = 600;
/// Subscriptions of a noisy tenant, as a multiple of the slots of a worker.
const TIMES_SLOTS: usize = 2;
const NOISY: [&str; 3] = ["east", "west", "south"];
/// Longest wait for the healthy events of a phase; what has not arrived then counts as waiting until then.
const PATIENCE: Duration = Duration::from_secs(30);
/// The type of events for all subscriptions of a tenant.
const ALL: &str = "bench.silent";

/// The subscriptions whose receivers never answer.
struct Noise {
    tenants: Vec<Tenant>,
    /// Counts what was accepted for them; nothing arrives.
    receiver: Arc<Receiver>,
    producer: Producer,
    subscriptions: usize,
}

/// Measures alone and beside.
pub(crate) async fn run(lab: &Lab) -> Result<Findings, Failure> {
    let (slots, seconds) = (lab.pick(2_048, 256), lab.pick(20, 8));
    let database = lab.database().await?;
    let in_flight = slots.to_string();
    let launch = Launch::on(&database.url).with(&[("POSTRIDER_MAX_IN_FLIGHT", in_flight.as_str())]);
    let service = launch.serve().await?;
    let healthy = healthy(&launch, &service).await?;
    let noise = Noise::prepare(&launch, &database, &service, TIMES_SLOTS * slots, 4 * seconds).await?;
    healthy.send_for(2).await?;
    eprintln!("noisy-tenant: alone");
    let alone = healthy.send_for(seconds).await?;
    eprintln!("noisy-tenant: beside {} silent receivers", noise.subscriptions);
    let noisy = async {
        noise.begin(&service).await?;
        noise.producer.send(Load::paced(NOISE_PER_SECOND * 3 * seconds, NOISE_PER_SECOND as f64)).await?;
        Ok(())
    };
    let ((), beside) = healthy.send_during(noisy).await?;

    // What arrived is recorded then, and what is in flight to silent receivers has timed out.
    service.stop().await?;
    let (waiting, ended) = rows::all_outstanding(&database.client).await?;
    let ledger = Ledger { outstanding: waiting + ended, ..Ledger::of([healthy.producer.receiver(), &*noise.receiver]) };

    let mut table = Table::new([
        "healthy events",
        "sent",
        "arrived",
        "p50 (ms)",
        "p99 (ms)",
        "worst (ms)",
        "p99 of alone",
        "goal met",
    ]);
    let alone_p99 = healthy.latencies(&alone).p99();
    let first = beside.start..beside.start + PER_SECOND;
    let seconds = beside.clone().step_by(PER_SECOND).map(|start| start..beside.end.min(start + PER_SECOND));
    let worst = seconds.enumerate().map(|(number, events)| (healthy.latencies(&events).p99(), number, events));
    let (_, number, worst) = worst.max_by(|one, other| one.0.total_cmp(&other.0)).unwrap_or_default();
    let worst_name = format!("worst second beside (no. {})", number + 1);
    let phases = [("alone", &alone), ("first second beside", &first), (&worst_name, &worst), ("beside", &beside)];
    for (name, events) in phases {
        let latencies = healthy.latencies(events);
        table.row([
            name.to_owned(),
            events.len().to_string(),
            healthy.producer.receiver().arrived(events).to_string(),
            format!("{:.1}", latencies.p50()),
            format!("{:.1}", latencies.p99()),
            format!("{:.1}", latencies.greatest()),
            format!("{:.2}", latencies.p99() / alone_p99),
            met(latencies.p99() <= 1.5 * alone_p99 + 20.0).to_owned(),
        ]);
    }
    let how = format!(
        "One `serve` with {slots} slots and a time limit of 10 s; three tenants with {} subscriptions each whose receivers never \
         answer, one event for every one of them and then {NOISE_PER_SECOND}/s; the healthy tenant's receiver takes {} ms, at \
         {PER_SECOND}/s. Goal: p99 at most 1.5 x alone + 20 ms.",
        noise.subscriptions / NOISY.len(),
        TAKES.as_millis()
    );
    Ok(Findings::new(table, how, ledger))
}

async fn healthy(launch: &Launch, service: &Service) -> Result<Background, Failure> {
    /// Room for ten minutes.
    const MOST: usize = 600 * PER_SECOND;
    let tenants = launch.tenants(["north"]).await?;
    let [tenant] = tenants.as_slice() else { return Err(Failure::new("there is one healthy tenant")) };
    let receiver = Arc::new(Receiver::new(MOST, TAKES));
    let target = (Arc::clone(&receiver).serve().await?, 0);
    let subscription = tenant.subscribe(service.api, target, PLAIN, Value::Null).await?;
    let producer = Producer::new(service.api, vec![tenant.route_to(subscription)], &receiver, 0..MOST)?;
    Ok(Background { patience: PATIENCE, ..Background::new(producer, PER_SECOND) })
}

impl Noise {
    /// So many subscriptions of each tenant, and room for so many seconds of events.
    async fn prepare(
        launch: &Launch,
        database: &Database,
        service: &Service,
        of_each: usize,
        seconds: usize,
    ) -> Result<Self, Failure> {
        let tenants = launch.tenants(NOISY).await?;
        let silent = silent().await?;
        let mut routes = Vec::new();
        for tenant in &tenants {
            let target = |number| format!("http://{silent}/{}/{number}", tenant.name);
            let ids = rows::add_subscriptions(&database.client, &tenant.name, ALL, of_each, target).await?;
            routes.push(ids.into_iter().map(|id| tenant.route_to(id)).collect::<Vec<Route>>());
        }
        // A subscription of each tenant in turn.
        let in_turn = (0..of_each).flat_map(|place| routes.iter().filter_map(move |routes| routes.get(place)));
        let in_turn: Vec<Route> = in_turn.cloned().collect();
        let subscriptions = in_turn.len();
        let receiver = Arc::new(Receiver::new(NOISE_PER_SECOND * seconds, Duration::ZERO));
        let producer = Producer::new(service.api, in_turn, &receiver, 0..receiver.room())?.with_type(ALL);
        Ok(Self { tenants, receiver, producer, subscriptions })
    }

    /// One event of each tenant for all its subscriptions.
    async fn begin(&self, service: &Service) -> Result<(), Failure> {
        for tenant in &self.tenants {
            let events = [serde_json::json!({"event_type": ALL, "payload": {"n": 0}})];
            tenant.publish(service.api, &events).await?;
        }
        self.receiver.note_accepted(self.subscriptions);
        Ok(())
    }
}

/// Takes connections and never answers; holds them until postrider gives up.
async fn silent() -> Result<std::net::SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Reads what comes, so that the end of the connection is seen.
            tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
        }
    });
    Ok(address)
}
