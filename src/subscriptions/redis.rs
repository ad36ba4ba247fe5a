//! Redis as a place for copies: bytes in, bytes out, and nothing that can hurt.
//!
//! Every question has a time limit, and an answer that does not come is a miss. The first
//! that does not come takes Redis out of use at once; a task asks it from time to time
//! whether it is quick again, so that while it is away or slow a request pays nothing for it. What stands in Redis is
//! believed by nobody here: see `cached.rs`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, FromRedisValue, IntoConnectionInfo as _, RedisError, cmd};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::domain::id::SubscriptionId;
use crate::telemetry::Metrics;

/// Longest a request waits for Redis.
const ANSWER_LIMIT: Duration = Duration::from_millis(50);
/// Longest time for making a connection, and for the question whether Redis is back.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// Pause before such a question; it doubles from question to question.
const PROBE_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// Least time between two warnings: what goes wrong again and again is said once.
const SILENCE: Duration = Duration::from_secs(60);
const AWAY: &str = "Redis does not answer in time; subscriptions come from PostgreSQL until it does";
/// How long Redis keeps a copy.
const LIFETIME: Duration = Duration::from_secs(30);
/// Longest value that is looked at, in bytes; longer ones are not fetched.
const MAX_VALUE_BYTES: usize = 64 * 1_024;
/// What every key begins with; the number is the version of what stands there.
const KEY_PREFIX: &str = "postrider:subscription:4:";

/// A Redis, in use while it answers. Clones share it.
#[derive(Clone)]
pub struct Redis {
    connection: ConnectionManager,
    state: Arc<State>,
}

struct State {
    answers: AtomicBool,
    voice: Voice,
    metrics: Metrics,
    /// Ends the probing when the last clone goes.
    ended: CancellationToken,
    _guard: DropGuard,
}

impl Redis {
    /// A Redis at this URL. Returns at once and is out of use until it has answered.
    ///
    /// # Errors
    /// The rule that the URL breaks; the URL itself, which may hold a password, is not in it.
    pub fn connect(url: &str, metrics: Metrics) -> Result<Self, &'static str> {
        let connection = manager(url)?;
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let state = State { answers: AtomicBool::new(false), voice: Voice::default(), metrics, ended, _guard: guard };
        let redis = Self { connection, state: Arc::new(state) };
        redis.probe(Duration::ZERO);
        Ok(redis)
    }

    /// What stands for this subscription; `None` for nothing, something overlong, and a
    /// Redis that does not answer.
    pub(super) async fn get(&self, id: SubscriptionId) -> Option<Vec<u8>> {
        // A piece of it: a value somebody else put there may be of any size.
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

    /// Puts a copy there, for a while. Returns at once: whoever read the row goes on.
    pub(super) fn put(&self, id: SubscriptionId, value: &[u8]) {
        let mut set = cmd("SET");
        set.arg(key(id)).arg(value).arg("EX").arg(LIFETIME.as_secs());
        let redis = self.clone();
        tokio::spawn(async move { redis.ask::<()>(&set).await });
    }

    /// Removes the copy. One that cannot be removed is found out by its version.
    pub(super) async fn forget(&self, id: SubscriptionId) {
        let mut unlink = cmd("UNLINK");
        unlink.arg(key(id));
        let _: Option<i64> = self.ask(&unlink).await;
    }

    /// Counts what was found, by whether it was what this service writes.
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
                self.judge(&problem);
                None
            }
        }
    }

    /// Takes a Redis that does not answer out of use; whoever finds that first begins to ask
    /// for its return. One that refuses (no memory, no right, another kind of value) answers
    /// quickly, and its other answers are as good as before.
    fn judge(&self, problem: &Problem) {
        if !problem.is_outage() {
            if self.state.voice.may_speak() {
                tracing::warn!(%problem, "Redis refuses; what it does not take or give comes from PostgreSQL");
            }
        } else if self.state.answers.swap(false, Ordering::Relaxed) {
            self.state.metrics.cache_available.set(0.0);
            if self.state.voice.may_speak() {
                tracing::warn!(%problem, "{AWAY}");
            }
            self.probe(PROBE_PAUSE);
        }
    }

    /// Asks, after a pause that grows, until Redis is as quick as requests need it, and then
    /// uses it again. Holds no clone of this value while it waits, so that the last one can go.
    fn probe(&self, mut pause: Duration) {
        let (connection, state) = (self.connection.clone(), Arc::downgrade(&self.state));
        let ended = self.state.ended.clone();
        tokio::spawn(ended.run_until_cancelled_owned(async move {
            loop {
                tokio::time::sleep(pause).await;
                let Err(problem) = answers_quickly(&connection).await else { break };
                let Some(state) = state.upgrade() else { return };
                if state.voice.may_speak() {
                    tracing::warn!(%problem, "{AWAY}");
                }
                pause = (2 * pause).clamp(PROBE_PAUSE, LONGEST_PAUSE);
            }
            if let Some(state) = state.upgrade() {
                state.answers.store(true, Ordering::Relaxed);
                state.metrics.cache_available.set(1.0);
                tracing::info!("Redis is in use");
            }
        }));
    }

    fn count(&self, found: &str) {
        self.state.metrics.cache_requests.with_label_values(&[found]).inc();
    }
}

/// How long a Redis at this URL takes for an answer on an open connection.
///
/// # Errors
/// Why there is none, in a sentence.
pub async fn time_redis(url: &str) -> Result<Duration, String> {
    let connection = manager(url).map_err(|rule| format!("REDIS_URL {rule}"))?;
    let ask = async || within::<()>(CONNECT_LIMIT, &cmd("PING"), &connection).await;
    ask().await.map_err(|problem| problem.to_string())?;
    let began = Instant::now();
    ask().await.map_err(|problem| problem.to_string())?;
    Ok(began.elapsed())
}

/// A connection that is made when it is first needed, and again when it broke.
fn manager(url: &str) -> Result<ConnectionManager, &'static str> {
    let refused = "must be redis://user:password@host:port/database, rediss:// for TLS, or unix:///path";
    let info = url.into_connection_info().map_err(|_| refused)?;
    let client = Client::open(info).map_err(|_| refused)?;
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_connection_timeout(Some(CONNECT_LIMIT))
        .set_response_timeout(Some(CONNECT_LIMIT));
    ConnectionManager::new_lazy_with_config(client, config).map_err(|_| refused)
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("answers", &self.state.answers).finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("no answer in time")]
    TimedOut,
    #[error("{0}")]
    Refused(RedisError),
}

impl Problem {
    /// Whether there was no answer; a refusal, which has a code, is one.
    fn is_outage(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Refused(error) => error.code().is_none(),
        }
    }
}

/// Says the same thing once in a while.
#[derive(Default)]
struct Voice(Mutex<Option<Instant>>);

impl Voice {
    fn may_speak(&self) -> bool {
        let mut spoke = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = spoke.is_none_or(|spoke| spoke.elapsed() >= SILENCE);
        if may {
            *spoke = Some(Instant::now());
        }
        may
    }
}

/// Whether it answers as quickly as requests need it, once the connection is made.
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
