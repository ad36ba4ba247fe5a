//! Slots limit the deliveries in flight in a worker: in total, in bytes, per tenant and per subscription.

mod subscription;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

use super::id::{SubscriptionId, TenantId};
use super::share::Share;
use subscription::{SubscriptionSlots, WAITING_FACTOR};

/// About 100 bytes each.
const MAX_FAILING: usize = 100_000;
/// Shares of a tenant. Fresh deliveries get a little less, so that they never starve the tenant's own backlog.
const TAKEN: Share = Share(4);
const FRESH: Share = Share(3);
/// A slot's bytes besides the payload: at most 16 KiB of response body; task, parcel and report, 4 KiB measured.
pub(crate) const SLOT_BYTES: usize = 20 * 1_024;

#[derive(Debug, Clone, Copy)]
pub struct SlotLimits {
    pub total: usize,
    pub bytes: usize,
    pub per_subscription: usize,
}

/// All slots of a worker process. Clones share them.
#[derive(Debug, Clone)]
pub struct Slots {
    limits: SlotLimits,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    bytes: usize,
    by_tenant: HashMap<TenantId, Used>,
    by_subscription: HashMap<SubscriptionId, SubscriptionSlots>,
    backlogged: HashSet<SubscriptionId>,
    /// Subscriptions that now have the room that was waited for.
    with_room: Vec<SubscriptionId>,
    is_awaited: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Used {
    slots: usize,
    bytes: usize,
}

/// Room for one delivery: for process and tenant until its outcome is recorded, for its subscription until
/// `Slot::answered`. Dropping it frees it.
#[derive(Debug)]
pub struct Slot {
    tenant: TenantId,
    subscription: Option<SubscriptionId>,
    bytes: usize,
    requests: Arc<Semaphore>,
    shared: Arc<Shared>,
}

impl Slots {
    pub fn new(limits: SlotLimits) -> Self {
        Self { limits, shared: Arc::default() }
    }

    pub(crate) fn limits(&self) -> SlotLimits {
        self.limits
    }

    /// A slot for a fresh delivery. None while older deliveries of the subscription wait: they come first.
    pub(crate) fn reserve_fresh(&self, tenant: TenantId, subscription: SubscriptionId, payload: usize) -> Option<Slot> {
        let mut taken = self.taken();
        if taken.backlogged.contains(&subscription) || self.allowance(&taken, tenant, FRESH) == 0 {
            return None;
        }
        self.take(&mut taken, tenant, subscription, payload)
    }

    /// Up to `most` slots for deliveries to be taken. [`Slot::holds`] adds their bytes later.
    pub(crate) fn reserve(&self, tenant: TenantId, subscription: SubscriptionId, most: usize) -> Vec<Slot> {
        let mut taken = self.taken();
        let most = most.min(self.allowance(&taken, tenant, TAKEN));
        (0..most).map_while(|_| self.take(&mut taken, tenant, subscription, 0)).collect()
    }

    /// Free slots of a subscription, if `most` or half of its requests fit; else 0.
    pub(crate) fn room_for(&self, subscription: SubscriptionId, most: usize) -> usize {
        match self.taken().by_subscription.get(&subscription) {
            Some(here) if here.has_room_for(most) => here.free().min(most),
            Some(_) => 0,
            None => self.limits.per_subscription.saturating_mul(WAITING_FACTOR).min(most),
        }
    }

    pub(crate) fn free_bytes(&self) -> usize {
        self.limits.bytes.saturating_sub(self.taken().bytes)
    }

    pub fn in_flight(&self) -> usize {
        self.taken().total
    }

    pub(crate) fn bytes_in_flight(&self) -> usize {
        self.taken().bytes
    }

    /// Marks whether older deliveries of a subscription wait for room.
    pub(crate) fn set_backlogged(&self, subscription: SubscriptionId, is_backlogged: bool) {
        let mut taken = self.taken();
        if is_backlogged {
            taken.backlogged.insert(subscription);
        } else {
            taken.backlogged.remove(&subscription);
        }
    }

    /// Wakes [`Slots::freed`] when `most` deliveries of a subscription have room.
    pub(crate) fn await_room(&self, subscription: SubscriptionId, most: usize) {
        let mut taken = self.taken();
        match taken.by_subscription.get_mut(&subscription) {
            Some(here) if !here.has_room_for(most) => here.awaited = most,
            _ => {
                taken.with_room.push(subscription);
                self.shared.freed.notify_one();
            }
        }
    }

