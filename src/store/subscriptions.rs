//! The table `subscriptions`. Secrets pass through sealed; nothing here can open them.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::policy::{self, PolicyColumns};
use super::sealed::{self, SealedHeaders, SealedOlder, SealedSecrets};
use super::{Store, StoreError, sql};
use crate::domain::external_id::ExternalId;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::metadata::Metadata;
use crate::domain::policy::Policy;
use crate::domain::rotation::{MAX_OLDER, Overlap};

/// A row as it stands, its secrets sealed.
#[derive(Debug, Clone)]
pub struct StoredSubscription {
    /// Its owner.
    pub tenant: TenantId,
    /// Its id.
    pub id: SubscriptionId,
    /// Grows by one with every write.
    pub version: i64,
    /// Canonical target.
    pub target_url: String,
    /// Sealed for this tenant and id.
    pub secrets: SealedSecrets,
    /// Patterns; empty for all.
    pub event_types: Vec<String>,
    /// Free text.
    pub description: Option<String>,
    /// Whether deliveries are sent.
    pub is_active: bool,
    /// Why postrider disabled it.
    pub disabled_reason: Option<String>,
    /// Whether ingest asks for a signature.
    pub verify_ingest: bool,
    /// Its owner's own name for it.
    pub external_id: Option<ExternalId>,
    /// What its requests carry, sealed.
    pub headers: SealedHeaders,
    /// What its owner remembers beside it.
    pub metadata: Metadata,
    /// How it wants to be served.
    pub policy: Policy,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was last written.
    pub updated_at: OffsetDateTime,
}

/// What the database decides when a subscription is written.
#[derive(Debug, Clone)]
pub struct NewVersion {
    /// The version written.
    pub version: i64,
    /// Why it is disabled by us, if it still is.
    pub disabled_reason: Option<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When this version was written.
    pub updated_at: OffsetDateTime,
}

/// What became of a rotation.
#[derive(Debug, Clone)]
pub enum Rotation {
    /// It is written.
    Done {
        /// What the database decided.
        written: NewVersion,
        /// The older secrets that are live now, newest first.
        older: Vec<SealedOlder>,
    },
    /// More older secrets would be live than there may be; nothing was written.
    TooMany,
    /// The row has another version by now, or is gone.
    Outrun,
}

