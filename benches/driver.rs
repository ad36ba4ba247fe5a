//! The baseline's driver, a process of its own: the accepting and the recording statement,
//! and bare POSTs. The only file that uses the library's store.

use std::net::SocketAddr;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use postrider::domain::actor::Actor;
use postrider::domain::attempt::{Answer, Attempt};
use postrider::domain::delivery::{DeliveryKey, Report};
use postrider::domain::event::Event;
use postrider::domain::event_type::EventType;
use postrider::domain::hops::Hops;
use postrider::domain::id::{AttemptId, EventId, LeaseToken, SubscriptionId, TenantId};
use postrider::domain::metadata::Metadata;
use postrider::domain::next_step::NextStep;
use postrider::domain::outcome::Outcome;
use postrider::domain::payload::Payload;
use postrider::domain::policy::Policy;
use postrider::domain::timing::Timing;
use postrider::domain::trigger::Trigger;
use postrider::store::{
    AcceptItem, Clock, NewDelivery, SchemaPolicy, SealedHeaders, Store, StoreConfig, StoredSubscription,
};
use tokio::sync::mpsc;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::failure::Failure;
use crate::lab;
use crate::load::Load;
use crate::meter::Meter;
use crate::payload::Template;
use crate::producer::{PLAIN, Producer};
use crate::receiver::Receiver;
use crate::rows;

const LEASE: Duration = Duration::from_secs(25);
/// Batches that may wait between accepting and recording.
const BATCHES_BETWEEN: usize = 8;
const POOL_SIZE: usize = 10;
/// Longest wait for what is posted in.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// What the driver works with.
struct Parts {
    store: Store,
    clock: Clock,
    database: Arc<Client>,
    tenant: TenantId,
    subscription: SubscriptionId,
    template: Template,
    producer: Producer,
    /// What is posted in by the producers of the benchmark.
    inlet: Arc<Receiver>,
}

/// A slice of the baseline: one line on the driver's standard input.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    pub(crate) events: usize,
    /// Events in a statement.
    pub(crate) batch: usize,
    /// Whether each event is posted in, too.
    pub(crate) posts_in: bool,
}

impl std::fmt::Display for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.events, self.batch, self.posts_in)
    }
}

impl Slice {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (events, batch) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { events, batch, posts_in: words.next()?.parse().ok()? })
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
        let parts = self.prepare().await?;
        println!("{}", Arc::clone(&parts.inlet).serve().await?);
        let meter = Meter::of_this_process(Arc::clone(&parts.database), self.postmaster);
        let mut posted_in = 0;
        let mut number = 0;
        loop {
            let mut line = String::new();
            if tokio::task::block_in_place(|| std::io::stdin().read_line(&mut line))? == 0 {
                return Ok(());
            }
            let slice = Slice::read(&line).ok_or_else(|| Failure::new(format!("not a slice: {line}")))?;
            let batches = parts.batches(number, &slice)?;
            let before = meter.read().await?;
            println!("ready");
            let began = Instant::now();
            let coming_in = async {
                if slice.posts_in {
                    parts.inlet.drain(&(posted_in..posted_in + slice.events), PATIENCE).await;
                }
                Ok(())
            };
            let load = Load { connections: self.connections, ..Load::flood(slice.events) };
            let ((), posted, ()) =
                tokio::try_join!(cycle(&parts.store, batches), parts.producer.send(load), coming_in)?;
            number = posted.events.end;
            posted_in += if slice.posts_in { slice.events } else { 0 };
            let spent = meter.since(&before, slice.events, began.elapsed()).await?;
            println!("{} {} {}", spent.seconds, spent.service_micros, spent.postgres_micros);
        }
    }

    async fn prepare(&self) -> Result<Parts, Failure> {
        let (url, direct_url) = (self.database.clone(), self.database.clone());
        let store = Store::new(&StoreConfig {
            url,
            direct_url: Some(direct_url),
            tls: Default::default(),
            schema: "public".to_owned(),
            prepare: true,
            pool_size: POOL_SIZE,
        })?;
        store.migrate(SchemaPolicy::Migrate).await?;
        let clock = Clock::default();
        clock.measure(&store).await?;
        let database = Arc::new(lab::connect(&self.database).await?);
        let tenant = rows::first_tenant(&database).await?.into();
        let subscription = SubscriptionId::at(clock.now(), Uuid::new_v4().into_bytes());
        let row = StoredSubscription {
            tenant,
            id: subscription,
            version: 1,
            target_url: format!("http://{}/", self.receiver),
            secrets: Vec::new().into(),
            event_types: Vec::new(),
            filter: None,
            description: None,
            is_active: true,
            disabled_reason: None,
            verify_ingest: false,
            external_id: None,
            headers: SealedHeaders::default(),
            metadata: Metadata::default(),
            policy: Policy::default(),
            ingest: Default::default(),
            created_at: clock.now(),
            updated_at: clock.now(),
        };
        store.create_subscription(&row, None, &Actor::COMMAND).await?;
        let inlet = Arc::new(Receiver::new(self.events, Duration::ZERO));
        let producer = Producer::bare(self.receiver, &inlet, 0..self.events)?.with_payload(self.payload_bytes);
        let template = Template::new(self.payload_bytes);
        Ok(Parts { store, clock, database, tenant, subscription, template, producer, inlet })
    }
}

impl Parts {
    /// The parameters of a slice's statements, made before anything is measured.
    fn batches(&self, first: usize, slice: &Slice) -> Result<Vec<Batch>, Failure> {
        let event_type = EventType::from_str(PLAIN)?;
        let event = |number| {
            Ok(Event {
                id: EventId::at(self.clock.now(), Uuid::new_v4().into_bytes()),
                tenant: self.tenant,
                event_type: Some(event_type.clone()),
                payload: Payload::parse(self.template.numbered(number))?,
                hops: Hops::default(),
            })
        };
        let events = (first..first + slice.events).map(event).collect::<Result<Vec<Event>, Failure>>()?;
        Ok(events.chunks(slice.batch).map(|events| self.batch(events)).collect())
    }

    fn batch(&self, events: &[Event]) -> Batch {
        let token = LeaseToken::from(Uuid::new_v4());
        let subscription = self.subscription;
        let item = |event: &Event| AcceptItem {
            event: event.clone(),
            key: None,
            is_from_outbox: false,
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
            attempts: vec![delivered(&self.clock)],
            free_attempts: 0,
            ordering_key: None,
            step: NextStep::Done,
        };
        Batch { items: events.iter().map(item).collect(), token, reports: events.iter().map(report).collect() }
    }
}

/// The log row of a first attempt that was answered 200.
fn delivered(clock: &Clock) -> Attempt {
    let answer = Answer {
        status: Some(200),
        remote: Some(std::net::Ipv4Addr::LOCALHOST.into()),
        duration: Duration::from_millis(1),
        ..Answer::without_response(Outcome::of_status(200))
    };
    Attempt {
        id: AttemptId::at(clock.now(), Uuid::new_v4().into_bytes()),
        number: 1,
        started_at: clock.now(),
        trigger: Trigger::Fresh,
        answer,
    }
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
                return Err(Failure::new("the baseline recorded less than it accepted"));
            }
        }
        Ok(())
    };
    tokio::try_join!(accepting, recording).map(drop)
}
