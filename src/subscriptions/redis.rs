//! Redis as a place for copies: bytes in, bytes out, and nothing that can hurt.
//!
//! Every question has a time limit, and an answer that does not come is a miss. The first
//! failure takes Redis out of use at once; a task asks it from time to time whether it is
//! back, so that while it is away a request pays nothing for it. What stands in Redis is
//! believed by nobody here: see `cached.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, FromRedisValue, IntoConnectionInfo as _, RedisError, cmd};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::domain::id::SubscriptionId;
use crate::telemetry::Metrics;

/// Longest a request waits for Redis.
const ANSWER_LIMIT: Duration = Duration::from_millis(50);
/// Longest time for making a connection, and for the question whether Redis is back.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// Pause between two such questions.
const PROBE_PAUSE: Duration = Duration::from_secs(1);
/// How long Redis keeps a copy.
const LIFETIME: Duration = Duration::from_secs(30);
/// Longest value that is looked at, in bytes; longer ones are not fetched.
const MAX_VALUE_BYTES: usize = 64 * 1_024;
/// What every key begins with; the number is the version of what stands there.
const KEY_PREFIX: &str = "postrider:subscription:1:";

/// A Redis, in use while it answers. Clones share it.
#[derive(Clone)]
pub struct Redis {
    connection: ConnectionManager,
    state: Arc<State>,
}

struct State {
    answers: AtomicBool,
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
        let state = State { answers: AtomicBool::new(false), metrics, ended, _guard: guard };
        let redis = Self { connection, state: Arc::new(state) };
        redis.probe();
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
                // What is wrong with one key is no reason to leave the others.
                if problem.is_outage() {
                    self.give_up(&problem);
                }
                None
            }
        }
    }

    /// Takes Redis out of use; whoever is first begins to ask for its return.
    fn give_up(&self, problem: &Problem) {
        if self.state.answers.swap(false, Ordering::Relaxed) {
            self.state.metrics.cache_available.set(0.0);
            tracing::warn!(%problem, "Redis does not answer; subscriptions come from PostgreSQL until it does");
            self.probe();
        }
    }

    /// Asks until there is an answer, and then uses Redis again. Holds no clone of this
    /// value while it waits, so that the last one can go.
    fn probe(&self) {
        let (connection, state, ended) =
            (self.connection.clone(), Arc::downgrade(&self.state), self.state.ended.clone());
        tokio::spawn(ended.clone().run_until_cancelled_owned(async move {
            while let Err(problem) = within::<()>(CONNECT_LIMIT, &cmd("PING"), &connection).await {
                tracing::debug!(%problem, "Redis does not answer yet");
                tokio::time::sleep(PROBE_PAUSE).await;
            }
            if let Some(state) = state.upgrade() {
                state.answers.store(true, Ordering::Relaxed);
                state.metrics.cache_available.set(1.0);
                tracing::info!("Redis answers");
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
    let began = std::time::Instant::now();
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
    /// Whether it is about Redis and not about what stands under one key.
    fn is_outage(&self) -> bool {
        match self {
            Self::TimedOut => true,
            Self::Refused(error) => error.code() != Some("WRONGTYPE"),
        }
    }
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
