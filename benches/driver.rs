//! The floor's driver, a process of its own: the two statements and the bare POSTs.

use std::net::SocketAddr;
use std::ops::Range;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::drain;
use crate::failure::Failure;
use crate::load::{PLAIN, Producer};
use crate::meter::{Meter, connect};
use crate::sink::Sink;
use postrider::domain::attempt::{Answer, Attempt, Wishes};
use postrider::domain::delivery::{DeliveryKey, Report};
use postrider::domain::event::Event;
use postrider::domain::event_type::EventType;
use postrider::domain::id::{AttemptId, EventId, LeaseToken, SubscriptionId, TenantId};
use postrider::domain::metadata::Metadata;
use postrider::domain::next_step::NextStep;
use postrider::domain::outcome::Outcome;
use postrider::domain::payload::Payload;
use postrider::domain::policy::Policy;
use postrider::domain::timing::Timing;
use postrider::store::{
    AcceptItem, Clock, NewDelivery, SchemaPolicy, SealedHeaders, Store, StoreConfig, StoredSubscription,
};

const LEASE: Duration = Duration::from_secs(25);
/// Batches that may wait between accepting and recording.
const BATCHES_BETWEEN: usize = 8;
const POOL_SIZE: usize = 10;

/// What to drive.
#[derive(Debug, Clone, Args)]
pub(crate) struct Driver {
    /// URL of an empty database
    #[arg(long)]
    pub(crate) database: String,
    /// Process id of its server
    #[arg(long)]
    pub(crate) postmaster: u32,
    /// Address of the receiver
    #[arg(long)]
    pub(crate) receiver: SocketAddr,
    /// Events in all
    #[arg(long)]
    pub(crate) events: usize,
    /// Connections to the receiver
    #[arg(long)]
    pub(crate) connections: usize,
    /// Size of each payload, in bytes
    #[arg(long)]
    pub(crate) payload_bytes: usize,
}

/// What the driver stands on.
struct Stand {
    store: Store,
    clock: Clock,
    meter: Meter,
    tenant: TenantId,
    subscription: SubscriptionId,
    producer: Producer,
    /// What is posted in by the producers of the benchmark.
    inlet: Arc<Sink>,
}

/// A slice of the floor: one line on the driver's standard input.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    pub(crate) range: Range<usize>,
    /// Events in a statement.
    pub(crate) batch: usize,
    /// Whether each event is posted in, too.
    pub(crate) posts_in: bool,
}

impl std::fmt::Display for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {}", self.range.start, self.range.end, self.batch, self.posts_in)
    }
}

impl Slice {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let range = words.next()?.parse().ok()?..words.next()?.parse().ok()?;
        Some(Self { range, batch: words.next()?.parse().ok()?, posts_in: words.next()?.parse().ok()? })
    }
}

/// One pair of statements, made before anything is measured.
struct Batch {
    items: Vec<AcceptItem>,
    token: LeaseToken,
    reports: Vec<Report>,
}

impl Driver {
    /// Says where events may be posted in, then for each slice `ready` and what it spent,
    /// until its standard input ends.
    pub(crate) async fn run(&self) -> Result<(), Failure> {
        let stand = self.prepare().await?;
        println!("{}", Arc::clone(&stand.inlet).serve().await?);
        loop {
            let mut line = String::new();
            if tokio::task::block_in_place(|| std::io::stdin().read_line(&mut line))? == 0 {
                return Ok(());
            }
            let slice = Slice::read(&line).ok_or_else(|| Failure::new(format!("not a slice: {line}")))?;
            let batches = self.batches(&stand, &slice)?;
            let before = stand.meter.read().await?;
            println!("ready");
            let took = self.drive(&stand, &slice, batches).await?;
            let spent = stand.meter.read().await?.since(&before, slice.range.len(), took);
            println!("{} {} {}", spent.seconds, spent.service_micros, spent.postgres_micros);
        }
    }

