//! A tenant's subscriptions as one list, to match events with.
//!
//! The accepting statement confirms a list by its version. Only what it names as changed is read again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Subscriptions;
use crate::domain::audience::{Audience, Recipient};
use crate::domain::event_type::{EventType, EventTypeFilter};
use crate::domain::id::{SubscriptionId, TenantId};
use crate::store::{ListRow, ListRows, StoreError, StoredSubscription};

/// A restored backup has no newer version, so a list is reloaded after this time.
const READ_WHOLE_AFTER: Duration = Duration::from_secs(300);
/// For one event. A larger audience gets its copies over several events.
const MAX_READ: usize = 1_000;

/// At one version of the list.
#[derive(Debug)]
pub(crate) struct SubscriptionList {
    tenant: TenantId,
    version: i64,
    read_at: Instant,
    /// By id.
    members: Vec<Member>,
    /// Each different filter once.
    filters: Vec<Arc<EventTypeFilter>>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    id: SubscriptionId,
    version: i64,
    /// Index in the list's filters.
    filter: u32,
    is_active: bool,
    is_ordered: bool,
}

#[derive(Default)]
struct Filters {
    all: Vec<Arc<EventTypeFilter>>,
    indexes: HashMap<Arc<EventTypeFilter>, u32>,
}

/// One reader per tenant; others wait for its result.
pub(super) type Readers = Mutex<HashMap<TenantId, Arc<tokio::sync::Mutex<()>>>>;

impl SubscriptionList {
    pub(super) fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// So many subscriptions that want everything.
    #[cfg(test)]
    pub(super) fn of(tenant: TenantId, members: u128) -> Self {
        let member = |number| Member {
            id: uuid::Uuid::from_u128(number).into(),
            version: 1,
            filter: 0,
            is_active: true,
            is_ordered: false,
        };
        let filters = vec![Arc::default()];
        Self { tenant, version: 1, read_at: Instant::now(), members: (0..members).map(member).collect(), filters }
    }

    pub(super) fn is_old(&self) -> bool {
        self.read_at.elapsed() > READ_WHOLE_AFTER
    }

    pub(super) fn weight(&self) -> usize {
        let filters = self.filters.iter().flat_map(|filter| filter.patterns());
        let filters: usize = filters.map(|pattern| pattern.as_str().len() + 24).sum();
        size_of::<Self>() + self.members.len() * size_of::<Member>() + self.filters.len() * 48 + filters
    }

    /// Matching subscriptions. Disabled ones are included; their deliveries are held.
    pub(crate) fn audience(&self, event_type: Option<&EventType>) -> Audience {
        let wanting: Vec<bool> = self.filters.iter().map(|filter| filter.check(event_type).is_ok()).collect();
        let is_wanting = |member: &&Member| wanting.get(member.filter as usize).copied().unwrap_or_default();
        let recipient = |member: &Member| Recipient {
            id: member.id,
            version: member.version,
            is_active: member.is_active,
            is_ordered: member.is_ordered,
            subscription: None,
        };
        let recipients = self.members.iter().filter(is_wanting).map(recipient).collect();
        Audience { tenant: self.tenant, recipients, list_version: Some(self.version) }
    }
}

impl Filters {
    fn of(list: &SubscriptionList) -> Self {
        let indexes = list.filters.iter().zip(0..).map(|(filter, index)| (Arc::clone(filter), index)).collect();
        Self { all: list.filters.clone(), indexes }
    }

    fn member(&mut self, row: &ListRow) -> Result<Member, StoreError> {
        let filter = super::filter(row.id, &row.event_types)?;
        let index = match self.indexes.get(&filter) {
            Some(index) => *index,
            None => {
                let (filter, index) = (Arc::new(filter), u32::try_from(self.all.len()).unwrap_or(u32::MAX));
                self.all.push(Arc::clone(&filter));
                self.indexes.insert(filter, index);
                index
            }
        };
        let ListRow { id, version, is_active, is_ordered, .. } = *row;
        Ok(Member { id, version, filter: index, is_active, is_ordered })
    }
}

