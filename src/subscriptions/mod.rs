//! Subscriptions for the rest of the service: opened, parsed, and cached.
//!
//! PostgreSQL is the truth; copies in this process and in Redis save reads and decide nothing. Only this part holds
//! the master keys.

mod cache;
mod cached;
mod lists;
mod redis;
mod rotation;
mod sealed;
mod write;

pub(crate) use lists::SubscriptionList;
pub use redis::{Redis, check_redis_url, time_redis};
pub use rotation::RotateError;
pub use sealed::open_sealed;
pub use write::{Choices, WriteError, generate_secret};

use std::cmp::Reverse;
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

use crate::domain::event_type::EventTypeFilter;
use crate::domain::external_id::{ExternalId, SubscriptionName};
use crate::domain::filter::Filter;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::keyring::{Keyring, SealContext};
use crate::domain::subscription::{Destination, Subscription};
use crate::domain::target::Target;
use crate::store::{Searched, Store, StoreError, StoredSubscription, SubscriptionSearch};
use cache::Cache;
use lists::Readers;

/// Clones share the copies.
#[derive(Clone)]
pub struct Subscriptions {
    store: Store,
    keyring: Arc<Keyring>,
    cache: Arc<Cache>,
    readers: Arc<Readers>,
    redis: Option<Redis>,
}

impl Subscriptions {
    /// `cache_bytes` limits copies and lists of this process.
    pub fn new(store: Store, keyring: Arc<Keyring>, redis: Option<Redis>, cache_bytes: usize) -> Self {
        Self { store, keyring, cache: Arc::new(Cache::new(cache_bytes)), readers: Arc::default(), redis }
    }

    /// From this process or Redis; it may be stale: accept on it, refuse only on [`Self::read`].
    pub(crate) async fn copy(&self, tenant: Option<TenantId>, name: &SubscriptionName) -> Option<Arc<Subscription>> {
        let copy = match (name, tenant) {
            (SubscriptionName::External(name), Some(tenant)) => self.cache.named(tenant, name)?,
            // An external id needs a tenant.
            (SubscriptionName::External(_), None) => return None,
            (SubscriptionName::Id(id), _) => match self.cache.get(*id) {
                Some(copy) => copy,
                None => self.redis_copy(*id).await?,
            },
        };
        tenant.is_none_or(|tenant| copy.tenant == tenant).then_some(copy)
    }

    /// From PostgreSQL. `None` if unknown, deleted, or not of the given tenant.
    pub(crate) async fn read(
        &self,
        tenant: Option<TenantId>,
        name: &SubscriptionName,
    ) -> Result<Option<Arc<Subscription>>, StoreError> {
        let row = match (name, tenant) {
            (SubscriptionName::Id(id), None) => self.store.find_subscription(*id).await?,
            (_, Some(tenant)) => match self.resolve(tenant, name).await? {
                Some(id) => self.store.read_subscription(tenant, id).await?,
                None => None,
            },
            (SubscriptionName::External(_), None) => None,
        };
        // An external id may have moved between the two statements.
        let is_it = |row: &StoredSubscription| match name {
            SubscriptionName::External(name) => row.external_id.as_ref() == Some(name),
            SubscriptionName::Id(_) => true,
        };
        let Some(row) = row.filter(is_it) else {
            // Another tenant's guess must not evict the owner's copy.
            if let Some(copy) = self.copy(tenant, name).await {
                self.cache.forget(copy.id);
            }
            return Ok(None);
        };
        self.open(row).map(Some)
    }

    /// Returns an id unchecked.
    pub(crate) async fn resolve(
        &self,
        tenant: TenantId,
        name: &SubscriptionName,
    ) -> Result<Option<SubscriptionId>, StoreError> {
        match name {
            SubscriptionName::Id(id) => Ok(Some(*id)),
            SubscriptionName::External(name) => {
                Ok(self.store.resolve_subscriptions(tenant, std::slice::from_ref(name)).await?.pop())
            }
        }
    }