    /// Wakes [`Slots::freed`] when any slot is dropped.
    pub(crate) fn await_any(&self) {
        self.taken().is_awaited = true;
    }

    pub(crate) async fn freed(&self) {
        self.shared.freed.notified().await;
    }

    /// Returns and clears the subscriptions that now have room.
    pub(crate) fn with_room(&self) -> Vec<SubscriptionId> {
        std::mem::take(&mut self.taken().with_room)
    }

    fn allowance(&self, taken: &Taken, tenant: TenantId, share: Share) -> usize {
        let used = taken.by_tenant.get(&tenant).copied().unwrap_or_default();
        if !share.allows(used.bytes, self.limits.bytes.saturating_sub(taken.bytes)) {
            return 0;
        }
        share.allowance(used.slots, self.limits.total.saturating_sub(taken.total))
    }

    fn take(&self, taken: &mut Taken, tenant: TenantId, subscription: SubscriptionId, payload: usize) -> Option<Slot> {
        if taken.total >= self.limits.total {
            return None;
        }
        let new = || SubscriptionSlots::new(self.limits.per_subscription);
        let of_one = taken.by_subscription.entry(subscription).or_insert_with(new);
        if of_one.free() == 0 {
            return None;
        }
        of_one.taken += 1;
        let requests = Arc::clone(&of_one.requests);
        let bytes = SLOT_BYTES.saturating_add(payload);
        taken.total += 1;
        taken.bytes = taken.bytes.saturating_add(bytes);
        let used = taken.by_tenant.entry(tenant).or_default();
        used.slots += 1;
        used.bytes = used.bytes.saturating_add(bytes);
        let shared = Arc::clone(&self.shared);
        Some(Slot { tenant, subscription: Some(subscription), bytes, requests, shared })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        lock(&self.shared.taken)
    }
}

impl Slot {
    /// One permit per request that may be in flight to the subscription.
    pub(crate) fn requests(&self) -> Arc<Semaphore> {
        Arc::clone(&self.requests)
    }

    pub(crate) fn holds(&mut self, payload: usize) {
        self.bytes = self.bytes.saturating_add(payload);
        let mut taken = lock(&self.shared.taken);
        taken.bytes = taken.bytes.saturating_add(payload);
        taken.by_tenant.entry(self.tenant).or_default().bytes += payload;
    }

    /// Frees the subscription's part; process and tenant wait for the recording.
    pub(crate) fn answered(&mut self, succeeded: bool) {
        self.leave(Some(succeeded));
    }

    fn leave(&mut self, succeeded: Option<bool>) {
        let Some(subscription) = self.subscription.take() else { return };
        let mut taken = lock(&self.shared.taken);
        let may_remember = taken.by_subscription.len() <= MAX_FAILING;
        let Some(of_one) = taken.by_subscription.get_mut(&subscription) else { return };
        of_one.taken = of_one.taken.saturating_sub(1);
        if let Some(succeeded) = succeeded {
            of_one.concurrency.answered(succeeded);
        }
        let is_awaited = of_one.awaited > 0 && of_one.has_room_for(of_one.awaited);
        if is_awaited {
            of_one.awaited = 0;
        }
        if of_one.taken == 0 && (of_one.concurrency.is_full() || !may_remember) {
            taken.by_subscription.remove(&subscription);
        }
        if is_awaited {
            taken.with_room.push(subscription);
            self.shared.freed.notify_one();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.leave(None);
        let mut taken = lock(&self.shared.taken);
        taken.total = taken.total.saturating_sub(1);
        taken.bytes = taken.bytes.saturating_sub(self.bytes);
        if let Some(used) = taken.by_tenant.get_mut(&self.tenant) {
            used.slots = used.slots.saturating_sub(1);
            used.bytes = used.bytes.saturating_sub(self.bytes);
            if used.slots == 0 {
                taken.by_tenant.remove(&self.tenant);
            }
        }
        if std::mem::take(&mut taken.is_awaited) {
            self.shared.freed.notify_one();
        }
    }
}

/// A panic elsewhere leaves the counters consistent.
fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const TENANT: TenantId = tenant(1);

