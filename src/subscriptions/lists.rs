//! The subscriptions of a tenant as one list, for events that go to all who want them.
//!
//! A list is kept in this process with the version that its tenant had when it was read: the
//! accepting statement puts right what changed since, and names it. What it named is read
//! again before the list is used the next time, and nothing else. Redis has no part in it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Subscriptions, filter};
use crate::domain::audience::{Audience, Recipient};
use crate::domain::event_type::{EventType, EventTypeFilter};
use crate::domain::id::{SubscriptionId, TenantId};
use crate::store::{ListRows, StoreError, StoredSubscription};

/// Most subscriptions in all kept lists; about 1 KiB each.
const MAX_LISTED: usize = 50_000;
/// Most lists kept, the empty ones included.
const MAX_LISTS: usize = 10_000;
/// After so long a list is read whole again. Nothing needs it but a database that went back
/// in time, as after restoring a backup: what it took back has no newer version.
const READ_WHOLE_AFTER: Duration = Duration::from_secs(300);

/// Every subscription of a tenant at one version of their list.
#[derive(Debug)]
pub struct SubscriptionList {
    tenant: TenantId,
    version: i64,
    /// When it was last read whole.
    read_at: Instant,
    /// By id.
    listed: Vec<Arc<Listed>>,
}

/// A subscription with what decides whether it gets an event.
#[derive(Debug)]
struct Listed {
    recipient: Recipient,
    event_types: EventTypeFilter,
}

impl SubscriptionList {
    /// Grows with every change of who gets an event.
    pub fn version(&self) -> i64 {
        self.version
    }

    fn is_old(&self) -> bool {
        self.read_at.elapsed() > READ_WHOLE_AFTER
    }

    /// All who want an event of this type, or of none; the disabled ones too, for which it is
    /// held.
    pub fn audience(&self, event_type: Option<&EventType>) -> Audience {
        let wanting = self.listed.iter().filter(|listed| listed.event_types.check(event_type).is_ok());
        let recipients = wanting.map(|listed| listed.recipient.clone()).collect();
        Audience { tenant: self.tenant, recipients, list_version: Some(self.version) }
    }

    /// The entry of this row, if it is of the same version and complete.
    fn find(&self, row: &StoredSubscription) -> Option<&Arc<Listed>> {
        let place = self.listed.binary_search_by_key(&row.id, |listed| listed.recipient.id).ok()?;
        let is_good = |recipient: &Recipient| recipient.version == row.version && recipient.subscription.is_some();
        self.listed.get(place).filter(|listed| is_good(&listed.recipient))
    }
}

/// A list, and what is known to be out of date in it.
#[derive(Debug)]
struct Kept {
    list: Arc<SubscriptionList>,
    /// `None` while it is good as far as anybody knows.
    outdated: Option<HashSet<SubscriptionId>>,
}

