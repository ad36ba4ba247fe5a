//! PostgreSQL, the truth: one file a table or protocol, one `.sql` file a statement or function.
//!
//! Five pools, so that none of these waits for another: *intake* accepts events, *queue* finds, takes and records
//! deliveries, *interactive* answers people and gives up soon, *sweep* looks at the whole queue, and *maintenance* is
//! upkeep, whose statements may take their time. The server itself ends a statement that takes longer than its pool
//! allows. No transaction is open while a receiver answers, and no session state is set on a pooled connection:
//! everything is a connection option.

mod accept;
mod api_keys;
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
mod record;
mod replays;
mod retention;
mod sealed;
mod sql;
mod status;
mod subscriptions;
mod take;
mod tls;
mod upkeep;
mod workers;

pub use accept::{AcceptAnswer, AcceptItem, Decision, DeliveryIndex, KeyOwner, NewDelivery};
pub use api_keys::{ApiKeyRow, KnownKey, Revocation};
pub use clock::{Clock, MAX_SKEW};
pub use connection::Connection;
pub use deliveries::{Cancelled, Retried};
pub use error::StoreError;
pub use events::{EventFacts, NotDelivered};
pub use examine::{OldSnapshot, QueueSize, SealedWith, ServerFacts};
pub use find::{Found, Look};
pub use health::{BreakerChange, BreakerOpened, Health, HealthReport};
pub use listen::{DUE_CHANNEL, Notice};
pub use logs::{LogFilter, LoggedAttempt};
pub use migrate::{MigrateError, SchemaPolicy};
pub use ordering::GroupWalk;
pub use owners::{KeepRequest, Owned};
pub use record::Recorded;
pub use replays::{NewReplay, Replay, ReplayStep};
pub use retention::Retained;
pub use sealed::{SealedHeaders, SealedOlder, SealedSecrets};
pub use status::{DeliveryStatus, EventStatus};
pub use subscriptions::{CancelledByDeletion, ListRows, NewVersion, Rotation, StoredSubscription};
pub use take::{Take, TakeAsk, TakeRequest, TakenDelivery};
pub use upkeep::{Raised, Sweep};
pub use workers::KnownWorker;

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};

/// Longest wait for a connection, in all: checking out, opening, checking. With the limit of
/// a statement it stays below the two seconds within which a client has its 503.
const CHECKOUT_LIMIT: Duration = Duration::from_millis(500);
/// Most time one accepting statement may take: its clients wait for it.
const INTAKE_LIMIT: Duration = Duration::from_millis(1_200);
/// Most time one statement of the queue may take.
const QUEUE_LIMIT: Duration = Duration::from_millis(4_000);
/// Most time one statement for people may take.
const INTERACTIVE_LIMIT: Duration = Duration::from_millis(1_300);
/// Most time one look at the whole queue may take.
const SWEEP_LIMIT: Duration = Duration::from_secs(60);
/// Most time one statement of upkeep may take.
const MAINTENANCE_LIMIT: Duration = Duration::from_secs(60);
/// How much longer than the server's limit an answer is waited for, before the connection is given up.
const ANSWER_MARGIN: Duration = Duration::from_millis(100);

/// Every connection: a commit is on disk before it is answered, whatever the role or the
/// database say; nothing waits for ever.
const SESSION: &str = "-c synchronous_commit=on -c lock_timeout=2000 -c idle_in_transaction_session_timeout=10000 \
                       -c default_transaction_isolation=read\\ committed -c timezone=UTC -c application_name=postrider";

/// Plans of the queue, whatever the statistics were when they were made: each of its statements has one
/// index that fits. Functions carry the same pins themselves.
const PINNED_PLANS: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off \
                            -c enable_sort=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off";

/// How to reach the database.
#[derive(Clone)]
pub struct StoreConfig {
    /// URL for ordinary connections.
    pub url: String,
    /// URL that leads to PostgreSQL itself, for LISTEN and migrations.
    pub direct_url: String,
    /// The schema that the tables are in; a plain lower-case identifier.
    pub schema: String,
    /// Whether statements are prepared by name; false behind older poolers.
    pub prepare: bool,
    /// Most connections, of all pools together; at least 5.
    pub pool_size: usize,
}

/// The database, by its pools. Clones share them.
#[derive(Clone)]
pub struct Store {
    intake: Pool,
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
    /// Pools that open their connections when first needed; nothing is dialled here.
    ///
    /// # Errors
    /// [`StoreError::Url`] where a URL is not one of PostgreSQL.
    pub fn new(config: &StoreConfig) -> Result<Self, StoreError> {
        // One for each of sweep and maintenance; of the rest most for people and for the queue.
        let rest = config.pool_size.saturating_sub(2);
        let intake = (rest / 4).max(1);
        let interactive = (rest * 3 / 8).max(1);
        let queue = rest.saturating_sub(intake + interactive).max(1);
        let session = format!("{SESSION} -c search_path={}", config.schema);
        let pinned = format!("{session} {PINNED_PLANS}");
        let url = parse_url(&config.url)?;
        Ok(Self {
            intake: pool(&url, &pinned, INTAKE_LIMIT, intake)?,
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

    /// The database's clock, as far as it was measured.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// A version that is later than any written before now: the database's time in microseconds.
    fn version_stamp(&self) -> i64 {
        i64::try_from(self.clock.now().unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
    }

    async fn intake(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.intake, self.prepare, INTAKE_LIMIT + ANSWER_MARGIN).await
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

    /// Whether the database answers, within the limits for people.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.interactive().await?.query(&sql::PING, &[]).await.map(drop)
    }

    /// Closes every connection; later statements are refused. For a process that ends.
    pub fn close(&self) {
        self.pools().into_iter().for_each(Pool::close);
    }

    /// How many accepting statements can be under way.
    pub fn intake_connections(&self) -> usize {
        self.intake.status().max_size
    }

    /// Connections of all pools: open, unused, and waited for.
    pub fn pool_status(&self) -> PoolStatus {
        let pools = self.pools().map(Pool::status);
        let sum = |count: fn(&deadpool_postgres::Status) -> usize| pools.iter().map(count).sum();
        PoolStatus {
            open: sum(|status| status.size),
            idle: sum(|status| status.available),
            waiting: sum(|status| status.waiting),
        }
    }

    fn pools(&self) -> [&Pool; 5] {
        [&self.intake, &self.queue, &self.interactive, &self.sweep, &self.maintenance]
    }
}

/// How busy the connections are.
#[derive(Debug, Clone, Copy)]
pub struct PoolStatus {
    /// Open connections.
    pub open: usize,
    /// Of these, unused ones.
    pub idle: usize,
    /// Requests that wait for one.
    pub waiting: usize,
}

/// Reads a URL; `verify-full` and `verify-ca` are what `require` does here anyway.
fn parse_url(url: &str) -> Result<tokio_postgres::Config, StoreError> {
    let (place, options) = url.split_once('?').unwrap_or((url, ""));
    let options =
        options.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
    let url = if options.is_empty() { place.to_owned() } else { format!("{place}?{options}") };
    let mut config: tokio_postgres::Config = url.parse().map_err(|_| StoreError::Url)?;
    config.connect_timeout(CHECKOUT_LIMIT);
    config.keepalives_idle(Duration::from_secs(10));
    config.tcp_user_timeout(Duration::from_secs(10));
    Ok(config)
}

/// The same with these options behind its own, which they override.
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
