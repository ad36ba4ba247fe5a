//! The floor's driver, a process of its own: the two statements and the bare POSTs.

use std::net::SocketAddr;
use std::ops::Range;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::drain;
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
const POOL_SIZE: usize = 10;

/// What to drive.
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
    /// Events of each floor
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

/// What the driver stands on.
struct Stand {
    store: Store,
    meter: Meter,
    producer: Producer,
    /// The same numbers as the producer's sink; here what the producers of `bench` post.
    inlet: Arc<Sink>,
}

/// One pair of statements, made before anything is measured.
struct Batch {
    items: Vec<AcceptItem>,
    token: LeaseToken,
    reports: Vec<Report>,
}

impl Driver {
    /// Warms up and measures both floors. Prints three figures for each, and before the
    /// second the address to which its events are to be posted.
    pub(super) async fn run(&self) -> Result<(), Failure> {
        let store = Store::new(&StoreConfig {
            url: self.database.clone(),
            direct_url: self.database.clone(),
            prepare: true,
            pool_size: POOL_SIZE,
        })?;
        store.migrate(SchemaPolicy::Migrate).await?;
        let database = connect(&self.database).await?;
        let meter = Meter { database, service: std::process::id(), postmaster: self.postmaster };
        let [warm_up, out, both] = self.ranges();
        let inlet = Arc::new(Sink::new(both.end));
        let producer = Producer {
            api: self.receiver,
            path: "/".to_owned(),
            payload_bytes: self.payload_bytes,
            sink: Arc::clone(&inlet),
        };
        let stand = Stand { store, meter, producer, inlet };
        let mut batches = self.batches(&stand, both.end).await?.into_iter();
        let mut next = |range: &Range<usize>| batches.by_ref().take(range.len() / self.batch).collect::<Vec<_>>();

        let warming = stand.producer.closed_loop(warm_up.clone(), self.connections);
        tokio::try_join!(cycle(&stand.store, next(&warm_up)), warming)?;
        println!("{}", self.measure(&stand, next(&out), out, false).await?);
        println!("{}", Arc::clone(&stand.inlet).serve().await?);
        println!("{}", self.measure(&stand, next(&both), both, true).await?);
        Ok(())
    }

    /// The numbers of the warm-up and of both floors, each in whole batches.
    pub(super) fn ranges(&self) -> [Range<usize>; 3] {
        let whole = |events: usize| events.div_ceil(self.batch) * self.batch;
        let (warm_up, events) = (whole(self.warm_up), whole(self.events));
        [0..warm_up, warm_up..warm_up + events, warm_up + events..warm_up + 2 * events]
    }

    async fn measure(
        &self,
        stand: &Stand,
        batches: Vec<Batch>,
        range: Range<usize>,
        with_posts_in: bool,
    ) -> Result<String, Failure> {
        let before = stand.meter.read().await?;
        let began = Instant::now();
        let posting = stand.producer.closed_loop(range.clone(), self.connections);
        let coming = async {
            if with_posts_in {
                drain(&stand.inlet, range.clone()).await;
            }
            Ok(())
        };
        tokio::try_join!(cycle(&stand.store, batches), posting, coming)?;
        let took = began.elapsed();
        if with_posts_in && stand.inlet.arrived(range.clone()) < range.len() {
            return Err(Failure::new("the floor's events did not all come in".to_owned()));
        }
        let cost = stand.meter.read().await?.cost_since(&before, range.len());
        let per_second = range.len() as f64 / took.as_secs_f64();
        Ok(format!("{per_second} {} {}", cost.service_micros, cost.postgres_micros))
    }

    async fn batches(&self, stand: &Stand, total: usize) -> Result<Vec<Batch>, Failure> {
        let clock = Clock::default();
        clock.measure(&stand.store).await?;
        let tenant = stand.meter.database.query_one("select id from tenants", &[]).await?.get::<_, Uuid>(0).into();
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
        stand.store.create_subscription(&row).await?;
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
