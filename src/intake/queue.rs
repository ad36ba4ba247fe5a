//! Events that wait for their commit, one per tenant in turn, so that one tenant's backlog does not delay the others.
//!
//! Most events share the next statement. Events with an ordering key, and events to very many subscriptions, have
//! statements of their own: the former lock their tenant's counter until the commit, the latter take long. So have late
//! events from the outbox, whose statement may fail.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::{Accepted, Intake, Pending, Refusal, Submission};
use crate::domain::id::TenantId;
use crate::domain::share::Share;

/// Maximum time from a request to its response.
const ANSWER_LIMIT: Duration = Duration::from_millis(1_800);
/// About as many as can be written before their requests time out.
const MAX_EVENTS: usize = 4_096;
/// One tenant's share of events and bytes.
const SHARE: Share = Share(4);
const MAX_BATCH: usize = 256;
/// No further event joins a statement above this.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// No further event joins above this (some tens of milliseconds); an event with more deliveries gets its own
/// statement.
const MAX_BATCH_DELIVERIES: usize = 1_024;
const MAX_SHARED_DELIVERIES: usize = 256;
/// Concurrent unshared statements. A second shared one would split the batches, and an event's cost is its
/// statement's cost divided by the batch.
const MAX_ALONE: usize = 2;

/// Events of one statement.
pub(super) enum Batch {
    Shared(Vec<Pending>),
    /// Of one tenant; call [`Queue::done`] after it.
    Alone(TenantId, Vec<Pending>),
}

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    added: Notify,
    freed: Notify,
}

#[derive(Default)]
struct Waiting {
    max_bytes: usize,
    by_tenant: HashMap<TenantId, TenantQueue>,
    turns: VecDeque<TenantId>,
    events: usize,
    bytes: usize,
    /// Tenants with a running statement of their own.
    alone: HashSet<TenantId>,
    is_closed: bool,
}

#[derive(Default)]
struct TenantQueue {
    events: VecDeque<Pending>,
    bytes: usize,
}

impl Intake {
    /// Returns when the commit is on disk.
    /// After `Unavailable` the commit may have happened; an idempotency key makes the repetition safe.
    pub async fn accept(&self, submission: Submission) -> Result<Accepted, Refusal> {
        self.check_clock()?;
        let (answer, answered) = oneshot::channel();
        self.open.0.push(Pending { submission, answer }).map_err(|_| too_many())?;
        answer_of(answered, Instant::now() + ANSWER_LIMIT).await
    }

    pub(super) fn check_clock(&self) -> Result<(), Refusal> {
        if !self.clock.agrees() {
            return Err(Refusal::Unavailable("this machine's clock is too far from the database's"));
        }
        Ok(())
    }
}

pub(super) fn too_many() -> Refusal {
    Refusal::Unavailable("too many events wait already")
}

pub(super) async fn answer_of(
    answered: oneshot::Receiver<Result<Accepted, Refusal>>,
    deadline: Instant,
) -> Result<Accepted, Refusal> {
    match timeout_at(deadline, answered).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Refusal::Unavailable("this process is stopping")),
        Err(_) => Err(Refusal::Unavailable("the database did not answer in time")),
    }
}

impl Queue {
    pub(super) fn new(max_bytes: usize) -> Self {
        let waiting = Mutex::new(Waiting { max_bytes, ..Waiting::default() });
        Self { waiting, added: Notify::new(), freed: Notify::new() }
    }

    /// Returns the event if its tenant has too many waiting.
    pub(super) fn push(&self, pending: Pending) -> Result<(), Box<Pending>> {
        let mut waiting = self.waiting();
        let tenant = pending.submission.audience.tenant;
        if !waiting.has_room(tenant) {
            return Err(Box::new(pending));
        }
        waiting.add(tenant, pending);
        self.added.notify_one();
        Ok(())
    }

    /// Waits for room until the deadline.
    pub(super) async fn push_by(&self, pending: Pending, deadline: Instant) -> Result<(), Box<Pending>> {
        let mut pending = pending;
        loop {
            let freed = self.freed.notified();
            match self.push(pending) {
                Ok(()) => return Ok(()),
                Err(back) => pending = *back,
            }
            if timeout_at(deadline, freed).await.is_err() {
                return Err(Box::new(pending));
            }
        }
    }

