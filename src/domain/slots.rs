//! Slots: how many deliveries a worker process may have in flight, in all and for one
//! subscription. A slot is a guard; dropping it frees its place, also in a panic.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Semaphore;

use super::id::SubscriptionId;

/// Slots of one subscription that fresh events may take, as a multiple of the requests that
/// may be in flight to it: those beyond wait at its door, in memory, instead of taking the
/// long way through the queue because of a moment's crowd.
const WAITING_FACTOR: usize = 2;

/// One slot in so many is kept from claims while paced deliveries wait for one.
const SPARED_DIVISOR: usize = 8;

/// The limits of a worker process.
#[derive(Debug, Clone, Copy)]
pub struct SlotLimits {
    /// Most deliveries in flight.
    pub total: usize,
    /// Most requests in flight to one subscription.
    pub per_subscription: usize,
}

/// All slots of a worker process.
#[derive(Debug, Clone)]
pub struct Slots {
    limits: SlotLimits,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_subscription: HashMap<SubscriptionId, Place>,
    parked: HashSet<SubscriptionId>,
    is_spared: bool,
}

#[derive(Debug)]
struct Place {
    taken: usize,
    door: Arc<Semaphore>,
}

/// A place in flight. It counts against the process until it is dropped (which is after
/// the outcome is recorded) and against its subscription until [`Slot::answered`].
#[derive(Debug)]
pub struct Slot {
    subscription: Option<SubscriptionId>,
    door: Arc<Semaphore>,
    taken: Arc<Mutex<Taken>>,
}

impl Slots {
    /// Empty slots under these limits.
    pub fn new(limits: SlotLimits) -> Self {
        Self { limits, taken: Arc::default() }
    }

    /// The limits.
    pub fn limits(&self) -> SlotLimits {
        self.limits
    }

    /// Takes a slot for a delivery that is sent at once, unless the process or the
    /// subscription has none.
    pub fn take(&self, subscription: SubscriptionId) -> Option<Slot> {
        self.take_within(subscription, self.limits)
    }

    /// Takes a slot for a delivery that may wait at its subscription's door for a moment,
    /// unless `spared` or fewer places of the process would be left, or older deliveries of
    /// the subscription are parked here: they come first.
    pub fn take_waiting(&self, subscription: SubscriptionId, spared: usize) -> Option<Slot> {
        if lock(&self.taken).parked.contains(&subscription) {
            return None;
        }
        let total = self.limits.total.saturating_sub(spared);
        let per_subscription = self.limits.per_subscription.saturating_mul(WAITING_FACTOR);
        self.take_within(subscription, SlotLimits { total, per_subscription })
    }

    fn take_within(&self, subscription: SubscriptionId, limits: SlotLimits) -> Option<Slot> {
        let mut taken = lock(&self.taken);
        if taken.total >= limits.total {
            return None;
        }
        let new_door = || Arc::new(Semaphore::new(self.limits.per_subscription.min(Semaphore::MAX_PERMITS)));
        let place = taken.by_subscription.entry(subscription).or_insert_with(|| Place { taken: 0, door: new_door() });
        if place.taken >= limits.per_subscription {
            return None;
        }
        place.taken += 1;
        let door = Arc::clone(&place.door);
        taken.total += 1;
        Some(Slot { subscription: Some(subscription), door, taken: Arc::clone(&self.taken) })
    }

    /// Free places of the process.
    pub fn free(&self) -> usize {
        self.limits.total.saturating_sub(lock(&self.taken).total)
    }

    /// Free places that a claim may fill.
    pub fn free_to_claim(&self) -> usize {
        let spared = if lock(&self.taken).is_spared { self.limits.total / SPARED_DIVISOR } else { 0 };
        self.free().saturating_sub(spared)
    }

    /// Notes whether paced deliveries wait for a place, so that a crowd of others does not take
    /// each one that gets free.
    pub fn spare(&self, is_spared: bool) {
        lock(&self.taken).is_spared = is_spared;
    }

    /// Places taken in the process.
    pub fn in_flight(&self) -> usize {
        lock(&self.taken).total
    }

    /// Free places of one subscription.
    pub fn free_for(&self, subscription: SubscriptionId) -> usize {
        let taken = lock(&self.taken).by_subscription.get(&subscription).map_or(0, |place| place.taken);
        self.limits.per_subscription.saturating_sub(taken)
    }

