//! Reads a postgres:// URL as libpq does, with what tokio-postgres does not know of it. It opens no connection.

use std::net::IpAddr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode};

use super::StoreError;
use super::error::in_words;

/// Of one host: lookup, connect, TLS and login. A serverless database may take seconds to wake up.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// `connect_timeout=0` means no limit to libpq; every wait has one here.
const LONGEST_CONNECT_LIMIT: Duration = Duration::from_secs(300);
/// A dead peer is noticed after this and three probes, or after unacknowledged data.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Parameters that tokio-postgres reads as libpq does.
const PASSED_ON: &[&str] = &[
    "user",
    "password",
    "dbname",
    "host",
    "hostaddr",
    "port",
    "options",
    "application_name",
    "channel_binding",
    "sslnegotiation",
    "load_balance_hosts",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "connect_timeout",
];
/// Parameters read here.
const OWN: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "target_session_attrs",
    "keepalives_count",
    "tcp_user_timeout",
    "fallback_application_name",
    "gssencmode",
    "client_encoding",
    "ssl",
];
/// Harmless ones that other clients append; what they ask for is so anyway.
const IGNORED: &[&str] = &["sslcompression", "sslsni", "uselibpqcompat", "pgbouncer", "supa"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// Where the URL says nothing about TLS; libpq's variables of these names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsDefaults {
    /// `PGSSLMODE`.
    pub mode: Option<String>,
    /// `PGSSLROOTCERT`.
    pub root_cert: Option<String>,
    /// `PGSSLCERT`.
    pub cert: Option<String>,
    /// `PGSSLKEY`.
    pub key: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct TlsParameters {
    pub(super) mode: Mode,
    /// A file, or `system`.
    pub(super) root_cert: Option<String>,
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
    pub(super) is_direct: bool,
}

/// One host of a URL.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) host: Option<Host>,
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
}

#[derive(Debug, Clone)]
pub(super) struct DatabaseUrl {
    /// At least one.
    pub(super) places: Vec<Place>,
    /// Everything but hosts and ports.
    pub(super) config: Config,
    pub(super) tls: TlsParameters,
    /// For each host.
    pub(super) limit: Duration,
    pub(super) is_shuffled: bool,
}

impl DatabaseUrl {
    pub(super) fn parse(url: &str, defaults: &TlsDefaults) -> Result<Self, StoreError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(rule("must begin with postgres://, as in postgres://user:password@host:5432/database"));
        }
        let (base, query) = split(url);
        let mut own = Own::default();
        let mut passed = Vec::new();
        // libpq decodes %XX and leaves + as it is.
        for (name, value) in url::form_urlencoded::parse(query.replace('+', "%2B").as_bytes()) {
            match name.as_ref() {
                name if PASSED_ON.contains(&name) => passed.push((name.to_owned(), value.into_owned())),
                name if OWN.contains(&name) => own.set(name, &value)?,
                name if IGNORED.contains(&name) => {}
                name => return Err(rule(&unknown(name))),
            }
        }
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&passed).finish();
        // A space is + in forms and %20 in URLs.
        let parsed = format!("{base}?{}", query.replace('+', "%20")).parse::<Config>();
        let parsed = parsed.map_err(|error| rule(&in_words(&error)))?;
        let tls = own.tls(defaults, parsed.get_ssl_negotiation() == tokio_postgres::config::SslNegotiation::Direct)?;
        let limit = match parsed.get_connect_timeout() {
            Some(limit) => (*limit).min(LONGEST_CONNECT_LIMIT),
            None if passed.iter().any(|(name, _)| name == "connect_timeout") => LONGEST_CONNECT_LIMIT,
            None => CONNECT_LIMIT,
        };
        let is_shuffled = parsed.get_load_balance_hosts() == LoadBalanceHosts::Random;
        Ok(Self { places: places(&parsed)?, config: own.config(&parsed, tls.mode), tls, limit, is_shuffled })
    }
}

/// At the `?` after the password, which may contain one.
fn split(url: &str) -> (&str, &str) {
    let from = url.find('@').unwrap_or(0);
    let at = url.get(from..).and_then(|rest| rest.find('?')).map(|at| from + at);
    at.and_then(|at| Some((url.get(..at)?, url.get(at + 1..)?))).unwrap_or((url, ""))
}

fn places(parsed: &Config) -> Result<Vec<Place>, StoreError> {
    let (hosts, addresses, ports) = (parsed.get_hosts(), parsed.get_hostaddrs(), parsed.get_ports());
    let count = hosts.len().max(addresses.len());
    if count == 0 {
        return Err(rule("names no host, as in postgres://user:password@host:5432/database"));
    }
    if (!hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len())
        || (ports.len() > 1 && ports.len() != count)
    {
        return Err(rule("must have as many of host, hostaddr and port"));
    }
    let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
    let place = |at: usize| Place { host: hosts.get(at).cloned(), address: addresses.get(at).copied(), port: port(at) };
    Ok((0..count).map(place).collect())
}

fn unknown(name: &str) -> String {
    let known: Vec<&str> = PASSED_ON.iter().chain(OWN).copied().collect();
    format!("has the parameter {name:?}, which postrider does not support; it supports {}", known.join(", "))
}

fn rule(rule: &str) -> StoreError {
    StoreError::Url(rule.to_owned())
}