impl Store {
    /// Writes a new subscription; version, reason and times of `row` are not looked at.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn create_subscription(&self, row: &StoredSubscription) -> Result<NewVersion, StoreError> {
        let (tenant, id) = (row.tenant.uuid(), row.id.uuid());
        let decided = Decided::of(row);
        let key: [Param<'_>; 2] = [(&tenant, Type::UUID), (&id, Type::UUID)];
        let params: Vec<_> = key.into_iter().chain(decided.params(row)).collect();
        let rows = self.desk().await?.query(&sql::CREATE_SUBSCRIPTION, &params).await?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("an insert returned no row".to_owned()))?;
        new_version(row)
    }

    /// A tenant's subscription; `None` when it is unknown, deleted or another's.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn read_subscription(
        &self,
        tenant: TenantId,
        id: SubscriptionId,
    ) -> Result<Option<StoredSubscription>, StoreError> {
        let (tenant, id) = (tenant.uuid(), id.uuid());
        let params: [Param<'_>; 2] = [(&tenant, Type::UUID), (&id, Type::UUID)];
        let rows = self.desk().await?.query(&sql::READ_SUBSCRIPTION, &params).await?;
        rows.first().map(stored).transpose()
    }

    /// A subscription, whoever owns it; `None` when it is unknown or deleted.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn find_subscription(&self, id: SubscriptionId) -> Result<Option<StoredSubscription>, StoreError> {
        let id = id.uuid();
        let rows = self.desk().await?.query(&sql::FIND_SUBSCRIPTION, &[(&id, Type::UUID)]).await?;
        rows.first().map(stored).transpose()
    }

    /// The id of a tenant's subscription with this external id.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn resolve_subscription(
        &self,
        tenant: TenantId,
        name: &ExternalId,
    ) -> Result<Option<SubscriptionId>, StoreError> {
        let (tenant, name) = (tenant.uuid(), name.as_str());
        let params: [Param<'_>; 2] = [(&tenant, Type::UUID), (&name, Type::TEXT)];
        let rows = self.desk().await?.query(&sql::RESOLVE_SUBSCRIPTION, &params).await?;
        Ok(rows.first().map(|row| row.try_get::<_, Uuid>("id")).transpose()?.map(SubscriptionId::from))
    }

    /// A page of a tenant's subscriptions, newest first, below the id `before`.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn list_subscriptions(
        &self,
        tenant: TenantId,
        before: Option<SubscriptionId>,
        limit: i64,
    ) -> Result<Vec<StoredSubscription>, StoreError> {
        let (tenant, before): (Uuid, Option<Uuid>) = (tenant.uuid(), before.map(SubscriptionId::uuid));
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&before, Type::UUID), (&limit, Type::INT8)];
        let rows = self.desk().await?.query(&sql::LIST_SUBSCRIPTIONS, &params).await?;
        rows.iter().map(stored).collect()
    }

    /// Every subscription of a tenant that is not deleted, by id, with the version of their list.
    ///
    /// # Errors
    /// [`StoreError`] from the database; `Unreadable` for a tenant that there is not.
    pub async fn all_subscriptions(&self, tenant: TenantId) -> Result<(i64, Vec<StoredSubscription>), StoreError> {
        let tenant = tenant.uuid();
        let rows = self.desk().await?.query(&sql::ALL_SUBSCRIPTIONS, &[(&tenant, Type::UUID)]).await?;
        let first = rows.first().ok_or_else(|| StoreError::Unreadable("a tenant has no row".to_owned()))?;
        let version = first.try_get("subscriptions_version")?;
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            if row.try_get::<_, Option<Uuid>>("id")?.is_some() {
                all.push(stored(row)?);
            }
        }
        Ok((version, all))
    }

    /// Writes what its owner decides over `row.version`; `None` when that is no longer the
    /// row's version.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn replace_subscription(&self, row: &StoredSubscription) -> Result<Option<NewVersion>, StoreError> {
        let (tenant, id) = (row.tenant.uuid(), row.id.uuid());
        let decided = Decided::of(row);
        let key: [Param<'_>; 3] = [(&tenant, Type::UUID), (&id, Type::UUID), (&row.version, Type::INT8)];
        let params: Vec<_> = key.into_iter().chain(decided.params(row)).collect();
        let rows = self.desk().await?.query(&sql::REPLACE_SUBSCRIPTION, &params).await?;
        rows.first().map(new_version).transpose()
    }

    /// Makes this sealed secret the current one over `row.version`; the one before lives on
    /// for the overlap.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn rotate_secret(
        &self,
        row: &StoredSubscription,
        sealed: &[u8],
        overlap: Overlap,
    ) -> Result<Rotation, StoreError> {
        let (tenant, id, overlap) = (row.tenant.uuid(), row.id.uuid(), overlap.duration().as_secs_f64());
        let params: [Param<'_>; 5] = [
            (&tenant, Type::UUID),
            (&id, Type::UUID),
            (&row.version, Type::INT8),
            (&sealed, Type::BYTEA),
            (&overlap, Type::FLOAT8),
        ];
        let rows = self.desk().await?.query(&sql::ROTATE_SECRET, &params).await?;
        let Some(row) = rows.first() else { return Ok(Rotation::Outrun) };
        if row.try_get::<_, Option<i64>>("version")?.is_some() {
            return Ok(Rotation::Done { written: new_version(row)?, older: sealed::older(row)? });
        }
        let older = usize::try_from(row.try_get::<_, i32>("older")?).unwrap_or(0);
        Ok(if older > MAX_OLDER { Rotation::TooMany } else { Rotation::Outrun })
    }

    /// Deletes softly; returns how many deliveries were pending, or `None` when there is no
    /// such subscription.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn delete_subscription(&self, tenant: TenantId, id: SubscriptionId) -> Result<Option<i64>, StoreError> {
        let (tenant, id) = (tenant.uuid(), id.uuid());
        let params: [Param<'_>; 2] = [(&tenant, Type::UUID), (&id, Type::UUID)];
        let rows = self.desk().await?.query(&sql::DELETE_SUBSCRIPTION, &params).await?;
        Ok(rows.first().map(|row| row.try_get("cancelled")).transpose()?)
    }

    /// Whether the tenant has, or had, this subscription.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn known_subscription(&self, tenant: TenantId, id: SubscriptionId) -> Result<bool, StoreError> {
        let (tenant, id) = (tenant.uuid(), id.uuid());
        let params: [Param<'_>; 2] = [(&tenant, Type::UUID), (&id, Type::UUID)];
        Ok(!self.desk().await?.query(&sql::KNOWN_SUBSCRIPTION, &params).await?.is_empty())
    }
}

