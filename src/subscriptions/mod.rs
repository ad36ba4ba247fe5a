//! Subscriptions as the rest of the service sees them: opened, parsed, and copied near.
//!
//! PostgreSQL is the truth; what is kept here, in this process and in Redis where there is
//! one, saves reads and decides nothing. Secrets are sealed and opened here, so no other
//! part holds the master keys.

mod cached;
mod copies;
mod lists;
mod named;
mod redis;
mod rotation;
mod sealed;
mod write;

pub use lists::SubscriptionList;
pub use redis::{Redis, time_redis};
pub use rotation::RotateError;
pub use sealed::open_sealed;
pub use write::{Choices, WriteError, generate_secret};

use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};

use crate::domain::event_type::{EventTypeFilter, EventTypePattern};
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::keyring::{Keyring, SealContext};
use crate::domain::subscription::{Destination, Subscription};
use crate::domain::target::Target;
use crate::store::{Store, StoreError, StoredSubscription};
use copies::Copies;
use lists::Lists;

/// All subscriptions. Clones share the copies.
#[derive(Clone)]
pub struct Subscriptions {
    store: Store,
    keyring: Arc<Keyring>,
    copies: Arc<Copies>,
    lists: Arc<Lists>,
    redis: Option<Redis>,
}

impl Subscriptions {
    /// Subscriptions of this store, their secrets sealed with this keyring, with copies in
    /// Redis where there is one.
    pub fn new(store: Store, keyring: Arc<Keyring>, redis: Option<Redis>) -> Self {
        Self { store, keyring, copies: Arc::default(), lists: Arc::default(), redis }
    }

    /// A copy from near by, this process or Redis; `None` where there is none, or none of
    /// the given tenant. It may be out of date: accept on it, and refuse only on a fresh one.
    pub async fn copy(&self, tenant: Option<TenantId>, id: SubscriptionId) -> Option<Arc<Subscription>> {
        let copy = match self.copies.get(id) {
            Some(copy) => Some(copy),
            None => self.redis_copy(id).await,
        };
        copy.filter(|copy| tenant.is_none_or(|tenant| copy.tenant == tenant))
    }

    /// The subscription as it stands in PostgreSQL now; `None` when it is unknown, deleted,
    /// or not of the given tenant. Keeps a copy.
    ///
    /// # Errors
    /// [`StoreError`]; `Unreadable` when the secret does not open.
    pub async fn read(
        &self,
        tenant: Option<TenantId>,
        id: SubscriptionId,
    ) -> Result<Option<Arc<Subscription>>, StoreError> {
        let row = match tenant {
            Some(tenant) => self.store.read_subscription(tenant, id).await?,
            None => self.store.find_subscription(id).await?,
        };
        let Some(row) = row else {
            // Another tenant's guess must not cost the owner a copy.
            if self.copies.get(id).is_some_and(|copy| tenant.is_none_or(|tenant| copy.tenant == tenant)) {
                self.copies.forget(id);
            }
            return Ok(None);
        };
        let news = self.redis.as_ref().map(|redis| (redis, cached::encode(&self.keyring, &row, random())));
        let subscription = Arc::new(self.open(row)?);
        if self.copies.keep(&subscription)
            && let Some((redis, copy)) = news
        {
            redis.put(id, &copy);
        }
        Ok(Some(subscription))
    }

    /// What Redis has, if it is what was put there: anything else is taken away.
    async fn redis_copy(&self, id: SubscriptionId) -> Option<Arc<Subscription>> {
        let redis = self.redis.as_ref()?;
        let copy = redis.get(id).await?;
        let opened = cached::decode(&self.keyring, id, &copy).and_then(|row| self.open(row).ok());
        redis.count_found(opened.is_some());
        let Some(subscription) = opened.map(Arc::new) else {
            redis.forget(id).await;
            return None;
        };
        self.copies.keep(&subscription);
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

    fn open(&self, row: StoredSubscription) -> Result<Subscription, StoreError> {
        let place = SealContext { tenant: row.tenant, subscription: row.id };
        let event_types = filter(&row)?;
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

/// Which events a row wants.
///
/// # Errors
/// `Unreadable` for a pattern that no version writes.
pub fn filter(row: &StoredSubscription) -> Result<EventTypeFilter, StoreError> {
    let patterns: Result<Vec<EventTypePattern>, _> = row.event_types.iter().map(|text| text.parse()).collect();
    let unreadable = |reason| StoreError::Unreadable(format!("an event type of subscription {}: {reason}", row.id));
    patterns.map(EventTypeFilter::new).map_err(unreadable)
}

fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random bytes");
    bytes
}
