//! Copies and lists of subscriptions in this process, within a budget of bytes.
//! Nothing expires: the accepting statement compares versions with the rows.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;

use super::lists::SubscriptionList;
use crate::domain::audience::Recipient;
use crate::domain::external_id::ExternalId;
use crate::domain::filter::Filter;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::ingest::Ingest;
use crate::domain::subscription::{Destination, Subscription};

/// Map entries, allocations and indexes besides its fields: measured, rounded up.
const COPY_OVERHEAD: usize = 400;
/// Likewise.
const TENANT_OVERHEAD: usize = 300;

#[derive(Debug)]
pub(super) struct Cache(Mutex<Kept>);

/// A list and its stale members.
#[derive(Debug)]
struct KeptList {
    list: Arc<SubscriptionList>,
    /// `None` while it is believed current.
    stale: Option<HashSet<SubscriptionId>>,
    /// Their secrets do not open here. Reading them again for each event would be in vain.
    unreadable: HashSet<SubscriptionId>,
}

#[derive(Debug, Default)]
struct Kept {
    budget: usize,
    bytes: usize,
    tenants: HashMap<TenantId, TenantEntries>,
    /// The largest tenant is evicted first.
    by_bytes: BTreeSet<(usize, TenantId)>,
    /// A signature names no tenant.
    tenant_of: HashMap<SubscriptionId, TenantId>,
}

#[derive(Debug, Default)]
struct TenantEntries {
    copies: HashMap<SubscriptionId, Arc<Subscription>>,
    /// In order of insertion; some may have been removed.
    order: VecDeque<SubscriptionId>,
    by_name: HashMap<ExternalId, SubscriptionId>,
    list: Option<KeptList>,
    bytes: usize,
}

impl Cache {
    pub(super) fn new(budget: usize) -> Self {
        Self(Mutex::new(Kept { budget, ..Kept::default() }))
    }

    pub(super) fn get(&self, id: SubscriptionId) -> Option<Arc<Subscription>> {
        let kept = self.lock();
        kept.tenants.get(kept.tenant_of.get(&id)?)?.copies.get(&id).cloned()
    }

    pub(super) fn named(&self, tenant: TenantId, name: &ExternalId) -> Option<Arc<Subscription>> {
        let kept = self.lock();
        let entries = kept.tenants.get(&tenant)?;
        entries.copies.get(entries.by_name.get(name)?).cloned()
    }

    /// Sets copies of the same version for those that are sent to; returns up to `most` without one.
    pub(super) fn fill(&self, tenant: TenantId, recipients: &mut [Recipient], most: usize) -> Vec<SubscriptionId> {
        let kept = self.lock();
        let entries = kept.tenants.get(&tenant);
        // Copies of a tenant that fills the cache would be evicted before the next event.
        let most = if entries.is_some_and(|entries| entries.bytes > kept.budget / 2) { 0 } else { most };
        let copies = entries.map(|entries| &entries.copies);
        let mut missing = Vec::new();
        let unreadable = entries.and_then(|entries| Some(&entries.list.as_ref()?.unreadable));
        let is_readable = |id| unreadable.is_none_or(|unreadable| !unreadable.contains(id));
        let sendable = |recipient: &&mut Recipient| recipient.is_active && recipient.subscription.is_none();
        for recipient in recipients.iter_mut().filter(sendable) {
            let copy = copies.and_then(|copies| copies.get(&recipient.id));
            recipient.subscription = copy.filter(|copy| copy.version == recipient.version).cloned();
            if recipient.subscription.is_none() && missing.len() < most && is_readable(&recipient.id) {
                missing.push(recipient.id);
            }
        }
        missing
    }

    /// Replaces any other version: a restored database may return an earlier one.
    pub(super) fn keep(&self, subscription: &Arc<Subscription>) {
        let mut kept = self.lock();
        let (tenant, id) = (subscription.tenant, subscription.id);
        let entries = kept.tenants.entry(tenant).or_default();
        if entries.copies.get(&id).is_some_and(|copy| copy.version == subscription.version) {
            return;
        }
        kept.remove_copy(id);
        let entries = kept.tenants.entry(tenant).or_default();
        entries.copies.insert(id, Arc::clone(subscription));
        entries.order.push_back(id);
        if let Some(name) = &subscription.external_id {
            entries.by_name.insert(name.clone(), id);
        }
        kept.tenant_of.insert(id, tenant);
        kept.grow(tenant, weight(subscription));
    }

