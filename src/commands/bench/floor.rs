//! The floor: what this machine and this PostgreSQL could do at best, in the same run.
//!
//! In it: the accepting and the recording statement of the service, on the same schema with
//! the same parameters, in batches as large as the loaded service had on average, one of
//! each at a time as there, every commit on disk; and beside them one bare POST for each
//! event, of the same payload to the same receiver over as many connections. Both go on at
//! once, so they share the machine; the floor is the number of events divided by the time until
//! both are done. Deliveries are born leased, so there is no claim.
//!
//! Not in it: the API and its producers, parsing, signing, address checks, waiting of one
//! half for the other, upkeep. What all that costs is the distance to the floor.
//!
//! The driver is a process of its own, so that its CPU is told from the receiver's, as the
//! service's is.

use std::net::SocketAddr;
use std::process::Stdio;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::process::Command;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::load::Producer;
use super::meter::{Meter, connect};
use super::sink::Sink;
use crate::commands::Failure;
use crate::domain::attempt::{Answer, Attempt};
use crate::domain::delivery::{DeliveryKey, Report};
use crate::domain::event::Event;
use crate::domain::event_type::EventType;
use crate::domain::id::{AttemptId, EventId, LeaseToken, SubscriptionId, TenantId};
use crate::domain::next_step::NextStep;
use crate::domain::outcome::Outcome;
use crate::domain::payload::Payload;
use crate::store::{AcceptItem, Clock, SchemaPolicy, Store, StoreConfig, StoredSubscription};

const LEASE: Duration = Duration::from_secs(25);
/// Batches that may wait between accepting and recording.
const BATCHES_BETWEEN: usize = 8;

/// What the floor was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Floor {
    /// Events a second.
    pub(super) per_second: f64,
    /// CPU of the driver, in µs an event.
    pub(super) driver_micros: f64,
    /// CPU of PostgreSQL, in µs an event.
    pub(super) postgres_micros: f64,
}

/// The floor's driver; started by `postrider bench` itself.
#[derive(Debug, Clone, Args)]
pub(super) struct Driver {
    /// URL of an empty database
    #[arg(long)]
    pub(super) database: String,
    /// Process id of its server
    #[arg(long)]
    pub(super) postmaster: u32,
    /// Address of the receiver
    #[arg(long)]
    pub(super) receiver: SocketAddr,
    /// Events before measuring
    #[arg(long)]
    pub(super) warm_up: usize,
    /// Events to measure
    #[arg(long)]
    pub(super) events: usize,
    /// Events in a statement
    #[arg(long)]
    pub(super) batch: usize,
    /// Connections to the receiver
    #[arg(long)]
    pub(super) connections: usize,
    /// Size of each payload, in bytes
    #[arg(long)]
    pub(super) payload_bytes: usize,
}

/// One pair of statements, made before anything is measured.
struct Batch {
    items: Vec<AcceptItem>,
    token: LeaseToken,
    reports: Vec<Report>,
}

