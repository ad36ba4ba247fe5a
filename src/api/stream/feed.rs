//! Reads the log once a second for all viewers of this replica, while there are any.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::item::{Item, Key, StreamCursor};
use super::viewer::Filter;
use crate::api::problem::Problem;
use crate::domain::id::TenantId;
use crate::store::{Store, StoreError};

const INTERVAL: Duration = Duration::from_secs(1);
/// Every so many reads look back to the mark, for transactions that committed late; the others look back by
/// [`USUAL_LOOK_BACK`].
const READS_PER_LOOK_BACK: u64 = 5;
const USUAL_LOOK_BACK: Duration = Duration::from_secs(3);
/// Of each kind in one read.
const PAGE_ROWS: i64 = 5_000;
/// Events that wait for one viewer; it misses further ones.
const WAITING: usize = 1_000;
const MOST_VIEWERS: usize = 400;
const MOST_VIEWERS_OF_ONE: usize = 200;
/// Events whose order is remembered for viewers that come back, about 1.5 MB.
const REMEMBERED: usize = 20_000;

/// Far in the future.
pub(super) const NO_END: OffsetDateTime = time::macros::datetime!(9999-01-01 00:00 UTC);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unwatched,
    /// Whatever becomes visible from now on is sent.
    Reading,
    Closed,
}

struct Viewer {
    owner: Option<TenantId>,
    filter: Filter,
    events: mpsc::Sender<Arc<Item>>,
    missed: Arc<AtomicU64>,
}

/// A viewer's end.
pub(super) struct Watching {
    pub(super) events: mpsc::Receiver<Arc<Item>>,
    pub(super) missed: Arc<AtomicU64>,
}

pub(in crate::api) struct Feed {
    viewers: Mutex<Vec<Viewer>>,
    joined: Notify,
    state: watch::Sender<State>,
    /// In the order in which they were sent.
    sent: Mutex<VecDeque<Key>>,
}

impl Default for Feed {
    fn default() -> Self {
        let state = watch::Sender::new(State::Unwatched);
        Self { viewers: Mutex::default(), joined: Notify::new(), state, sent: Mutex::default() }
    }
}

impl Feed {
    /// Until `shutdown`; then every stream ends.
    pub(in crate::api) async fn run(&self, store: &Store, shutdown: &CancellationToken) {
        while shutdown.run_until_cancelled(self.watched()).await.is_some() {
            let reading = async {
                let mut reader = Reader::default();
                while !self.end_if_unwatched() {
                    match reader.read(store, self).await {
                        Ok(()) => self.state.send_replace(State::Reading),
                        Err(error) => {
                            tracing::debug!(%error, "the stream could not be read; the next try is in a second");
                            self.state.borrow().to_owned()
                        }
                    };
                    tokio::time::sleep(INTERVAL).await;
                }
            };
            shutdown.run_until_cancelled(reading).await;
        }
        self.state.send_replace(State::Closed);
        lock(&self.viewers).clear();
    }

    async fn watched(&self) {
        while lock(&self.viewers).is_empty() {
            self.joined.notified().await;
        }
    }

    /// Under one lock with [`Self::join`], so that no viewer trusts a reader that has ended.
    fn end_if_unwatched(&self) -> bool {
        let mut viewers = lock(&self.viewers);
        viewers.retain(|viewer| !viewer.events.is_closed());
        if viewers.is_empty() {
            self.state.send_replace(State::Unwatched);
        }
        viewers.is_empty()
    }

    /// Fails if there are too many viewers.
    pub(super) fn join(&self, owner: Option<TenantId>, filter: Filter) -> Result<Watching, Problem> {
        let (sender, events) = mpsc::channel(WAITING);
        let missed = Arc::new(AtomicU64::new(0));
        let mut viewers = lock(&self.viewers);
        viewers.retain(|viewer| !viewer.events.is_closed());
        let of_owner = viewers.iter().filter(|viewer| viewer.owner == owner).count();
        if viewers.len() >= MOST_VIEWERS || of_owner >= MOST_VIEWERS_OF_ONE {
            return Err(Problem::TooManyRequests(MOST_VIEWERS_OF_ONE));
        }
        // After the end nobody sends: the receiver ends at once.
        if *self.state.borrow() != State::Closed {
            viewers.push(Viewer { owner, filter, events: sender, missed: Arc::clone(&missed) });
        }
        drop(viewers);
        self.joined.notify_one();
        Ok(Watching { events, missed })
    }

