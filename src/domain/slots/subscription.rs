//! The slots of one subscription.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::domain::concurrency::Concurrency;

/// Twice the concurrent requests: a parcel waiting in memory can follow a response at once.
pub(super) const WAITING_FACTOR: usize = 2;

#[derive(Debug)]
pub(super) struct SubscriptionSlots {
    pub(super) taken: usize,
    pub(super) awaited: usize,
    pub(super) requests: Arc<Semaphore>,
    pub(super) concurrency: Concurrency,
}

impl SubscriptionSlots {
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

    /// Waits for half of the requests, so that takes stay large.
    pub(super) fn has_room_for(&self, most: usize) -> bool {
        self.free() >= most.min(self.concurrency.limit().div_ceil(2))
    }
}
