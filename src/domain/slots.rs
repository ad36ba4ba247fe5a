//! Slots: how many deliveries a worker process may have in flight, in all and for one
//! subscription. A slot is a guard; dropping it frees its place, also in a panic.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use super::id::SubscriptionId;

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
    by_subscription: HashMap<SubscriptionId, usize>,
}

/// A place in flight. It counts against the process until it is dropped (which is after
/// the outcome is recorded) and against its subscription until [`Slot::answered`].
#[derive(Debug)]
pub struct Slot {
    subscription: Option<SubscriptionId>,
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

    /// Takes a slot, unless `reserve` or fewer places of the process would be left, or
    /// the subscription has none.
    pub fn take(&self, subscription: SubscriptionId, reserve: usize) -> Option<Slot> {
        let mut taken = lock(&self.taken);
        if taken.total + reserve >= self.limits.total {
            return None;
        }
        let in_flight = taken.by_subscription.entry(subscription).or_insert(0);
        if *in_flight >= self.limits.per_subscription {
            return None;
        }
        *in_flight += 1;
        taken.total += 1;
        Some(Slot { subscription: Some(subscription), taken: Arc::clone(&self.taken) })
    }

    /// Free places of the process.
    pub fn free(&self) -> usize {
        self.limits.total.saturating_sub(lock(&self.taken).total)
    }

    /// Places taken in the process.
    pub fn in_flight(&self) -> usize {
        lock(&self.taken).total
    }

    /// Free places of one subscription.
    pub fn free_for(&self, subscription: SubscriptionId) -> usize {
        let in_flight = lock(&self.taken).by_subscription.get(&subscription).copied().unwrap_or(0);
        self.limits.per_subscription.saturating_sub(in_flight)
    }

    /// Subscriptions with at least this many in flight. There are at most
    /// `total / at_least` of them, so the list stays short.
    pub fn busy(&self, at_least: usize) -> Vec<SubscriptionId> {
        let taken = lock(&self.taken);
        let busy = taken.by_subscription.iter().filter(|(_, in_flight)| **in_flight >= at_least.max(1));
        busy.map(|(subscription, _)| *subscription).collect()
    }
}

impl Slot {
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
        if let Some(in_flight) = self.by_subscription.get_mut(&subscription) {
            *in_flight = in_flight.saturating_sub(1);
            if *in_flight == 0 {
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
        let first = slots.take(subscription(1), 0).unwrap();
        let _second = slots.take(subscription(1), 0).unwrap();
        assert!(slots.take(subscription(1), 0).is_none());
        let third = slots.take(subscription(2), 0).unwrap();
        assert!(slots.take(subscription(3), 0).is_none());
        assert_eq!(slots.busy(2), vec![subscription(1)]);
        drop((first, third));
        assert_eq!((slots.free(), slots.free_for(subscription(1))), (2, 1));
    }

    #[test]
    fn an_answer_frees_the_subscription_before_the_process() {
        let slots = Slots::new(SlotLimits { total: 2, per_subscription: 1 });
        let mut slot = slots.take(subscription(1), 0).unwrap();
        slot.answered();
        assert_eq!((slots.free(), slots.free_for(subscription(1))), (1, 1));
        drop(slot);
        assert_eq!(slots.free(), 2);
    }

    #[test]
    fn a_reserve_is_left_alone() {
        let slots = Slots::new(SlotLimits { total: 4, per_subscription: 4 });
        let held: Vec<_> = std::iter::from_fn(|| slots.take(subscription(1), 1)).collect();
        assert_eq!((held.len(), slots.free()), (3, 1));
    }
}