/// The parameters that are read here.
#[derive(Default)]
struct Own {
    mode: Option<Mode>,
    root_cert: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    keepalives_count: Option<u32>,
    user_timeout: Option<Duration>,
    application_name: Option<String>,
}

impl Own {
    fn set(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        let given = || Some(value.to_owned()).filter(|value| !value.is_empty());
        match (name, value) {
            ("sslmode", _) => self.mode = Some(mode(value)?),
            // JDBC's word, which libpq reads too.
            ("ssl", "true") => self.mode = self.mode.or(Some(Mode::Require)),
            ("sslrootcert", _) => self.root_cert = given(),
            ("sslcert", _) => self.cert = given(),
            ("sslkey", _) => self.key = given(),
            ("fallback_application_name", _) => self.application_name = given(),
            ("keepalives_count", _) => self.keepalives_count = Some(number(name, value)?),
            ("tcp_user_timeout", _) => self.user_timeout = Some(Duration::from_millis(number(name, value)?)),
            // Only a server that writes is of use.
            ("target_session_attrs", "any" | "read-write" | "primary")
            | ("gssencmode", "disable" | "prefer" | "allow") => {}
            ("client_encoding", encoding) if ["utf8", "utf-8", "auto"].contains(&encoding.to_lowercase().as_str()) => {}
            ("target_session_attrs", _) => {
                return Err(rule(
                    "has target_session_attrs for a server that only reads; postrider writes: use read-write",
                ));
            }
            ("gssencmode", _) => {
                return Err(rule("has gssencmode=require; postrider encrypts with TLS only: use sslmode"));
            }
            ("client_encoding", _) => return Err(rule("has another client_encoding than UTF8, which postrider uses")),
            _ => return Err(rule(&format!("has {name}={value}; it must be true, or use sslmode"))),
        }
        Ok(())
    }

    fn tls(&self, defaults: &TlsDefaults, is_direct: bool) -> Result<TlsParameters, StoreError> {
        let of = |own: &Option<String>, default: &Option<String>| own.clone().or_else(|| default.clone());
        let root_cert = of(&self.root_cert, &defaults.root_cert);
        let is_system = root_cert.as_deref() == Some("system");
        let named = match (self.mode, &defaults.mode) {
            (Some(named), _) => Some(named),
            (None, Some(named)) => Some(mode(named)?),
            (None, None) => None,
        };
        let mode = named.unwrap_or(if is_system { Mode::VerifyFull } else { Mode::Prefer });
        if is_system && mode != Mode::VerifyFull {
            return Err(rule(
                "has sslrootcert=system, which needs sslmode=verify-full: anybody gets a public certificate",
            ));
        }
        if is_direct && matches!(mode, Mode::Disable | Mode::Prefer) {
            return Err(rule("has sslnegotiation=direct, which needs sslmode=require, verify-ca or verify-full"));
        }
        let (cert, key) = (of(&self.cert, &defaults.cert), of(&self.key, &defaults.key));
        if cert.is_some() != key.is_some() {
            return Err(rule("needs both sslcert and sslkey, or neither"));
        }
        // As libpq: with a root at hand "require" verifies.
        let mode = if mode == Mode::Require && root_cert.is_some() { Mode::VerifyCa } else { mode };
        Ok(TlsParameters { mode, root_cert, cert, key, is_direct })
    }

    /// Without hosts and ports, which each attempt to connect adds.
    fn config(&self, parsed: &Config, mode: Mode) -> Config {
        let mut config = Config::new();
        if let Some(user) = parsed.get_user() {
            config.user(user);
        }
        if let Some(password) = parsed.get_password() {
            config.password(password);
        }
        if let Some(name) = parsed.get_dbname() {
            config.dbname(name);
        }
        if let Some(options) = parsed.get_options() {
            config.options(options);
        }
        let name = parsed.get_application_name().or(self.application_name.as_deref());
        config.application_name(name.unwrap_or("postrider"));
        config.ssl_mode(match mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        });
        config.ssl_negotiation(parsed.get_ssl_negotiation()).channel_binding(parsed.get_channel_binding());
        // tokio-postgres' own default of 2 hours would notice a dead peer too late.
        let idle = parsed.get_keepalives_idle();
        config.keepalives(parsed.get_keepalives()).keepalives_idle(idle.min(KEEPALIVE));
        config.keepalives_interval(parsed.get_keepalives_interval().unwrap_or(KEEPALIVE));
        config.keepalives_retries(self.keepalives_count.unwrap_or(3));
        config.tcp_user_timeout(self.user_timeout.unwrap_or(KEEPALIVE));
        config
    }
}

fn mode(word: &str) -> Result<Mode, StoreError> {
    match word {
        "disable" => Ok(Mode::Disable),
        // "allow" encrypts only where the server insists; encrypting whenever it can is no worse.
        "allow" | "prefer" => Ok(Mode::Prefer),
        "require" => Ok(Mode::Require),
        "verify-ca" => Ok(Mode::VerifyCa),
        "verify-full" => Ok(Mode::VerifyFull),
        _ => Err(rule(&format!(
            "has sslmode={word}; it must be disable, allow, prefer, require, verify-ca or verify-full"
        ))),
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, StoreError> {
    value.parse().map_err(|_| rule(&format!("has {name}={value}; it must be a number")))
}
