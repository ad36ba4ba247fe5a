//! PostgreSQL access: one file per table or protocol.
//!
//! Six pools, so that none blocks another: *intake* accepts events, *lookup* reads keys, tenants and subscriptions for
//! it, *queue* finds, takes and records, and reads the outbox, *interactive* answers API requests, *sweep* scans the
//! whole queue, *maintenance* is upkeep. No transaction is open while a receiver is awaited.

mod accept;
mod analytics;
mod api_keys;
mod audit;
mod clock;
mod connection;
mod deliveries;
mod direct;
mod error;
mod event_types;
mod events;
mod examine;
mod find;
mod finding;
mod functions;
mod health;
mod listen;
mod logs;
mod migrate;
mod ordering;
mod outbox;
mod owners;
mod payloads;
mod policy;
mod pool;
mod portal_sessions;
mod publish_buckets;
mod queue_depth;
mod record;
mod refusals;
mod replay_plans;
mod replays;
mod replicas;
mod retention;
mod rollups;
mod sealed;
mod search;
mod server;
mod session;
mod sql;
mod status;
mod subscriptions;
mod tail;
mod take;
mod tenants;
mod upkeep;
mod url;

pub use accept::{AcceptAnswer, AcceptItem, Decision, DeliveryIndex, KeyOwner, NewDelivery};
pub(crate) use analytics::{RollupRow, RollupSource, RollupsAsk, Whose};
pub use api_keys::{ApiKeyRow, KnownKey, MadeKey, NewKey, Revocation};
pub(crate) use audit::{AuditFilter, AuditRow};
pub use clock::{Clock, MAX_SKEW};
pub use connection::Connection;
pub use deliveries::{Cancelled, Chosen, Retried};
pub use error::StoreError;
pub(crate) use event_types::{EventTypeChoices, EventTypeRow, EventTypeWrite, MAX_TYPES, MAX_VALIDATED};
pub(crate) use events::{EventFacts, NotDelivered};
pub use examine::OldSnapshot;
pub(crate) use examine::{QueueSize, SealedWith, ServerFacts};
pub use find::{Found, Look};
pub(crate) use finding::{
    AttemptSearch, Common, DeliveryFilter, EventRow, EventSearch, FoundDelivery, FoundEvent, Named, Searched,
};
pub(crate) use health::Health;
pub use health::{BreakerChange, BreakerOpened, HealthReport};
pub use listen::{DUE_CHANNEL, Notice};
pub(crate) use logs::LoggedAttempt;
pub use migrate::{MigrateError, SchemaPolicy};
pub use ordering::GroupWalk;
pub(crate) use outbox::{DUPLICATE, Publishers, Unpublished, UnpublishedAs};
pub use outbox::{Lead, OutboxPage, OutboxRow, PageAsk, RefusedRow};
pub use owners::{KeepRequest, Owned};
pub(crate) use payloads::{StoredEvent, StoredPayload};
pub(crate) use portal_sessions::{NewSession, Opening};
pub(crate) use queue_depth::QueueDepth;
pub use record::Recorded;
pub(crate) use refusals::{NewRefusal, RefusalFilter, RefusalRow};
pub(crate) use replay_plans::{Counted, Plan};
pub use replays::{NewReplay, Replay, ReplayStep};
pub use replicas::KnownWorker;
pub(crate) use replicas::{BEAT_EVERY, Beat, ReplicaRow, Role};
pub(crate) use retention::PartitionRow;
pub use retention::Retained;
pub(crate) use rollups::AnalyticsViews;
pub use rollups::Folded;
pub use sealed::{SealedHeaders, SealedIngest, SealedOlder, SealedSecrets};
pub(crate) use search::{Exact, FoundEvents, PayloadSearch, RefusedCall, as_id};
pub(crate) use status::{DeliveryStatus, EventStatus};
pub use subscriptions::{
    CancelledByDeletion, Creation, ListRow, ListRows, NewVersion, Rotation, StoredSubscription, SubscriptionSearch,
};
pub(crate) use tail::{Tail, TailKind, TailRow};
pub use take::{Take, TakeAsk, TakeRequest, TakenDelivery};
pub use tenants::{TenantChanges, TenantChoices, TenantRow};
pub use upkeep::{Raised, Sweep};
pub use url::TlsDefaults;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use pool::{Epoch, Opener, Pool};
use server::Server;
use session::Session;

/// How long a request waits for a connection; one that opens slower serves a later request. With a statement's limit
/// it stays below the 2 s within which a client gets its 503.
const CHECKOUT_LIMIT: Duration = Duration::from_millis(500);
/// Producers wait for an accepting statement.
const INTAKE_LIMIT: Duration = Duration::from_millis(1_200);
const QUEUE_LIMIT: Duration = Duration::from_millis(4_000);
const INTERACTIVE_LIMIT: Duration = Duration::from_millis(1_300);
const SWEEP_LIMIT: Duration = Duration::from_secs(60);
const MAINTENANCE_LIMIT: Duration = Duration::from_secs(6);
/// Upkeep has one connection, and a step of one of its jobs takes about a second.
const MAINTENANCE_CHECKOUT_LIMIT: Duration = Duration::from_millis(1_500);
/// After this the server has ended every transaction of ours that writes events, attempts or ended deliveries, so that
/// rows that are older by the time of their transaction are complete (`sql/functions/log/complete_before.sql`). Sweeps
/// only read; retention copies rows with their times.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(10);
const _: () = {
    let mut limits = [INTAKE_LIMIT, QUEUE_LIMIT, INTERACTIVE_LIMIT, MAINTENANCE_LIMIT].as_slice();
    while let [limit, rest @ ..] = limits {
        assert!(limit.as_millis() + 2 * session::IDLE_LIMIT.as_millis() <= LONGEST_TRANSACTION.as_millis());
        limits = rest;
    }
};
/// Extra wait for the server's own error, before the connection is closed.
const ANSWER_MARGIN: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub struct StoreConfig {
    pub url: String,
    /// Leads past a pooler, or to one in session mode; `None` = `url`.
    pub direct_url: Option<String>,
    /// Where the URL says nothing about TLS.
    pub tls: TlsDefaults,
    /// Schema of the tables; a plain lower-case identifier.
    pub schema: String,
    /// Whether statements are prepared by name; false behind older poolers.
    pub prepare: bool,
    /// Connections of all pools; at least 6.
    pub pool_size: usize,
}

