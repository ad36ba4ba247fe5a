//! Group commit: events that arrive while a statement runs go into the next one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::entry::Entry;
use super::queue::{Batch, Queue};
use super::{Accepted, IntakeParts, Pending, Refusal, Submission};
use crate::domain::audience::Recipient;
use crate::domain::delivery::{DeliveryKey, Due, Lease, Parcel};
use crate::domain::event::Event;
use crate::domain::handoff::HandedOver;
use crate::domain::id::{EventId, LeaseToken, TenantId};
use crate::domain::ordering::OrderingGroup;
use crate::domain::policy;
use crate::domain::slots::Slot;
use crate::domain::subscription::Subscription;
use crate::domain::trigger::Trigger;
use crate::store::{AcceptAnswer, AcceptItem, Decision, NewDelivery, StoreError};

/// After a deadlock or a missing partition.
const REPEATS: usize = 3;

/// Leases of one accepting statement.
#[derive(Clone, Copy)]
struct Grant {
    token: LeaseToken,
    asked: Instant,
    asked_at: OffsetDateTime,
}

pub(super) struct Writer {
    parts: IntakeParts,
    /// An outage is logged once, not per batch.
    is_away: AtomicBool,
}

impl Writer {
    pub(super) fn new(parts: IntakeParts) -> Self {
        Self { parts, is_away: AtomicBool::new(false) }
    }

    pub(super) async fn run(self: Arc<Self>, queue: Arc<Queue>) {
        let alone = TaskTracker::new();
        // Events to very many subscriptions are slow and leave a connection to the shared statement. Ordered ones
        // wait for each other in the database, and for no other tenant's.
        let connections = self.parts.store.intake_connections().saturating_sub(1).max(1);
        let turns = Arc::new(Semaphore::new(connections));
        while let Some(batch) = queue.next().await {
            match batch {
                Batch::Shared(batch) => self.write_all(batch).await,
                Batch::Alone(tenant, batch) => {
                    let (writer, done) = (Arc::clone(&self), Done { queue: Arc::clone(&queue), tenant });
                    let is_ordered = batch.iter().any(|pending| pending.submission.ordering_key.is_some());
                    let turns = (!is_ordered).then(|| Arc::clone(&turns));
                    alone.spawn(async move {
                        // The semaphore is never closed.
                        let _turn = match turns {
                            Some(turns) => Some(turns.acquire_owned().await),
                            None => None,
                        };
                        writer.write_all(batch).await;
                        drop(done);
                    });
                }
            }
        }
        alone.close();
        alone.wait().await;
    }

    async fn write_all(&self, batch: Vec<Pending>) {
        let waiting = batch.into_iter().filter(|pending| !pending.answer.is_closed());
        let entries: Vec<Entry> = waiting.map(|pending| self.prepare(pending)).collect();
        self.write(entries).await;
    }

    fn prepare(&self, pending: Pending) -> Entry {
        let Submission { audience, event_type, payload, hops, timing, ordering_key, key, from_outbox } =
            &pending.submission;
        let slots: Vec<Option<Slot>> =
            audience.recipients.iter().map(|recipient| self.reserve(recipient, &pending.submission)).collect();
        let delivery = |(recipient, slot): (&Recipient, &Option<Slot>)| NewDelivery {
            subscription: recipient.id,
            version: recipient.version,
            leased: slot.is_some(),
            is_ordered: recipient.is_ordered,
        };
        let item = AcceptItem {
            event: Event {
                id: from_outbox.map_or_else(|| self.new_id(), |row| row.id),
                tenant: audience.tenant,
                event_type: event_type.clone(),
                payload: payload.clone(),
                hops: *hops,
            },
            key: key.clone(),
            is_from_outbox: from_outbox.is_some(),
            list_version: audience.list_version,
            timing: *timing,
            ordering_key: ordering_key.clone(),
            deliveries: audience.recipients.iter().zip(&slots).map(delivery).collect(),
        };
        Entry { pending, item, slots, released: Vec::new(), edited: Vec::new() }
    }

    fn new_id(&self) -> EventId {
        EventId::at(self.parts.clock.now(), Uuid::new_v4().into_bytes())
    }

    /// For a delivery that can be sent from here at once.
    fn reserve(&self, recipient: &Recipient, submission: &Submission) -> Option<Slot> {
        let is_sendable = recipient.is_active && recipient.subscription.is_some();
        // Only the committed rows know the head of an ordering group.
        let waits = recipient.is_ordered && submission.ordering_key.is_some();
        let is_now = submission.timing.deliver_at().is_none();
        let handoff = self.parts.handoff.as_ref().filter(|_| is_sendable && is_now && !waits)?;
        handoff.reserve(submission.audience.tenant, recipient.id, submission.payload.bytes().len())
    }

