//! Reads the log once a second for all viewers of this replica, while there are any.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::item::{FeedId, Item, Key, Order, StreamCursor};
use super::seats::Seats;
use super::viewer::Filter;
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
/// Events whose order is remembered for viewers that come back, about 1.5 MB.
const REMEMBERED: usize = 20_000;

/// Far in the future.
pub(super) const NO_END: OffsetDateTime = time::macros::datetime!(9999-01-01 00:00 UTC);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unwatched,
    /// Whatever becomes visible from now on is sent. What is older than the mark was sent or never will be.
    Reading {
        mark: OffsetDateTime,
    },
    Closed,
}

struct Viewer {
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
    /// In the cursors of what it sent.
    pub(super) id: FeedId,
    pub(super) seats: Seats,
    viewers: Mutex<Vec<Viewer>>,
    joined: Notify,
    state: watch::Sender<State>,
    /// In the order in which they were sent.
    sent: Mutex<VecDeque<Key>>,
}

impl Feed {
    pub(in crate::api) fn new(max_streams: usize) -> Self {
        let state = watch::Sender::new(State::Unwatched);
        Self {
            id: uuid::Uuid::new_v4().as_fields().0,
            seats: Seats::new(max_streams),
            viewers: Mutex::default(),
            joined: Notify::new(),
            state,
            sent: Mutex::default(),
        }
    }

    /// Until `shutdown`; then every stream ends.
    pub(in crate::api) async fn run(&self, store: &Store, shutdown: &CancellationToken) {
        while shutdown.run_until_cancelled(self.watched()).await.is_some() {
            let reading = async {
                let mut reader = Reader::default();
                while !self.end_if_unwatched() {
                    match reader.read(store, self).await {
                        Ok(mark) => drop(self.state.send_replace(State::Reading { mark })),
                        Err(error) => {
                            tracing::debug!(%error, "the stream could not be read; the next try is in a second");
                        }
                    }
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

    pub(super) fn join(&self, filter: Filter) -> Watching {
        let (sender, events) = mpsc::channel(WAITING);
        let missed = Arc::new(AtomicU64::new(0));
        let mut viewers = lock(&self.viewers);
        viewers.retain(|viewer| !viewer.events.is_closed());
        // After the end nobody sends: the receiver ends at once.
        if *self.state.borrow() != State::Closed {
            viewers.push(Viewer { filter, events: sender, missed: Arc::clone(&missed) });
        }
        drop(viewers);
        self.joined.notify_one();
        Watching { events, missed }
    }

    /// Waits until everything that becomes visible is sent; false at the end.
    pub(super) async fn is_reading(&self) -> bool {
        let mut state = self.state.subscribe();
        let reached = state.wait_for(|state| *state != State::Unwatched).await;
        reached.is_ok_and(|state| *state != State::Closed)
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.state.borrow() == State::Closed
    }

    /// The feed sends nothing older than this; `None` if it sends nothing.
    pub(super) fn mark(&self) -> Option<OffsetDateTime> {
        match *self.state.borrow() {
            State::Reading { mark } => Some(mark),
            State::Unwatched | State::Closed => None,
        }
    }

    /// Everything that this feed sent up to this event; empty if it is not remembered, or another feed sent it.
    pub(super) fn sent_up_to(&self, cursor: StreamCursor) -> HashSet<Key> {
        if cursor.order != Order::Live(self.id) {
            return HashSet::new();
        }
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
    async fn read(&mut self, store: &Store, feed: &Feed) -> Result<OffsetDateTime, StoreError> {
        let Some(mark) = self.since else { return self.learn(store, feed).await };
        let usual = self.last_read.map_or(mark, |last| (last - USUAL_LOOK_BACK).max(mark));
        let mut since = if self.reads.is_multiple_of(READS_PER_LOOK_BACK) { mark } else { usual };
        loop {
            let page = store.tail(since, NO_END, PAGE_ROWS).await?;
            let items = page
                .rows
                .iter()
                .flat_map(|row| Item::of(row, feed.id))
                .filter(|item| self.seen.insert(item.key))
                .collect();
            feed.send(items);
            match page.next {
                Some(next) => since = next,
                None => return Ok(self.advance(page.mark, page.now)),
            }
        }
    }

    /// What is there already counts as sent, to viewers that come back too.
    async fn learn(&mut self, store: &Store, feed: &Feed) -> Result<OffsetDateTime, StoreError> {
        let mut since = store.tail(NO_END, NO_END, 1).await?.mark;
        loop {
            let page = store.tail(since, NO_END, PAGE_ROWS).await?;
            let keys: Vec<Key> = page.rows.iter().flat_map(|row| Item::of(row, feed.id)).map(|item| item.key).collect();
            feed.remember(keys.iter().copied().filter(|key| self.seen.insert(*key)));
            match page.next {
                Some(next) => since = next,
                None => return Ok(self.advance(page.mark, page.now)),
            }
        }
    }

    /// The mark of a read holds for the next one, which sees what was committed meanwhile.
    fn advance(&mut self, mark: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
        (self.since, self.last_read) = (Some(mark), Some(now));
        self.reads = self.reads.wrapping_add(1);
        self.seen.retain(|key| key.at() >= mark);
        mark
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
