//! Every setting, with unit, default and variable: the only reader of the environment.
//!
//! [`Settings`] is what a user writes (flags, environment, `.env`); [`Config`] is what the
//! program runs on: checked, with defaults filled in.

mod breaker;
mod dotenv;
mod schema_name;
mod system_events;
mod unknown;

pub use breaker::{BreakerConfig, BreakerSettings};
pub use dotenv::{InvalidDotenv, load_dotenv};
pub use schema_name::SchemaName;
pub use system_events::{SystemEventConfig, SystemEventSettings};
pub use unknown::{UnknownSetting, unknown_settings};

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use ipnet::IpNet;

use crate::domain::address::AddressPolicy;
use crate::domain::backoff::{Jitter, RetrySchedule};
use crate::domain::duration::parse_duration;
use crate::domain::keyring::Keyring;
use crate::domain::next_step::RetryPolicy;
use crate::domain::slots::{SLOT_BYTES, SlotLimits};
use crate::domain::target::TargetPolicy;

/// Fewest connections: one for each of the store's pools.
const LEAST_POOL_SIZE: usize = 5;
/// Twice the largest other body, 1 MiB for generate-signature, and more.
const LEAST_REQUEST_BYTES: usize = 4 << 20;
/// Least time between an attempt's deadline and the end of its lease.
pub const LEASE_MARGIN: Duration = Duration::from_secs(5);

const DEFAULT_LEASE_MARGIN: Duration = Duration::from_secs(15);
const LONGEST_NOTICE: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
const LIFETIME_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(365 * 86_400);
const RETENTION_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(3_600)..=Duration::from_secs(3_650 * 86_400);
const REQUEST_TIMEOUT_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);

