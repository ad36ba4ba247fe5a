//! Every setting, declared once; the only reader of the environment.
//!
//! [`Settings`] is what a user writes; [`Config`] is checked and complete.

mod breaker;
mod database;
mod declare;
mod described;
mod dotenv;
mod given;
mod invalid;
mod log;
mod portal;
mod remote;
mod rules;
mod schema_name;
mod strict;
mod system_events;
mod unknown;

pub use breaker::BreakerConfig;
pub use database::DatabaseConfig;
pub use declare::with_flags;
pub use described::{DescribedSetting, described, find_setting};
pub use dotenv::InvalidDotenv;
pub use given::{Settings, Source};
pub use invalid::{InvalidSetting, InvalidSettings};
pub use log::{LogConfig, LogFormat};
pub use portal::PortalConfig;
pub use remote::RemoteConfig;
pub use schema_name::SchemaName;
pub use strict::StrictConfig;
pub use system_events::SystemEventConfig;
pub use unknown::UnknownSetting;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::domain::address::AddressPolicy;
use crate::domain::backoff::{Jitter, RetrySchedule};
use crate::domain::detail::KeepDetail;
use crate::domain::keyring::Keyring;
use crate::domain::next_step::RetryPolicy;
use crate::domain::slots::{SLOT_BYTES, SlotLimits};
use crate::domain::target::TargetPolicy;
use crate::domain::tenant::MAX_LIMIT;
use declare::{Rule, settings};
use rules::{boolean, duration, like, number, one_of, optional, secret, secret_url, text};

/// Least time between an attempt's deadline and the end of its lease.
pub const LEASE_MARGIN: Duration = Duration::from_secs(5);

const DEFAULT_LEASE_MARGIN: Duration = Duration::from_secs(15);
const DEFAULT_REQUEST_BYTES: usize = 64 << 20;
const LARGEST_BODY: usize = 64 << 20;

