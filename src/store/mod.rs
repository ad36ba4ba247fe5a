//! PostgreSQL access: one file per table or protocol.
//!
//! Six pools, so that none blocks another: *intake* accepts events, *lookup* reads keys, tenants and subscriptions for
//! it, *queue* finds, takes and records, *interactive* answers API requests, *sweep* scans the whole queue,
//! *maintenance* is upkeep. No transaction is open while a receiver is awaited.

mod accept;
mod api_keys;
mod audit;
mod clock;
mod connection;
mod deliveries;
mod error;
mod events;
mod examine;
mod find;
mod functions;
mod health;
mod listen;
mod logs;
mod migrate;
mod ordering;
mod owners;
mod policy;
mod publish_buckets;
mod record;
mod replays;
mod retention;
mod sealed;
mod sql;
mod status;
mod subscriptions;
mod take;
mod tenants;
mod tls;
mod upkeep;
mod workers;

pub use accept::{AcceptAnswer, AcceptItem, Decision, DeliveryIndex, KeyOwner, NewDelivery};
pub use api_keys::{ApiKeyRow, KnownKey, MadeKey, NewKey, Revocation};
pub(crate) use audit::{AuditFilter, AuditRow};
pub use clock::{Clock, MAX_SKEW};
pub use connection::Connection;
pub use deliveries::{Cancelled, Chosen, Retried};
pub use error::StoreError;
pub(crate) use events::{EventFacts, NotDelivered};
pub use examine::OldSnapshot;
pub(crate) use examine::{QueueSize, SealedWith, ServerFacts};
pub use find::{Found, Look};
pub(crate) use health::Health;
pub use health::{BreakerChange, BreakerOpened, HealthReport};
pub use listen::{DUE_CHANNEL, Notice};
pub(crate) use logs::{LogFilter, LoggedAttempt};
pub use migrate::{MigrateError, SchemaPolicy};
pub use ordering::GroupWalk;
pub use owners::{KeepRequest, Owned};
pub use record::Recorded;
pub use replays::{NewReplay, Replay, ReplayStep};
pub use retention::Retained;
pub use sealed::{SealedHeaders, SealedIngest, SealedOlder, SealedSecrets};
pub(crate) use status::{DeliveryStatus, EventStatus};
pub use subscriptions::{CancelledByDeletion, Creation, ListRow, ListRows, NewVersion, Rotation, StoredSubscription};
pub use take::{Take, TakeAsk, TakeRequest, TakenDelivery};
pub use tenants::{TenantChanges, TenantChoices, TenantPage, TenantRow};
pub use upkeep::{Raised, Sweep};
pub use workers::KnownWorker;

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};

/// Includes opening. With a statement's limit it stays below the 2 s within which a client gets its 503.
const CHECKOUT_LIMIT: Duration = Duration::from_millis(500);
/// Producers wait for an accepting statement.
const INTAKE_LIMIT: Duration = Duration::from_millis(1_200);
const QUEUE_LIMIT: Duration = Duration::from_millis(4_000);
const INTERACTIVE_LIMIT: Duration = Duration::from_millis(1_300);
const SWEEP_LIMIT: Duration = Duration::from_secs(60);
const MAINTENANCE_LIMIT: Duration = Duration::from_secs(60);
/// Extra wait for the server's own error, before the connection is closed.
const ANSWER_MARGIN: Duration = Duration::from_millis(100);

/// Applies whatever role and database say: commits reach the disk, and every wait has a limit.
const SESSION: &str = "-c synchronous_commit=on -c lock_timeout=2000 -c idle_in_transaction_session_timeout=10000 \
                       -c default_transaction_isolation=read\\ committed -c timezone=UTC -c application_name=postrider";

/// The queue's plans must not depend on statistics: each statement has one suitable index. Functions set the same.
const PINNED_PLANS: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off \
                            -c enable_sort=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off";