    /// Writes the entries; one by one if one of them makes the statement fail.
    async fn write(&self, mut entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let token = LeaseToken::from(Uuid::new_v4());
        let grant = Grant { token, asked: Instant::now(), asked_at: self.parts.clock.now() };
        let items: Vec<AcceptItem> = entries.iter().map(|entry| entry.item.clone()).collect();
        self.parts.metrics.accept_batch.observe(items.len() as f64);
        match self.accept(&items, token).await {
            Ok(answer) => self.answer(entries, &answer, grant).await,
            Err(error) if error.is_unavailable() || matches!(error, StoreError::NoPartition) => {
                if !self.is_away.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "events are refused until the database is available");
                }
                refuse(entries, &Arc::new(error));
            }
            Err(error) if entries.len() == 1 => {
                tracing::error!(%error, "an event could not be written");
                refuse(entries, &Arc::new(error));
            }
            Err(_) => {
                let rest = entries.split_off(entries.len() / 2);
                Box::pin(self.write(entries)).await;
                Box::pin(self.write(rest)).await;
            }
        }
    }

    /// Repeats after a deadlock, and after creating a partition that no upkeep has created.
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

    async fn answer(&self, mut entries: Vec<Entry>, answer: &AcceptAnswer, grant: Grant) {
        if self.is_away.swap(false, Ordering::Relaxed) {
            tracing::info!("events are accepted again");
        }
        for (entry, number) in &answer.released {
            entries.get_mut(*entry).into_iter().for_each(|entry| entry.released.push(*number));
        }
        for (entry, number) in &answer.edited {
            entries.get_mut(*entry).into_iter().for_each(|entry| entry.edited.push(*number));
        }
        let (mut groups, mut left, mut accepted, mut is_released) = (BTreeMap::new(), Vec::new(), 0, false);
        for (mut entry, decision) in entries.into_iter().zip(&answer.decisions) {
            match decision {
                Decision::Accepted => {
                    accepted += 1;
                    entry.release();
                    is_released |= !entry.released.is_empty();
                    left.extend(entry.left(grant.asked_at));
                    let tenant = entry.item.event.tenant;
                    groups.extend(entry.groups().into_iter().map(|group| (group, tenant)));
                    self.hand_over(entry, grant);
                }
                Decision::KeyTaken { by, is_same: true } => settle(entry.pending, Ok(Accepted::earlier(*by))),
                Decision::KeyTaken { is_same: false, .. } => settle(entry.pending, Err(Refusal::KeyReused)),
                Decision::Changed => settle(entry.pending, Err(Refusal::Changed)),
                Decision::NotTaken => settle(entry.pending, Err(Refusal::NotTaken)),
            }
        }
        self.parts.metrics.accepted.inc_by(accepted);
        left.extend(self.advance(groups, grant.asked_at).await);
        if is_released || !left.is_empty() {
            self.parts.notifier.notify(grant.asked_at);
        }
        if let Some(handoff) = &self.parts.handoff {
            left.into_iter().for_each(|due| handoff.give(HandedOver::Left(due)));
        }
    }

    /// Advances ordering groups with new deliveries; returns what is due now.
    async fn advance(&self, groups: BTreeMap<OrderingGroup, TenantId>, since: OffsetDateTime) -> Vec<Due> {
        if groups.is_empty() {
            return Vec::new();
        }
        let all: Vec<OrderingGroup> = groups.keys().cloned().collect();
        let released = self.parts.store.advance(&all).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "ordering groups were not advanced; upkeep will do it");
            Vec::new()
        });
        let due = |group: OrderingGroup| {
            let tenant = *groups.get(&group)?;
            Some(Due { tenant, subscription: group.subscription, rows: Some(1), since })
        };
        released.into_iter().filter_map(due).collect()
    }

    /// Answers a committed request and passes its leased deliveries to the worker.
    fn hand_over(&self, entry: Entry, grant: Grant) {
        let (deliveries, edited) = (entry.item.deliveries.len(), entry.edited_subscriptions());
        let Entry { pending, item, slots, .. } = entry;
        let recipients = &pending.submission.audience.recipients;
        for (recipient, slot) in recipients.iter().zip(slots) {
            if let (Some(slot), Some(handoff), Some(subscription)) =
                (slot, &self.parts.handoff, &recipient.subscription)
            {
                let lasts = policy::lease(self.parts.lease, subscription.destination.request_timeout);
                handoff.give(HandedOver::Leased(parcel(&item, subscription, lasts, grant), slot));
            }
        }
        settle(pending, Ok(Accepted { event: item.event.id, deliveries: Some(deliveries), edited }));
    }
}

/// Ends a tenant's own statement, also after a panic.
struct Done {
    queue: Arc<Queue>,
    tenant: TenantId,
}

impl Drop for Done {
    fn drop(&mut self) {
        self.queue.done(self.tenant);
    }
}

/// For a delivery that was created leased.
fn parcel(item: &AcceptItem, subscription: &Subscription, lasts: Duration, grant: Grant) -> Parcel {
    let Event { id: event, tenant, event_type, payload, hops } = &item.event;
    Parcel {
        key: DeliveryKey { event: *event, subscription: subscription.id, tenant: *tenant },
        lease: Lease { token: grant.token, ends: grant.asked + lasts },
        attempt_number: 1,
        free_attempts: 0,
        trigger: Trigger::Fresh,
        event_type: event_type.clone(),
        payload: payload.bytes().clone(),
        content_type: payload.content_type().clone(),
        hops: *hops,
        subscription_version: subscription.version,
        destination: Arc::clone(&subscription.destination),
        ordering_key: None,
        skip_after: None,
    }
}

fn refuse(entries: Vec<Entry>, error: &Arc<StoreError>) {
    for entry in entries {
        settle(entry.pending, Err(Refusal::Store(Arc::clone(error))));
    }
}

/// A client that has disconnected is ignored.
fn settle(pending: Pending, answer: Result<Accepted, Refusal>) {
    let _gone = pending.answer.send(answer);
}