    pub(super) fn forget(&self, id: SubscriptionId) {
        self.lock().remove_copy(id);
    }

    /// The list, if it is believed current.
    pub(super) fn current_list(&self, tenant: TenantId) -> Option<Arc<SubscriptionList>> {
        let kept = self.lock();
        let list = kept.tenants.get(&tenant)?.list.as_ref()?;
        (list.stale.is_none() && !list.list.is_old()).then(|| Arc::clone(&list.list))
    }

    /// The list and its stale members.
    pub(super) fn stale_list(&self, tenant: TenantId) -> Option<(Arc<SubscriptionList>, Vec<SubscriptionId>)> {
        let kept = self.lock();
        let list = kept.tenants.get(&tenant)?.list.as_ref()?;
        Some((Arc::clone(&list.list), list.stale.iter().flatten().copied().collect()))
    }

    pub(super) fn keep_list(&self, list: &Arc<SubscriptionList>) {
        let mut kept = self.lock();
        let tenant = list.tenant();
        kept.remove_list(tenant);
        kept.tenants.entry(tenant).or_default().list =
            Some(KeptList { list: Arc::clone(list), stale: None, unreadable: HashSet::new() });
        kept.grow(tenant, list.weight());
    }

    pub(super) fn mark_stale(&self, list: &Arc<SubscriptionList>, ids: &[SubscriptionId]) {
        let mut kept = self.lock();
        let entries = kept.tenants.get_mut(&list.tenant());
        if let Some(kept) = entries.and_then(|entries| entries.list.as_mut())
            && Arc::ptr_eq(&kept.list, list)
        {
            kept.stale.get_or_insert_default().extend(ids);
        }
    }

