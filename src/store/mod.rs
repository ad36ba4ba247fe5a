//! PostgreSQL, the truth: one file a table or protocol, one `.sql` file a statement.
//!
//! Three pools. The *queue* pool carries accept, claim, record and release; its connections
//! pin plans, because a plan made while the queue was empty scans a full one. The *desk*
//! pool carries what people ask for, and gives up soon. The *yard* is one connection for
//! upkeep, whose statements may take their time. No transaction is open while a stranger answers, and
//! no session state is set on a pooled connection: everything is a connection option.

mod accept;
mod api_keys;
mod claim;
mod clock;
mod connection;
mod deliveries;
mod error;
mod events;
mod examine;
mod health;
mod holds;
mod lines;
mod listen;
mod logs;
mod migrate;
mod pace;
mod policy;
mod record;
mod replays;
mod retention;
mod sealed;
mod sql;
mod status;
mod subscriptions;
mod tls;
mod upkeep;

pub use accept::{AcceptAnswer, AcceptItem, AcceptVerdict, KeyOwner, NewDelivery, Note, Notes};
pub use api_keys::{ApiKeyRow, KnownKey, Revocation};
pub use claim::{Claim, ClaimRequest, Claimed};
pub use clock::{Clock, MAX_SKEW};
pub use connection::Connection;
pub use deliveries::{Cancelled, Retried};
pub use error::StoreError;
pub use events::{EventFacts, NotDelivered};
pub use examine::{OldSnapshot, QueueSize, SealedWith, ServerFacts};
pub use health::{Health, HealthNote, Turn};
pub use lines::Sweep;
pub use listen::DUE_CHANNEL;
pub use logs::{LogFilter, LoggedAttempt};
pub use migrate::{MigrateError, SchemaPolicy};
pub use pace::{DrawRequest, Drawn, Standing};
pub use record::Recorded;
pub use replays::{NewReplay, Replay, ReplayStep};
pub use retention::Retained;
pub use sealed::{SealedHeaders, SealedOlder, SealedSecrets};
pub use status::{DeliveryStatus, EventStatus};
pub use subscriptions::{ListRows, NewVersion, Rotation, StoredSubscription};
pub use upkeep::{Announced, Backlog};

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};

/// Longest wait for a connection, in all: checking out, opening, checking. With the limit of
/// a statement it stays below the two seconds within which a client has its 503.
const CHECKOUT_LIMIT: Duration = Duration::from_millis(500);
/// Most time one statement of the queue may take before its connection is given up.
const QUEUE_STATEMENT_LIMIT: Duration = Duration::from_millis(4_000);
/// Most time one statement of the desk may take.
const DESK_STATEMENT_LIMIT: Duration = Duration::from_millis(1_400);
/// Most time one statement of upkeep may take.
const YARD_STATEMENT_LIMIT: Duration = Duration::from_secs(60);

/// Every connection: a commit is on disk before it is answered, whatever the role or the
/// database say; nothing waits for ever.
const SESSION: &str = "-c synchronous_commit=on -c lock_timeout=2000 -c idle_in_transaction_session_timeout=10000 \
                       -c default_transaction_isolation=read\\ committed -c timezone=UTC -c application_name=postrider";

/// The queue's plans, whatever the statistics were when they were made.
const PINNED_PLANS: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off \
                            -c enable_mergejoin=off -c jit=off";

/// How to reach the database.
#[derive(Clone)]
pub struct StoreConfig {
    /// URL for ordinary connections.
    pub url: String,
    /// URL that leads to PostgreSQL itself, for LISTEN and migrations.
    pub direct_url: String,
    /// Whether statements are prepared by name; false behind older poolers.
    pub prepare: bool,
    /// Most connections, of all pools together; at least 4.
    pub pool_size: usize,
}

/// The database, by its two pools. Clones share them.
#[derive(Clone)]
pub struct Store {
    queue: Pool,
    desk: Pool,
    yard: Pool,
    prepare: bool,
    direct: tokio_postgres::Config,
    floors: lines::Floors,
}

impl Store {
    /// Pools that open their connections when first needed; nothing is dialled here.
    ///
    /// # Errors
    /// [`StoreError::Url`] where a URL is not one of PostgreSQL.
    pub fn new(config: &StoreConfig) -> Result<Self, StoreError> {
        let queue_size = config.pool_size / 2;
        let desk_size = config.pool_size.saturating_sub(queue_size + 1).max(1);
        let queue_options = format!("{SESSION} {PINNED_PLANS} -c statement_timeout=5000");
        let desk_options = format!("{SESSION} -c statement_timeout={}", DESK_STATEMENT_LIMIT.as_millis());
        let yard_options = format!("{SESSION} -c statement_timeout={}", YARD_STATEMENT_LIMIT.as_millis());
        Ok(Self {
            queue: pool(&parse_url(&config.url)?, &queue_options, queue_size)?,
            desk: pool(&parse_url(&config.url)?, &desk_options, desk_size)?,
            yard: pool(&parse_url(&config.url)?, &yard_options, 1)?,
            prepare: config.prepare,
            direct: parse_url(&config.direct_url)?,
            floors: lines::Floors::default(),
        })
    }

    /// A connection for accept, claim, record and release.
    async fn queue(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.queue, self.prepare, QUEUE_STATEMENT_LIMIT).await
    }

    /// A connection for what people ask for.
    async fn desk(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.desk, self.prepare, DESK_STATEMENT_LIMIT).await
    }

    /// The connection for upkeep.
    async fn yard(&self) -> Result<Connection, StoreError> {
        Connection::checkout(&self.yard, self.prepare, YARD_STATEMENT_LIMIT).await
    }

    /// Whether the database answers, within the limits of the desk.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.desk().await?.query(&sql::PING, &[]).await.map(drop)
    }

    /// Closes every connection; later statements are refused. For a process that ends.
    pub fn close(&self) {
        self.queue.close();
        self.desk.close();
        self.yard.close();
    }

    /// Connections of all pools: open, unused, and waited for.
    pub fn pool_status(&self) -> PoolStatus {
        let pools = [self.queue.status(), self.desk.status(), self.yard.status()];
        let sum = |count: fn(&deadpool_postgres::Status) -> usize| pools.iter().map(count).sum();
        PoolStatus {
            open: sum(|status| status.size),
            idle: sum(|status| status.available),
            waiting: sum(|status| status.waiting),
        }
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

fn pool(config: &tokio_postgres::Config, options: &str, size: usize) -> Result<Pool, StoreError> {
    let mut config = config.clone();
    let own = config.get_options().unwrap_or_default().to_owned();
    config.options(format!("{own} {options}"));
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match config.get_ssl_mode() {
        tokio_postgres::config::SslMode::Require => Manager::from_config(config, tls::connector(), recycling),
        _ => Manager::from_config(config, tokio_postgres::NoTls, recycling),
    };
    let limits = Timeouts { wait: Some(CHECKOUT_LIMIT), create: Some(CHECKOUT_LIMIT), recycle: Some(CHECKOUT_LIMIT) };
    Pool::builder(manager).max_size(size).timeouts(limits).runtime(Runtime::Tokio1).build().map_err(|_| StoreError::Url)
}