settings! {
    Config {
        database: DatabaseConfig,
        breaker: BreakerConfig,
        system_events: SystemEventConfig,
        portal: PortalConfig,
        log: LogConfig,
        start: StrictConfig,
    }

    /// Redis for copies of subscriptions, as a redis:// or rediss:// URL
    redis_url: Option<Private> = "REDIS_URL", optional(secret_url()), Default::Unset("none");

    /// File with CA certificates, in PEM format, that Redis may have besides those of the system
    redis_ca_file: Option<PathBuf> = "REDIS_CA_FILE", optional(text()), Default::Unset("none");

    /// Address of the API
    listen: SocketAddr = "POSTRIDER_LISTEN", like("ADDRESS:PORT, as in 127.0.0.1:8000"), Default::Value("127.0.0.1:8000");

    /// Address of /metrics, /healthz and /readyz
    ops_listen: SocketAddr = "POSTRIDER_OPS_LISTEN", like("ADDRESS:PORT, as in 127.0.0.1:9000"),
        Default::Value("127.0.0.1:9000");

    /// Whether requests need an API key
    auth: AuthMode = "POSTRIDER_AUTH", one_of(&[("keys", AuthMode::Keys), ("off", AuthMode::Off)]),
        Default::ByProfile("keys", "off");

    /// Keys that seal secrets at rest, as id:base64 of 32 bytes; the first seals, all open
    keyring: Arc<Keyring> = "POSTRIDER_MASTER_KEYS",
        secret(|list| Keyring::parse(list).map(Arc::new).map_err(|error| error.to_string())),
        Default::Required("secrets are sealed with it; make one with: echo \"main:$(head -c 32 /dev/urandom | base64)\"");

    /// Delays between attempts: n entries make n retries; or "standard", "fast", "day", "none"
    retry_schedule: RetrySchedule = "POSTRIDER_RETRY_SCHEDULE", text(), Default::Value("10s,20s,40s,80s,160s");

    /// Each delay is multiplied by a factor between 1 - j and 1 + j; from 0 to 0.5
    retry_jitter: Jitter = "POSTRIDER_RETRY_JITTER", jitter(), Default::Value("0.1");

    /// Time limit of one attempt
    request_timeout: Duration = "POSTRIDER_REQUEST_TIMEOUT", duration("1s", "60s"), Default::Value("10s");

    /// How long a leased delivery belongs to its worker; at least the request timeout and 5s
    own_lease: Option<Duration> = "POSTRIDER_LEASE", optional(duration("6s", "1h")),
        Default::Unset("the request timeout and 15s");

    /// Most deliveries in flight in this process; one tenant has four fifths of them at most
    max_in_flight: usize = "POSTRIDER_MAX_IN_FLIGHT", number(1..=100_000), Default::Value("2048");

    /// Most bytes of deliveries in flight: payloads, and 20 KiB for each; at least four times the largest payload and
    /// 20 KiB
    max_in_flight_bytes: usize = "POSTRIDER_MAX_IN_FLIGHT_BYTES", number(81_928..=1 << 40), Default::Value("268435456");

    /// Most requests in flight to one subscription from this process
    max_in_flight_per_subscription: usize = "POSTRIDER_MAX_IN_FLIGHT_PER_SUBSCRIPTION", number(1..=100_000),
        Default::Value("64");

    /// Age at which a pending delivery expires
    delivery_lifetime: Duration = "POSTRIDER_DELIVERY_LIFETIME", duration("1s", "365d"), Default::Value("96h");

    /// How long events are kept; longer while a delivery is pending
    payload_retention: Duration = "POSTRIDER_PAYLOAD_RETENTION", duration("1h", "3650d"), Default::Value("72h");

    /// How long attempts are kept; never shorter than their events
    log_retention: Duration = "POSTRIDER_LOG_RETENTION", duration("1h", "3650d"), Default::Value("72h");

    /// Which attempts keep URL, header fields and timing: failures, all or none
    attempt_detail: KeepDetail = "POSTRIDER_ATTEMPT_DETAIL",
        one_of(&[("failures", KeepDetail::Failures), ("all", KeepDetail::All), ("none", KeepDetail::None)]),
        Default::Value("failures");

    /// How long the audit of changes is kept
    audit_retention: Duration = "POSTRIDER_AUDIT_RETENTION", duration("1h", "3650d"), Default::Value("90d");

    /// Most refused requests that are kept for a tenant, the newest; 0 keeps none
    refusals_per_tenant: u32 = "POSTRIDER_REFUSALS_PER_TENANT", number(0..=100_000), Default::Value("1000");

    /// How long refused requests are kept
    refusal_retention: Duration = "POSTRIDER_REFUSAL_RETENTION", duration("1h", "3650d"), Default::Value("7d");

    /// Largest payload, in bytes
    max_payload_bytes: usize = "POSTRIDER_MAX_PAYLOAD_BYTES", number(2..=LARGEST_BODY), Default::Value("1048576");

    /// Largest body of POST /events/batch, in bytes
    max_batch_bytes: usize = "POSTRIDER_MAX_BATCH_BYTES", number(2..=LARGEST_BODY), Default::Value("8388608");

    /// Most bytes of request bodies in memory; at least eight times the largest
    /// payload and twice the largest batch
    own_request_bytes: Option<usize> = "POSTRIDER_MAX_REQUEST_BYTES", optional(number(4 << 20..=1 << 40)),
        Default::Unset("67108864, or that");

    /// Most bytes of accepted requests that wait for their commit; one tenant has four fifths of them at most
    publish_queue_bytes: usize = "POSTRIDER_PUBLISH_QUEUE_BYTES", number(1 << 20..=1 << 40), Default::Value("67108864");

    /// Most bytes of subscriptions that are kept in memory: copies and lists
    cache_bytes: usize = "POSTRIDER_CACHE_BYTES", number(1 << 20..=1 << 40), Default::Value("67108864");

    /// Most events a second of a tenant without a limit of its own
    publish_per_second: Option<u32> = "POSTRIDER_PUBLISH_PER_SECOND", optional(number(1..=MAX_LIMIT)),
        Default::Unset("no limit");

    /// Most subscriptions of a tenant without a limit of its own
    max_subscriptions: Option<u32> = "POSTRIDER_MAX_SUBSCRIPTIONS", optional(number(1..=MAX_LIMIT)),
        Default::Unset("no limit");

    /// Most connections to the API; at the limit the longest idle one is closed for a new one
    max_connections: usize = "POSTRIDER_MAX_CONNECTIONS", number(1..=65_536), Default::Value("1024");

    /// Most live streams of the API, and at most half of its connections; one tenant has an eighth of them at most
    max_streams: usize = "POSTRIDER_MAX_STREAMS", number(1..=65_536), Default::Value("400");

    /// Non-public networks that targets may be in, as CIDRs, or none
    allow_targets: Networks = "POSTRIDER_ALLOW_TARGETS", text(), Default::ByProfile("", "127.0.0.0/8,::1/128");

    /// Public networks that targets must not be in, as CIDRs, or none
    deny_targets: Networks = "POSTRIDER_DENY_TARGETS", text(), Default::Value("");

    /// File with CA certificates, in PEM format, that targets may have besides public ones and those of the system
    ca_file: Option<PathBuf> = "POSTRIDER_CA_FILE", optional(text()), Default::Unset("none");

    /// Whether targets may be plain http
    allow_http: bool = "POSTRIDER_ALLOW_HTTP", boolean(), Default::ByProfile("false", "true");

    /// How long a stopping process continues to serve while /readyz already fails; longer than the interval of a load
    /// balancer's checks
    shutdown_notice: Duration = "POSTRIDER_SHUTDOWN_NOTICE", duration("0s", "60s"), Default::Value("0s");

    /// How long a stopping process waits for what is in flight
    own_shutdown_grace: Option<Duration> = "POSTRIDER_SHUTDOWN_GRACE", optional(duration("0s", "1h")),
        Default::Unset("the request timeout and 5s");
}