/// What a user may set. Durations are written `250ms`, `10s`, `5m`, `72h`, `5d`; sizes are
/// bytes; lists are separated by commas; booleans are `true` or `false`.
#[derive(Clone, Default, Args)]
pub struct Settings {
    /// PostgreSQL to use, as a postgres:// URL
    #[arg(long, env = "DATABASE_URL", value_name = "DATABASE_URL", hide_env_values = true, global = true)]
    pub database_url: Option<String>,
    /// File to read DATABASE_URL from
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "DATABASE_URL_FILE", global = true)]
    pub database_url_file: Option<PathBuf>,
    /// The same database without a pooler between, for LISTEN and migrations
    #[arg(
        long,
        env = "DATABASE_DIRECT_URL",
        value_name = "DATABASE_DIRECT_URL",
        hide_env_values = true,
        global = true
    )]
    pub database_direct_url: Option<String>,
    /// File to read DATABASE_DIRECT_URL from
    #[arg(long, env = "DATABASE_DIRECT_URL_FILE", value_name = "DATABASE_DIRECT_URL_FILE", global = true)]
    pub database_direct_url_file: Option<PathBuf>,
    /// Whether to use prepared statements; false behind pgbouncer older than 1.21 [default: true]
    #[arg(long, env = "POSTRIDER_DB_PREPARE", value_name = "POSTRIDER_DB_PREPARE", global = true)]
    pub db_prepare: Option<bool>,
    /// Schema of the tables, made when it is missing [default: public]
    #[arg(long, env = "POSTRIDER_SCHEMA", value_name = "POSTRIDER_SCHEMA", global = true)]
    pub schema: Option<SchemaName>,
    /// Most connections to PostgreSQL of this process, from 5 [default: 10]
    #[arg(long, env = "POSTRIDER_DB_POOL_SIZE", value_name = "POSTRIDER_DB_POOL_SIZE", global = true)]
    pub db_pool_size: Option<usize>,
    /// Redis for copies of subscriptions, as a redis:// or rediss:// URL [default: none]
    #[arg(long, env = "REDIS_URL", value_name = "REDIS_URL", hide_env_values = true, global = true)]
    pub redis_url: Option<String>,
    /// File to read REDIS_URL from
    #[arg(long, env = "REDIS_URL_FILE", value_name = "REDIS_URL_FILE", global = true)]
    pub redis_url_file: Option<PathBuf>,
    /// Whether to bring the schema up at start; false only checks it [default: true]
    #[arg(long, env = "POSTRIDER_MIGRATE", value_name = "POSTRIDER_MIGRATE", global = true)]
    pub migrate: Option<bool>,
    /// Address of the API [default: 127.0.0.1:8000]
    #[arg(long, env = "POSTRIDER_LISTEN", value_name = "POSTRIDER_LISTEN", global = true)]
    pub listen: Option<SocketAddr>,
    /// Address of /metrics, /healthz and /readyz [default: 127.0.0.1:9000]
    #[arg(long, env = "POSTRIDER_OPS_LISTEN", value_name = "POSTRIDER_OPS_LISTEN", global = true)]
    pub ops_listen: Option<SocketAddr>,
    /// Whether requests need an API key [default: keys; off in dev]
    #[arg(long, env = "POSTRIDER_AUTH", value_name = "POSTRIDER_AUTH", global = true)]
    pub auth: Option<AuthMode>,
    /// Keys that seal secrets at rest, as id:base64 of 32 bytes; the first seals, all open
    #[arg(
        long,
        env = "POSTRIDER_MASTER_KEYS",
        value_name = "POSTRIDER_MASTER_KEYS",
        hide_env_values = true,
        global = true
    )]
    pub master_keys: Option<String>,
    /// File to read POSTRIDER_MASTER_KEYS from
    #[arg(long, env = "POSTRIDER_MASTER_KEYS_FILE", value_name = "POSTRIDER_MASTER_KEYS_FILE", global = true)]
    pub master_keys_file: Option<PathBuf>,
    /// Delays between attempts: n entries make n retries; or "standard", "fast", "day", "none" [default: 10s,20s,40s,80s,160s]
    #[arg(long, env = "POSTRIDER_RETRY_SCHEDULE", value_name = "POSTRIDER_RETRY_SCHEDULE", global = true)]
    pub retry_schedule: Option<RetrySchedule>,
    /// Each delay is multiplied by a factor between 1 - j and 1 + j; from 0 to 0.5 [default: 0.1]
    #[arg(long, env = "POSTRIDER_RETRY_JITTER", value_name = "POSTRIDER_RETRY_JITTER", global = true)]
    pub retry_jitter: Option<f64>,
    /// Time limit of one attempt, from 1s to 60s [default: 10s]
    #[arg(long, env = "POSTRIDER_REQUEST_TIMEOUT", value_name = "POSTRIDER_REQUEST_TIMEOUT", value_parser = parse_duration, global = true)]
    pub request_timeout: Option<Duration>,
    /// How long a leased delivery belongs to its worker; at least the request timeout and 5s [default: request timeout and 15s]
    #[arg(long, env = "POSTRIDER_LEASE", value_name = "POSTRIDER_LEASE", value_parser = parse_duration, global = true)]
    pub lease: Option<Duration>,
    /// Most deliveries in flight in this process; one tenant has four fifths of them at most [default: 2048]
    #[arg(long, env = "POSTRIDER_MAX_IN_FLIGHT", value_name = "POSTRIDER_MAX_IN_FLIGHT", global = true)]
    pub max_in_flight: Option<usize>,
    /// Most bytes of them: payloads, and 20 KiB for each; at least four times the largest payload [default: 268435456]
    #[arg(long, env = "POSTRIDER_MAX_IN_FLIGHT_BYTES", value_name = "POSTRIDER_MAX_IN_FLIGHT_BYTES", global = true)]
    pub max_in_flight_bytes: Option<usize>,
    /// Most requests in flight to one subscription from this process [default: 64]
    #[arg(
        long,
        env = "POSTRIDER_MAX_IN_FLIGHT_PER_SUBSCRIPTION",
        value_name = "POSTRIDER_MAX_IN_FLIGHT_PER_SUBSCRIPTION",
        global = true
    )]
    pub max_in_flight_per_subscription: Option<usize>,
    /// When failing receivers are left alone.
    #[command(flatten)]
    pub breaker: BreakerSettings,
    /// When tenants are told how their subscriptions fare.
    #[command(flatten)]
    pub system_events: SystemEventSettings,
    /// Age at which a pending delivery expires [default: 96h]
    #[arg(long, env = "POSTRIDER_DELIVERY_LIFETIME", value_name = "POSTRIDER_DELIVERY_LIFETIME", value_parser = parse_duration, global = true)]
    pub delivery_lifetime: Option<Duration>,
    /// How long events are kept; longer while a delivery is pending [default: 72h]
    #[arg(long, env = "POSTRIDER_PAYLOAD_RETENTION", value_name = "POSTRIDER_PAYLOAD_RETENTION", value_parser = parse_duration, global = true)]
    pub payload_retention: Option<Duration>,
    /// How long attempts are kept; never shorter than their events [default: 72h]
    #[arg(long, env = "POSTRIDER_LOG_RETENTION", value_name = "POSTRIDER_LOG_RETENTION", value_parser = parse_duration, global = true)]
    pub log_retention: Option<Duration>,
    /// Largest payload, in bytes [default: 1048576]
    #[arg(long, env = "POSTRIDER_MAX_PAYLOAD_BYTES", value_name = "POSTRIDER_MAX_PAYLOAD_BYTES", global = true)]
    pub max_payload_bytes: Option<usize>,
    /// Largest body of POST /events/batch, in bytes [default: 8388608]
    #[arg(long, env = "POSTRIDER_MAX_BATCH_BYTES", value_name = "POSTRIDER_MAX_BATCH_BYTES", global = true)]
    pub max_batch_bytes: Option<usize>,
    /// Most bytes of all request bodies that are being read or not answered yet; at least eight times the largest payload and twice the largest batch [default: 67108864, or that]
    #[arg(long, env = "POSTRIDER_MAX_REQUEST_BYTES", value_name = "POSTRIDER_MAX_REQUEST_BYTES", global = true)]
    pub max_request_bytes: Option<usize>,
    /// Most connections to the API at once; at the limit the one that idles longest is closed for a new one [default: 1024]
    #[arg(long, env = "POSTRIDER_MAX_CONNECTIONS", value_name = "POSTRIDER_MAX_CONNECTIONS", global = true)]
    pub max_connections: Option<usize>,
    /// Networks that may be dialled though they are not public, as CIDRs [default: none; loopback in dev]
    #[arg(long, env = "POSTRIDER_ALLOW_TARGETS", value_name = "POSTRIDER_ALLOW_TARGETS", global = true)]
    pub allow_targets: Option<Networks>,
    /// Networks that must not be dialled though they are public, as CIDRs [default: none]
    #[arg(long, env = "POSTRIDER_DENY_TARGETS", value_name = "POSTRIDER_DENY_TARGETS", global = true)]
    pub deny_targets: Option<Networks>,
    /// Whether targets may be plain http [default: false; true in dev]
    #[arg(long, env = "POSTRIDER_ALLOW_HTTP", value_name = "POSTRIDER_ALLOW_HTTP", global = true)]
    pub allow_http: Option<bool>,
    /// How long a stopping process answers as before while /readyz says no already; above the
    /// interval at which a load balancer looks, at most 60s [default: 0s]
    #[arg(long, env = "POSTRIDER_SHUTDOWN_NOTICE", value_name = "POSTRIDER_SHUTDOWN_NOTICE", value_parser = parse_duration, global = true)]
    pub shutdown_notice: Option<Duration>,
    /// How long a stopping process waits for what is in flight [default: request timeout and 5s]
    #[arg(long, env = "POSTRIDER_SHUTDOWN_GRACE", value_name = "POSTRIDER_SHUTDOWN_GRACE", value_parser = parse_duration, global = true)]
    pub shutdown_grace: Option<Duration>,
    /// What to log: error, warn, info, debug, trace, or a filter such as postrider=debug [default: info]
    #[arg(long, env = "POSTRIDER_LOG", value_name = "POSTRIDER_LOG", value_parser = parse_log_filter, global = true)]
    pub log: Option<String>,
    /// How to log [default: text]
    #[arg(long, env = "POSTRIDER_LOG_FORMAT", value_name = "POSTRIDER_LOG_FORMAT", global = true)]
    pub log_format: Option<LogFormat>,
}

