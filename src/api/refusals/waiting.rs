//! Refused requests on their way to the database. A request never waits for them: what does not fit is only counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::budget::{Budgets, Source};
use super::note::{Head, Item, Note};
use crate::api::problem::Problem;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::{EventId, TenantId};
use crate::http::Beginning;
use crate::store::{Clock, NewRefusal, Store};
use crate::telemetry::Metrics;

/// In memory.
const MAX_WAITING: usize = 1_000;
/// In memory, each with room for the beginning of its body.
const MAX_WAITING_BYTES: usize = 2 << 20;
/// Of one statement.
const MAX_BATCH: usize = 100;
/// Before each statement: more may come, and the rest of a refused body is read meanwhile.
const GATHER: Duration = Duration::from_millis(200);
/// After a failure of the database.
const PAUSE: Duration = Duration::from_secs(1);
/// Before a list is read, so that it has what this process refused, and at the end of the process.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);
const MAX_DETAIL_BYTES: usize = 512;
const MAX_NAME_BYTES: usize = 255;
/// Of a row besides its texts.
const ROW_BYTES: usize = 1_024;

/// Clones share the queue.
#[derive(Clone)]
pub struct Refusals(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    metrics: Metrics,
    per_tenant: u32,
    state: Mutex<State>,
    any: Notify,
    /// One statement at a time.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    budgets: Budgets,
}

struct Waiting {
    row: NewRefusal,
    /// Still arriving, perhaps.
    beginning: Option<Beginning>,
}

impl Refusals {
    /// At most `per_tenant` are stored for a tenant; none if it is 0.
    pub fn new(store: Store, clock: Clock, metrics: Metrics, per_tenant: u32) -> Self {
        let (state, any, writing) = Default::default();
        Self(Arc::new(Inner { store, clock, metrics, per_tenant, state, any, writing }))
    }

    /// Keeps what was refused of a request: events of a batch, or the request itself.
    pub(in crate::api) fn keep(&self, note: &Note, problem: Option<&Problem>) {
        let head = note.head();
        let mut learnt = note.learnt();
        self.count("rate", learnt.left_out);
        for (item, problem) in std::mem::take(&mut learnt.items) {
            // The tenant of the request must not see an event that an operator published for another one.
            let is_of_request = !(item.names_tenant && learnt.is_operator);
            let tenant = item.tenant.or(learnt.tenant.filter(|_| is_of_request));
            let source = source(tenant, learnt.is_own, head, &problem);
            self.push(source, &problem, || {
                let row = NewRefusal { tenant, ..item_row(head, item) };
                Waiting { row, beginning: None }
            });
        }
        if let Some(problem) = problem {
            let source = source(learnt.tenant, learnt.is_own, head, problem);
            let said = learnt.cause.as_ref().map(detail);
            self.push(source, problem, || {
                let subscription = learnt.subscription;
                let mut row = row(head);
                (row.subscription, row.tenant) = (row.subscription.or(subscription), learnt.tenant);
                row.detail = said.unwrap_or_default();
                Waiting { row, beginning: head.beginning.clone() }
            });
        }
    }

    /// 5xx are ours, not the request's; a database that is away could not keep them either.
    fn push(&self, source: Source, problem: &Problem, make: impl FnOnce() -> Waiting) {
        let Inner { clock, per_tenant, .. } = &*self.0;
        if problem.status().is_server_error() || *per_tenant == 0 {
            return;
        }
        let mut state = self.lock();
        if !state.budgets.take(source, Instant::now()) {
            return self.count("rate", 1);
        }
        let mut waiting = make();
        let at = clock.now();
        let row = &mut waiting.row;
        row.id = EventId::at(at, Uuid::new_v4().into_bytes()).uuid();
        row.at = at;
        row.is_own = matches!(source, Source::Own(_) | Source::Limited(_));
        row.status = i16::try_from(problem.status().as_u16()).unwrap_or_default();
        row.code = problem.code();
        if row.detail.is_empty() {
            row.detail = detail(problem);
        }
        let bytes = waiting.bytes();
        if state.waiting.len() >= MAX_WAITING || state.bytes + bytes > MAX_WAITING_BYTES {
            return self.count("full", 1);
        }
        state.bytes += bytes;
        state.waiting.push_back(waiting);
        drop(state);
        self.0.any.notify_one();
    }

    /// In the background, until `shutdown`.
    pub(in crate::api) async fn write(&self, shutdown: &CancellationToken) {
        let writing = async {
            loop {
                self.0.any.notified().await;
                loop {
                    tokio::time::sleep(GATHER).await;
                    match self.write_some().await {
                        Some(0) => break,
                        Some(_) => {}
                        None => tokio::time::sleep(PAUSE).await,
                    }
                }
            }
        };
        if shutdown.run_until_cancelled(writing).await.is_none() {
            self.flush().await;
        }
    }