/// Every setting: those of a service, and those of commands that talk to one.
fn declared() -> Vec<declare::Declared> {
    Config::declared().into_iter().chain(RemoteConfig::declared()).collect()
}

/// Whether requests need an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    Keys,
    /// Every request acts as an admin key of the default tenant.
    Off,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(pub Vec<IpNet>);

impl FromStr for Networks {
    type Err = &'static str;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        if list.trim() == "none" {
            return Ok(Self::default());
        }
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let networks = entries.map(|entry| {
            entry.parse().map_err(|_| "must be none, or CIDRs separated by commas, as in 10.0.0.0/8,fd00::/8")
        });
        networks.collect::<Result<_, _>>().map(Self)
    }
}

/// Where the program runs, which decides some defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Keys and https required, public targets only.
    Production,
    /// `postrider dev`: no keys, http and loopback targets allowed.
    Development,
}

/// A text that stays out of logs and debug output.
#[derive(Clone)]
pub struct Private(pub String);

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(not shown)")
    }
}

impl Config {
    /// The rules between settings.
    fn check(&self, given: &Settings) -> Vec<InvalidSetting> {
        // A tenant may take one more slot while it has less than four times what is free.
        let least_in_flight = 4 * (self.max_payload_bytes + SLOT_BYTES);
        let rules = [
            Relation {
                holds: self.lease() >= self.request_timeout + LEASE_MARGIN,
                name: "POSTRIDER_LEASE",
                must: "must be at least POSTRIDER_REQUEST_TIMEOUT and 5s".to_owned(),
                example: written(self.request_timeout + LEASE_MARGIN),
            },
            Relation {
                holds: self.max_in_flight_bytes >= least_in_flight,
                name: "POSTRIDER_MAX_IN_FLIGHT_BYTES",
                must: format!(
                    "must be at least {least_in_flight}: four times POSTRIDER_MAX_PAYLOAD_BYTES and 20480 bytes"
                ),
                example: least_in_flight.to_string(),
            },
            Relation {
                holds: self.max_request_bytes() >= self.least_request_bytes(),
                name: "POSTRIDER_MAX_REQUEST_BYTES",
                must: format!(
                    "must be at least {}: eight times POSTRIDER_MAX_PAYLOAD_BYTES and twice POSTRIDER_MAX_BATCH_BYTES",
                    self.least_request_bytes()
                ),
                example: self.least_request_bytes().to_string(),
            },
            self.breaker.relation(),
        ];
        rules.into_iter().filter(|rule| !rule.holds).map(|rule| rule.broken(given)).collect()
    }

    /// One body must fit while as much is free, and without a key into a quarter.
    fn least_request_bytes(&self) -> usize {
        (8 * self.max_payload_bytes).max(2 * self.max_batch_bytes)
    }

    pub fn max_request_bytes(&self) -> usize {
        self.own_request_bytes.unwrap_or(DEFAULT_REQUEST_BYTES.max(self.least_request_bytes()))
    }

    pub fn lease(&self) -> Duration {
        self.own_lease.unwrap_or(self.request_timeout + DEFAULT_LEASE_MARGIN)
    }

    pub fn shutdown_grace(&self) -> Duration {
        self.own_shutdown_grace.unwrap_or(self.request_timeout + Duration::from_secs(5))
    }

    pub fn retries(&self) -> RetryPolicy {
        RetryPolicy { schedule: self.retry_schedule.clone(), jitter: self.retry_jitter }
    }

    pub fn slots(&self) -> SlotLimits {
        SlotLimits {
            total: self.max_in_flight,
            bytes: self.max_in_flight_bytes,
            per_subscription: self.max_in_flight_per_subscription,
        }
    }