/// Whether requests need an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuthMode {
    /// Every request needs one, or a valid signature at ingest.
    Keys,
    /// Every request counts as having an admin key of the default tenant.
    Off,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// A list of CIDRs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(pub Vec<IpNet>);

impl FromStr for Networks {
    type Err = &'static str;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let networks = entries
            .map(|entry| entry.parse().map_err(|_| "must be CIDRs separated by commas, as in 10.0.0.0/8,fd00::/8"));
        networks.collect::<Result<_, _>>().map(Self)
    }
}

/// Where the program runs, which decides some defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// On somebody's behalf: keys and https required, public targets only.
    Production,
    /// `postrider dev`: no keys, http and loopback targets allowed.
    Development,
}

/// Why a setting is refused. Secrets are never repeated.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSetting {
    /// A setting without default is not set.
    #[error("{0} is not set: {1}")]
    Missing(&'static str, &'static str),
    /// A value breaks a rule.
    #[error("{0}: {1}")]
    Rule(&'static str, String),
    /// A `NAME_FILE` cannot be read.
    #[error("{name} names {path}, which cannot be read: {source}", path = path.display())]
    File {
        /// The setting.
        name: &'static str,
        /// The file it names.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Settings hold secrets as they were given.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Settings(not shown)")
    }
}

