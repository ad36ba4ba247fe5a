//! Redis as a store for copies.
//!
//! Every request has a time limit, and a late response counts as a miss. After the first one Redis is not used until
//! a probe finds it fast again. No content of Redis is trusted: see `cached.rs`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo as _, RedisError, TlsCertificates, cmd};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::domain::id::SubscriptionId;
use crate::supervisor::Supervisor;
use crate::telemetry::Metrics;
use crate::tls;

/// Maximum wait of a request for Redis.
const ANSWER_LIMIT: Duration = Duration::from_millis(50);
/// For connecting and for a probe.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// Before the first probe; doubles with each.
const PROBE_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Between two equal warnings.
const WARNING_INTERVAL: Duration = Duration::from_secs(60);
const AWAY: &str = "Redis does not answer in time; subscriptions come from PostgreSQL until it does";
/// Of a copy.
const LIFETIME: Duration = Duration::from_secs(30);
/// Longer values are not fetched.
const MAX_VALUE_BYTES: usize = 64 * 1_024;
/// The number is the version of the format.
const KEY_PREFIX: &str = "postrider:subscription:5:";

#[derive(Clone)]
pub struct Redis {
    connection: ConnectionManager,
    state: Arc<State>,
}

struct State {
    answers: AtomicBool,
    warnings: WarningLimit,
    metrics: Metrics,
    /// Ends the probes when the last clone is dropped.
    ended: CancellationToken,
    _guard: DropGuard,
    supervisor: Supervisor,
}

impl Redis {
    /// Returns at once; Redis is used after its first response.
    /// The error does not contain the URL, which may hold a password.
    pub fn connect(
        url: &str,
        ca_file: Option<&Path>,
        metrics: Metrics,
        supervisor: &Supervisor,
    ) -> Result<Self, String> {
        let connection = manager(url, ca_file)?;
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let state = State {
            answers: AtomicBool::new(false),
            warnings: WarningLimit::default(),
            metrics,
            ended,
            _guard: guard,
            supervisor: supervisor.clone(),
        };
        let redis = Self { connection, state: Arc::new(state) };
        redis.probe(Duration::ZERO);
        Ok(redis)
    }

    /// `None` if there is no value, it is too long, or Redis does not answer.
    pub(super) async fn get(&self, id: SubscriptionId) -> Option<Vec<u8>> {
        // Reads a limited part: another program may have written a value of any size.
        let mut get = cmd("GETRANGE");
        get.arg(key(id)).arg(0).arg(MAX_VALUE_BYTES);
        let value: Vec<u8> = self.ask(&get).await?;
        match value.len() {
            0 => self.count("miss"),
            1..=MAX_VALUE_BYTES => return Some(value),
            _ => self.count("refused"),
        }
        None
    }

    /// Returns at once.
    pub(super) fn put(&self, id: SubscriptionId, value: &[u8]) {
        let mut set = cmd("SET");
        set.arg(key(id)).arg(value).arg("EX").arg(LIFETIME.as_secs());
        let redis = self.clone();
        tokio::spawn(async move { redis.ask::<()>(&set).await });
    }

    /// A copy that cannot be removed is detected by its version.
    pub(super) async fn forget(&self, id: SubscriptionId) {
        let mut unlink = cmd("UNLINK");
        unlink.arg(key(id));
        let _: Option<i64> = self.ask(&unlink).await;
    }

    /// Counts found values by whether they are valid copies.
    pub(super) fn count_found(&self, is_ours: bool) {
        self.count(if is_ours { "hit" } else { "refused" });
    }

    async fn ask<Answer: FromRedisValue>(&self, question: &Cmd) -> Option<Answer> {
        if !self.state.answers.load(Ordering::Relaxed) {
            self.count("bypassed");
            return None;
        }
        match within(ANSWER_LIMIT, question, &self.connection).await {
            Ok(answer) => Some(answer),
            Err(problem) => {
                self.count("failed");
                self.handle(&problem);
                None
            }
        }
    }

    /// Stops using a Redis that does not answer, and starts probes. A Redis that refuses (no memory, no permission,
    /// wrong type) answers quickly, so it stays in use.
    fn handle(&self, problem: &Problem) {
        if !problem.is_outage() {
            if self.state.warnings.may_warn() {
                tracing::warn!(%problem, "Redis refuses; what it does not take or give comes from PostgreSQL");
            }
        } else if self.state.answers.swap(false, Ordering::Relaxed) {
            self.state.metrics.cache_available.set(0.0);
            if self.state.warnings.may_warn() {
                tracing::warn!(%problem, "{AWAY}");
            }
            self.probe(PROBE_PAUSE);
        }
    }