impl Subscriptions {
    /// From memory, updated if it is stale.
    pub(crate) async fn list_of(&self, tenant: TenantId) -> Result<Arc<SubscriptionList>, StoreError> {
        if let Some(list) = self.cache.current_list(tenant) {
            return Ok(list);
        }
        let reader = Arc::clone(self.readers().entry(tenant).or_default());
        let turn = reader.lock().await;
        let list = match self.cache.current_list(tenant) {
            // Another request has read it meanwhile.
            Some(list) => Ok(list),
            None => self.read_list(tenant).await,
        };
        drop(turn);
        drop(reader);
        self.readers().retain(|_, reader| Arc::strong_count(reader) > 1);
        list
    }

    /// Marks at least these members as stale.
    pub(crate) fn invalidate(&self, list: &Arc<SubscriptionList>, ids: &[SubscriptionId]) {
        self.cache.mark_stale(list, ids);
    }

    /// Gives recipients their copies, so that they can be sent to at once. Missing copies are read in one statement;
    /// without a copy a delivery is due in the queue.
    pub(crate) async fn fill(&self, audience: &mut Audience) {
        let missing = self.cache.fill(audience.tenant, &mut audience.recipients, MAX_READ);
        if missing.is_empty() {
            return;
        }
        match self.store.read_subscriptions(audience.tenant, &missing).await {
            Ok(rows) => {
                let closed = |row: StoredSubscription| {
                    let id = row.id;
                    self.open(row).is_err().then_some(id)
                };
                let unreadable: Vec<SubscriptionId> = rows.into_iter().filter_map(closed).collect();
                if !unreadable.is_empty() {
                    let count = unreadable.len();
                    tracing::warn!(tenant = %audience.tenant, count, "secrets do not open here; other workers send");
                    self.cache.mark_unreadable(audience.tenant, unreadable);
                }
            }
            Err(error) => tracing::debug!(%error, "subscriptions were not read; their deliveries are due in the queue"),
        }
        self.cache.fill(audience.tenant, &mut audience.recipients, 0);
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, Arc<tokio::sync::Mutex<()>>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_list(&self, tenant: TenantId) -> Result<Arc<SubscriptionList>, StoreError> {
        let renewed = match self.cache.stale_list(tenant) {
            Some((list, ids)) if !list.is_old() => self.renewed(&list, &ids).await?,
            _ => None,
        };
        let list = match renewed {
            Some(list) => list,
            None => self.read_whole(tenant).await?,
        };
        let list = Arc::new(list);
        self.cache.keep_list(&list);
        Ok(list)
    }

    /// `None` if the list is newer than the tenant's, as after a restored backup.
    async fn renewed(
        &self,
        list: &SubscriptionList,
        ids: &[SubscriptionId],
    ) -> Result<Option<SubscriptionList>, StoreError> {
        let SubscriptionList { tenant, read_at, .. } = *list;
        let ListRows { version, living, deleted } = self.store.changed_subscriptions(tenant, list.version, ids).await?;
        if version < list.version {
            return Ok(None);
        }
        // Members that were requested and not found are gone.
        let mut replaced: HashSet<SubscriptionId> = ids.iter().copied().chain(deleted).collect();
        replaced.extend(living.iter().map(|row| row.id));
        let mut filters = Filters::of(list);
        let mut members: Vec<Member> =
            list.members.iter().filter(|member| !replaced.contains(&member.id)).copied().collect();
        for row in &living {
            members.push(filters.member(row)?);
        }
        members.sort_unstable_by_key(|member| member.id);
        Ok(Some(SubscriptionList { tenant, version, read_at, members, filters: filters.all }))
    }

    async fn read_whole(&self, tenant: TenantId) -> Result<SubscriptionList, StoreError> {
        let read_at = Instant::now();
        let ListRows { version, living, .. } = self.store.all_subscriptions(tenant).await?;
        let mut filters = Filters::default();
        let members = living.iter().map(|row| filters.member(row)).collect::<Result<_, _>>()?;
        Ok(SubscriptionList { tenant, version, read_at, members, filters: filters.all })
    }
}