/// A text that stays out of logs and debug output.
#[derive(Clone)]
pub struct Private(pub String);

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

/// How to reach PostgreSQL.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// For ordinary connections; may lead through a pooler.
    pub url: Private,
    /// For LISTEN and migrations; without it there behind a pooler, only polling is left.
    pub direct_url: Private,
    /// Whether statements are prepared.
    pub prepare: bool,
    /// The schema of the tables.
    pub schema: SchemaName,
    /// Most connections of this process.
    pub pool_size: usize,
    /// Whether to bring the schema up at start.
    pub migrate: bool,
}

/// What the program runs on.
#[derive(Debug, Clone)]
pub struct Config {
    /// PostgreSQL.
    pub database: DatabaseConfig,
    /// Redis, where there is one.
    pub redis_url: Option<Private>,
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address of metrics and health.
    pub ops_listen: SocketAddr,
    /// Whether requests need a key.
    pub auth: AuthMode,
    /// What seals secrets at rest.
    pub keyring: Arc<Keyring>,
    /// When failed deliveries are tried again.
    pub retries: RetryPolicy,
    /// Time limit of one attempt.
    pub request_timeout: Duration,
    /// How long a taken delivery belongs to its worker.
    pub lease: Duration,
    /// How many deliveries may be in flight.
    pub slots: SlotLimits,
    /// When failing receivers are left alone.
    pub breaker: BreakerConfig,
    /// When tenants are told how their subscriptions fare.
    pub system_events: SystemEventConfig,
    /// Age at which a pending delivery expires.
    pub delivery_lifetime: Duration,
    /// How long events are kept.
    pub payload_retention: Duration,
    /// How long attempts are kept, if events are not kept longer.
    pub log_retention: Duration,
    /// Largest payload, in bytes.
    pub max_payload_bytes: usize,
    /// Most bytes of a batch of events.
    pub max_batch_bytes: usize,
    /// Most bytes of all request bodies that are being read or not answered yet.
    pub max_request_bytes: usize,
    /// Most connections to the API at once.
    pub max_connections: usize,
    /// What may be a target.
    pub targets: TargetPolicy,
    /// How long a stopping process answers as before.
    pub shutdown_notice: Duration,
    /// How long a stopping process waits for what is in flight.
    pub shutdown_grace: Duration,
}

impl Settings {
    /// The database settings alone, for commands that need no more.
    ///
    /// # Errors
    /// [`InvalidSetting`] names the setting and the rule.
    pub fn database(&self) -> Result<DatabaseConfig, InvalidSetting> {
        let url = secret("DATABASE_URL_FILE", self.database_url.as_deref(), self.database_url_file.as_deref())?.ok_or(
            InvalidSetting::Missing(
                "DATABASE_URL",
                "it names the PostgreSQL to use, as in postgres://user:password@host/database",
            ),
        )?;
        let (direct, direct_file) = (self.database_direct_url.as_deref(), self.database_direct_url_file.as_deref());
        let direct_url = secret("DATABASE_DIRECT_URL_FILE", direct, direct_file)?.unwrap_or_else(|| url.clone());
        let pool_size = self.db_pool_size.unwrap_or(10);
        rule(pool_size >= LEAST_POOL_SIZE, "POSTRIDER_DB_POOL_SIZE", "must be at least 5")?;
        Ok(DatabaseConfig {
            url: Private(url),
            direct_url: Private(direct_url),
            prepare: self.db_prepare.unwrap_or(true),
            schema: self.schema.clone().unwrap_or_default(),
            pool_size,
            migrate: self.migrate.unwrap_or(true),
        })
    }