/// The lists of this process.
#[derive(Debug, Default)]
pub(super) struct Lists {
    by_tenant: Mutex<HashMap<TenantId, Kept>>,
    /// Who reads the list of a tenant; the others wait for what comes of it.
    turns: Mutex<HashMap<TenantId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Lists {
    /// The list, if it is good as far as anybody knows.
    fn good(&self, tenant: TenantId) -> Option<Arc<SubscriptionList>> {
        let by_tenant = lock(&self.by_tenant);
        let kept = by_tenant.get(&tenant).filter(|kept| kept.outdated.is_none() && !kept.list.is_old())?;
        Some(Arc::clone(&kept.list))
    }

    /// The list as it is, and what is known to be out of date in it.
    fn outdated(&self, tenant: TenantId) -> Option<(Arc<SubscriptionList>, Vec<SubscriptionId>)> {
        let by_tenant = lock(&self.by_tenant);
        let kept = by_tenant.get(&tenant)?;
        Some((Arc::clone(&kept.list), kept.outdated.iter().flatten().copied().collect()))
    }

    fn keep(&self, list: &Arc<SubscriptionList>) {
        let mut by_tenant = lock(&self.by_tenant);
        by_tenant.remove(&list.tenant);
        let mut entries: usize = by_tenant.values().map(|kept| kept.list.listed.len()).sum();
        while entries + list.listed.len() > MAX_LISTED || by_tenant.len() >= MAX_LISTS {
            // Which one goes does not matter: it is read again when it is needed.
            let Some(victim) = by_tenant.keys().next().copied() else { return };
            entries -= by_tenant.remove(&victim).map_or(0, |kept| kept.list.listed.len());
        }
        by_tenant.insert(list.tenant, Kept { list: Arc::clone(list), outdated: None });
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
    /// All subscriptions of a tenant: what is kept here, made current where it is known to be
    /// out of date, or as they stand in PostgreSQL now.
    ///
    /// # Errors
    /// [`StoreError`]; `Unreadable` for an event type that no version writes.
    pub async fn all(&self, tenant: TenantId) -> Result<Arc<SubscriptionList>, StoreError> {
        if let Some(list) = self.lists.good(tenant) {
            return Ok(list);
        }
        let turn = self.lists.turn(tenant);
        let reading = turn.lock().await;
        // Somebody else may have read it in the meantime.
        if let Some(list) = self.lists.good(tenant) {
            return Ok(list);
        }
        let list = self.read_list(tenant).await;
        drop(reading);
        drop(turn);
        self.lists.tidy();
        list
    }

    /// Notes that a list turned out to be out of date, in these subscriptions at least.
    pub fn outdate(&self, list: &Arc<SubscriptionList>, ids: &[SubscriptionId]) {
        if let Some(kept) = lock(&self.lists.by_tenant).get_mut(&list.tenant)
            && Arc::ptr_eq(&kept.list, list)
        {
            kept.outdated.get_or_insert_default().extend(ids);
        }
    }

    async fn read_list(&self, tenant: TenantId) -> Result<Arc<SubscriptionList>, StoreError> {
        let before = self.lists.outdated(tenant);
        let renewed = match &before {
            Some((list, ids)) if !list.is_old() => self.renewed(list, ids).await?,
            _ => None,
        };
        let list = match renewed {
            Some(list) => list,
            None => self.read_whole(tenant, before.as_ref().map(|(list, _)| list.as_ref())).await?,
        };
        let closed = list.listed.iter().filter(|listed| listed.recipient.subscription.is_none()).count();
        if closed > 0 {
            tracing::warn!(%tenant, closed, "secrets cannot be opened; events to all are left to a worker that can");
        }
        let list = Arc::new(list);
        self.lists.keep(&list);
        Ok(list)
    }

    /// The list with what changed since it was read, and with these as they stand; `None`
    /// where it is newer than the tenant's, which was set back then.
    async fn renewed(
        &self,
        list: &SubscriptionList,
        ids: &[SubscriptionId],
    ) -> Result<Option<SubscriptionList>, StoreError> {
        let (ListRows { version, living }, deleted) =
            self.store.changed_subscriptions(list.tenant, list.version, ids).await?;
        if version < list.version {
            return Ok(None);
        }
        // Of those that are asked for and not found nothing is left.
        let mut replaced: HashSet<SubscriptionId> = ids.iter().copied().chain(deleted).collect();
        replaced.extend(living.iter().map(|row| row.id));
        let stays = |listed: &&Arc<Listed>| !replaced.contains(&listed.recipient.id);
        let mut listed: Vec<_> = list.listed.iter().filter(stays).cloned().collect();
        listed.extend(self.entries(living, Some(list))?);
        listed.sort_unstable_by_key(|listed| listed.recipient.id);
        Ok(Some(SubscriptionList { tenant: list.tenant, version, read_at: list.read_at, listed }))
    }

    async fn read_whole(
        &self,
        tenant: TenantId,
        before: Option<&SubscriptionList>,
    ) -> Result<SubscriptionList, StoreError> {
        let read_at = Instant::now();
        let ListRows { version, living } = self.store.all_subscriptions(tenant).await?;
        Ok(SubscriptionList { tenant, version, read_at, listed: self.entries(living, before)? })
    }

    /// Entries of these rows; what is the same as before is not opened again.
    fn entries(
        &self,
        rows: Vec<StoredSubscription>,
        before: Option<&SubscriptionList>,
    ) -> Result<Vec<Arc<Listed>>, StoreError> {
        let entry = |row: StoredSubscription| match before.and_then(|list| list.find(&row)) {
            Some(listed) => Ok(Arc::clone(listed)),
            None => self.listed(row).map(Arc::new),
        };
        rows.into_iter().map(entry).collect()
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