    /// The maps stay consistent after a panic elsewhere.
    pub(super) fn mark_unreadable(&self, tenant: TenantId, ids: impl IntoIterator<Item = SubscriptionId>) {
        let mut kept = self.lock();
        if let Some(list) = kept.tenants.get_mut(&tenant).and_then(|entries| entries.list.as_mut()) {
            list.unreadable.extend(ids);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Evicts the oldest copies of the largest tenant, then its list.
    fn grow(&mut self, tenant: TenantId, bytes: usize) {
        self.count(tenant, |before| before + bytes);
        while self.bytes > self.budget {
            let Some((_, largest)) = self.by_bytes.last().copied() else { return };
            let oldest = self.tenants.get_mut(&largest).and_then(|entries| entries.order.pop_front());
            match oldest {
                Some(id) => self.remove_copy(id),
                None => self.remove_list(largest),
            }
        }
    }

    fn remove_copy(&mut self, id: SubscriptionId) {
        let Some(tenant) = self.tenant_of.remove(&id) else { return };
        let removed = self.tenants.get_mut(&tenant).and_then(|entries| {
            let copy = entries.copies.remove(&id)?;
            if let Some(name) = &copy.external_id
                && entries.by_name.get(name) == Some(&id)
            {
                entries.by_name.remove(name);
            }
            Some(copy)
        });
        self.count(tenant, |before| before.saturating_sub(removed.map_or(0, |copy| weight(&copy))));
    }

    fn remove_list(&mut self, tenant: TenantId) {
        let removed = self.tenants.get_mut(&tenant).and_then(|entries| entries.list.take());
        self.count(tenant, |before| before.saturating_sub(removed.map_or(0, |kept| kept.list.weight())));
    }

    /// A tenant without bytes is removed.
    fn count(&mut self, tenant: TenantId, change: impl FnOnce(usize) -> usize) {
        let Some(entries) = self.tenants.get_mut(&tenant) else { return };
        self.by_bytes.remove(&(entries.bytes, tenant));
        self.bytes -= entries.bytes;
        if entries.copies.is_empty() && entries.list.is_none() {
            self.tenants.remove(&tenant);
            return;
        }
        let before = if entries.bytes == 0 { TENANT_OVERHEAD } else { entries.bytes };
        entries.bytes = change(before);
        // Keeps the order within a multiple of the copies.
        if entries.order.len() > 2 * entries.copies.len() + 16 {
            let mut seen = HashSet::new();
            entries.order.retain(|id| entries.copies.contains_key(id) && seen.insert(*id));
        }
        self.bytes += entries.bytes;
        self.by_bytes.insert((entries.bytes, tenant));
    }
}

fn weight(subscription: &Subscription) -> usize {
    let Destination { target, secrets, headers, .. } = subscription.destination.as_ref();
    let headers: usize = headers.lines().map(|(name, value)| name.len() + value.len() + 48).sum();
    let patterns: usize = subscription.event_types.patterns().iter().map(|pattern| pattern.as_str().len() + 24).sum();
    let secrets = secrets.live(OffsetDateTime::UNIX_EPOCH).map(|secret| 2 * secret.reveal().len() + 64).sum::<usize>();
    let texts = [&subscription.description, &subscription.disabled_reason];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    size_of::<Subscription>()
        + size_of::<Destination>()
        + COPY_OVERHEAD
        + target.as_str().len()
        + secrets
        + headers
        + patterns
        + subscription.filter.as_ref().map_or(0, Filter::weight)
        + texts
        + ingest_weight(&subscription.ingest)
        + 2 * subscription.external_id.as_ref().map_or(0, |name| name.as_str().len())
}

fn ingest_weight(ingest: &Ingest) -> usize {
    let rules = &ingest.rules;
    let texts = rules.content_types.iter().chain(&rules.header).chain(&rules.prefix).map(|text| text.len() + 24);
    texts.sum::<usize>() + ingest.secret.as_ref().map_or(0, |secret| 2 * secret.reveal().len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event_type::EventTypeFilter;
    use crate::domain::policy::Policy;
    use crate::domain::secret::Secret;
    use crate::domain::target::Target;
    use uuid::Uuid;

    const BUDGET: usize = 8 << 20;

    fn tenant(number: u128) -> TenantId {
        Uuid::from_u128(number).into()
    }

    fn copy(of: TenantId, number: u128, version: i64) -> Arc<Subscription> {
        let secret = Secret::parse("a secret of eight").unwrap();
        let target = Target::stored("https://example.com/hook".to_owned());
        Arc::new(Subscription {
            id: Uuid::from_u128(number).into(),
            tenant: of,
            version,
            destination: Arc::new(Destination::new(target, secret.into())),
            event_types: EventTypeFilter::default(),
            filter: None,
            description: None,
            is_active: true,
            disabled_reason: None,
            verify_ingest: false,
            external_id: format!("s-{number}").parse().ok(),
            policy: Policy::default(),
            ingest: Ingest::default(),
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn a_tenant_with_fifty_thousand_subscriptions_evicts_only_its_own() {
        let cache = Cache::new(BUDGET);
        for number in 1..=100 {
            cache.keep_list(&Arc::new(SubscriptionList::of(tenant(number), 10)));
            cache.keep(&copy(tenant(number), number, 1));
        }
        let large = tenant(1_000);
        cache.keep_list(&Arc::new(SubscriptionList::of(large, 50_000)));
        (0..50_000).for_each(|number| cache.keep(&copy(large, 1_000_000 + number, 1)));
        for number in 1..=100 {
            assert!(cache.current_list(tenant(number)).is_some(), "{number}");
            assert!(cache.get(Uuid::from_u128(number).into()).is_some(), "{number}");
        }
        assert!(cache.current_list(large).is_some());
        assert!(cache.get(Uuid::from_u128(1_049_999).into()).is_some(), "the newest copy stays");
        assert!(cache.get(Uuid::from_u128(1_000_000).into()).is_none(), "the oldest went");
        assert!(cache.lock().bytes <= BUDGET);
    }

    #[test]
    fn a_copy_is_found_by_id_and_name_until_it_is_forgotten_and_its_bytes_come_back() {
        let cache = Cache::new(BUDGET);
        cache.keep(&copy(tenant(1), 1, 1));
        cache.keep(&copy(tenant(1), 1, 2));
        let id = Uuid::from_u128(1).into();
        let name = "s-1".parse().unwrap();
        assert_eq!(cache.get(id).unwrap().version, 2);
        assert_eq!(cache.named(tenant(1), &name).unwrap().version, 2);
        assert!(cache.named(tenant(2), &name).is_none());
        cache.forget(id);
        assert!(cache.get(id).is_none() && cache.named(tenant(1), &name).is_none());
        let kept = cache.lock();
        assert_eq!((kept.bytes, kept.tenants.len(), kept.by_bytes.len(), kept.tenant_of.len()), (0, 0, 0, 0));
    }
}
