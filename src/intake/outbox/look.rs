//! Where to look for rows next.
//!
//! Rows are published in the order of their ids. A tenant whose rows have to wait, or that has very many, is read apart
//! from then on: its *lane* goes on from its own place and leaves the others alone. Hints skip what was published
//! before, because its dead versions remain in the index while any transaction is open. Now and then they are
//! dropped, so that rows of transactions that committed late are found.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::before;
use crate::domain::id::{EventId, TenantId};
use crate::store::{OutboxPage, OutboxRow, PageAsk, RefusedRow, Store, StoreError};

const PAGE_ROWS: i32 = 256;
const PAGE_BYTES: i64 = 4 << 20;
const PAGE_EXAMINED: i32 = 20_000;
/// Of one look, besides the common page.
const LANES: usize = 4;
/// A tenant with more of a full page gets a lane.
const MANY_ROWS: usize = 128;
/// Transactions that commit later than this after their call are found without hints only.
const SLACK: time::Duration = time::Duration::seconds(2);
/// A walk without hints takes at most this part of the time, and happens at least this often.
const WALK_PART: u32 = 20;
const WALK_INTERVAL: Duration = Duration::from_secs(10);

pub(super) enum Settled {
    Published,
    /// Refused, or a duplicate.
    Ended(RefusedRow),
    /// Another process has it, or a row before it waits.
    NotTaken,
    /// May succeed later.
    Waits(TenantId, EventId, Duration),
}

impl Settled {
    pub(super) fn ended(&self) -> Option<&RefusedRow> {
        match self {
            Self::Ended(row) => Some(row),
            _ => None,
        }
    }
}

struct Lane {
    after: EventId,
    ready: Instant,
    is_ended: bool,
}

/// What is known between two looks.
pub(super) struct Look {
    after: EventId,
    lanes: HashMap<TenantId, Lane>,
    /// Begun without hints, and not at the end yet: how long it took so far.
    walk: Option<Duration>,
    walk_at: Instant,
}

impl Default for Look {
    fn default() -> Self {
        Self { after: Uuid::nil().into(), lanes: HashMap::new(), walk: None, walk_at: Instant::now() }
    }
}

impl Look {
    /// Until a lane may go on, at most `most`.
    pub(super) fn wait(&self, most: Duration) -> Duration {
        let ready = self.lanes.values().map(|lane| lane.ready).min();
        ready.map_or(most, |ready| ready.saturating_duration_since(Instant::now()).min(most))
    }

    /// The next rows, and whether there are more that could be published now.
    pub(super) async fn next(&mut self, store: &Store) -> Result<(Vec<OutboxRow>, bool), StoreError> {
        let began = Instant::now();
        if self.walk.is_none() && began >= self.walk_at {
            self.walk = Some(Duration::ZERO);
            self.after = Uuid::nil().into();
            self.lanes.values_mut().for_each(|lane| lane.after = Uuid::nil().into());
        }
        let left_out: Vec<Uuid> = self.lanes.keys().map(|tenant| tenant.uuid()).collect();
        let page = store.outbox_page(ask(self.after, None, &left_out)).await?;
        let mut is_more = !page.is_end;
        self.follow(&page, began);
        let mut rows = page.rows;
        let mut ready: Vec<(Instant, TenantId)> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.ready <= began)
            .map(|(tenant, lane)| (lane.ready, *tenant))
            .collect();
        ready.sort();
        is_more |= ready.len() > LANES;
        for (_, tenant) in ready.into_iter().take(LANES) {
            let Some(lane) = self.lanes.get_mut(&tenant) else { continue };
            let page = store.outbox_page(ask(lane.after, Some(tenant), &[])).await?;
            (lane.after, lane.ready, lane.is_ended) = (page.reached, Instant::now(), page.is_end);
            is_more |= !page.is_end;
            rows.extend(page.rows);
        }
        self.add_lanes(&rows, is_more);
        Ok((rows, is_more))
    }

    fn follow(&mut self, page: &OutboxPage, began: Instant) {
        let took = self.walk.map(|walk| walk + began.elapsed());
        if !page.is_end {
            (self.after, self.walk) = (page.reached, took);
            return;
        }
        if let Some(took) = took {
            self.walk = None;
            self.walk_at = Instant::now() + (took * WALK_PART).min(WALK_INTERVAL);
        }
        let end = page.reached.accepted_at().map(|at| EventId::lower_bound(at - SLACK));
        self.after = end.unwrap_or(self.after);
    }

    fn add_lanes(&mut self, rows: &[OutboxRow], is_more: bool) {
        let mut counts: HashMap<TenantId, (usize, EventId)> = HashMap::new();
        for row in rows.iter().filter(|_| is_more) {
            let (count, last) = counts.entry(row.tenant).or_insert((0, row.id));
            (*count, *last) = (*count + 1, row.id);
        }
        for (tenant, (_, after)) in counts.into_iter().filter(|(_, (count, _))| *count >= MANY_ROWS) {
            let new = Lane { after, ready: Instant::now(), is_ended: false };
            self.lanes.entry(tenant).or_insert(new);
        }
    }

    pub(super) fn settle(&mut self, settled: &[Settled]) {
        for one in settled {
            if let Settled::Waits(tenant, id, delay) = one {
                self.hold(*tenant, *id, *delay);
            }
        }
        self.lanes.retain(|_, lane| !lane.is_ended);
    }

    /// The tenant's rows are tried again after `delay`, from this one on.
    fn hold(&mut self, tenant: TenantId, id: EventId, delay: Duration) {
        let (after, ready) = (before(id), Instant::now() + delay);
        let lane = self.lanes.entry(tenant).or_insert(Lane { after, ready, is_ended: false });
        // Rows come in order: the first of them counts.
        *lane = Lane { after: lane.after.min(after), ready: lane.ready.max(ready), is_ended: false };
    }
}

fn ask(after: EventId, only: Option<TenantId>, left_out: &[Uuid]) -> PageAsk<'_> {
    PageAsk { after, only, left_out, rows: PAGE_ROWS, bytes: PAGE_BYTES, examined: PAGE_EXAMINED }
}