    /// Checks everything and fills in the defaults of the profile.
    ///
    /// # Errors
    /// [`InvalidSetting`] names the setting and the rule.
    pub fn resolve(&self, profile: Profile) -> Result<Config, InvalidSetting> {
        let development = profile == Profile::Development;
        let request_timeout = self.request_timeout.unwrap_or(Duration::from_secs(10));
        rule(REQUEST_TIMEOUT_RANGE.contains(&request_timeout), "POSTRIDER_REQUEST_TIMEOUT", "must be from 1s to 60s")?;
        let lease = self.lease.unwrap_or(request_timeout + DEFAULT_LEASE_MARGIN);
        rule(
            lease >= request_timeout + LEASE_MARGIN,
            "POSTRIDER_LEASE",
            "must be at least POSTRIDER_REQUEST_TIMEOUT and 5s",
        )?;
        rule(lease <= LONGEST_WAIT, "POSTRIDER_LEASE", "must be at most 1h")?;
        let shutdown_grace = self.shutdown_grace.unwrap_or(request_timeout + Duration::from_secs(5));
        rule(shutdown_grace <= LONGEST_WAIT, "POSTRIDER_SHUTDOWN_GRACE", "must be at most 1h")?;
        let shutdown_notice = self.shutdown_notice.unwrap_or_default();
        rule(shutdown_notice <= LONGEST_NOTICE, "POSTRIDER_SHUTDOWN_NOTICE", "must be at most 60s")?;
        let delivery_lifetime = self.delivery_lifetime.unwrap_or(Duration::from_secs(96 * 3_600));
        rule(LIFETIME_RANGE.contains(&delivery_lifetime), "POSTRIDER_DELIVERY_LIFETIME", "must be from 1s to 365d")?;
        let max_payload_bytes = self.max_payload_bytes.unwrap_or(1_048_576);
        rule((2..=64 << 20).contains(&max_payload_bytes), "POSTRIDER_MAX_PAYLOAD_BYTES", "must be from 2 to 67108864")?;
        let max_batch_bytes = self.max_batch_bytes.unwrap_or(8 << 20);
        rule((2..=64 << 20).contains(&max_batch_bytes), "POSTRIDER_MAX_BATCH_BYTES", "must be from 2 to 67108864")?;
        Ok(Config {
            database: self.database()?,
            redis_url: self.redis_url()?,
            listen: self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8_000))),
            ops_listen: self.ops_listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9_000))),
            auth: self.auth.unwrap_or(if development { AuthMode::Off } else { AuthMode::Keys }),
            keyring: Arc::new(self.keyring()?),
            retries: self.retries()?,
            request_timeout,
            lease,
            slots: self.slots(max_payload_bytes)?,
            breaker: self.breaker.resolve()?,
            system_events: self.system_events.resolve()?,
            delivery_lifetime,
            payload_retention: retention("POSTRIDER_PAYLOAD_RETENTION", self.payload_retention)?,
            log_retention: retention("POSTRIDER_LOG_RETENTION", self.log_retention)?,
            max_payload_bytes,
            max_batch_bytes,
            max_request_bytes: self.max_request_bytes(max_payload_bytes, max_batch_bytes)?,
            max_connections: self.max_connections()?,
            targets: self.targets(development),
            shutdown_notice,
            shutdown_grace,
        })
    }

    fn redis_url(&self) -> Result<Option<Private>, InvalidSetting> {
        Ok(secret("REDIS_URL_FILE", self.redis_url.as_deref(), self.redis_url_file.as_deref())?.map(Private))
    }

    fn keyring(&self) -> Result<Keyring, InvalidSetting> {
        const NAME: &str = "POSTRIDER_MASTER_KEYS";
        let list = secret("POSTRIDER_MASTER_KEYS_FILE", self.master_keys.as_deref(), self.master_keys_file.as_deref())?
            .ok_or(InvalidSetting::Missing(
                NAME,
                "secrets are sealed with it; make one with: echo \"main:$(head -c 32 /dev/urandom | base64)\"",
            ))?;
        Keyring::parse(&list).map_err(|error| InvalidSetting::Rule(NAME, error.to_string()))
    }

    fn retries(&self) -> Result<RetryPolicy, InvalidSetting> {
        let default_schedule = || "10s,20s,40s,80s,160s".parse().expect("the default schedule is valid");
        let jitter = Jitter::new(self.retry_jitter.unwrap_or(0.1))
            .ok_or_else(|| InvalidSetting::Rule("POSTRIDER_RETRY_JITTER", "must be from 0 to 0.5".to_owned()))?;
        Ok(RetryPolicy { schedule: self.retry_schedule.clone().unwrap_or_else(default_schedule), jitter })
    }

    fn slots(&self, max_payload_bytes: usize) -> Result<SlotLimits, InvalidSetting> {
        let total = self.max_in_flight.unwrap_or(2_048);
        let bytes = self.max_in_flight_bytes.unwrap_or(256 << 20);
        // A tenant may take one more while it has less than four times what is free.
        let least = max_payload_bytes.saturating_add(SLOT_BYTES).saturating_mul(4);
        rule(
            bytes >= least,
            "POSTRIDER_MAX_IN_FLIGHT_BYTES",
            &format!("must be at least {least}: four times POSTRIDER_MAX_PAYLOAD_BYTES and 20480 bytes"),
        )?;
        let per_subscription = self.max_in_flight_per_subscription.unwrap_or(64);
        rule((1..=100_000).contains(&total), "POSTRIDER_MAX_IN_FLIGHT", "must be from 1 to 100000")?;
        rule(per_subscription >= 1, "POSTRIDER_MAX_IN_FLIGHT_PER_SUBSCRIPTION", "must be at least 1")?;
        Ok(SlotLimits { total, bytes, per_subscription })
    }

    /// One body has to fit beside as much that is free, without a key into a quarter (`api::body::budget`).
    fn max_request_bytes(&self, payload: usize, batch: usize) -> Result<usize, InvalidSetting> {
        let least = LEAST_REQUEST_BYTES.max(8 * payload).max(2 * batch);
        let bytes = self.max_request_bytes.unwrap_or(least.max(64 << 20));
        let must = format!(
            "must be at least {least}: 4 MiB, eight times POSTRIDER_MAX_PAYLOAD_BYTES and twice POSTRIDER_MAX_BATCH_BYTES"
        );
        rule(bytes >= least, "POSTRIDER_MAX_REQUEST_BYTES", &must)?;
        Ok(bytes)
    }

    fn max_connections(&self) -> Result<usize, InvalidSetting> {
        let limit = self.max_connections.unwrap_or(1_024);
        rule((1..=65_536).contains(&limit), "POSTRIDER_MAX_CONNECTIONS", "must be from 1 to 65536")?;
        Ok(limit)
    }

    fn targets(&self, development: bool) -> TargetPolicy {
        let loopback = || Networks::from_str("127.0.0.0/8,::1/128").expect("loopback is two networks");
        let allow =
            self.allow_targets.clone().unwrap_or_else(|| if development { loopback() } else { Networks::default() });
        let deny = self.deny_targets.clone().unwrap_or_default();
        TargetPolicy {
            allow_http: self.allow_http.unwrap_or(development),
            addresses: AddressPolicy { allow: allow.0, deny: deny.0, own: Vec::new() },
        }
    }
}