    async fn prepare(&self) -> Result<Stand, Failure> {
        let (url, direct_url) = (self.database.clone(), self.database.clone());
        let store = Store::new(&StoreConfig { url, direct_url, prepare: true, pool_size: POOL_SIZE })?;
        store.migrate(SchemaPolicy::Migrate).await?;
        let clock = Clock::default();
        clock.measure(&store).await?;
        let database = connect(&self.database).await?;
        let tenant = database.query_one("select id from tenants", &[]).await?.get::<_, Uuid>(0).into();
        let subscription = SubscriptionId::at(clock.now());
        let row = StoredSubscription {
            tenant,
            id: subscription,
            version: 1,
            target_url: format!("http://{}/", self.receiver),
            secrets: Vec::new().into(),
            event_types: Vec::new(),
            description: None,
            is_active: true,
            disabled_reason: None,
            verify_ingest: false,
            external_id: None,
            headers: SealedHeaders::default(),
            metadata: Metadata::default(),
            policy: Policy::default(),
            created_at: clock.now(),
            updated_at: clock.now(),
        };
        store.create_subscription(&row).await?;
        let meter = Meter { database, services: vec![std::process::id()], postmaster: self.postmaster };
        let inlet = Arc::new(Sink::new(self.events));
        let (paths, sink) = (vec!["/".to_owned()], Arc::clone(&inlet));
        let producer = Producer {
            api: self.receiver,
            paths,
            event_type: PLAIN,
            payload_bytes: self.payload_bytes,
            insists: false,
            sink,
        };
        Ok(Stand { store, clock, meter, tenant, subscription, producer, inlet })
    }

    /// The parameters of a slice's statements, made before anything is measured.
    fn batches(&self, stand: &Stand, slice: &Slice) -> Result<Vec<Batch>, Failure> {
        let failed = |error: String| Failure::new(format!("the floor has no event: {error}"));
        let event_type = EventType::from_str(PLAIN).map_err(|error| failed(error.to_string()))?;
        let event = |number| {
            let payload = Payload::parse(Sink::payload(number, self.payload_bytes));
            Ok(Event {
                id: EventId::at(stand.clock.now()),
                tenant: stand.tenant,
                event_type: Some(event_type.clone()),
                payload: payload.map_err(|error| failed(error.to_string()))?,
            })
        };
        let events = slice.range.clone().map(event).collect::<Result<Vec<Event>, Failure>>()?;
        Ok(events.chunks(slice.batch).map(|events| Batch::of(events, stand)).collect())
    }

    /// Everything at once; returns the time until all is done.
    async fn drive(&self, stand: &Stand, slice: &Slice, batches: Vec<Batch>) -> Result<Duration, Failure> {
        let began = Instant::now();
        let coming_in = async {
            if slice.posts_in {
                drain(&stand.inlet, &slice.range).await;
            }
            Ok(())
        };
        let posting = stand.producer.closed_loop(slice.range.clone(), self.connections);
        tokio::try_join!(cycle(&stand.store, batches), posting, coming_in)?;
        Ok(began.elapsed())
    }
}

impl Batch {
    fn of(events: &[Event], stand: &Stand) -> Self {
        let token = LeaseToken::from(Uuid::new_v4());
        let subscription = stand.subscription;
        let item = |event: &Event| AcceptItem {
            event: event.clone(),
            key: None,
            list_version: None,
            timing: Timing::default(),
            ordering_key: None,
            deliveries: vec![NewDelivery { subscription, version: 1, leased: true, is_ordered: false }],
        };
        let report = |event: &Event| Report {
            key: DeliveryKey { tenant: event.tenant, event: event.id, subscription },
            token,
            subscription_version: 1,
            event_type: event.event_type.clone(),
            attempts: vec![delivered(&stand.clock)],
            free_attempts: 0,
            ordering_key: None,
            step: NextStep::Done,
        };
        Self { items: events.iter().map(item).collect(), token, reports: events.iter().map(report).collect() }
    }
}

/// The log row of a first attempt that was answered 200.
fn delivered(clock: &Clock) -> Attempt {
    let answer = Answer {
        outcome: Outcome::of_status(200),
        status: Some(200),
        body: bytes::Bytes::new(),
        retry_after: None,
        wishes: Wishes::default(),
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