#[derive(Clone)]
pub struct StoreConfig {
    pub url: String,
    pub direct_url: String,
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
    prepare: bool,
    direct: tokio_postgres::Config,
    schema: String,
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
        let session = format!("{SESSION} -c search_path={}", config.schema);
        let pinned = format!("{session} {PINNED_PLANS}");
        let url = parse_url(&config.url)?;
        Ok(Self {
            intake: pool(&url, &pinned, INTAKE_LIMIT, intake)?,
            lookup: pool(&url, &session, INTERACTIVE_LIMIT, lookup)?,
            queue: pool(&url, &pinned, QUEUE_LIMIT, queue)?,
            interactive: pool(&url, &session, INTERACTIVE_LIMIT, interactive)?,
            sweep: pool(&url, &pinned, SWEEP_LIMIT, 1)?,
            maintenance: pool(&url, &session, MAINTENANCE_LIMIT, 1)?,
            prepare: config.prepare,
            direct: with_options(&parse_url(&config.direct_url)?, &session),
            schema: config.schema.clone(),
            clock: Clock::default(),
            hints: ordering::HeadHints::default(),
        })
    }

    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Later than any earlier version: the database's time in microseconds.
    fn version_stamp(&self) -> i64 {
        i64::try_from(self.clock.now().unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
    }

    async fn intake(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.intake, self.prepare, INTAKE_LIMIT + ANSWER_MARGIN).await
    }

    async fn lookup(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.lookup, self.prepare, INTERACTIVE_LIMIT + ANSWER_MARGIN).await
    }

    async fn queue(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.queue, self.prepare, QUEUE_LIMIT + ANSWER_MARGIN).await
    }

    async fn interactive(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.interactive, self.prepare, INTERACTIVE_LIMIT + ANSWER_MARGIN).await
    }

    async fn sweep(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.sweep, self.prepare, SWEEP_LIMIT + ANSWER_MARGIN).await
    }

    async fn maintenance(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.maintenance, self.prepare, MAINTENANCE_LIMIT + ANSWER_MARGIN).await
    }

    pub async fn ping(&self) -> Result<(), StoreError> {
        self.lookup().await?.query(&sql::PING, &[]).await.map(drop)
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
        let sum = |count: fn(&deadpool_postgres::Status) -> usize| pools.iter().map(count).sum();
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

/// `verify-full` and `verify-ca` equal `require` here: certificates are always verified.
fn parse_url(url: &str) -> Result<tokio_postgres::Config, StoreError> {
    let (base, options) = url.split_once('?').unwrap_or((url, ""));
    let options =
        options.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
    let url = if options.is_empty() { base.to_owned() } else { format!("{base}?{options}") };
    let mut config: tokio_postgres::Config = url.parse().map_err(|_| StoreError::Url)?;
    config.connect_timeout(CHECKOUT_LIMIT);
    config.keepalives_idle(Duration::from_secs(10));
    config.tcp_user_timeout(Duration::from_secs(10));
    Ok(config)
}

/// Later options override the URL's own.
fn with_options(config: &tokio_postgres::Config, options: &str) -> tokio_postgres::Config {
    let mut config = config.clone();
    let own = config.get_options().unwrap_or_default().to_owned();
    config.options(format!("{own} {options}"));
    config
}

fn pool(
    config: &tokio_postgres::Config,
    options: &str,
    statement_limit: Duration,
    size: usize,
) -> Result<Pool, StoreError> {
    let config = with_options(config, &format!("{options} -c statement_timeout={}", statement_limit.as_millis()));
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match config.get_ssl_mode() {
        tokio_postgres::config::SslMode::Require => Manager::from_config(config, tls::connector(), recycling),
        _ => Manager::from_config(config, tokio_postgres::NoTls, recycling),
    };
    let limits = Timeouts { wait: Some(CHECKOUT_LIMIT), create: Some(CHECKOUT_LIMIT), recycle: Some(CHECKOUT_LIMIT) };
    Pool::builder(manager).max_size(size).timeouts(limits).runtime(Runtime::Tokio1).build().map_err(|_| StoreError::Url)
}