    /// Writes what waits now, if the database is quick.
    pub(in crate::api) async fn flush(&self) {
        let writing = async { while self.write_some().await.is_some_and(|written| written > 0) {} };
        let _rest_later = tokio::time::timeout(FLUSH_LIMIT, writing).await;
    }

    /// How many were written; `None` while the database does not answer.
    async fn write_some(&self) -> Option<usize> {
        let _one_at_a_time = self.0.writing.lock().await;
        let mut taken = Taken { refusals: self, rows: self.take() };
        if taken.rows.is_empty() {
            return Some(0);
        }
        let rows: Vec<_> = taken.rows.iter().map(Waiting::row).collect();
        match self.0.store.write_refusals(&rows, self.0.per_tenant).await {
            Ok(()) => taken.rows.clear(),
            Err(error) if error.is_unavailable() => {
                tracing::debug!(%error, rows = rows.len(), "refused requests wait for the database");
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, rows = rows.len(), "refused requests could not be stored");
                self.count("database", rows.len() as u64);
                taken.rows.clear();
            }
        }
        Some(rows.len())
    }

    fn take(&self) -> Vec<Waiting> {
        let mut state = self.lock();
        let count = state.waiting.len().min(MAX_BATCH);
        let taken: Vec<_> = state.waiting.drain(..count).collect();
        state.bytes -= taken.iter().map(Waiting::bytes).sum::<usize>();
        taken
    }

    fn count(&self, reason: &str, number: u64) {
        self.0.metrics.refusals_lost.with_label_values(&[reason]).inc_by(number);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a statement is to write. It goes back to the queue unless it was written, also if nobody waits any more.
struct Taken<'a> {
    refusals: &'a Refusals,
    rows: Vec<Waiting>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.refusals.lock();
        for waiting in std::mem::take(&mut self.rows).into_iter().rev() {
            state.bytes += waiting.bytes();
            state.waiting.push_front(waiting);
        }
    }
}

impl Waiting {
    /// With the beginning as far as it has arrived.
    fn row(&self) -> NewRefusal {
        let arrived = self.beginning.as_ref().map(Beginning::bytes);
        let beginning = arrived.or_else(|| self.row.beginning.clone()).filter(|bytes| !bytes.is_empty());
        NewRefusal { beginning, ..self.row.clone() }
    }

    fn bytes(&self) -> usize {
        let NewRefusal { detail, subscription_name, event_type, idempotency_key, request_id, .. } = &self.row;
        let texts = [subscription_name, event_type, idempotency_key].map(|text| text.as_ref().map_or(0, String::len));
        ROW_BYTES + detail.len() + request_id.len() + texts.iter().sum::<usize>()
    }
}

fn source(tenant: Option<TenantId>, is_own: bool, head: &Head, problem: &Problem) -> Source {
    match tenant {
        Some(tenant) if !is_own => Source::Unverified(tenant),
        Some(tenant) if problem.status().as_u16() == 429 => Source::Limited(tenant),
        Some(tenant) => Source::Own(tenant),
        None if head.key().is_some() => Source::Key,
        None => Source::Stranger,
    }
}

fn row(head: &Head) -> NewRefusal {
    let name = head.subscription.clone();
    NewRefusal {
        id: Uuid::nil(),
        at: time::OffsetDateTime::UNIX_EPOCH,
        tenant: None,
        is_own: false,
        key: head.key(),
        subscription: name.as_deref().and_then(|name| name.parse().ok()),
        subscription_name: name.map(short),
        status: 0,
        code: "",
        detail: String::new(),
        route: head.route,
        event_type: head.event_type().map(short),
        idempotency_key: head.idempotency_key().map(short),
        request_id: head.request_id.clone(),
        remote_address: head.remote_address,
        beginning: None,
    }
}

fn item_row(head: &Head, item: Item) -> NewRefusal {
    let beginning = item.payload.get(..Beginning::MAX_BYTES).unwrap_or(&item.payload).to_vec();
    let name: Option<SubscriptionName> = item.subscription.as_deref().and_then(|name| name.parse().ok());
    NewRefusal {
        tenant: item.tenant,
        subscription: name.and_then(|name| if let SubscriptionName::Id(id) = name { Some(id) } else { None }),
        subscription_name: item.subscription.map(short),
        event_type: item.event_type.map(short),
        idempotency_key: item.idempotency_key.map(short),
        beginning: Some(beginning),
        ..row(head)
    }
}

/// With the first rules that fields break.
fn detail(problem: &Problem) -> String {
    let mut text = problem.to_string();
    if let Problem::Invalid(errors) = problem {
        let rules: Vec<_> = errors.iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect();
        text = rules.join("; ");
    }
    text.truncate(text.floor_char_boundary(MAX_DETAIL_BYTES));
    text.retain(|character| character != '\0');
    text
}

fn short(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_NAME_BYTES));
    text.retain(|character| character != '\0');
    text
}