    /// Probes with growing pauses until Redis is fast enough. Holds no clone while waiting, so that the last one can
    /// be dropped.
    fn probe(&self, mut pause: Duration) {
        let (connection, state) = (self.connection.clone(), Arc::downgrade(&self.state));
        let ended = self.state.ended.clone();
        let probing = async move {
            loop {
                tokio::time::sleep(pause).await;
                let Err(problem) = answers_quickly(&connection).await else { break };
                let Some(state) = state.upgrade() else { return };
                if state.warnings.may_warn() {
                    tracing::warn!(%problem, "{AWAY}");
                }
                pause = (2 * pause).clamp(PROBE_PAUSE, LONGEST_PAUSE);
            }
            if let Some(state) = state.upgrade() {
                state.answers.store(true, Ordering::Relaxed);
                state.metrics.cache_available.set(1.0);
                tracing::info!("Redis is in use");
            }
        };
        let probing = async move {
            let _ended = ended.run_until_cancelled_owned(probing).await;
        };
        self.state.supervisor.spawn("the probe of Redis", probing);
    }

    fn count(&self, found: &str) {
        self.state.metrics.cache_requests.with_label_values(&[found]).inc();
    }
}

/// Round trip on an open connection.
pub async fn time_redis(url: &str, ca_file: Option<&Path>) -> Result<Duration, String> {
    let connection = manager(url, ca_file).map_err(|rule| format!("REDIS_URL {rule}"))?;
    let ask = async || within::<()>(CONNECT_LIMIT, &cmd("PING"), &connection).await;
    ask().await.map_err(|problem| problem.to_string())?;
    let began = Instant::now();
    ask().await.map_err(|problem| problem.to_string())?;
    Ok(began.elapsed())
}

/// Whether it has the form of a URL of Redis.
pub fn check_redis_url(url: &str) -> Result<(), String> {
    manager(url, None).map(drop)
}

/// Connects on first use and reconnects.
fn manager(url: &str, ca_file: Option<&Path>) -> Result<ConnectionManager, String> {
    let refused = "must be redis://user:password@host:port/database, rediss:// for TLS, or unix:///path";
    let info = url.into_connection_info().map_err(|_| refused)?;
    let client = match (info.addr(), trusted(ca_file)?) {
        (ConnectionAddr::TcpTls { .. }, Some(pem)) => {
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(pem) })
        }
        _ => Client::open(info),
    };
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_connection_timeout(Some(CONNECT_LIMIT))
        .set_response_timeout(Some(CONNECT_LIMIT));
    let manager = client.and_then(|client| ConnectionManager::new_lazy_with_config(client, config));
    manager.map_err(|_| refused.to_owned())
}

/// The certificates of the system and of `REDIS_CA_FILE`, in PEM format. `None` leaves the client its built-in roots.
fn trusted(ca_file: Option<&Path>) -> Result<Option<Vec<u8>>, String> {
    let own = ca_file.map(tls::read_certificates).transpose();
    let own = own.map_err(|error| format!("needs REDIS_CA_FILE, but {error}"))?.unwrap_or_default();
    let all = tls::system_certificates().into_iter().chain(own);
    let pem: String = all
        .map(|certificate| {
            let text = STANDARD.encode(certificate.as_ref());
            format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
        })
        .collect();
    Ok(Some(pem.into_bytes()).filter(|pem| !pem.is_empty()))
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("answers", &self.state.answers).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("no answer in time")]
    TimedOut,
    #[error("{0}")]
    Refused(RedisError),
}

impl Problem {
    /// A refusal, which has a code, is a response.
    fn is_outage(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Refused(error) => error.code().is_none(),
        }
    }
}

/// Logs a repeated warning rarely.
#[derive(Default)]
struct WarningLimit(Mutex<Option<Instant>>);

impl WarningLimit {
    fn may_warn(&self) -> bool {
        let mut warned_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = warned_at.is_none_or(|warned_at| warned_at.elapsed() >= WARNING_INTERVAL);
        if may {
            *warned_at = Some(Instant::now());
        }
        may
    }
}

/// Does not count the time to connect.
async fn answers_quickly(connection: &ConnectionManager) -> Result<(), Problem> {
    within::<()>(CONNECT_LIMIT, &cmd("PING"), connection).await?;
    within::<()>(ANSWER_LIMIT, &cmd("PING"), connection).await?;
    within(ANSWER_LIMIT, &cmd("PING"), connection).await
}

async fn within<Answer: FromRedisValue>(
    limit: Duration,
    question: &Cmd,
    connection: &ConnectionManager,
) -> Result<Answer, Problem> {
    let mut connection = connection.clone();
    match tokio::time::timeout(limit, question.query_async(&mut connection)).await {
        Ok(answer) => answer.map_err(Problem::Refused),
        Err(_) => Err(Problem::TimedOut),
    }
}

fn key(id: SubscriptionId) -> String {
    format!("{KEY_PREFIX}{id}")
}
