//! Group commit: whatever arrived while the last statement ran goes into the next.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

use super::entry::{Entry, Written};
use super::{Accepted, IntakeParts, Refusal, Submission};
use crate::domain::audience::Recipient;
use crate::domain::delivery::{DeliveryKey, Lease, Parcel};
use crate::domain::event::Event;
use crate::domain::handoff::HandedOver;
use crate::domain::id::{EventId, LeaseToken};
use crate::domain::ordering::Line;
use crate::domain::policy;
use crate::domain::slots::Slot;
use crate::domain::subscription::Subscription;
use crate::domain::timing::Timing;
use crate::store::{AcceptAnswer, AcceptItem, AcceptVerdict, NewDelivery, StoreError};

/// Most events in one statement.
const MAX_BATCH: usize = 256;
/// Payload bytes after which no further event joins a statement.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// Deliveries after which no further event joins a statement: so many take about a tenth of a
/// second, for which the events behind them wait.
const MAX_BATCH_DELIVERIES: usize = 2_048;
/// Times a statement is repeated after a deadlock or a missing partition.
const REPEATS: usize = 3;

/// A request that waits for its commit.
pub(super) struct Pending {
    pub(super) submission: Submission,
    pub(super) answer: oneshot::Sender<Result<Accepted, Refusal>>,
}

/// What an accepting statement leases: to whom, and from when on at the earliest.
#[derive(Clone, Copy)]
struct Grant {
    token: LeaseToken,
    asked: Instant,
}

pub(super) struct Writer {
    parts: IntakeParts,
    /// Set while the database refuses, so that an outage is told once and not per batch.
    away: AtomicBool,
}

impl Writer {
    pub(super) fn new(parts: IntakeParts) -> Self {
        Self { parts, away: AtomicBool::new(false) }
    }

    /// Writes batch after batch until every [`super::Intake`] is gone.
    pub(super) async fn run(self: Arc<Self>, waiting: Arc<Mutex<mpsc::Receiver<Pending>>>) {
        loop {
            let batch = gather(&mut *waiting.lock().await).await;
            if batch.is_empty() {
                return;
            }
            let entries =
                batch.into_iter().filter(|pending| !pending.answer.is_closed()).map(|pending| self.prepare(pending));
            let entries: Vec<Entry> = entries.collect();
            self.write(entries).await;
        }
    }

    fn prepare(&self, pending: Pending) -> Entry {
        let Submission { audience, event_type, payload, timing, ordering_key, key } = &pending.submission;
        // Whether it is the head of its line only the committed rows can tell.
        let joins_line = |recipient: &Recipient| recipient.is_ordered && ordering_key.is_some();
        let reserve = |recipient: &Recipient| self.reserve(recipient, timing).filter(|_| !joins_line(recipient));
        let slots: Vec<Option<Slot>> = audience.recipients.iter().map(reserve).collect();
        let delivery = |(recipient, slot): (&Recipient, &Option<Slot>)| NewDelivery {
            subscription: recipient.id,
            version: recipient.version,
            leased: slot.is_some(),
            is_ordered: recipient.is_ordered,
        };
        let item = AcceptItem {
            event: Event {
                id: EventId::at(self.parts.clock.now()),
                tenant: audience.tenant,
                event_type: event_type.clone(),
                payload: payload.clone(),
            },
            key: key.clone(),
            list_version: audience.list_version,
            timing: *timing,
            ordering_key: ordering_key.clone(),
            deliveries: audience.recipients.iter().zip(&slots).map(delivery).collect(),
        };
        Entry { pending, item, slots }
    }

    /// A slot for a delivery that can be sent from here at once.
    fn reserve(&self, recipient: &Recipient, timing: &Timing) -> Option<Slot> {
        let is_sendable = recipient.subscription.as_ref().is_some_and(|subscription| subscription.is_active);
        let handoff = self.parts.handoff.as_ref().filter(|_| is_sendable && timing.deliver_at().is_none())?;
        handoff.reserve(recipient.id)
    }

