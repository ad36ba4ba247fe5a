//! One open stream: catches up from a cursor, then follows the feed.

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::feed::{Feed, Watching};
use super::item::{Item, Key, Order, StreamCursor};
use super::position::{PAGE_ROWS, Position};
use super::seats::{Seat, Turn};
use crate::api::Api;
use crate::api::problem::Problem;
use crate::domain::id::{ApiKeyId, TenantId};
use crate::store::StoreError;

/// A comment is sent if nothing else was.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A revoked key ends the stream this late at most.
const LOOK_AT_KEY: Duration = Duration::from_secs(1);
/// A row may become visible this long after its time (`log/complete_before`).
const LATE: time::Duration = time::Duration::seconds(15);
/// A stream goes back no further, so that a client that was away for long reads a bounded part of the log.
const LONGEST_AWAY: Duration = Duration::from_secs(24 * 3_600);
/// Clients wait so long before they connect again.
const GREETING: &[u8] = b"retry: 2000\n\n";
/// Nobody counts what came while the client was away for too long.
const MISSED_UNKNOWN: &[u8] = b"event: missed\ndata: {\"missed\":null}\n\n";

/// Which events a viewer gets; an empty list takes all.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    /// `None` for all tenants.
    pub(super) tenant: Option<TenantId>,
    pub(super) statuses: Vec<&'static str>,
    pub(super) reasons: Vec<&'static str>,
    pub(super) subscriptions: Vec<Uuid>,
    pub(super) event_types: Vec<String>,
    /// When the event was accepted, to the millisecond; of attempts and ends the time in the event's id, which is that of
    /// `publish()` for an event from SQL.
    pub(super) since: Option<OffsetDateTime>,
    pub(super) until: Option<OffsetDateTime>,
}

/// An open stream.
pub(super) struct Viewer {
    api: Arc<Api>,
    feed: Arc<Feed>,
    filter: Filter,
    key: Option<ApiKeyId>,
    looked_at_key: Instant,
    spoke: Instant,
    phase: Phase,
    /// Sent while it caught up, so that the feed repeats nothing.
    caught: HashSet<Key>,
    ready: VecDeque<Bytes>,
    seat: Seat,
    /// Its place among those that catch up.
    turn: Option<Pin<Box<dyn Future<Output = Turn> + Send>>>,
}

enum Phase {
    Catching {
        position: Position,
        joined: Option<Watching>,
    },
    /// Waits for the feed.
    Joined(Watching),
    Live(Watching),
    Ended,
}

impl Filter {
    pub(super) fn takes(&self, item: &Item) -> bool {
        let any = |list: &[String], value: Option<&str>| {
            list.is_empty() || value.is_some_and(|value| list.iter().any(|wanted| wanted == value))
        };
        self.tenant.is_none_or(|tenant| tenant == item.tenant)
            && (self.statuses.is_empty() || self.statuses.contains(&item.status.as_str()))
            && (self.reasons.is_empty() || item.reason.as_deref().is_some_and(|reason| self.reasons.contains(&reason)))
            && (self.subscriptions.is_empty() || item.subscription.is_some_and(|id| self.subscriptions.contains(&id)))
            && any(&self.event_types, item.event_type.as_deref())
            && self.since.is_none_or(|since| item.accepted_at.is_some_and(|at| millis(at) >= millis(since)))
            && self.until.is_none_or(|until| item.accepted_at.is_some_and(|at| millis(at) < millis(until)))
    }
}

fn millis(at: OffsetDateTime) -> i128 {
    at.unix_timestamp_nanos().div_euclid(1_000_000)
}

