//! Pools of connections that open in the background: a login may take longer than an answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult, Timeouts};
use deadpool_postgres::ClientWrapper;
use futures_util::FutureExt as _;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::StoreError;
use super::server::Server;
use super::session::Session;

/// How long a request waits for its own connection before it looks for one that has become free.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(super) type Pool = managed::Pool<Opener>;

/// The server that all connections should lead to. A connection that finds that its server only reads ends the
/// current epoch; then all others of that epoch are given up.
#[derive(Debug, Clone)]
pub(super) struct Epoch(watch::Sender<u64>);

impl Default for Epoch {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Epoch {
    pub(super) fn current(&self) -> u64 {
        *self.0.borrow()
    }

    pub(super) fn end(&self, epoch: u64) {
        self.0.send_if_modified(|current| {
            let is_current = *current == epoch;
            *current += u64::from(is_current);
            is_current
        });
    }

    pub(super) async fn ended(&self) {
        let mut current = self.0.subscribe();
        // The sender is `self`, so this cannot fail.
        let _ended = current.changed().await;
    }
}

pub(super) struct Pooled {
    pub(super) client: ClientWrapper,
    /// Begins a transaction with the session's values, where a pooler does not pass them on.
    pub(super) begin: Option<Arc<str>>,
    pub(super) epoch: u64,
}

type Opening = AbortOnDropHandle<Result<Pooled, StoreError>>;

/// Opens the connections of one pool.
pub(super) struct Opener {
    server: Server,
    session: Arc<Session>,
    epoch: Epoch,
    /// Begun for requests that stopped waiting. Never more than the pool may have.
    openings: Mutex<Vec<Opening>>,
}

impl Opener {
    pub(super) fn pool(server: &Server, session: Session, epoch: &Epoch, size: usize) -> Result<Pool, StoreError> {
        let opener = Self {
            server: server.clone(),
            session: Arc::new(session),
            epoch: epoch.clone(),
            openings: Mutex::new(Vec::new()),
        };
        let limits = Timeouts { wait: None, create: Some(LOOK_AGAIN), recycle: None };
        let pool = Pool::builder(opener).max_size(size).timeouts(limits).runtime(Runtime::Tokio1).build();
        pool.map_err(|error| StoreError::Url(error.to_string()))
    }

    fn begin_opening(&self) -> Opening {
        let (server, session, epoch) = (self.server.clone(), Arc::clone(&self.session), self.epoch.current());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let opened = server.open(&session).await?;
            let begin = (!opened.has_options).then(|| Arc::from(session.begin()));
            let running = tokio::spawn(async move {
                if let Err(error) = opened.wire.await {
                    tracing::debug!(%error, "a connection to the database ended");
                }
            });
            Ok(Pooled { client: ClientWrapper::new(opened.client, running), begin, epoch })
        }))
    }

    /// One that is under way, or is open and was not fetched.
    fn earlier_opening(&self) -> Option<Opening> {
        let mut openings = self.openings.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(mut opening) = openings.pop() {
            if !opening.is_finished() {
                return Some(opening);
            }
            // An old failure says nothing about now.
            if let Some(Ok(Ok(pooled))) = (&mut opening).now_or_never()
                && self.is_usable(&pooled)
            {
                return Some(AbortOnDropHandle::new(tokio::spawn(async move { Ok(pooled) })));
            }
        }
        None
    }

    fn is_usable(&self, pooled: &Pooled) -> bool {
        !pooled.client.is_closed() && pooled.epoch == self.epoch.current()
    }
}

impl managed::Manager for Opener {
    type Type = Pooled;
    type Error = StoreError;

    async fn create(&self) -> Result<Pooled, StoreError> {
        let opening = self.earlier_opening().unwrap_or_else(|| self.begin_opening());
        let mut waiting = Waiting { opener: self, opening: Some(opening) };
        let done = match &mut waiting.opening {
            Some(opening) => opening.await,
            None => return Err(StoreError::Unavailable("no connection was opened".to_owned())),
        };
        waiting.opening = None;
        done.unwrap_or_else(|ended| Err(StoreError::Unavailable(format!("connecting ended: {ended}"))))
    }

    async fn recycle(&self, pooled: &mut Pooled, _: &Metrics) -> RecycleResult<StoreError> {
        if self.is_usable(pooled) { Ok(()) } else { Err(RecycleError::message("the connection is closed or given up")) }
    }
}

/// Keeps an opening for the next request if this one stops waiting.
struct Waiting<'a> {
    opener: &'a Opener,
    opening: Option<Opening>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(opening) = self.opening.take() {
            self.opener.openings.lock().unwrap_or_else(PoisonError::into_inner).push(opening);
        }
    }
}