    /// Waits for a batch; `None` when the queue is closed and empty.
    pub(super) async fn next(&self) -> Option<Batch> {
        loop {
            let added = self.added.notified();
            {
                let mut waiting = self.waiting();
                if let Some(batch) = waiting.alone().or_else(|| waiting.shared()) {
                    self.freed.notify_waiters();
                    return Some(batch);
                }
                if waiting.is_closed && waiting.events == 0 {
                    return None;
                }
            }
            added.await;
        }
    }

    /// The tenant's own statement has ended.
    pub(super) fn done(&self, tenant: TenantId) {
        self.waiting().alone.remove(&tenant);
        self.added.notify_one();
    }

    /// Accepts no more events.
    pub(super) fn close(&self) {
        self.waiting().is_closed = true;
        self.added.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn has_room(&self, tenant: TenantId) -> bool {
        let (events, bytes) = self.by_tenant.get(&tenant).map_or((0, 0), |queue| (queue.events.len(), queue.bytes));
        SHARE.allows(events, MAX_EVENTS.saturating_sub(self.events))
            && SHARE.allows(bytes, self.max_bytes.saturating_sub(self.bytes))
    }

    fn add(&mut self, tenant: TenantId, pending: Pending) {
        let bytes = pending.bytes();
        self.events += 1;
        self.bytes += bytes;
        let queue = self.by_tenant.entry(tenant).or_default();
        if queue.events.is_empty() {
            self.turns.push_back(tenant);
        }
        queue.bytes += bytes;
        queue.events.push_back(pending);
    }

    /// Takes a tenant's first event if it fits.
    fn take(&mut self, tenant: TenantId, fits: impl Fn(&Pending) -> bool) -> Option<Pending> {
        let queue = self.by_tenant.get_mut(&tenant)?;
        if !queue.events.front().is_some_and(fits) {
            return None;
        }
        let pending = queue.events.pop_front()?;
        let bytes = pending.bytes();
        queue.bytes -= bytes;
        self.events -= 1;
        self.bytes -= bytes;
        if queue.events.is_empty() {
            self.by_tenant.remove(&tenant);
        }
        Some(pending)
    }

    /// Unshared events of one tenant, if it is their turn.
    fn alone(&mut self) -> Option<Batch> {
        if self.alone.len() >= MAX_ALONE {
            return None;
        }
        let is_alone = |tenant: &TenantId| {
            let first = self.by_tenant.get(tenant).and_then(|queue| queue.events.front());
            first.is_some_and(|first| !is_shared(first)) && !self.alone.contains(tenant)
        };
        let position = self.turns.iter().position(is_alone)?;
        let tenant = self.turns.remove(position)?;
        let mut batch = Filling::default();
        while batch.has_room() {
            // In order of arrival: a shareable event ends the batch.
            let Some(pending) = self.take(tenant, |first| !is_shared(first)) else { break };
            batch.add(pending);
        }
        if self.by_tenant.contains_key(&tenant) {
            self.turns.push_back(tenant);
        }
        self.alone.insert(tenant);
        Some(Batch::Alone(tenant, batch.events))
    }

    /// One event per tenant in turn, until the statement is full.
    fn shared(&mut self) -> Option<Batch> {
        let (mut batch, mut passed_over) = (Filling::default(), VecDeque::new());
        while batch.has_room() {
            let Some(tenant) = self.turns.pop_front() else { break };
            match self.take(tenant, is_shared) {
                Some(pending) => batch.add(pending),
                None => {
                    passed_over.push_back(tenant);
                    continue;
                }
            }
            if self.by_tenant.contains_key(&tenant) {
                self.turns.push_back(tenant);
            }
        }
        passed_over.append(&mut self.turns);
        self.turns = passed_over;
        (!batch.events.is_empty()).then_some(Batch::Shared(batch.events))
    }
}

/// Whether an event may share a statement.
fn is_shared(pending: &Pending) -> bool {
    let submission = &pending.submission;
    let is_late = submission.from_outbox.is_some_and(|row| row.is_late);
    submission.ordering_key.is_none() && submission.audience.recipients.len() <= MAX_SHARED_DELIVERIES && !is_late
}

#[derive(Default)]
struct Filling {
    events: Vec<Pending>,
    bytes: usize,
    deliveries: usize,
}

impl Filling {
    fn has_room(&self) -> bool {
        self.events.len() < MAX_BATCH && self.bytes < MAX_BATCH_BYTES && self.deliveries < MAX_BATCH_DELIVERIES
    }