    /// Removes what is not a valid copy.
    async fn redis_copy(&self, id: SubscriptionId) -> Option<Arc<Subscription>> {
        let redis = self.redis.as_ref()?;
        let copy = redis.get(id).await?;
        let opened = cached::decode(&self.keyring, id, &copy).and_then(|row| self.opened(row).ok());
        redis.count_found(opened.is_some());
        let Some(subscription) = opened.map(Arc::new) else {
            redis.forget(id).await;
            return None;
        };
        self.cache.keep(&subscription);
        Some(subscription)
    }

    /// An old copy that a concurrent reader puts back is detected by its version.
    async fn forget_in_redis(&self, id: SubscriptionId) {
        if let Some(redis) = &self.redis {
            redis.forget(id).await;
        }
    }

    /// Without opening its secrets.
    pub async fn look_up(
        &self,
        tenant: TenantId,
        id: SubscriptionId,
    ) -> Result<Option<StoredSubscription>, StoreError> {
        self.store.read_subscription(tenant, id).await
    }

    /// Those that exist, newest first; secrets are not opened.
    pub(crate) async fn named(
        &self,
        tenant: TenantId,
        names: &[ExternalId],
    ) -> Result<Vec<StoredSubscription>, StoreError> {
        let ids = self.store.resolve_subscriptions(tenant, names).await?;
        let mut rows = self.store.read_subscriptions(tenant, &ids).await?;
        rows.sort_unstable_by_key(|row| Reverse(row.id));
        Ok(rows)
    }

    /// Newest first, with ids below `before`; secrets are not opened.
    pub(crate) async fn list(
        &self,
        tenant: TenantId,
        search: &SubscriptionSearch,
        before: Option<SubscriptionId>,
        limit: i64,
    ) -> Result<Searched<StoredSubscription, Uuid>, StoreError> {
        self.store.list_subscriptions(tenant, search, before, limit).await
    }

    /// Keeps a copy, here and in Redis.
    fn open(&self, row: StoredSubscription) -> Result<Arc<Subscription>, StoreError> {
        let is_news = self.cache.get(row.id).is_none_or(|copy| copy.version != row.version);
        if let Some(redis) = self.redis.as_ref().filter(|_| is_news) {
            redis.put(row.id, &cached::encode(&self.keyring, &row, random()));
        }
        let subscription = Arc::new(self.opened(row)?);
        self.cache.keep(&subscription);
        Ok(subscription)
    }

    fn opened(&self, row: StoredSubscription) -> Result<Subscription, StoreError> {
        let context = SealContext { tenant: row.tenant, subscription: row.id };
        let event_types = event_types(row.id, &row.event_types)?;
        let filter = filter(row.id, row.filter.as_deref())?;
        let unreadable =
            |reason| StoreError::Unreadable(format!("what is sealed of subscription {}: {reason}", row.id));
        let (secrets, headers) =
            open_sealed(&self.keyring, &row.secrets, row.headers.sealed.as_deref(), context).map_err(unreadable)?;
        let ingest = sealed::open_ingest(&self.keyring, &row.ingest, context).map_err(unreadable)?;
        Ok(Subscription {
            id: row.id,
            tenant: row.tenant,
            version: row.version,
            destination: Arc::new(Destination {
                target: Target::stored(row.target_url),
                secrets,
                headers,
                retry_schedule: row.policy.retry_schedule.clone(),
                request_timeout: row.policy.request_timeout,
            }),
            event_types,
            filter,
            description: row.description,
            is_active: row.is_active,
            disabled_reason: row.disabled_reason,
            verify_ingest: row.verify_ingest,
            external_id: row.external_id,
            policy: row.policy,
            ingest,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

pub(crate) fn event_types(id: SubscriptionId, patterns: &[String]) -> Result<EventTypeFilter, StoreError> {
    let unreadable = |reason| StoreError::Unreadable(format!("an event type of subscription {id}: {reason}"));
    EventTypeFilter::stored(patterns).map_err(unreadable)
}

pub(crate) fn filter(id: SubscriptionId, text: Option<&str>) -> Result<Option<Filter>, StoreError> {
    let unreadable = |reason| StoreError::Unreadable(format!("the filter of subscription {id}: {reason}"));
    text.map(Filter::parse).transpose().map_err(unreadable)
}

fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random bytes");
    bytes
}