fn retention(name: &'static str, given: Option<Duration>) -> Result<Duration, InvalidSetting> {
    let retention = given.unwrap_or(Duration::from_secs(72 * 3_600));
    rule(RETENTION_RANGE.contains(&retention), name, "must be from 1h to 3650d")?;
    Ok(retention)
}

/// A secret given directly or by file; an empty one counts as not given.
fn secret(
    file_name: &'static str,
    direct: Option<&str>,
    file: Option<&Path>,
) -> Result<Option<String>, InvalidSetting> {
    if let Some(value) = direct.filter(|value| !value.is_empty()) {
        return Ok(Some(value.to_owned()));
    }
    let Some(path) = file else { return Ok(None) };
    let text = std::fs::read_to_string(path).map_err(|source| InvalidSetting::File {
        name: file_name,
        path: path.to_owned(),
        source,
    })?;
    Ok(Some(text.trim().to_owned()).filter(|value| !value.is_empty()))
}

/// A list of levels and of `target=level`. A lone word that is no level would silence
/// everything else, so it is refused.
fn parse_log_filter(text: &str) -> Result<String, &'static str> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let known = |entry: &str| match entry.split_once('=') {
        Some((target, level)) => !target.is_empty() && LEVELS.contains(&level),
        None => LEVELS.contains(&entry),
    };
    let refused = "must be error, warn, info, debug, trace, off, or a list such as info,postrider=debug";
    if text.split(',').all(known) { Ok(text.to_owned()) } else { Err(refused) }
}