    fn add(&mut self, pending: Pending) {
        self.bytes += pending.bytes();
        self.deliveries += pending.submission.audience.recipients.len();
        self.events.push(pending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audience::{Audience, Recipient};
    use crate::domain::hops::Hops;
    use crate::domain::payload::Payload;
    use crate::domain::timing::Timing;
    use crate::intake::Submission;
    use bytes::Bytes;
    use uuid::Uuid;

    fn tenant(n: u128) -> TenantId {
        Uuid::from_u128(n).into()
    }

    fn pending(of: u128, recipients: usize, ordering_key: Option<&str>) -> Pending {
        let recipient = |n: usize| Recipient {
            id: Uuid::from_u128(n as u128).into(),
            version: 1,
            is_active: true,
            is_ordered: false,
            subscription: None,
        };
        let recipients = (0..recipients).map(recipient).collect();
        let submission = Submission {
            audience: Audience { tenant: tenant(of), recipients, list_version: Some(1) },
            event_type: None,
            payload: Payload::parse(Bytes::from_static(b"{}")).unwrap(),
            hops: Hops::default(),
            timing: Timing::default(),
            ordering_key: ordering_key.map(|key| key.parse().unwrap()),
            key: None,
            from_outbox: None,
        };
        Pending { submission, answer: tokio::sync::oneshot::channel().0 }
    }

    async fn next(queue: &Queue) -> (bool, Vec<u128>) {
        let (is_shared, events) = match queue.next().await.unwrap() {
            Batch::Shared(events) => (true, events),
            Batch::Alone(_, events) => (false, events),
        };
        (is_shared, events.iter().map(|event| event.submission.audience.tenant.uuid().as_u128()).collect())
    }

    #[tokio::test]
    async fn a_backlog_of_one_tenant_does_not_delay_others() {
        let queue = Queue::new(64 << 20);
        (0..1_000).for_each(|_| assert!(queue.push(pending(1, 1, None)).is_ok()));
        assert!(queue.push(pending(2, 1, None)).is_ok() && queue.push(pending(3, 1, None)).is_ok());
        let (_, events) = next(&queue).await;
        assert_eq!((events.len(), &events[..4]), (MAX_BATCH, &[1, 2, 3, 1][..]));
    }

    #[tokio::test]
    async fn ordered_events_and_events_to_many_have_statements_of_their_own() {
        let queue = Queue::new(64 << 20);
        for event in [pending(1, 1, Some("a")), pending(1, 1, Some("b")), pending(1, 1, None), pending(2, 1, None)] {
            assert!(queue.push(event).is_ok());
        }
        assert!(queue.push(pending(3, MAX_SHARED_DELIVERIES + 1, None)).is_ok());
        assert_eq!(next(&queue).await, (false, vec![1, 1]));
        assert!(queue.push(pending(1, 1, Some("c"))).is_ok());
        assert_eq!(next(&queue).await, (false, vec![3]));
        // The first tenant's ordered events use one statement after the other.
        assert_eq!(next(&queue).await, (true, vec![2, 1]));
        queue.done(tenant(1));
        assert_eq!(next(&queue).await, (false, vec![1]));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_one_tenant_cannot_fill_it() {
        let queue = Queue::new(64 << 20);
        let accepted = (0..5_000).filter(|_| queue.push(pending(1, 1, None)).is_ok()).count();
        assert_eq!(accepted, MAX_EVENTS * 4 / 5 + 1);
        assert!(queue.push(pending(2, 1, None)).is_ok());
        let deadline = Instant::now() + std::time::Duration::from_secs(5);
        let (pushed, _) = tokio::join!(queue.push_by(pending(1, 1, None), deadline), next(&queue));
        assert!(pushed.is_ok());
    }

    #[tokio::test]
    async fn what_waits_when_the_queue_is_closed_still_comes() {
        let queue = Queue::new(64 << 20);
        assert!(queue.push(pending(1, 1, None)).is_ok());
        queue.close();
        assert_eq!(next(&queue).await, (true, vec![1]));
        assert!(queue.next().await.is_none());
    }
}
