//! Subscriptions as the rest of the service sees them: opened, parsed, and copied near.
//!
//! PostgreSQL is the truth; what is kept here, in this process and in Redis where there is
//! one, saves reads and decides nothing. Secrets are sealed and opened here, so no other
//! part holds the master keys.

mod cache;
mod cached;
mod lists;
mod redis;
mod rotation;
mod sealed;
mod write;

pub(crate) use lists::SubscriptionList;
pub use redis::{Redis, time_redis};
pub use rotation::RotateError;
pub use sealed::open_sealed;
pub use write::{Choices, WriteError, generate_secret};

use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};

use crate::domain::event_type::EventTypeFilter;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::keyring::{Keyring, SealContext};
use crate::domain::subscription::{Destination, Subscription};
use crate::domain::target::Target;
use crate::store::{Store, StoreError, StoredSubscription};
use cache::Cache;
use lists::Readers;

/// All subscriptions. Clones share the copies.
#[derive(Clone)]
pub struct Subscriptions {
    store: Store,
    keyring: Arc<Keyring>,
    cache: Arc<Cache>,
    readers: Arc<Readers>,
    redis: Option<Redis>,
}

impl Subscriptions {
    /// Subscriptions of this store, their secrets sealed with this keyring, with so many bytes of copies and lists in
    /// this process, and with copies in Redis where there is one.
    pub fn new(store: Store, keyring: Arc<Keyring>, redis: Option<Redis>, cache_bytes: usize) -> Self {
        Self { store, keyring, cache: Arc::new(Cache::new(cache_bytes)), readers: Arc::default(), redis }
    }

    /// A copy from this process or Redis; `None` where there is none, or none of the given tenant. It may be out of
    /// date: accept on it, and refuse only on what was read.
    pub(crate) async fn copy(&self, tenant: Option<TenantId>, name: &SubscriptionName) -> Option<Arc<Subscription>> {
        let copy = match (name, tenant) {
            (SubscriptionName::External(name), Some(tenant)) => self.cache.named(tenant, name)?,
            // Without a tenant nobody knows whose external id it is.
            (SubscriptionName::External(_), None) => return None,
            (SubscriptionName::Id(id), _) => match self.cache.get(*id) {
                Some(copy) => copy,
                None => self.redis_copy(*id).await?,
            },
        };
        tenant.is_none_or(|tenant| copy.tenant == tenant).then_some(copy)
    }

    /// The subscription as PostgreSQL has it now; `None` when it is unknown, deleted, or not of the given tenant. Keeps
    /// a copy.
    ///
    /// # Errors
    /// [`StoreError`]; `Unreadable` when the secret does not open.
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
        // An external id may have moved to another one between the two statements.
        let is_it = |row: &StoredSubscription| match name {
            SubscriptionName::External(name) => row.external_id.as_ref() == Some(name),
            SubscriptionName::Id(_) => true,
        };
        let Some(row) = row.filter(is_it) else {
            // Another tenant's guess must not cost the owner a copy.
            if let Some(copy) = self.copy(tenant, name).await {
                self.cache.forget(copy.id);
            }
            return Ok(None);
        };
        self.open(row).map(Some)
    }

    /// The id of the subscription of this name: an id is taken as it is.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub(crate) async fn resolve(
        &self,
        tenant: TenantId,
        name: &SubscriptionName,
    ) -> Result<Option<SubscriptionId>, StoreError> {
        match name {
            SubscriptionName::Id(id) => Ok(Some(*id)),
            SubscriptionName::External(name) => self.store.resolve_subscription(tenant, name).await,
        }
    }

    /// What Redis has, if it is what was put there: anything else is taken away.
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

    /// A written row makes what Redis has old. Readers that put an old one back in between
    /// are found out by its version.
    async fn forget_in_redis(&self, id: SubscriptionId) {
        if let Some(redis) = &self.redis {
            redis.forget(id).await;
        }
    }

    /// A subscription as it stands, its secret not opened; `None` as in [`Self::read`].
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn look_up(
        &self,
        tenant: TenantId,
        id: SubscriptionId,
    ) -> Result<Option<StoredSubscription>, StoreError> {
        self.store.read_subscription(tenant, id).await
    }

    /// A page of a tenant's subscriptions, newest first, below the id `before`, their secrets
    /// not opened.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn list(
        &self,
        tenant: TenantId,
        before: Option<SubscriptionId>,
        limit: i64,
    ) -> Result<Vec<StoredSubscription>, StoreError> {
        self.store.list_subscriptions(tenant, before, limit).await
    }

    /// The subscription of a row that was just read. Keeps a copy, here and in Redis.
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
        let place = SealContext { tenant: row.tenant, subscription: row.id };
        let event_types = filter(row.id, &row.event_types)?;
        let (secrets, headers) = open_sealed(&self.keyring, &row.secrets, row.headers.sealed.as_deref(), place)
            .map_err(|reason| StoreError::Unreadable(format!("what is sealed of subscription {}: {reason}", row.id)))?;
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
            description: row.description,
            is_active: row.is_active,
            disabled_reason: row.disabled_reason,
            verify_ingest: row.verify_ingest,
            external_id: row.external_id,
            policy: row.policy,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// The filter of these patterns of a row.
///
/// # Errors
/// `Unreadable` for a pattern that no version writes.
pub fn filter(id: SubscriptionId, event_types: &[String]) -> Result<EventTypeFilter, StoreError> {
    let unreadable = |reason| StoreError::Unreadable(format!("an event type of subscription {id}: {reason}"));
    EventTypeFilter::stored(event_types).map_err(unreadable)
}

fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random bytes");
    bytes
}