impl Driver {
    /// Runs the driver as a process and returns what it measured.
    pub(super) async fn spawn(&self) -> Result<Floor, Failure> {
        let driver = Command::new(std::env::current_exe()?)
            .args(["bench", "floor", "--database", &self.database])
            .args(["--postmaster", &self.postmaster.to_string()])
            .args(["--receiver", &self.receiver.to_string()])
            .args(["--warm-up", &self.warm_up.to_string()])
            .args(["--events", &self.events.to_string()])
            .args(["--batch", &self.batch.to_string()])
            .args(["--connections", &self.connections.to_string()])
            .args(["--payload-bytes", &self.payload_bytes.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&driver.stdout).into_owned();
        let figures: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match figures.as_slice() {
            &[per_second, driver_micros, postgres_micros] => Ok(Floor { per_second, driver_micros, postgres_micros }),
            _ => Err(Failure::new(format!("the floor was not measured: {}", driver.status))),
        }
    }

    /// What the process does: warms up, measures, prints three figures.
    pub(super) async fn run(&self) -> Result<(), Failure> {
        let store = Store::new(&StoreConfig {
            url: self.database.clone(),
            direct_url: self.database.clone(),
            prepare: true,
            pool_size: 10,
        })?;
        store.migrate(SchemaPolicy::Migrate).await?;
        let meter = Meter {
            database: connect(&self.database).await?,
            service: std::process::id(),
            postmaster: self.postmaster,
        };
        let total = self.warm_up + self.events;
        let mut batches = self.batches(&store, &meter, total).await?;
        let bytes = self.payload_bytes;
        let sink = Arc::new(Sink::new(total));
        let producer = Producer { api: self.receiver, path: "/".to_owned(), payload_bytes: bytes, sink };

        let warm = self.warm_up.div_ceil(self.batch);
        let measured = batches.split_off(warm.min(batches.len()));
        let first = warm * self.batch;
        tokio::try_join!(cycle(&store, batches), producer.closed_loop(0..first, self.connections))?;
        let before = meter.read().await?;
        let began = Instant::now();
        tokio::try_join!(cycle(&store, measured), producer.closed_loop(first..total, self.connections))?;
        let took = began.elapsed();
        let events = total.saturating_sub(first);
        let cost = meter.read().await?.cost_since(&before, events);
        println!("{} {} {}", events as f64 / took.as_secs_f64(), cost.service_micros, cost.postgres_micros);
        Ok(())
    }

    async fn batches(&self, store: &Store, meter: &Meter, total: usize) -> Result<Vec<Batch>, Failure> {
        let clock = Clock::default();
        clock.measure(store).await?;
        let tenant = meter.database.query_one("select id from tenants", &[]).await?.get::<_, Uuid>(0).into();
        let subscription = SubscriptionId::at(clock.now());
        let row = StoredSubscription {
            tenant,
            id: subscription,
            version: 1,
            target_url: format!("http://{}/", self.receiver),
            sealed_secret: Vec::new(),
            event_types: Vec::new(),
            description: None,
            is_active: true,
            disabled_reason: None,
            verify_ingest: false,
            created_at: clock.now(),
            updated_at: clock.now(),
        };
        store.create_subscription(&row).await?;
        let event_type = EventType::from_str("bench.event").map_err(|error| Failure::new(error.to_string()))?;
        let numbers: Vec<usize> = (0..total).collect();
        let batch = |numbers: &[usize]| {
            let payloads = numbers.iter().map(|number| Payload::parse(Sink::payload(*number, self.payload_bytes)));
            let payloads = payloads.collect::<Result<Vec<_>, _>>().map_err(|error| Failure::new(error.to_string()))?;
            let event =
                |payload| Event { id: EventId::at(clock.now()), tenant, event_type: Some(event_type.clone()), payload };
            Ok(Batch::of(payloads.into_iter().map(event), tenant, subscription, &clock))
        };
        numbers.chunks(self.batch).map(batch).collect()
    }
}

impl Batch {
    fn of(events: impl Iterator<Item = Event>, tenant: TenantId, subscription: SubscriptionId, clock: &Clock) -> Self {
        let token = LeaseToken::from(Uuid::new_v4());
        let item = |event| AcceptItem { event, key: None, subscription, version: 1, leased: true };
        let items: Vec<AcceptItem> = events.map(item).collect();
        let report = |item: &AcceptItem| Report {
            key: DeliveryKey { tenant, event: item.event.id, subscription },
            token,
            subscription_version: 1,
            event_type: item.event.event_type.clone(),
            attempts: vec![delivered(clock)],
            free_attempts: 0,
            step: NextStep::Done,
        };
        let reports = items.iter().map(report).collect();
        Self { items, token, reports }
    }
}

/// The log row of a first attempt that was answered 200.
fn delivered(clock: &Clock) -> Attempt {
    let answer = Answer {
        outcome: Outcome::of_status(200),
        status: Some(200),
        body: bytes::Bytes::new(),
        retry_after: None,
        remote: Some(std::net::Ipv4Addr::LOCALHOST.into()),
        duration: Duration::from_millis(1),
        stale_connection: false,
    };
    Attempt { id: AttemptId::at(clock.now()), number: 1, started_at: clock.now(), answer }
}

/// Accepts batch after batch and records each, one of either statement at a time.
async fn cycle(store: &Store, batches: Vec<Batch>) -> Result<(), Failure> {
    let (accepted, mut waiting) = mpsc::channel::<Vec<Report>>(BATCHES_BETWEEN);
    let accepting = async move {
        for batch in batches {
            store.accept(&batch.items, batch.token, LEASE).await?;
            if accepted.send(batch.reports).await.is_err() {
                break;
            }
        }
        Ok::<_, Failure>(())
    };
    let recording = async {
        while let Some(reports) = waiting.recv().await {
            let recorded = store.record(&reports).await?;
            if recorded.recorded < reports.len() {
                return Err(Failure::new("the floor recorded less than it accepted".to_owned()));
            }
        }
        Ok(())
    };
    tokio::try_join!(accepting, recording).map(drop)
}

/// A database beside the service's, on the same server; returns its URL.
pub(super) async fn make_database(beside: &str) -> Result<String, Failure> {
    const NAME: &str = "floor";
    connect(beside).await?.batch_execute(&format!("create database {NAME}")).await?;
    let server = beside.rsplit_once('/').map_or(beside, |(server, _)| server);
    Ok(format!("{server}/{NAME}"))
}