impl Viewer {
    /// Fails if there are too many.
    pub(super) fn open(
        api: Arc<Api>,
        feed: Arc<Feed>,
        filter: Filter,
        key: Option<ApiKeyId>,
        cursor: Option<StreamCursor>,
    ) -> Result<Self, Problem> {
        let seat = feed.seats.take(filter.tenant)?;
        let mut caught = HashSet::new();
        let mut ready = VecDeque::from([Bytes::from_static(GREETING)]);
        let phase = match cursor {
            None => Phase::Joined(feed.join(filter.clone())),
            Some(cursor) => {
                caught = feed.sent_up_to(cursor);
                caught.insert(cursor.key);
                let now = api.clock.now();
                let earliest = now - LONGEST_AWAY.min(api.settings.log_retention);
                if cursor.key.at() < earliest {
                    ready.push_back(Bytes::from_static(MISSED_UNKNOWN));
                }
                let since = cursor.key.at().saturating_sub(LATE).clamp(earliest, now);
                Phase::Catching { position: Position::new(since), joined: None }
            }
        };
        let now = Instant::now();
        Ok(Self { api, feed, filter, key, looked_at_key: now, spoke: now, phase, caught, ready, seat, turn: None })
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            // First, so that a slow reader gets nothing that was read before its key was revoked.
            if self.looked_at_key.elapsed() >= LOOK_AT_KEY && !self.may_go_on().await {
                return None;
            }
            if let Some(bytes) = self.ready.pop_front() {
                self.spoke = Instant::now();
                return Some(bytes);
            }
            if self.spoke.elapsed() >= HEARTBEAT {
                self.ready.push_back(Bytes::from_static(b": heartbeat\n\n"));
            }
            match self.step().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    // The client connects again with its last id.
                    tracing::debug!(%error, "a stream ends because the database does not answer");
                    return None;
                }
            }
        }
    }

    /// False once the key is revoked or has expired. While the database is away, what is known of the key counts.
    async fn may_go_on(&mut self) -> bool {
        self.looked_at_key = Instant::now();
        let Some(key) = self.key else { return true };
        let now = self.api.clock.now();
        match self.api.tenants.key(key).await {
            Ok(known) => known.is_some_and(|known| known.expires_at.is_none_or(|end| end > now)),
            Err(_) => true,
        }
    }

    /// False at the end.
    async fn step(&mut self) -> Result<bool, StoreError> {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Ended => return Ok(false),
            Phase::Catching { .. } if self.feed.is_closed() => return Ok(false),
            Phase::Catching { position, joined } => self.catch_up(position, joined).await?,
            Phase::Joined(watching) => match timeout(LOOK_AT_KEY, self.feed.is_reading()).await {
                Ok(true) => Phase::Live(watching),
                Ok(false) => Phase::Ended,
                Err(_) => Phase::Joined(watching),
            },
            Phase::Live(mut watching) => {
                let is_open = self.follow(&mut watching).await;
                if is_open { Phase::Live(watching) } else { Phase::Ended }
            }
        };
        Ok(true)
    }

    /// Reads until now; then the youngest part once more with the feed, so that nothing falls between.
    async fn catch_up(&mut self, mut position: Position, joined: Option<Watching>) -> Result<Phase, StoreError> {
        let mut waiting = self.turn.take().unwrap_or_else(|| Box::pin(self.seat.turn()));
        let Ok(turn) = timeout(LOOK_AT_KEY, &mut waiting).await else {
            self.turn = Some(waiting);
            return Ok(Phase::Catching { position, joined });
        };
        let (since, until) = position.window();
        let page = self.api.store.tail(since, until, PAGE_ROWS).await?;
        drop(turn);
        let own = page.rows.iter().filter(|row| self.filter.tenant.is_none_or(|tenant| tenant == row.tenant));
        for item in own.flat_map(|row| Item::of(row, self.feed.id)).filter(|item| self.filter.takes(item)) {
            if self.caught.insert(item.key) {
                self.ready.push_back(item.frame(Order::Replayed));
            }
        }
        if position.advance(&page) {
            // Neither this nor the feed comes to what is older; but some of it may wait in `joined`.
            if joined.is_none() {
                let complete = position.complete();
                self.forget(self.feed.mark().map_or(complete, |mark| mark.min(complete)));
            }
            return Ok(Phase::Catching { position, joined });
        }
        if let Some(watching) = joined {
            return Ok(Phase::Live(watching));
        }
        let watching = self.feed.join(self.filter.clone());
        let is_reading = timeout(HEARTBEAT, self.feed.is_reading()).await.unwrap_or(false);
        let position = position.again();
        Ok(if is_reading { Phase::Catching { position, joined: Some(watching) } } else { Phase::Ended })
    }

    fn forget(&mut self, before: OffsetDateTime) {
        if !self.caught.is_empty() {
            self.caught.retain(|key| key.at() >= before);
            self.caught.shrink_to_fit();
        }
    }

    /// False at the end.
    async fn follow(&mut self, watching: &mut Watching) -> bool {
        match timeout(LOOK_AT_KEY, watching.events.recv()).await {
            Ok(None) => return false,
            Ok(Some(item)) if !self.caught.remove(&item.key) => {
                self.ready.push_back(item.frame(Order::Live(self.feed.id)))
            }
            Ok(Some(_)) | Err(_) => {}
        }
        let mark = self.feed.mark();
        // What was missed came after everything that waits.
        if watching.events.is_empty() {
            if let Some(mark) = mark {
                self.forget(mark);
            }
            let missed = watching.missed.swap(0, Ordering::Relaxed);
            if missed > 0 {
                self.ready.push_back(format!("event: missed\ndata: {{\"missed\":{missed}}}\n\n").into());
            }
        }
        true
    }
}
