//! One open stream: catches up from a cursor, then follows the feed.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::feed::{Feed, NO_END, Watching};
use super::item::{Item, Key, Order, StreamCursor};
use crate::api::Api;
use crate::api::problem::Problem;
use crate::domain::id::{ApiKeyId, TenantId};
use crate::store::StoreError;

/// A comment is sent if nothing else was.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A revoked key ends the stream this late at most.
const LOOK_AT_KEY: Duration = Duration::from_secs(1);
/// Of each kind in one read while it catches up.
const PAGE_ROWS: i64 = 1_000;
/// A row may become visible this long after its time (`log/complete_before`).
const LATE: time::Duration = time::Duration::seconds(15);
/// Clients wait so long before they connect again.
const GREETING: &[u8] = b"retry: 2000\n\n";

/// Which events a viewer gets; an empty list takes all.
#[derive(Debug, Clone, Default)]
pub(in crate::api) struct Filter {
    /// `None` for all tenants.
    pub(in crate::api) tenant: Option<TenantId>,
    pub(in crate::api) statuses: Vec<&'static str>,
    pub(in crate::api) reasons: Vec<String>,
    pub(in crate::api) subscriptions: Vec<Uuid>,
    pub(in crate::api) event_types: Vec<String>,
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
}

enum Phase {
    /// Reads pages from this time on.
    Catching {
        since: OffsetDateTime,
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
            && any(&self.reasons, item.reason.as_deref())
            && (self.subscriptions.is_empty() || item.subscription.is_some_and(|id| self.subscriptions.contains(&id)))
            && any(&self.event_types, item.event_type.as_deref())
    }
}

impl Viewer {
    pub(super) fn open(
        api: Arc<Api>,
        feed: Arc<Feed>,
        filter: Filter,
        key: Option<ApiKeyId>,
        cursor: Option<StreamCursor>,
    ) -> Result<Self, Problem> {
        let mut caught = HashSet::new();
        let phase = match cursor {
            None => Phase::Joined(feed.join(filter.tenant, filter.clone())?),
            Some(cursor) => {
                if cursor.order == Order::Live {
                    caught = feed.sent_up_to(cursor);
                }
                caught.insert(cursor.key);
                let since = cursor.key.at().checked_sub(LATE).unwrap_or(OffsetDateTime::UNIX_EPOCH);
                Phase::Catching { since: since.clamp(OffsetDateTime::UNIX_EPOCH, NO_END), joined: None }
            }
        };
        let now = Instant::now();
        let ready = VecDeque::from([Bytes::from_static(GREETING)]);
        Ok(Self { api, feed, filter, key, looked_at_key: now, spoke: now, phase, caught, ready })
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                self.spoke = Instant::now();
                return Some(bytes);
            }
            if self.spoke.elapsed() >= HEARTBEAT {
                self.ready.push_back(Bytes::from_static(b": heartbeat\n\n"));
            }
            if self.looked_at_key.elapsed() >= LOOK_AT_KEY && !self.may_go_on().await {
                return None;
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
            Phase::Catching { since, joined } => self.catch_up(since, joined).await?,
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

    /// Pages until now; then once more with the feed, so that nothing falls between.
    async fn catch_up(&mut self, since: OffsetDateTime, joined: Option<Watching>) -> Result<Phase, StoreError> {
        let page = self.api.store.tail(since, NO_END, PAGE_ROWS).await?;
        for item in page.rows.iter().flat_map(Item::of).filter(|item| self.filter.takes(item)) {
            if self.caught.insert(item.key) {
                self.ready.push_back(item.frame(Order::Replayed));
            }
        }
        if let Some(next) = page.next {
            return Ok(Phase::Catching { since: next, joined });
        }
        self.caught.retain(|key| key.at() >= page.mark);
        if let Some(watching) = joined {
            return Ok(Phase::Live(watching));
        }
        let Ok(watching) = self.feed.join(self.filter.tenant, self.filter.clone()) else { return Ok(Phase::Ended) };
        let is_reading = timeout(HEARTBEAT, self.feed.is_reading()).await.unwrap_or(false);
        Ok(if is_reading { Phase::Catching { since: page.mark, joined: Some(watching) } } else { Phase::Ended })
    }

    /// False at the end.
    async fn follow(&mut self, watching: &mut Watching) -> bool {
        match timeout(LOOK_AT_KEY, watching.events.recv()).await {
            Ok(None) => return false,
            Ok(Some(item)) if !self.caught.remove(&item.key) => self.ready.push_back(item.frame(Order::Live)),
            Ok(Some(_)) | Err(_) => {}
        }
        // What was missed came after everything that waits.
        if watching.events.is_empty() {
            let missed = watching.missed.swap(0, Ordering::Relaxed);
            if missed > 0 {
                self.ready.push_back(format!("event: missed\ndata: {{\"missed\":{missed}}}\n\n").into());
            }
        }
        true
    }
}