    /// Writes the entries, apart where one of them spoils the statement of all.
    async fn write(&self, mut entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let token = LeaseToken::from(Uuid::new_v4());
        let started = Instant::now();
        let items: Vec<AcceptItem> = entries.iter().map(|entry| entry.item.clone()).collect();
        self.parts.metrics.accept_batch.observe(items.len() as f64);
        match self.accept(&items, token).await {
            Ok(answer) => self.answer(entries, &answer, Grant { token, asked: started }).await,
            Err(error) if error.is_unavailable() || matches!(error, StoreError::NoPartition) => {
                if !self.away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "events are refused until the database is available");
                }
                refuse(entries, &error);
            }
            Err(error) if entries.len() == 1 => {
                tracing::error!(%error, "an event could not be written");
                refuse(entries, &error);
            }
            Err(_) => {
                let rest = entries.split_off(entries.len() / 2);
                Box::pin(self.write(entries)).await;
                Box::pin(self.write(rest)).await;
            }
        }
    }

    /// The statement, repeated after a deadlock, and after making a partition that a replica
    /// without upkeep found missing.
    async fn accept(&self, items: &[AcceptItem], token: LeaseToken) -> Result<AcceptAnswer, StoreError> {
        let mut repeats = 0;
        loop {
            match self.parts.store.accept(items, token, self.parts.lease).await {
                Ok(answer) => return Ok(answer),
                Err(StoreError::Deadlock) if repeats < REPEATS => {}
                Err(StoreError::NoPartition) if repeats < REPEATS => {
                    self.parts.store.ensure_partitions().await?;
                }
                Err(error) => return Err(error),
            }
            repeats += 1;
        }
    }

    async fn answer(&self, entries: Vec<Entry>, answer: &AcceptAnswer, grant: Grant) {
        if self.away.swap(false, Ordering::Relaxed) {
            tracing::info!("events are accepted again");
        }
        let verdicts: HashMap<_, _> = answer.verdicts.iter().copied().collect();
        let mut taken = Vec::new();
        let mut lines = BTreeSet::new();
        let (mut accepted, mut left_due) = (0, false);
        for mut entry in entries {
            match verdicts.get(&entry.item.event.id) {
                Some(AcceptVerdict::Accepted) => {
                    accepted += 1;
                    let written = entry.written(&answer.notes);
                    let is_now = entry.item.timing.deliver_at().is_none();
                    left_due |= is_now && (!written.outdated.is_empty() || entry.slots.iter().any(Option::is_none));
                    lines.extend(written.lines.iter().cloned());
                    self.hand_over(entry, written, grant);
                }
                Some(AcceptVerdict::KeyTaken) => taken.push(entry),
                Some(AcceptVerdict::Changed) | None => settle(entry.pending, Err(Refusal::Changed)),
            }
        }
        self.parts.metrics.accepted.inc_by(accepted);
        left_due |= self.advance(lines).await;
        if left_due {
            self.parts.bell.ring();
        }
        if !taken.is_empty() {
            self.answer_taken(taken).await;
        }
    }

    /// Lets the lines go on that got new deliveries; returns whether any is due now.
    async fn advance(&self, lines: BTreeSet<Line>) -> bool {
        if lines.is_empty() {
            return false;
        }
        let lines: Vec<_> = lines.into_iter().collect();
        self.parts.store.advance(&lines).await.map_or_else(
            |error| {
                tracing::debug!(%error, "lines did not go on and wait for upkeep");
                false
            },
            |released| released > 0,
        )
    }

    /// Answers a committed entry, and gives those of its deliveries to the worker that were
    /// born leased.
    fn hand_over(&self, entry: Entry, written: Written, grant: Grant) {
        let Entry { pending, item, slots } = entry;
        let recipients = &pending.submission.audience.recipients;
        for (recipient, slot) in recipients.iter().zip(slots) {
            if let (Some(slot), Some(handoff), Some(subscription)) =
                (slot, &self.parts.handoff, &recipient.subscription)
            {
                let lasts = policy::lease(self.parts.lease, subscription.destination.request_timeout);
                let parcel = parcel(&item, subscription, lasts, grant);
                handoff.give(HandedOver { parcel, slot });
            }
        }
        let Written { deliveries, outdated, .. } = written;
        settle(pending, Ok(Accepted { event: item.event.id, deliveries: Some(deliveries), outdated }));
    }

    /// Answers entries whose key was taken: the same request gets the first one's event.
    async fn answer_taken(&self, entries: Vec<Entry>) {
        let keys =
            entries.iter().filter_map(|entry| entry.item.key.as_ref().map(|(key, _)| (entry.item.event.tenant, key)));
        let keys: Vec<_> = keys.collect();
        let owners = match self.parts.store.find_keys(&keys).await {
            Ok(owners) => owners,
            Err(error) => return refuse(entries, &error),
        };
        for entry in entries {
            let answer = match entry.owner(&owners) {
                Some((owner, true)) => Ok(Accepted::earlier(owner.event)),
                Some((_, false)) => Err(Refusal::KeyReused),
                // Its event went out of retention in this very moment: the repetition is a first.
                None => Err(Refusal::Unavailable("the idempotency key has just expired".to_owned())),
            };
            settle(entry.pending, answer);
        }
    }
}

/// The next batch: the first request that comes, and all that wait behind it. Empty when
/// nobody can send any more.
async fn gather(waiting: &mut mpsc::Receiver<Pending>) -> Vec<Pending> {
    let Some(first) = waiting.recv().await else { return Vec::new() };
    let mut bytes = first.submission.payload.bytes().len();
    let mut deliveries = first.submission.audience.recipients.len();
    let mut batch = vec![first];
    while batch.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES && deliveries < MAX_BATCH_DELIVERIES {
        let Ok(next) = waiting.try_recv() else { break };
        bytes += next.submission.payload.bytes().len();
        deliveries += next.submission.audience.recipients.len();
        batch.push(next);
    }
    batch
}

/// The parcel of a delivery that was born leased.
fn parcel(item: &AcceptItem, subscription: &Subscription, lasts: Duration, grant: Grant) -> Parcel {
    let Event { id: event, tenant, event_type, payload } = &item.event;
    Parcel {
        key: DeliveryKey { tenant: *tenant, event: *event, subscription: subscription.id },
        lease: Lease { token: grant.token, ends: grant.asked + lasts },
        attempt_number: 1,
        free_attempts: 0,
        event_type: event_type.clone(),
        payload: payload.bytes().clone(),
        subscription_version: subscription.version,
        destination: Arc::clone(&subscription.destination),
        ordering_key: None,
        skip_after: None,
    }
}

fn refuse(entries: Vec<Entry>, error: &StoreError) {
    for entry in entries {
        settle(entry.pending, Err(Refusal::Unavailable(error.to_string())));
    }
}

/// A client that has gone away does not wait for its answer.
fn settle(pending: Pending, answer: Result<Accepted, Refusal>) {
    let _gone = pending.answer.send(answer);
}
