//! Writing subscriptions: over the version that was read, so that no writer overwrites what
//! another has just written.

use std::sync::Arc;

use time::OffsetDateTime;

use super::sealed::change_headers;
use super::{Subscriptions, random};
use crate::domain::event_type::EventTypeFilter;
use crate::domain::external_id::ExternalId;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::keyring::{CannotOpen, SALT_BYTES, SealContext};
use crate::domain::metadata::Metadata;
use crate::domain::policy::Policy;
use crate::domain::request_headers::{HeaderChanges, InvalidHeader};
use crate::domain::secret::{GENERATED_BYTES, Secret};
use crate::domain::target::Target;
use crate::store::{CancelledByDeletion, NewVersion, SealedHeaders, SealedSecrets, StoreError, StoredSubscription};

/// How often a change is tried again when somebody else wrote in between.
pub(super) const CHANGE_TRIES: usize = 5;

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
    /// Its owner's own name for it.
    pub external_id: Option<ExternalId>,
    /// What becomes of the headers of its requests.
    pub headers: HeaderChanges,
    /// What its owner remembers beside it.
    pub metadata: Metadata,
    /// How it wants to be served.
    pub policy: Policy,
}

/// Why a subscription is not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The headers break a rule.
    #[error("a header {rule}")]
    Header {
        /// Which one, where it is about one.
        name: Option<String>,
        /// The rule.
        rule: InvalidHeader,
    },
    /// Some of the headers that stand are kept, and they do not open.
    #[error("the stored headers do not open: {0}")]
    HeadersDoNotOpen(CannotOpen),
    /// The database, or others who wrote in between all the time.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is sealed of a row.
struct Sealed {
    secrets: SealedSecrets,
    headers: SealedHeaders,
}

impl Choices {
    /// The row they make; what the database decides is filled in when it is written.
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
            description: self.description,
            is_active: self.is_active,
            disabled_reason: None,
            verify_ingest: self.verify_ingest,
            external_id: self.external_id,
            metadata: self.metadata,
            policy: self.policy,
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
        }
    }
}

impl Subscriptions {
    /// Writes a new subscription.
    ///
    /// # Errors
    /// [`WriteError`].
    pub async fn create(
        &self,
        tenant: TenantId,
        secret: &Secret,
        choices: Choices,
    ) -> Result<StoredSubscription, WriteError> {
        let id = SubscriptionId::at(OffsetDateTime::now_utc(), uuid::Uuid::new_v4().into_bytes());
        let place = SealContext { tenant, subscription: id };
        let sealed = Sealed {
            secrets: self.keyring.seal(secret, place, random::<SALT_BYTES>()).into(),
            headers: change_headers(&self.keyring, &SealedHeaders::default(), &choices.headers, place)?,
        };
        let row = choices.over(tenant, id, 0, sealed);
        let written = self.store.create_subscription(&row).await?;
        Ok(self.written(row, written))
    }

    /// Changes a subscription by what `change` makes of it as it stands, and its secret where
    /// one is given, which ends all others at once; `None` when there is none. A secret that
    /// stays is not opened: a missing master key is mended by giving a new secret. Where nothing
    /// changes nothing is written.
    ///
    /// # Errors
    /// The error of `change`, or a [`WriteError`]; `Unavailable` when others wrote in
    /// between all the time.
    pub async fn change<E: From<StoreError> + From<WriteError>>(
        &self,
        tenant: TenantId,
        id: SubscriptionId,
        secret: Option<&Secret>,
        change: impl Fn(&StoredSubscription) -> Result<Choices, E>,
    ) -> Result<Option<StoredSubscription>, E> {
        let place = SealContext { tenant, subscription: id };
        for _ in 0..CHANGE_TRIES {
            let Some(current) = self.look_up(tenant, id).await? else { return Ok(None) };
            let choices = change(&current)?;
            let sealed = secret.map(|secret| self.keyring.seal(secret, place, random::<SALT_BYTES>()));
            let secrets = sealed.map_or_else(|| current.secrets.clone(), SealedSecrets::from);
            let headers = change_headers(&self.keyring, &current.headers, &choices.headers, place)?;
            let row = choices.over(tenant, id, current.version, Sealed { secrets, headers });
            if row.decides_the_same(&current) {
                return Ok(Some(current));
            }
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
    pub async fn delete(
        &self,
        tenant: TenantId,
        id: SubscriptionId,
    ) -> Result<Option<CancelledByDeletion>, StoreError> {
        let cancelled = self.store.delete_subscription(tenant, id).await?;
        if cancelled.is_some() {
            self.cache.forget(id);
            self.forget_in_redis(id).await;
        }
        Ok(cancelled)
    }

    /// The row as it was written; a copy of it stays here where its secret opens.
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

/// A new `whsec_` secret.
pub fn generate_secret() -> Secret {
    Secret::from_random(random::<GENERATED_BYTES>())
}
