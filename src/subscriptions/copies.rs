//! Copies of subscriptions in this process, so that ingest reads nothing on its hot path.
//!
//! A copy needs no expiry: the accepting statement compares its version with the row's, so
//! one that is out of date is found out before it does anything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::external_id::ExternalId;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::subscription::Subscription;

/// Most copies kept; about 1 KiB each, and up to 24 KiB with headers of their own.
const MAX_COPIES: usize = 10_000;

/// The copies of this process.
#[derive(Debug, Default)]
pub(super) struct Copies {
    by_id: Mutex<HashMap<SubscriptionId, Arc<Subscription>>>,
    /// Whose an external id was when it was last looked up.
    by_name: Mutex<HashMap<(TenantId, ExternalId), SubscriptionId>>,
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

    /// Whose this external id was; the copy of that subscription says whether it still is.
    pub(super) fn named(&self, name: &(TenantId, ExternalId)) -> Option<SubscriptionId> {
        self.names().get(name).copied()
    }

    /// Remembers whose this external id is.
    pub(super) fn name(&self, name: (TenantId, ExternalId), id: SubscriptionId) {
        let mut names = self.names();
        if names.len() >= MAX_COPIES && !names.contains_key(&name) {
            let victim = names.keys().next().cloned();
            victim.map(|name| names.remove(&name));
        }
        names.insert(name, id);
    }

    /// Forgets the copy.
    pub(super) fn forget(&self, id: SubscriptionId) {
        self.lock().remove(&id);
    }

    fn names(&self) -> MutexGuard<'_, HashMap<(TenantId, ExternalId), SubscriptionId>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies stay whole through a panic elsewhere, so a poisoned lock is taken over.
    fn lock(&self) -> MutexGuard<'_, HashMap<SubscriptionId, Arc<Subscription>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