/// What its owner decides, as columns that no field of the row has as they are.
struct Decided {
    policy: PolicyColumns,
    external_id: Option<String>,
    metadata: String,
}

impl Decided {
    fn of(row: &StoredSubscription) -> Self {
        Self {
            policy: PolicyColumns::of(&row.policy),
            external_id: row.external_id.as_ref().map(ToString::to_string),
            metadata: serde_json::to_string(row.metadata.entries()).expect("texts become JSON"),
        }
    }

    /// As parameters, in the order in which create and replace take them.
    fn params<'a>(&'a self, row: &'a StoredSubscription) -> Vec<Param<'a>> {
        let first: [Param<'a>; 6] = [
            (&row.target_url, Type::TEXT),
            (&row.secrets.current, Type::BYTEA),
            (&row.event_types, Type::TEXT_ARRAY),
            (&row.description, Type::TEXT),
            (&row.is_active, Type::BOOL),
            (&row.verify_ingest, Type::BOOL),
        ];
        let last: [Param<'a>; 5] = [
            (&self.external_id, Type::TEXT),
            (&self.metadata, Type::TEXT),
            (&row.headers.names, Type::TEXT_ARRAY),
            (&row.headers.auth_type, Type::TEXT),
            (&row.headers.sealed, Type::BYTEA),
        ];
        first.into_iter().chain(self.policy.params()).chain(last).collect()
    }
}

fn new_version(row: &Row) -> Result<NewVersion, StoreError> {
    Ok(NewVersion {
        version: row.try_get("version")?,
        disabled_reason: row.try_get("disabled_reason")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

fn stored(row: &Row) -> Result<StoredSubscription, StoreError> {
    Ok(StoredSubscription {
        tenant: row.try_get::<_, Uuid>("tenant_id")?.into(),
        id: row.try_get::<_, Uuid>("id")?.into(),
        version: row.try_get("version")?,
        target_url: row.try_get("target_url")?,
        secrets: sealed::secrets(row, row.try_get("looked_at")?)?,
        event_types: row.try_get("event_types")?,
        description: row.try_get("description")?,
        is_active: row.try_get("is_active")?,
        disabled_reason: row.try_get("disabled_reason")?,
        verify_ingest: row.try_get("verify_ingest")?,
        external_id: row.try_get::<_, Option<String>>("external_id")?.map(ExternalId::stored),
        headers: sealed::headers(row)?,
        metadata: metadata(row)?,
        policy: policy::policy(row)?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

fn metadata(row: &Row) -> Result<Metadata, StoreError> {
    let text: &str = row.try_get("metadata")?;
    let unreadable = |_| StoreError::Unreadable("the metadata of a subscription".to_owned());
    serde_json::from_str(text).map(Metadata::stored).map_err(unreadable)
}