    const fn tenant(n: u128) -> TenantId {
        TenantId::new(Uuid::from_u128(n))
    }

    fn subscription(n: u128) -> SubscriptionId {
        Uuid::from_u128(n).into()
    }

    fn slots(total: usize, per_subscription: usize) -> Slots {
        Slots::new(SlotLimits { total, bytes: usize::MAX / 8, per_subscription })
    }

    #[test]
    fn no_limit_is_passed_and_every_drop_frees() {
        let slots = slots(100, 2);
        let first = slots.reserve(TENANT, subscription(1), 10);
        assert_eq!((first.len(), slots.room_for(subscription(1), 9)), (4, 0));
        assert_eq!(first[0].requests().available_permits(), 2);
        let others: Vec<_> = (2..100).flat_map(|n| slots.reserve(TENANT, subscription(n), 1)).collect();
        assert_eq!((others.len(), slots.in_flight()), (76, 80));
        drop((first, others));
        assert_eq!((slots.in_flight(), slots.bytes_in_flight(), slots.room_for(subscription(1), 9)), (0, 0, 4));
    }

    #[test]
    fn a_tenant_that_takes_all_it_may_leaves_slots_to_the_next() {
        let slots = slots(100, 2);
        let greedy: Vec<_> = (0..100).flat_map(|n| slots.reserve(TENANT, subscription(n), 2)).collect();
        assert_eq!(greedy.len(), 80);
        let next: Vec<_> = (200..300).flat_map(|n| slots.reserve(tenant(2), subscription(n), 2)).collect();
        assert_eq!(next.len(), 16);
    }

    #[test]
    fn fresh_deliveries_leave_some_of_the_share_to_the_backlog_and_none_overtakes_it() {
        let slots = slots(100, 2);
        let fresh: Vec<_> = (0..200).filter_map(|n| slots.reserve_fresh(TENANT, subscription(n), 0)).collect();
        assert_eq!(fresh.len(), 75);
        assert_eq!(slots.reserve(TENANT, subscription(900), 2).len(), 2);
        drop(fresh);
        slots.set_backlogged(subscription(1), true);
        assert!(slots.reserve_fresh(TENANT, subscription(1), 0).is_none());
        slots.set_backlogged(subscription(1), false);
        assert!(slots.reserve_fresh(TENANT, subscription(1), 0).is_some());
    }

    #[test]
    fn bytes_are_shared_like_slots() {
        let slots = Slots::new(SlotLimits { total: 100, bytes: 100 * SLOT_BYTES, per_subscription: 64 });
        let mut large = slots.reserve(TENANT, subscription(1), 1).pop().unwrap();
        large.holds(79 * SLOT_BYTES);
        assert_eq!(slots.free_bytes(), 20 * SLOT_BYTES);
        assert!(slots.reserve(TENANT, subscription(1), 1).is_empty());
        assert_eq!(slots.reserve(tenant(2), subscription(2), 1).len(), 1);
        drop(large);
        assert_eq!(slots.reserve(TENANT, subscription(1), 1).len(), 1);
    }

    #[test]
    fn a_receiver_that_fails_gets_fewer_at_a_time_until_it_answers() {
        let slots = slots(100, 4);
        for _ in 0..15 {
            slots.reserve(TENANT, subscription(1), 1)[0].answered(false);
        }
        assert_eq!((slots.room_for(subscription(1), 9), slots.room_for(subscription(2), 9)), (2, 8));
        assert_eq!(slots.reserve(TENANT, subscription(1), 9).len(), 2);
        slots.reserve(TENANT, subscription(1), 1)[0].answered(true);
        slots.reserve(TENANT, subscription(1), 1)[0].answered(true);
        assert_eq!(slots.room_for(subscription(1), 9), 8);
    }

    #[tokio::test]
    async fn a_waiter_is_woken_when_enough_slots_are_free() {
        let slots = slots(100, 2);
        let mut held = slots.reserve(TENANT, subscription(1), 4);
        slots.await_room(subscription(1), 9);
        assert!(slots.with_room().is_empty());
        held[0].answered(true);
        slots.freed().await;
        assert_eq!(slots.with_room(), [subscription(1)]);
        slots.await_any();
        held.pop();
        slots.freed().await;
    }
}
