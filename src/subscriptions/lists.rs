//! A tenant's subscriptions as one list, to match events with.
//!
//! The accepting statement confirms a list by its version. Only what it names as changed is read again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Subscriptions;
use crate::domain::audience::{Audience, Recipient};
use crate::domain::event_type::{EventType, EventTypeFilter};
use crate::domain::filter::{Filter, Judge};
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::payload::Payload;
use crate::store::{ListRow, ListRows, StoreError, StoredSubscription};

/// A restored backup has no newer version, so a list is reloaded after this time.
const READ_WHOLE_AFTER: Duration = Duration::from_secs(300);
/// For one event. A larger audience gets its copies over several events.
const MAX_READ: usize = 1_000;

/// Decides filters at most so long, plus one filter, before other requests get their turn.
const TURN: Duration = Duration::from_millis(1);

/// At one version of the list.
#[derive(Debug)]
pub(crate) struct SubscriptionList {
    tenant: TenantId,
    version: i64,
    read_at: Instant,
    /// By id.
    members: Vec<Member>,
    /// Each different one once.
    interests: Vec<Arc<Interest>>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    id: SubscriptionId,
    version: i64,
    /// Index in the list's interests.
    interest: u32,
    is_active: bool,
    is_ordered: bool,
}

/// Which events a subscription wants.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
struct Interest {
    event_types: EventTypeFilter,
    filter: Option<Filter>,
}

impl Interest {
    fn weight(&self) -> usize {
        let patterns = self.event_types.patterns().iter().map(|pattern| pattern.as_str().len() + 24);
        // And its entry in the index.
        size_of::<Self>() + 48 + patterns.sum::<usize>() + self.filter.as_ref().map_or(0, Filter::weight)
    }
}

#[derive(Default)]
struct Interests {
    all: Vec<Arc<Interest>>,
    indexes: HashMap<Arc<Interest>, u32>,
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
            interest: 0,
            is_active: true,
            is_ordered: false,
        };
        let interests = vec![Arc::default()];
        Self { tenant, version: 1, read_at: Instant::now(), members: (0..members).map(member).collect(), interests }
    }

    pub(super) fn is_old(&self) -> bool {
        self.read_at.elapsed() > READ_WHOLE_AFTER
    }

    pub(super) fn weight(&self) -> usize {
        let interests: usize = self.interests.iter().map(|interest| interest.weight()).sum();
        size_of::<Self>() + self.members.len() * size_of::<Member>() + interests
    }

    /// Matching subscriptions. Disabled ones are included; their deliveries are held. Each different filter is decided
    /// once, and other requests get their turn in between.
    pub(crate) async fn audience(&self, event_type: Option<&EventType>, payload: &Payload) -> Audience {
        let (mut judge, mut turn_began) = (None, Instant::now());
        let mut wanting = Vec::with_capacity(self.interests.len());
        for interest in &self.interests {
            let mut is_wanted = interest.event_types.check(event_type).is_ok();
            if let Some(filter) = interest.filter.as_ref().filter(|_| is_wanted) {
                if turn_began.elapsed() > TURN {
                    tokio::task::yield_now().await;
                    turn_began = Instant::now();
                }
                is_wanted = judge.get_or_insert_with(|| Judge::of(payload)).matches(filter);
            }
            wanting.push(is_wanted);
        }
        let is_wanting = |member: &&Member| wanting.get(member.interest as usize).copied().unwrap_or_default();
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

impl Interests {
    fn of(list: &SubscriptionList) -> Self {
        let indexes = list.interests.iter().zip(0..).map(|(interest, index)| (Arc::clone(interest), index)).collect();
        Self { all: list.interests.clone(), indexes }
    }

    fn member(&mut self, row: &ListRow) -> Result<Member, StoreError> {
        let interest = Interest {
            event_types: super::event_types(row.id, &row.event_types)?,
            filter: super::filter(row.id, row.filter.as_deref())?,
        };
        let index = match self.indexes.get(&interest) {
            Some(index) => *index,
            None => {
                let (interest, index) = (Arc::new(interest), u32::try_from(self.all.len()).unwrap_or(u32::MAX));
                self.all.push(Arc::clone(&interest));
                self.indexes.insert(interest, index);
                index
            }
        };
        let ListRow { id, version, is_active, is_ordered, .. } = *row;
        Ok(Member { id, version, interest: index, is_active, is_ordered })
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
        let mut interests = Interests::of(list);
        let mut members: Vec<Member> =
            list.members.iter().filter(|member| !replaced.contains(&member.id)).copied().collect();
        for row in &living {
            members.push(interests.member(row)?);
        }
        members.sort_unstable_by_key(|member| member.id);
        Ok(Some(SubscriptionList { tenant, version, read_at, members, interests: interests.all }))
    }

    async fn read_whole(&self, tenant: TenantId) -> Result<SubscriptionList, StoreError> {
        let read_at = Instant::now();
        let ListRows { version, living, .. } = self.store.all_subscriptions(tenant).await?;
        let mut interests = Interests::default();
        let members = living.iter().map(|row| interests.member(row)).collect::<Result<_, _>>()?;
        Ok(SubscriptionList { tenant, version, read_at, members, interests: interests.all })
    }
}
