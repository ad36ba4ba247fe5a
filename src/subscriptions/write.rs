//! Writes subscriptions against the version that was read, so that no writer overwrites another.

use std::sync::Arc;

use time::OffsetDateTime;

use super::sealed::{change_headers, change_ingest};
use super::{Subscriptions, random};
use crate::domain::actor::Actor;
use crate::domain::event_type::EventTypeFilter;
use crate::domain::external_id::ExternalId;
use crate::domain::filter::Filter;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::ingest::IngestChange;
use crate::domain::keyring::{CannotOpen, SALT_BYTES, SealContext};
use crate::domain::metadata::Metadata;
use crate::domain::policy::Policy;
use crate::domain::request_headers::{HeaderChanges, InvalidHeader};
use crate::domain::secret::{GENERATED_BYTES, Secret};
use crate::domain::target::Target;
use crate::store::{
    CancelledByDeletion, Creation, NewVersion, SealedHeaders, SealedIngest, SealedSecrets, StoreError,
    StoredSubscription,
};

/// Retries after concurrent writes.
pub(super) const CHANGE_TRIES: usize = 5;

/// What the owner of a subscription decides, except its secret.
#[derive(Debug, Clone)]
pub struct Choices {
    /// Where deliveries go.
    pub target: Target,
    /// Which events it receives.
    pub event_types: EventTypeFilter,
    /// Which payloads it receives.
    pub filter: Option<Filter>,
    /// Free text.
    pub description: Option<String>,
    /// Whether deliveries are sent.
    pub is_active: bool,
    /// Whether `/ingest` requires a signature.
    pub verify_ingest: bool,
    /// The customer's own id for it.
    pub external_id: Option<ExternalId>,
    /// Changes to its headers.
    pub headers: HeaderChanges,
    /// The customer's own data.
    pub metadata: Metadata,
    /// Its delivery options.
    pub policy: Policy,
    /// A change to what it says of its producer.
    pub ingest: IngestChange,
}

/// Why a subscription was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Invalid header.
    #[error("a header {rule}")]
    Header {
        /// Name of the header, if it is about one.
        name: Option<String>,
        /// The rule.
        rule: InvalidHeader,
    },
    /// Stored headers should stay but cannot be opened.
    #[error("the stored headers do not open: {0}")]
    HeadersDoNotOpen(CannotOpen),
    /// A stored secret of a producer would be used for another one.
    #[error("the stored ingest secret belongs to another provider")]
    IngestSecretOfAnother,
    /// The tenant has as many subscriptions as it may: the limit.
    #[error("the tenant has {0} subscriptions, which is its limit")]
    LimitReached(u32),
    /// The tenant is deleted.
    #[error("the tenant is deleted")]
    NoTenant,
    /// Database error, or too many concurrent writes.
    #[error(transparent)]
    Store(#[from] StoreError),
}

struct Sealed {
    secrets: SealedSecrets,
    headers: SealedHeaders,
    ingest: SealedIngest,
}

impl Choices {
    fn over(self, tenant: TenantId, id: SubscriptionId, version: i64, sealed: Sealed) -> StoredSubscription {
        let patterns = self.event_types.patterns().iter();
        StoredSubscription {
            tenant,
            id,
            version,
            target_url: self.target.as_str().to_owned(),
            secrets: sealed.secrets,
            headers: sealed.headers,
            event_types: patterns.map(|pattern| pattern.as_str().to_owned()).collect(),
            filter: self.filter.map(|filter| filter.as_str().to_owned()),
            description: self.description,
            is_active: self.is_active,
            disabled_reason: None,
            verify_ingest: self.verify_ingest,
            external_id: self.external_id,
            metadata: self.metadata,
            policy: self.policy,
            ingest: sealed.ingest,
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }
}

impl Subscriptions {
    /// Creates a subscription.
    pub async fn create(
        &self,
        tenant: TenantId,
        secret: &Secret,
        choices: Choices,
        default_limit: Option<u32>,
        actor: &Actor,
    ) -> Result<StoredSubscription, WriteError> {
        let id = SubscriptionId::at(OffsetDateTime::now_utc(), uuid::Uuid::new_v4().into_bytes());
        let place = SealContext { tenant, subscription: id };
        let sealed = Sealed {
            secrets: self.keyring.seal(secret, place, random::<SALT_BYTES>()).into(),
            headers: change_headers(&self.keyring, &SealedHeaders::default(), &choices.headers, place)?,
            ingest: change_ingest(&self.keyring, &SealedIngest::default(), &choices.ingest, place)?,
        };
        let row = choices.over(tenant, id, 0, sealed);
        match self.store.create_subscription(&row, default_limit, actor).await? {
            Creation::Created(written) => Ok(self.written(row, written)),
            Creation::LimitReached(limit) => Err(WriteError::LimitReached(limit)),
            Creation::NoTenant => Err(WriteError::NoTenant),
        }
    }

    /// Applies `change`, and sets a secret if given, which ends all others; `None` if there is no such
    /// subscription. An unchanged secret is not opened, so that a missing master key can be repaired. Writes
    /// nothing if nothing changes.
    /// `Unavailable` after too many concurrent writes.
    pub async fn change<E: From<StoreError> + From<WriteError>>(
        &self,
        tenant: TenantId,
        id: SubscriptionId,
        secret: Option<&Secret>,
        change: impl Fn(&StoredSubscription) -> Result<Choices, E>,
        actor: &Actor,
    ) -> Result<Option<StoredSubscription>, E> {
        let place = SealContext { tenant, subscription: id };
        for _ in 0..CHANGE_TRIES {
            let Some(current) = self.look_up(tenant, id).await? else { return Ok(None) };
            let choices = change(&current)?;
            let sealed = secret.map(|secret| self.keyring.seal(secret, place, random::<SALT_BYTES>()));
            let secrets = sealed.map_or_else(|| current.secrets.clone(), SealedSecrets::from);
            let headers = change_headers(&self.keyring, &current.headers, &choices.headers, place)?;
            let ingest = change_ingest(&self.keyring, &current.ingest, &choices.ingest, place)?;
            let row = choices.over(tenant, id, current.version, Sealed { secrets, headers, ingest });
            if row.decides_the_same(&current) {
                return Ok(Some(current));
            }
            if let Some(written) = self.store.replace_subscription(&row, actor).await? {
                self.forget_in_redis(id).await;
                return Ok(Some(self.written(row, written)));
            }
        }
        Err(StoreError::Unavailable("the subscription is being written by others".to_owned()).into())
    }

    /// Deletes a subscription; returns how many pending deliveries that cancels.
    pub async fn delete(
        &self,
        tenant: TenantId,
        id: SubscriptionId,
        actor: &Actor,
    ) -> Result<Option<CancelledByDeletion>, StoreError> {
        let cancelled = self.store.delete_subscription(tenant, id, actor).await?;
        if cancelled.is_some() {
            self.cache.forget(id);
            self.forget_in_redis(id).await;
        }
        Ok(cancelled)
    }

    pub(super) fn written(&self, row: StoredSubscription, written: NewVersion) -> StoredSubscription {
        let row = StoredSubscription {
            version: written.version,
            disabled_reason: written.disabled_reason,
            created_at: written.created_at,
            updated_at: written.updated_at,
            ..row
        };
        match self.opened(row.clone()) {
            Ok(subscription) => self.cache.keep(&Arc::new(subscription)),
            Err(_) => self.cache.forget(row.id),
        }
        row
    }
}

/// Generates a `whsec_` secret.
pub fn generate_secret() -> Secret {
    Secret::from_random(random::<GENERATED_BYTES>())
}
