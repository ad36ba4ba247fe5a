//! A subscription as a row.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::domain::external_id::ExternalId;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::metadata::Metadata;
use crate::domain::policy::Policy;
use crate::store::StoreError;
use crate::store::connection::Param;
use crate::store::policy::{self, PolicyColumns};
use crate::store::sealed::{self, SealedHeaders, SealedIngest, SealedSecrets};

/// Redis has it as JSON, sealed once more.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredSubscription {
    pub tenant: TenantId,
    pub id: SubscriptionId,
    pub version: i64,
    pub target_url: String,
    pub secrets: SealedSecrets,
    /// Patterns; empty = all.
    pub event_types: Vec<String>,
    /// Text of its filter.
    pub filter: Option<String>,
    pub description: Option<String>,
    pub is_active: bool,
    pub disabled_reason: Option<String>,
    pub verify_ingest: bool,
    pub external_id: Option<ExternalId>,
    pub headers: SealedHeaders,
    pub metadata: Metadata,
    pub policy: Policy,
    pub ingest: SealedIngest,
    #[serde(with = "time::serde::timestamp::microseconds")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::timestamp::microseconds")]
    pub updated_at: OffsetDateTime,
}

impl StoredSubscription {
    /// Ignores what the database decides.
    pub fn decides_the_same(&self, other: &Self) -> bool {
        let (disabled_reason, created_at, updated_at) =
            (other.disabled_reason.clone(), other.created_at, other.updated_at);
        *other == Self { version: other.version, disabled_reason, created_at, updated_at, ..self.clone() }
    }
}

#[derive(Debug, Clone)]
pub struct NewVersion {
    pub version: i64,
    pub disabled_reason: Option<String>,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

/// Columns that need a conversion.
pub(super) struct Decided {
    policy: PolicyColumns,
    external_id: Option<String>,
    metadata: String,
    ingest: Option<String>,
}

impl Decided {
    pub(super) fn of(row: &StoredSubscription) -> Self {
        Self {
            policy: PolicyColumns::of(&row.policy),
            external_id: row.external_id.as_ref().map(ToString::to_string),
            metadata: serde_json::to_string(row.metadata.entries()).expect("texts become JSON"),
            ingest: row.ingest.rules.as_ref().map(|rules| serde_json::to_string(rules).expect("texts become JSON")),
        }
    }

    /// In the order of create and replace.
    pub(super) fn params<'a>(&'a self, row: &'a StoredSubscription) -> Vec<Param<'a>> {
        let first: [Param<'a>; 6] = [
            (&row.target_url, Type::TEXT),
            (&row.secrets.current, Type::BYTEA),
            (&row.event_types, Type::TEXT_ARRAY),
            (&row.description, Type::TEXT),
            (&row.is_active, Type::BOOL),
            (&row.verify_ingest, Type::BOOL),
        ];
        let last: [Param<'a>; 8] = [
            (&self.external_id, Type::TEXT),
            (&self.metadata, Type::TEXT),
            (&row.headers.names, Type::TEXT_ARRAY),
            (&row.headers.auth_type, Type::TEXT),
            (&row.headers.sealed, Type::BYTEA),
            (&self.ingest, Type::TEXT),
            (&row.ingest.secret, Type::BYTEA),
            (&row.filter, Type::TEXT),
        ];
        first.into_iter().chain(self.policy.params()).chain(last).collect()
    }
}

pub(super) fn new_version(row: &Row) -> Result<NewVersion, StoreError> {
    Ok(NewVersion {
        version: row.try_get("version")?,
        disabled_reason: row.try_get("disabled_reason")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

pub(super) fn stored(row: &Row) -> Result<StoredSubscription, StoreError> {
    Ok(StoredSubscription {
        tenant: row.try_get::<_, Uuid>("tenant_id")?.into(),
        id: row.try_get::<_, Uuid>("id")?.into(),
        version: row.try_get("version")?,
        target_url: row.try_get("target_url")?,
        secrets: sealed::secrets(row, row.try_get("looked_at")?)?,
        event_types: row.try_get("event_types")?,
        filter: row.try_get("filter")?,
        description: row.try_get("description")?,
        is_active: row.try_get("is_active")?,
        disabled_reason: row.try_get("disabled_reason")?,
        verify_ingest: row.try_get("verify_ingest")?,
        external_id: row.try_get::<_, Option<String>>("external_id")?.map(ExternalId::stored),
        headers: sealed::headers(row)?,
        metadata: metadata(row)?,
        policy: policy::policy(row)?,
        ingest: sealed::ingest(row)?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

fn metadata(row: &Row) -> Result<Metadata, StoreError> {
    let text: &str = row.try_get("metadata")?;
    let unreadable = |_| StoreError::Unreadable("the metadata of a subscription".to_owned());
    serde_json::from_str(text).map(Metadata::stored).map_err(unreadable)
}