fn rule(holds: bool, name: &'static str, rule: &str) -> Result<(), InvalidSetting> {
    if holds { Ok(()) } else { Err(InvalidSetting::Rule(name, rule.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal() -> Settings {
        Settings {
            database_url: Some("postgres://localhost/postrider".into()),
            master_keys: Some(Keyring::entry("main", [1; 32])),
            ..Settings::default()
        }
    }

    fn refusal(settings: &Settings) -> String {
        settings.resolve(Profile::Production).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_those_of_the_documents() {
        let config = minimal().resolve(Profile::Production).unwrap();
        assert_eq!(config.lease, Duration::from_secs(25));
        assert_eq!(config.shutdown_grace, Duration::from_secs(15));
        assert_eq!((config.slots.total, config.slots.per_subscription), (2_048, 64));
        assert_eq!(config.slots.bytes, 268_435_456);
        let three_days = Duration::from_secs(3 * 86_400);
        assert_eq!((config.payload_retention, config.log_retention), (three_days, three_days));
        assert_eq!(config.auth, AuthMode::Keys);
        assert!(!config.targets.allow_http && !config.targets.addresses.allows_private());
    }

    #[test]
    fn development_opens_loopback_and_needs_no_key() {
        let config = minimal().resolve(Profile::Development).unwrap();
        assert_eq!(config.auth, AuthMode::Off);
        assert!(config.targets.allow_http && config.targets.addresses.allows_private());
    }

    #[test]
    fn a_refusal_names_the_setting() {
        assert!(refusal(&Settings { database_url: None, ..minimal() }).starts_with("DATABASE_URL is not set"));
        assert!(refusal(&Settings { master_keys: None, ..minimal() }).starts_with("POSTRIDER_MASTER_KEYS is not set"));
        let short_lease = Settings { lease: Some(Duration::from_secs(14)), ..minimal() };
        assert!(refusal(&short_lease).starts_with("POSTRIDER_LEASE: must be at least"));
        let small = Settings { max_in_flight_bytes: Some(4 << 20), ..minimal() };
        assert!(refusal(&small).starts_with("POSTRIDER_MAX_IN_FLIGHT_BYTES: must be at least 4276224"));
        let long = Settings { request_timeout: Some(Duration::from_secs(61)), ..minimal() };
        assert!(refusal(&long).starts_with("POSTRIDER_REQUEST_TIMEOUT: must be"));
        let brief = Settings { log_retention: Some(Duration::from_secs(3_599)), ..minimal() };
        assert!(refusal(&brief).starts_with("POSTRIDER_LOG_RETENTION: must be from 1h"));
    }

    #[test]
    fn a_log_filter_is_levels_and_targets_with_levels() {
        for good in ["info", "warn,postrider=debug", "postrider::worker=trace"] {
            assert_eq!(parse_log_filter(good).as_deref(), Ok(good));
        }
        for bad in ["loud", "", "postrider", "a=b=c", "info,x"] {
            assert!(parse_log_filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bad_master_key_is_not_repeated() {
        let refused = refusal(&Settings { master_keys: Some("main:CANARY".into()), ..minimal() });
        assert!(refused.starts_with("POSTRIDER_MASTER_KEYS") && !refused.contains("CANARY"));
        assert!(!format!("{:?}", minimal()).contains("localhost/postrider"));
        assert!(!format!("{:?}", minimal().resolve(Profile::Production).unwrap()).contains("localhost/postrider"));
    }
}