    pub fn targets(&self, own: Vec<std::net::IpAddr>) -> TargetPolicy {
        let (allow, deny) = (self.allow_targets.0.clone(), self.deny_targets.0.clone());
        TargetPolicy { allow_http: self.allow_http, addresses: AddressPolicy { allow, deny, own } }
    }
}

fn jitter() -> Rule<Jitter> {
    let must = "must be a number from 0 to 0.5, as in 0.1";
    let read = |text: &str| text.parse().ok().and_then(Jitter::new).ok_or_else(|| must.to_owned());
    Rule { says: String::new(), read: Box::new(read), is_secret: false }
}

/// A rule between two settings.
struct Relation {
    holds: bool,
    name: &'static str,
    must: String,
    example: String,
}

impl Relation {
    fn broken(&self, given: &Settings) -> InvalidSetting {
        let got = given.get(self.name).map_or("its default".to_owned(), |value| format!("{value:?}"));
        InvalidSetting::Rule(self.name, format!("{}, as in {} (got {got})", self.must, self.example))
    }
}

fn written(duration: Duration) -> String {
    match duration.as_millis() {
        millis if millis.is_multiple_of(1_000) => format!("{}s", millis / 1_000),
        millis => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Settings {
        let mut settings = Settings::default();
        settings.set("DATABASE_URL", "postgres://localhost/postrider");
        settings.set("POSTRIDER_MASTER_KEYS", &Keyring::entry("main", [1; 32]));
        pairs.iter().for_each(|(name, value)| settings.set(name, value));
        settings
    }

    fn refusal(pairs: &[(&str, &str)]) -> String {
        with(pairs).resolve(Profile::Production).unwrap_err().to_string()
    }

    #[test]
    fn the_example_has_every_setting_with_its_default() {
        let example = include_str!("../.env.example");
        let lines = example.lines().filter_map(|line| line.trim_start_matches('#').trim().split_once('='));
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let shown: std::collections::BTreeMap<&str, &str> = lines.filter(|(name, _)| is_name(name)).collect();
        let declared = declared();
        let names: Vec<&str> = declared.iter().flat_map(declare::Declared::names).collect();
        let missing: Vec<_> = names.iter().filter(|name| !shown.contains_key(**name)).collect();
        let extra: Vec<_> = shown.keys().filter(|name| !names.contains(name)).collect();
        assert!(missing.is_empty() && extra.is_empty(), "missing {missing:?}, no setting {extra:?}");
        for setting in &declared {
            let shown = shown[setting.name];
            assert!(setting.default.is_none_or(|default| default == shown), "{} is shown as {shown}", setting.name);
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_documents() {
        let config = with(&[]).resolve(Profile::Production).unwrap();
        assert_eq!((config.lease(), config.shutdown_grace()), (Duration::from_secs(25), Duration::from_secs(15)));
        assert_eq!(config.max_request_bytes(), 64 << 20);
        assert_eq!(config.auth, AuthMode::Keys);
        let targets = config.targets(Vec::new());
        assert!(!targets.allow_http && !targets.addresses.allows_private());
        assert_eq!(config.breaker.rules().probe_max, Duration::from_secs(600));
        let large = with(&[("POSTRIDER_MAX_PAYLOAD_BYTES", "16777216")]).resolve(Profile::Production).unwrap();
        assert_eq!(large.max_request_bytes(), 128 << 20);
    }

    #[test]
    fn development_opens_loopback_and_needs_no_key() {
        let config = with(&[]).resolve(Profile::Development).unwrap();
        let targets = config.targets(Vec::new());
        assert!(config.auth == AuthMode::Off && targets.allow_http && targets.addresses.allows_private());
    }

    #[test]
    fn a_refusal_says_what_the_value_must_be_and_what_it_was() {
        let refused = [
            ("POSTRIDER_LISTEN", "8000", r#"must be ADDRESS:PORT, as in 127.0.0.1:8000 (got "8000")"#),
            ("POSTRIDER_REQUEST_TIMEOUT", "61s", r#"must be a duration from 1s to 60s, as in 1s (got "61s")"#),
            ("POSTRIDER_DB_POOL_SIZE", "5", r#"must be a number from 6 to 10000, as in 6 (got "5")"#),
            ("POSTRIDER_AUTH", "no", r#"must be keys or off, as in keys (got "no")"#),
            ("POSTRIDER_RETRY_JITTER", "1", r#"must be a number from 0 to 0.5, as in 0.1 (got "1")"#),
            ("POSTRIDER_LEASE", "14s", r#"must be at least POSTRIDER_REQUEST_TIMEOUT and 5s, as in 15s (got "14s")"#),
            (
                "POSTRIDER_BREAKER_PROBE_MAX",
                "1s",
                r#"must be at least POSTRIDER_BREAKER_PROBE_DELAY, as in 30s (got "1s")"#,
            ),
        ];
        for (name, value, sentence) in refused {
            assert_eq!(refusal(&[(name, value)]), format!("{name}: {sentence}"));
        }
        assert!(refusal(&[("POSTRIDER_MAX_IN_FLIGHT_BYTES", "4194304")]).contains("must be at least 4276224"));
        assert!(refusal(&[("POSTRIDER_MAX_REQUEST_BYTES", "8388608")]).contains("must be at least 16777216"));
        for wrong in ["0s", "366d", "1h,1h,1h,1h,1h,1h,1h,1h,1h,1h,1h"] {
            assert!(refusal(&[("POSTRIDER_WARN_AFTER", wrong)]).contains("at most 10 durations"), "{wrong}");
        }
        assert!(refusal(&[("DATABASE_URL", "")]).starts_with("DATABASE_URL is not set"));
        let never = with(&[("POSTRIDER_DISABLE_AFTER", "0s")]).resolve(Profile::Production).unwrap();
        assert_eq!(never.breaker.disable_after, None);
    }

    #[test]
    fn all_bad_values_are_in_one_answer_each_with_its_rule_an_example_and_the_value() {
        let names: Vec<_> = Config::declared().iter().map(|declared| declared.name).collect();
        let bad: Vec<_> = names.iter().map(|name| (*name, "?CANARY")).collect();
        let refused = refusal(&bad);
        // Checked by whoever connects.
        let free = [
            "DATABASE_URL",
            "DATABASE_DIRECT_URL",
            "REDIS_URL",
            "REDIS_CA_FILE",
            "PGSSLMODE",
            "PGSSLROOTCERT",
            "PGSSLCERT",
            "PGSSLKEY",
            "POSTRIDER_CA_FILE",
        ];
        for name in names.iter().filter(|name| !free.contains(name)) {
            let line = refused.lines().find(|line| line.trim_start().starts_with(&format!("{name}:")));
            let line = line.unwrap_or_else(|| panic!("nothing about {name}:\n{refused}"));
            let is_secret = *name == "POSTRIDER_MASTER_KEYS";
            assert_eq!(line.contains("CANARY"), !is_secret, "{line}");
            let examples = ["as in ", "such as ", "make one with: "];
            assert!(examples.iter().any(|example| line.contains(example)), "no example: {line}");
        }
        assert!(refused.starts_with(&format!("{} settings are invalid:\n", names.len() - free.len())), "{refused}");
        let relations = refusal(&[("POSTRIDER_LEASE", "14s"), ("POSTRIDER_MAX_PAYLOAD_BYTES", "67108864")]);
        assert!(relations.contains("POSTRIDER_LEASE") && relations.contains("(got its default)"), "{relations}");
    }

    #[test]
    fn a_blank_value_counts_as_not_set() {
        let blank: Vec<_> =
            Config::declared().iter().flat_map(declare::Declared::names).map(|name| (name, "")).collect();
        let mut settings = with(&blank);
        assert!(settings.resolve(Profile::Production).unwrap_err().to_string().contains("DATABASE_URL is not set"));
        settings.set("DATABASE_URL", "postgres://localhost/postrider");
        settings.set("POSTRIDER_MASTER_KEYS", &Keyring::entry("main", [1; 32]));
        let (blank, unset) =
            (settings.resolve(Profile::Production).unwrap(), with(&[]).resolve(Profile::Production).unwrap());
        assert_eq!(format!("{blank:?}"), format!("{unset:?}"));
        let none = with(&[("POSTRIDER_ALLOW_TARGETS", "none")]).resolve(Profile::Development).unwrap();
        assert!(!none.targets(Vec::new()).addresses.allows_private());
    }

    #[test]
    fn a_bad_master_key_is_not_repeated() {
        let refused = refusal(&[("POSTRIDER_MASTER_KEYS", "main:CANARY")]);
        assert!(
            refused.starts_with("POSTRIDER_MASTER_KEYS: must") || refused.starts_with("POSTRIDER_MASTER_KEYS: the")
        );
        assert!(!refused.contains("CANARY"));
        assert!(!format!("{:?}", with(&[])).contains("localhost/postrider"));
        assert!(!format!("{:?}", with(&[]).resolve(Profile::Production).unwrap()).contains("localhost/postrider"));
    }
}
