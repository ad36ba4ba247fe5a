//! Group commit: whatever arrived while the last statement ran goes into the next.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::{Mutex, mpsc, oneshot};
use uuid::Uuid;

use super::{Accepted, IntakeParts, Refusal, Submission};
use crate::domain::delivery::{DeliveryKey, Lease, Parcel};
use crate::domain::event::Event;
use crate::domain::handoff::HandedOver;
use crate::domain::id::{EventId, LeaseToken};
use crate::domain::idempotency::Fingerprint;
use crate::domain::slots::Slot;
use crate::store::{AcceptItem, AcceptVerdict, KeyOwner, StoreError};

/// Most events in one statement.
const MAX_BATCH: usize = 256;
/// Payload bytes after which no further event joins a statement.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// Times a statement is repeated after a deadlock or a missing partition.
const REPEATS: usize = 3;

/// A request that waits for its commit.
pub(super) struct Pending {
    pub(super) submission: Submission,
    pub(super) answer: oneshot::Sender<Result<Accepted, Refusal>>,
}

/// A request that has its event and, where the worker had one to spare, its slot.
struct Entry {
    pending: Pending,
    item: AcceptItem,
    slot: Option<Slot>,
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
        let Submission { subscription, event_type, payload, idempotency_key } = &pending.submission;
        let print = || Fingerprint::of_ingest(subscription.id, event_type.as_ref(), payload.bytes());
        let slot = self.parts.handoff.as_ref().and_then(|handoff| handoff.reserve(subscription.id));
        let item = AcceptItem {
            event: Event {
                id: EventId::at(self.parts.clock.now()),
                tenant: subscription.tenant,
                event_type: event_type.clone(),
                payload: payload.clone(),
            },
            key: idempotency_key.clone().map(|key| (key, print())),
            subscription: subscription.id,
            version: subscription.version,
            leased: slot.is_some(),
        };
        Entry { pending, item, slot }
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
            Ok(verdicts) => self.answer(entries, &verdicts, Lease { token, ends: started + self.parts.lease }).await,
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
    async fn accept(
        &self,
        items: &[AcceptItem],
        token: LeaseToken,
    ) -> Result<HashMap<EventId, AcceptVerdict>, StoreError> {
        let mut repeats = 0;
        loop {
            match self.parts.store.accept(items, token, self.parts.lease).await {
                Ok(verdicts) => return Ok(verdicts.into_iter().collect()),
                Err(StoreError::Deadlock) if repeats < REPEATS => {}
                Err(StoreError::NoPartition) if repeats < REPEATS => {
                    self.parts.store.ensure_partitions().await?;
                }
                Err(error) => return Err(error),
            }
            repeats += 1;
        }
    }

    async fn answer(&self, entries: Vec<Entry>, verdicts: &HashMap<EventId, AcceptVerdict>, lease: Lease) {
        if self.away.swap(false, Ordering::Relaxed) {
            tracing::info!("events are accepted again");
        }
        let mut taken = Vec::new();
        let (mut accepted, mut left_due) = (0, false);
        for mut entry in entries {
            match verdicts.get(&entry.item.event.id) {
                Some(AcceptVerdict::Accepted) => {
                    accepted += 1;
                    left_due |= entry.slot.is_none();
                    self.hand_over(entry, lease);
                }
                // Whoever owns its pace may be another process.
                Some(AcceptVerdict::Paced) => {
                    accepted += 1;
                    left_due = true;
                    entry.slot = None;
                    self.hand_over(entry, lease);
                }
                Some(AcceptVerdict::KeyTaken) => taken.push(entry),
                Some(AcceptVerdict::Changed) | None => settle(entry.pending, Err(Refusal::SubscriptionChanged)),
            }
        }
        self.parts.metrics.accepted.inc_by(accepted);
        if left_due {
            self.parts.bell.ring();
        }
        if !taken.is_empty() {
            self.answer_taken(taken).await;
        }
    }

    /// Answers a committed entry, and gives it to the worker if it was born leased.
    fn hand_over(&self, entry: Entry, lease: Lease) {
        let Entry { pending, item, slot } = entry;
        let key = DeliveryKey { tenant: item.event.tenant, event: item.event.id, subscription: item.subscription };
        if let (Some(slot), Some(handoff)) = (slot, &self.parts.handoff) {
            let parcel = Parcel {
                key,
                lease,
                attempt_number: 1,
                free_attempts: 0,
                event_type: item.event.event_type,
                payload: item.event.payload.bytes().clone(),
                subscription_version: item.version,
                destination: Arc::clone(&pending.submission.subscription.destination),
            };
            handoff.give(HandedOver { parcel, slot });
        }
        settle(pending, Ok(Accepted { event: key.event, duplicate: false }));
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
            let answer = match owner_of(&entry.item, &owners) {
                Some((owner, true)) => Ok(Accepted { event: owner.event, duplicate: true }),
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
    let mut batch = vec![first];
    while batch.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
        let Ok(next) = waiting.try_recv() else { break };
        bytes += next.submission.payload.bytes().len();
        batch.push(next);
    }
    batch
}

/// The owner of an item's key, and whether it was accepted for the same request.
fn owner_of<'a>(item: &AcceptItem, owners: &'a [KeyOwner]) -> Option<(&'a KeyOwner, bool)> {
    let (key, print) = item.key.as_ref()?;
    let owner = owners.iter().find(|owner| owner.tenant == item.event.tenant && owner.key == key.as_str())?;
    Some((owner, owner.fingerprint == print.as_bytes()))
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
