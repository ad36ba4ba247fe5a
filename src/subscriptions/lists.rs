//! The subscriptions of a tenant as one list, for events that go to all who want them.
//!
//! A list is kept in this process with the version that its tenant had when it was read, and
//! needs no expiry: the accepting statement compares that version with the tenant's. Redis
//! has no part in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Subscriptions, filter};
use crate::domain::audience::{Audience, Recipient};
use crate::domain::event_type::{EventType, EventTypeFilter};
use crate::domain::id::{SubscriptionId, TenantId};
use crate::store::{StoreError, StoredSubscription};

/// Most subscriptions in all kept lists; about 1 KiB each.
const MAX_LISTED: usize = 50_000;
/// Most lists kept, the empty ones included.
const MAX_LISTS: usize = 10_000;

/// Every subscription of a tenant at one version of their list.
#[derive(Debug)]
pub struct SubscriptionList {
    tenant: TenantId,
    version: i64,
    /// By id.
    listed: Vec<Listed>,
}

/// A subscription with what decides whether it gets an event.
#[derive(Debug, Clone)]
struct Listed {
    recipient: Recipient,
    event_types: EventTypeFilter,
}

impl SubscriptionList {
    /// Changes with every write of one of them.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// All who want an event of this type, or of none; the disabled ones too, for which it is
    /// held.
    pub fn audience(&self, event_type: Option<&EventType>) -> Audience {
        let wanting = self.listed.iter().filter(|listed| listed.event_types.check(event_type).is_ok());
        let recipients = wanting.map(|listed| listed.recipient.clone()).collect();
        Audience { tenant: self.tenant, recipients, list_version: Some(self.version) }
    }

    fn find(&self, id: SubscriptionId) -> Option<&Listed> {
        let place = self.listed.binary_search_by_key(&id, |listed| listed.recipient.id);
        place.ok().and_then(|place| self.listed.get(place))
    }
}

/// The lists of this process.
#[derive(Debug, Default)]
pub(super) struct Lists {
    by_tenant: Mutex<HashMap<TenantId, Arc<SubscriptionList>>>,
    /// Who reads the list of a tenant; the others wait for what comes of it.
    turns: Mutex<HashMap<TenantId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Lists {
    fn get(&self, tenant: TenantId) -> Option<Arc<SubscriptionList>> {
        lock(&self.by_tenant).get(&tenant).cloned()
    }

    fn keep(&self, list: &Arc<SubscriptionList>) {
        let mut by_tenant = lock(&self.by_tenant);
        by_tenant.remove(&list.tenant);
        let mut kept: usize = by_tenant.values().map(|list| list.listed.len()).sum();
        while kept + list.listed.len() > MAX_LISTED || by_tenant.len() >= MAX_LISTS {
            // Which one goes does not matter: it is read again when it is needed.
            let Some(victim) = by_tenant.keys().next().copied() else { return };
            kept -= by_tenant.remove(&victim).map_or(0, |list| list.listed.len());
        }
        by_tenant.insert(list.tenant, Arc::clone(list));
    }

    fn turn(&self, tenant: TenantId) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(lock(&self.turns).entry(tenant).or_default())
    }

    /// Forgets turns that nobody waits for.
    fn tidy(&self) {
        lock(&self.turns).retain(|_, turn| Arc::strong_count(turn) > 1);
    }
}

impl Subscriptions {
    /// All subscriptions of a tenant: what is kept here, unless that has the version `stale`,
    /// else as they stand in PostgreSQL now.
    ///
    /// # Errors
    /// [`StoreError`]; `Unreadable` for an event type that no version writes.
    pub async fn all(&self, tenant: TenantId, stale: Option<i64>) -> Result<Arc<SubscriptionList>, StoreError> {
        let kept = || self.lists.get(tenant).filter(|list| Some(list.version) != stale);
        if let Some(list) = kept() {
            return Ok(list);
        }
        let turn = self.lists.turn(tenant);
        let reading = turn.lock().await;
        // Somebody else may have read it in the meantime.
        if let Some(list) = kept() {
            return Ok(list);
        }
        let list = self.read_all(tenant).await;
        drop(reading);
        drop(turn);
        self.lists.tidy();
        list
    }

    async fn read_all(&self, tenant: TenantId) -> Result<Arc<SubscriptionList>, StoreError> {
        let (version, rows) = self.store.all_subscriptions(tenant).await?;
        let before = self.lists.get(tenant);
        let known = |row: &StoredSubscription| {
            let listed = before.as_ref()?.find(row.id)?;
            (listed.recipient.version == row.version && listed.recipient.subscription.is_some()).then(|| listed.clone())
        };
        let mut listed = Vec::with_capacity(rows.len());
        for row in rows {
            listed.push(match known(&row) {
                Some(listed) => listed,
                None => self.listed(row)?,
            });
        }
        let closed = listed.iter().filter(|listed| listed.recipient.subscription.is_none()).count();
        if closed > 0 {
            tracing::warn!(%tenant, closed, "secrets cannot be opened; events to all are left to a worker that can");
        }
        let list = Arc::new(SubscriptionList { tenant, version, listed });
        self.lists.keep(&list);
        Ok(list)
    }

    fn listed(&self, row: StoredSubscription) -> Result<Listed, StoreError> {
        let (id, version, event_types) = (row.id, row.version, filter(&row)?);
        let is_ordered = row.policy.is_ordered;
        // One that cannot be sent from here must not keep the event from all others.
        let subscription = self.open(row).ok().map(Arc::new);
        Ok(Listed { recipient: Recipient { id, version, is_ordered, subscription }, event_types })
    }
}

/// What is kept stays whole through a panic elsewhere, so a poisoned lock is taken over.
fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