    /// Subscriptions with at least this many slots taken, each with its free places. There
    /// are at most `total / at_least` of them, so the list stays short.
    pub fn busy(&self, at_least: usize) -> Vec<(SubscriptionId, usize)> {
        let taken = lock(&self.taken);
        let busy = taken.by_subscription.iter().filter(|(_, place)| place.taken >= at_least.max(1));
        let free = |place: &Place| self.limits.per_subscription.saturating_sub(place.taken);
        busy.map(|(subscription, place)| (*subscription, free(place))).collect()
    }

    /// Notes whether deliveries of this subscription are parked here.
    pub fn note_parked(&self, subscription: SubscriptionId, parked: bool) {
        let mut taken = lock(&self.taken);
        if parked {
            taken.parked.insert(subscription);
        } else {
            taken.parked.remove(&subscription);
        }
    }
}

impl Slot {
    /// The door of its subscription: whoever holds one of its permits may send. There are
    /// as many as requests may be in flight to the subscription.
    pub fn door(&self) -> Arc<Semaphore> {
        Arc::clone(&self.door)
    }

    /// The receiver has answered: the subscription's place is free, the process's is kept
    /// until the outcome is recorded.
    pub fn answered(&mut self) {
        if let Some(subscription) = self.subscription.take() {
            lock(&self.taken).release(subscription);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.answered();
        let mut taken = lock(&self.taken);
        taken.total = taken.total.saturating_sub(1);
    }
}

impl Taken {
    fn release(&mut self, subscription: SubscriptionId) {
        if let Some(place) = self.by_subscription.get_mut(&subscription) {
            place.taken = place.taken.saturating_sub(1);
            if place.taken == 0 {
                self.by_subscription.remove(&subscription);
            }
        }
    }
}

/// Counters stay meaningful after a panic elsewhere, so a poisoned lock is taken over.
fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn subscription(n: u128) -> SubscriptionId {
        Uuid::from_u128(n).into()
    }

    #[test]
    fn neither_limit_is_passed_and_every_drop_frees() {
        let slots = Slots::new(SlotLimits { total: 3, per_subscription: 2 });
        let first = slots.take(subscription(1)).unwrap();
        let _second = slots.take(subscription(1)).unwrap();
        assert!(slots.take(subscription(1)).is_none());
        let third = slots.take(subscription(2)).unwrap();
        assert!(slots.take(subscription(3)).is_none());
        assert_eq!(slots.busy(2), vec![(subscription(1), 0)]);
        drop((first, third));
        assert_eq!((slots.free(), slots.free_for(subscription(1))), (2, 1));
    }

    #[test]
    fn an_answer_frees_the_subscription_before_the_process() {
        let slots = Slots::new(SlotLimits { total: 2, per_subscription: 1 });
        let mut slot = slots.take(subscription(1)).unwrap();
        slot.answered();
        assert_eq!((slots.free(), slots.free_for(subscription(1))), (1, 1));
        drop(slot);
        assert_eq!(slots.free(), 2);
    }

    #[test]
    fn fresh_events_spare_some_places_and_may_wait_at_the_door() {
        let slots = Slots::new(SlotLimits { total: 8, per_subscription: 2 });
        let held: Vec<_> = std::iter::from_fn(|| slots.take_waiting(subscription(1), 1)).collect();
        assert_eq!((held.len(), slots.free_for(subscription(1))), (4, 0));
        assert_eq!(held[0].door().available_permits(), 2);
        let others: Vec<_> = (2..9).filter_map(|n| slots.take_waiting(subscription(n), 1)).collect();
        assert_eq!((others.len(), slots.free()), (3, 1));
    }

    #[test]
    fn parked_deliveries_come_before_fresh_ones() {
        let slots = Slots::new(SlotLimits { total: 8, per_subscription: 2 });
        slots.note_parked(subscription(1), true);
        assert!(slots.take_waiting(subscription(1), 0).is_none());
        assert!(slots.take(subscription(1)).is_some());
        slots.note_parked(subscription(1), false);
        assert!(slots.take_waiting(subscription(1), 0).is_some());
    }
}
