//! Subscriptions as the rest of the service sees them: opened, parsed, and copied near.
//!
//! PostgreSQL is the truth; what is kept here, in this process and in Redis where there is
//! one, saves reads and decides nothing. Secrets are sealed and opened here, so no other
//! part holds the master keys.

mod cached;
mod copies;
mod lists;
mod redis;
mod rotation;

pub use lists::SubscriptionList;
pub use redis::{Redis, time_redis};
pub use rotation::{RotateError, open_secrets};

use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use time::OffsetDateTime;

use crate::domain::event_type::{EventTypeFilter, EventTypePattern};
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::keyring::{Keyring, NONCE_BYTES, Place};
use crate::domain::policy::Policy;
use crate::domain::secret::{GENERATED_BYTES, Secret};
use crate::domain::subscription::{Destination, Subscription};
use crate::domain::target::Target;
use crate::store::{NewVersion, SealedSecrets, Store, StoreError, StoredSubscription};
use copies::Copies;
use lists::Lists;

/// How often a change is tried again when somebody else wrote in between.
const CHANGE_TRIES: usize = 5;

/// All subscriptions. Clones share the copies.
#[derive(Clone)]
pub struct Subscriptions {
    store: Store,
    keyring: Arc<Keyring>,
    copies: Arc<Copies>,
    lists: Arc<Lists>,
    redis: Option<Redis>,
}

/// What the owner of a subscription decides, beside its secret.
#[derive(Debug, Clone)]
pub struct Choices {
    /// Where deliveries go.
    pub target: Target,
    /// Which events are wanted.
    pub event_types: EventTypeFilter,
    /// Free text.
    pub description: Option<String>,
    /// Whether deliveries are sent.
    pub is_active: bool,
    /// Whether ingest asks for a signature.
    pub verify_ingest: bool,
    /// How it wants to be served.
    pub policy: Policy,
}

impl Choices {
    /// The row they make; what the database decides is filled in when it is written.
    fn over(self, tenant: TenantId, id: SubscriptionId, version: i64, secrets: SealedSecrets) -> StoredSubscription {
        let patterns = self.event_types.patterns().iter();
        StoredSubscription {
            tenant,
            id,
            version,
            target_url: self.target.as_str().to_owned(),
            secrets,
            event_types: patterns.map(|pattern| pattern.as_str().to_owned()).collect(),
            description: self.description,
            is_active: self.is_active,
            disabled_reason: None,
            verify_ingest: self.verify_ingest,
            policy: self.policy,
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }
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

    /// Writes a new subscription.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn create(
        &self,
        tenant: TenantId,
        secret: &Secret,
        choices: Choices,
    ) -> Result<StoredSubscription, StoreError> {
        let id = SubscriptionId::at(OffsetDateTime::now_utc());
        let sealed = self.keyring.seal(secret, Place { tenant, subscription: id }, random::<NONCE_BYTES>());
        let row = choices.over(tenant, id, 0, sealed.into());
        let written = self.store.create_subscription(&row).await?;
        Ok(self.written(row, written))
    }

    /// Changes a subscription by what `change` makes of it as it stands, and its secret where
    /// one is given, which ends all others at once; `None` when there is none. A secret that
    /// stays is not opened: a missing master key is mended by giving a new secret.
    ///
    /// # Errors
    /// The error of `change`, or a [`StoreError`]; `Unavailable` when others wrote in
    /// between all the time.
    pub async fn change<E: From<StoreError>>(
        &self,
        tenant: TenantId,
        id: SubscriptionId,
        secret: Option<&Secret>,
        change: impl Fn(&StoredSubscription) -> Result<Choices, E>,
    ) -> Result<Option<StoredSubscription>, E> {
        let place = Place { tenant, subscription: id };
        for _ in 0..CHANGE_TRIES {
            let Some(current) = self.look_up(tenant, id).await? else { return Ok(None) };
            let choices = change(&current)?;
            let sealed = secret.map(|secret| self.keyring.seal(secret, place, random::<NONCE_BYTES>()));
            let secrets = sealed.map_or(current.secrets, SealedSecrets::from);
            let row = choices.over(tenant, id, current.version, secrets);
            if let Some(written) = self.store.replace_subscription(&row).await? {
                self.forget_in_redis(id).await;
                return Ok(Some(self.written(row, written)));
            }
        }
        Err(StoreError::Unavailable("the subscription is being written by others".to_owned()).into())
    }

    /// Deletes a subscription; returns how many pending deliveries that cancels, or `None`
    /// when there is none.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn delete(&self, tenant: TenantId, id: SubscriptionId) -> Result<Option<i64>, StoreError> {
        let cancelled = self.store.delete_subscription(tenant, id).await?;
        if cancelled.is_some() {
            self.copies.forget(id);
            self.forget_in_redis(id).await;
        }
        Ok(cancelled)
    }

    /// The row as it was written; a copy of it stays here where its secret opens.
    fn written(&self, row: StoredSubscription, written: NewVersion) -> StoredSubscription {
        let row = StoredSubscription {
            version: written.version,
            disabled_reason: written.disabled_reason,
            created_at: written.created_at,
            updated_at: written.updated_at,
            ..row
        };
        match self.open(row.clone()) {
            Ok(subscription) => {
                self.copies.keep(&Arc::new(subscription));
            }
            Err(_) => self.copies.forget(row.id),
        }
        row
    }

    fn open(&self, row: StoredSubscription) -> Result<Subscription, StoreError> {
        let place = Place { tenant: row.tenant, subscription: row.id };
        let event_types = filter(&row)?;
        let secrets = open_secrets(&self.keyring, &row.secrets, place)
            .map_err(|reason| StoreError::Unreadable(format!("the secret of subscription {}: {reason}", row.id)))?;
        Ok(Subscription {
            id: row.id,
            tenant: row.tenant,
            version: row.version,
            destination: Arc::new(Destination { target: Target::stored(row.target_url), secrets }),
            event_types,
            description: row.description,
            is_active: row.is_active,
            disabled_reason: row.disabled_reason,
            verify_ingest: row.verify_ingest,
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

/// A new `whsec_` secret.
pub fn generate_secret() -> Secret {
    Secret::from_random(random::<GENERATED_BYTES>())
}

fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random bytes");
    bytes
}
