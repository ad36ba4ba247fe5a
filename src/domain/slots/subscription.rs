//! The slots of one subscription.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::domain::concurrency::Concurrency;

/// Slots of one subscription, as a multiple of the requests that may be in flight to it: those beyond wait in
/// memory, so that the next request follows the last answer at once.
pub(super) const WAITING_FACTOR: usize = 2;

/// Of one subscription; the deliveries beyond its requests in flight wait in memory.
#[derive(Debug)]
pub(super) struct SubscriptionSlots {
    pub(super) taken: usize,
    /// Free slots that somebody waits for; 0 where nobody does.
    pub(super) awaited: usize,
    pub(super) requests: Arc<Semaphore>,
    pub(super) concurrency: Concurrency,
}

impl SubscriptionSlots {
    /// All free, for at most so many requests at a time.
    pub(super) fn new(most: usize) -> Self {
        let requests = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self { taken: 0, awaited: 0, requests, concurrency: Concurrency::new(most) }
    }

    fn most(&self) -> usize {
        self.concurrency.limit().saturating_mul(WAITING_FACTOR)
    }

    pub(super) fn free(&self) -> usize {
        self.most().saturating_sub(self.taken)
    }

    /// Slots are not asked for in dribs: whoever waits is woken when half of the requests fit.
    pub(super) fn has_room_for(&self, places: usize) -> bool {
        self.free() >= places.min(self.concurrency.limit().div_ceil(2))
    }
}