    /// Waits until everything that becomes visible is sent; false at the end.
    pub(super) async fn is_reading(&self) -> bool {
        let mut state = self.state.subscribe();
        let reached = state.wait_for(|state| *state != State::Unwatched).await;
        reached.is_ok_and(|state| *state == State::Reading)
    }

    /// Everything that was sent up to this event; empty if it is not remembered.
    pub(super) fn sent_up_to(&self, cursor: StreamCursor) -> HashSet<Key> {
        let sent = lock(&self.sent);
        let position = sent.iter().position(|key| *key == cursor.key);
        position.map(|position| sent.iter().take(position + 1).copied().collect()).unwrap_or_default()
    }

    fn remember(&self, keys: impl Iterator<Item = Key>) {
        let mut sent = lock(&self.sent);
        sent.extend(keys);
        let surplus = sent.len().saturating_sub(REMEMBERED);
        sent.drain(..surplus);
    }

    fn send(&self, items: Vec<Item>) {
        if items.is_empty() {
            return;
        }
        self.remember(items.iter().map(|item| item.key));
        let viewers = lock(&self.viewers);
        for item in items.into_iter().map(Arc::new) {
            for viewer in viewers.iter().filter(|viewer| viewer.filter.takes(&item)) {
                if let Err(mpsc::error::TrySendError::Full(_)) = viewer.events.try_send(Arc::clone(&item)) {
                    viewer.missed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// Finds rows that were not visible before.
#[derive(Default)]
struct Reader {
    /// `None` until the first read, which only learns what is visible.
    since: Option<OffsetDateTime>,
    last_read: Option<OffsetDateTime>,
    seen: HashSet<Key>,
    reads: u64,
}

impl Reader {
    async fn read(&mut self, store: &Store, feed: &Feed) -> Result<(), StoreError> {
        let Some(mark) = self.since else { return self.learn(store, feed).await };
        let usual = self.last_read.map_or(mark, |last| (last - USUAL_LOOK_BACK).max(mark));
        let mut since = if self.reads.is_multiple_of(READS_PER_LOOK_BACK) { mark } else { usual };
        loop {
            let page = store.tail(since, NO_END, PAGE_ROWS).await?;
            let items = page.rows.iter().flat_map(Item::of).filter(|item| self.seen.insert(item.key)).collect();
            feed.send(items);
            match page.next {
                Some(next) => since = next,
                None => {
                    self.advance(page.mark, page.now);
                    return Ok(());
                }
            }
        }
    }

    /// What is there already counts as sent, to viewers that come back too.
    async fn learn(&mut self, store: &Store, feed: &Feed) -> Result<(), StoreError> {
        let mut since = store.tail(NO_END, NO_END, 1).await?.mark;
        loop {
            let page = store.tail(since, NO_END, PAGE_ROWS).await?;
            let keys: Vec<Key> = page.rows.iter().flat_map(Item::of).map(|item| item.key).collect();
            feed.remember(keys.iter().copied().filter(|key| self.seen.insert(*key)));
            match page.next {
                Some(next) => since = next,
                None => {
                    self.advance(page.mark, page.now);
                    return Ok(());
                }
            }
        }
    }

    /// The mark of a read holds for the next one, which sees what was committed meanwhile.
    fn advance(&mut self, mark: OffsetDateTime, now: OffsetDateTime) {
        (self.since, self.last_read) = (Some(mark), Some(now));
        self.reads = self.reads.wrapping_add(1);
        self.seen.retain(|key| key.at() >= mark);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
