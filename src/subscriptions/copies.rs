//! Copies of subscriptions in this process, so that ingest reads nothing on its hot path.
//!
//! A copy needs no expiry: the accepting statement compares its version with the row's, so
//! one that is out of date is found out before it does anything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::id::SubscriptionId;
use crate::domain::subscription::Subscription;

/// Most copies kept; about 1 KiB each.
const MAX_COPIES: usize = 10_000;

/// The copies of this process.
#[derive(Debug, Default)]
pub(super) struct Copies {
    by_id: Mutex<HashMap<SubscriptionId, Arc<Subscription>>>,
}

impl Copies {
    /// The copy, if there is one.
    pub(super) fn get(&self, id: SubscriptionId) -> Option<Arc<Subscription>> {
        self.lock().get(&id).cloned()
    }

    /// Keeps this version instead of any other: it was just read or written, and a database
    /// that was restored is right about an earlier one too. Returns whether it was news.
    pub(super) fn keep(&self, subscription: &Arc<Subscription>) -> bool {
        let mut by_id = self.lock();
        if by_id.get(&subscription.id).is_some_and(|kept| kept.version == subscription.version) {
            return false;
        }
        if by_id.len() >= MAX_COPIES {
            // Which one goes does not matter: it is read again when it is needed.
            let victim = by_id.keys().next().copied();
            victim.map(|id| by_id.remove(&id));
        }
        by_id.insert(subscription.id, Arc::clone(subscription));
        true
    }

    /// Forgets the copy.
    pub(super) fn forget(&self, id: SubscriptionId) {
        self.lock().remove(&id);
    }

    /// Copies stay whole through a panic elsewhere, so a poisoned lock is taken over.
    fn lock(&self) -> MutexGuard<'_, HashMap<SubscriptionId, Arc<Subscription>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
