//! The table `tenants`.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::audit::changed_by;
use super::connection::Param;
use super::subscriptions::MAX_CANCELLED_COUNTED;
use super::{CancelledByDeletion, Searched, Store, StoreError, sql};
use crate::domain::actor::Actor;
use crate::domain::external_id::ExternalId;
use crate::domain::id::{ApiKeyId, TenantId};
use crate::domain::metadata::Metadata;
use crate::domain::tenant::{Tenant, TenantLimits, TenantName};

const MAX_EXAMINED: i64 = 20_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRow {
    pub tenant: Tenant,
    pub metadata: Metadata,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantChoices {
    pub external_id: Option<ExternalId>,
    pub name: String,
    pub metadata: Metadata,
    pub limits: TenantLimits,
}

#[derive(Debug, Clone)]
pub struct TenantChanges {
    pub tenants: Vec<TenantId>,
    pub keys: Vec<ApiKeyId>,
    /// The database's time of this look.
    pub looked_at: OffsetDateTime,
}

impl TenantRow {
    /// What its operator decided.
    pub fn choices(&self) -> TenantChoices {
        TenantChoices {
            external_id: self.tenant.external_id.clone(),
            name: self.tenant.name.clone(),
            metadata: self.metadata.clone(),
            limits: self.tenant.limits,
        }
    }
}

impl Store {
    pub async fn find_tenants(&self, names: &[TenantName]) -> Result<Vec<TenantRow>, StoreError> {
        let (mut ids, mut external_ids) = (Vec::new(), Vec::new());
        for name in names {
            match name {
                TenantName::Id(id) => ids.push(id.uuid()),
                TenantName::External(id) => external_ids.push(id.as_str()),
            }
        }
        let params: [Param<'_>; 2] = [(&ids, Type::UUID_ARRAY), (&external_ids, Type::TEXT_ARRAY)];
        let rows = self.lookup().await?.query(&sql::FIND_TENANTS, &params).await?;
        let with_schemas = |row: &Row| {
            let mut found = tenant_row(row)?;
            found.tenant.schemas_changed_at = row.try_get("schemas_changed_at")?;
            Ok(found)
        };
        rows.iter().map(with_schemas).collect()
    }

    /// Only the time if `since` is `None`.
    pub async fn tenant_changes(&self, since: Option<OffsetDateTime>) -> Result<TenantChanges, StoreError> {
        let rows = self.lookup().await?.query(&sql::TENANT_CHANGES, &[(&since, Type::TIMESTAMPTZ)]).await?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("no changes were returned".to_owned()))?;
        Ok(TenantChanges {
            tenants: row.try_get::<_, Vec<Uuid>>("tenants")?.into_iter().map(TenantId::from).collect(),
            keys: row.try_get::<_, Vec<Uuid>>("keys")?.into_iter().map(ApiKeyId::from).collect(),
            looked_at: row.try_get("looked_at")?,
        })
    }

    /// Searches name and external id; newest first, with ids below `before`.
    pub(crate) async fn list_tenants(
        &self,
        text: Option<&str>,
        before: Option<TenantId>,
        limit: i64,
    ) -> Result<Searched<TenantRow, Uuid>, StoreError> {
        let (text, before) = (text.map(str::to_lowercase), before.map(TenantId::uuid));
        let params: [Param<'_>; 4] =
            [(&text, Type::TEXT), (&before, Type::UUID), (&limit, Type::INT8), (&MAX_EXAMINED, Type::INT8)];
        let rows = self.interactive().await?.query(&sql::LIST_TENANTS, &params).await?;
        let mut page = Searched::default();
        for row in &rows {
            page.examined_to = row.try_get("examined_to")?;
            if row.try_get::<_, Option<Uuid>>("id")?.is_some() {
                page.rows.push(tenant_row(row)?);
            }
        }
        Ok(page)
    }

    /// Creates a tenant or, if allowed, replaces the one with this external id. Returns whether it is new.
    /// `Constraint("tenants_external_id")` if the external id is taken.
    pub async fn write_tenant(
        &self,
        choices: &TenantChoices,
        may_replace: bool,
        actor: &Actor,
    ) -> Result<(TenantRow, bool), StoreError> {
        let id = TenantId::at(OffsetDateTime::now_utc(), Uuid::new_v4().into_bytes()).uuid();
        let (columns, actor) = (Columns::of(choices), changed_by(actor));
        let first: Param<'_> = (&id, Type::UUID);
        let last: [Param<'_>; 2] = [(&may_replace, Type::BOOL), (&actor, Type::TEXT)];
        let params: Vec<_> = [first].into_iter().chain(columns.params(choices)).chain(last).collect();
        let rows = self.interactive().await?.query(&sql::WRITE_TENANT, &params).await?;
        let row =
            rows.first().ok_or_else(|| StoreError::Unavailable("others write this tenant all the time".to_owned()))?;
        Ok((tenant_row(row)?, row.try_get("is_new")?))
    }

    /// `None` if it was written or deleted meanwhile.
    pub async fn change_tenant(
        &self,
        read: &TenantRow,
        choices: &TenantChoices,
        actor: &Actor,
    ) -> Result<Option<TenantRow>, StoreError> {
        let id = read.tenant.id.uuid();
        let (columns, actor) = (Columns::of(choices), changed_by(actor));
        let first: Param<'_> = (&id, Type::UUID);
        let last: [Param<'_>; 2] = [(&read.updated_at, Type::TIMESTAMPTZ), (&actor, Type::TEXT)];
        let params: Vec<_> = [first].into_iter().chain(columns.params(choices)).chain(last).collect();
        let rows = self.interactive().await?.query(&sql::CHANGE_TENANT, &params).await?;
        rows.first().map(tenant_row).transpose()
    }

    /// Deletes softly and revokes its keys. False if there is no such tenant.
    pub async fn delete_tenant(&self, id: TenantId, actor: &Actor) -> Result<bool, StoreError> {
        let (id, actor) = (id.uuid(), changed_by(actor));
        let params: [Param<'_>; 2] = [(&id, Type::UUID), (&actor, Type::TEXT)];
        let rows = self.interactive().await?.query(&sql::DELETE_TENANT, &params).await?;
        Ok(rows.first().map(|row| row.try_get("is_deleted")).transpose()?.unwrap_or(false))
    }

    /// Ends up to `most` subscriptions. Returns how many, and their cancelled deliveries.
    pub async fn end_subscriptions(
        &self,
        tenant: TenantId,
        most: i64,
        actor: Option<&Actor>,
    ) -> Result<(i64, CancelledByDeletion), StoreError> {
        let (id, stamp, actor) = (tenant.uuid(), self.version_stamp(), actor.map(changed_by));
        let params: [Param<'_>; 5] = [
            (&id, Type::UUID),
            (&most, Type::INT8),
            (&stamp, Type::INT8),
            (&MAX_CANCELLED_COUNTED, Type::INT8),
            (&actor, Type::TEXT),
        ];
        let rows = self.interactive().await?.query(&sql::END_SUBSCRIPTIONS, &params).await?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("no count was returned".to_owned()))?;
        Ok((row.try_get("ended")?, CancelledByDeletion::counted(row.try_get("cancelled")?)))
    }

    /// Deleted tenants with living subscriptions.
    pub async fn tenants_to_end(&self, most: i64) -> Result<Vec<TenantId>, StoreError> {
        let rows = self.maintenance().await?.query(&sql::TENANTS_TO_END, &[(&most, Type::INT8)]).await?;
        rows.iter().map(|row| Ok(row.try_get::<_, Uuid>("id")?.into())).collect()
    }
}

struct Columns {
    external_id: Option<String>,
    metadata: String,
    max_subscriptions: Option<i32>,
    publish_per_second: Option<i32>,
}

impl Columns {
    fn of(choices: &TenantChoices) -> Self {
        let column = |limit: Option<u32>| limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX));
        Self {
            external_id: choices.external_id.as_ref().map(ToString::to_string),
            metadata: serde_json::to_string(choices.metadata.entries()).expect("texts become JSON"),
            max_subscriptions: column(choices.limits.max_subscriptions),
            publish_per_second: column(choices.limits.publish_per_second),
        }
    }

    fn params<'a>(&'a self, choices: &'a TenantChoices) -> [Param<'a>; 5] {
        [
            (&self.external_id, Type::TEXT),
            (&choices.name, Type::TEXT),
            (&self.metadata, Type::TEXT),
            (&self.max_subscriptions, Type::INT4),
            (&self.publish_per_second, Type::INT4),
        ]
    }
}

fn tenant_row(row: &Row) -> Result<TenantRow, StoreError> {
    let limit = |column| {
        let limit: Option<i32> = row.try_get(column)?;
        Ok::<_, StoreError>(limit.and_then(|limit| u32::try_from(limit).ok()))
    };
    let metadata: &str = row.try_get("metadata")?;
    let unreadable = |_| StoreError::Unreadable("the metadata of a tenant".to_owned());
    Ok(TenantRow {
        tenant: Tenant {
            id: row.try_get::<_, Uuid>("id")?.into(),
            external_id: row.try_get::<_, Option<String>>("external_id")?.map(ExternalId::stored),
            name: row.try_get("name")?,
            limits: TenantLimits {
                max_subscriptions: limit("max_subscriptions")?,
                publish_per_second: limit("publish_per_second")?,
            },
            schemas_changed_at: None,
        },
        metadata: serde_json::from_str(metadata).map(Metadata::stored).map_err(unreadable)?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