#[derive(Clone)]
pub struct Store {
    intake: Pool,
    lookup: Pool,
    queue: Pool,
    interactive: Pool,
    sweep: Pool,
    maintenance: Pool,
    access: connection::Access,
    direct: direct::Direct,
    schema: String,
    keyless: Arc<Semaphore>,
    clock: Clock,
    hints: ordering::HeadHints,
}

impl Store {
    /// Creates the pools; connections open when needed.
    pub fn new(config: &StoreConfig) -> Result<Self, StoreError> {
        // One each for sweep and maintenance; of the rest a fifth each for intake and lookup, most for API and queue.
        let rest = config.pool_size.saturating_sub(2);
        let (intake, lookup) = ((rest / 5).max(1), (rest / 5).max(1));
        let interactive = (rest * 3 / 10).max(1);
        let queue = rest.saturating_sub(intake + lookup + interactive).max(1);
        let session = Session::new(&config.schema);
        let pinned = session.clone().with_pinned_plans();
        let indexed = session.clone().with_indexes();
        let server = Server::new(&config.url, &config.tls)?;
        let epoch = Epoch::default();
        let pool = |session: &Session, limit: Duration, size| {
            Opener::pool(&server, session.clone().with_statement_limit(Some(limit)), &epoch, size)
        };
        Ok(Self {
            intake: pool(&pinned, INTAKE_LIMIT, intake)?,
            lookup: pool(&indexed, INTERACTIVE_LIMIT, lookup)?,
            queue: pool(&pinned, QUEUE_LIMIT, queue)?,
            interactive: pool(&indexed, INTERACTIVE_LIMIT, interactive)?,
            sweep: pool(&pinned, SWEEP_LIMIT, 1)?,
            maintenance: pool(&session, MAINTENANCE_LIMIT, 1)?,
            direct: direct::Direct::new(config, &server, session.with_statement_limit(None))?,
            access: connection::Access { prepare: config.prepare, checkout_limit: CHECKOUT_LIMIT, epoch },
            schema: config.schema.clone(),
            keyless: Arc::new(Semaphore::new(1)),
            clock: Clock::default(),
            hints: ordering::HeadHints::default(),
        })
    }

    /// Waits for a slow login as long as the URL allows: for commands, which have no client that waits.
    #[must_use]
    pub fn patient(mut self) -> Self {
        self.access.checkout_limit = self.direct.limit();
        self
    }

    /// Opens a connection for each pool that answers requests, so that the first of them does not wait for it.
    pub async fn open(&self) -> Result<(), StoreError> {
        let patient = self.clone().patient();
        let (intake, lookup, interactive) = tokio::join!(patient.intake(), patient.lookup(), patient.interactive());
        intake.and(lookup).and(interactive).map(drop)
    }

    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Later than any earlier version: the database's time in microseconds.
    fn version_stamp(&self) -> i64 {
        i64::try_from(self.clock.now().unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
    }

    async fn intake(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.intake, &self.access, INTAKE_LIMIT + ANSWER_MARGIN).await
    }

    async fn lookup(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.lookup, &self.access, INTERACTIVE_LIMIT + ANSWER_MARGIN).await
    }

    async fn queue(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.queue, &self.access, QUEUE_LIMIT + ANSWER_MARGIN).await
    }

    async fn interactive(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.interactive, &self.access, INTERACTIVE_LIMIT + ANSWER_MARGIN).await
    }

    async fn sweep(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.sweep, &self.access, SWEEP_LIMIT + ANSWER_MARGIN).await
    }

    async fn maintenance(&self) -> Result<Connection, StoreError> {
        let mut access = self.access.clone();
        access.checkout_limit = access.checkout_limit.max(MAINTENANCE_CHECKOUT_LIMIT);
        Connection::checkout(&self.maintenance, &access, MAINTENANCE_LIMIT + ANSWER_MARGIN).await
    }

    /// Fails while the server does not answer, or only reads.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.lookup().await?.check_writable().await
    }

    /// Closes every connection before the process ends.
    pub fn close(&self) {
        self.pools().into_iter().for_each(Pool::close);
    }

    /// How many API requests one tenant may have answered at a time: one connection is always left to others.
    pub fn connections_for_one_tenant(&self) -> usize {
        self.interactive.status().max_size.saturating_sub(1).max(1)
    }

    pub(crate) fn intake_connections(&self) -> usize {
        self.intake.status().max_size
    }

    pub(crate) fn pool_status(&self) -> PoolStatus {
        let pools = self.pools().map(Pool::status);
        let sum = |count: fn(&deadpool::Status) -> usize| pools.iter().map(count).sum();
        PoolStatus {
            open: sum(|status| status.size),
            idle: sum(|status| status.available),
            waiting: sum(|status| status.waiting),
        }
    }

    fn pools(&self) -> [&Pool; 6] {
        [&self.intake, &self.lookup, &self.queue, &self.interactive, &self.sweep, &self.maintenance]
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolStatus {
    pub(crate) open: usize,
    pub(crate) idle: usize,
    pub(crate) waiting: usize,
}
