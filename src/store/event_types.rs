//! The table `event_types`.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::audit::changed_by;
use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::actor::Actor;
use crate::domain::event_type::EventType;
use crate::domain::id::TenantId;

/// Of a tenant.
pub(crate) const MAX_TYPES: u32 = 1_000;
/// Those that check payloads.
pub(crate) const MAX_VALIDATED: u32 = 100;

/// What a tenant says of an event type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventTypeChoices {
    pub(crate) description: Option<String>,
    /// JSON texts without white space.
    pub(crate) schema: Option<String>,
    pub(crate) example: Option<String>,
    pub(crate) is_deprecated: bool,
    pub(crate) is_validated: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct EventTypeRow {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) choices: EventTypeChoices,
    pub(crate) created_at: OffsetDateTime,
    pub(crate) updated_at: OffsetDateTime,
}

/// Result of writing an event type.
#[derive(Debug, Clone)]
pub(crate) enum EventTypeWrite {
    Created(EventTypeRow),
    Replaced(EventTypeRow),
    /// The tenant has [`MAX_TYPES`] others.
    TooMany,
    /// The tenant has [`MAX_VALIDATED`] others that check payloads.
    TooManyValidated,
    NoTenant,
}

impl Store {
    /// Newest first, with ids below `before`.
    pub(crate) async fn list_event_types(
        &self,
        tenant: TenantId,
        before: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<EventTypeRow>, StoreError> {
        let tenant = tenant.uuid();
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&before, Type::UUID), (&limit, Type::INT8)];
        self.interactive().await?.query(&sql::LIST_EVENT_TYPES, &params).await?.iter().map(event_type).collect()
    }

    pub(crate) async fn read_event_type(
        &self,
        tenant: TenantId,
        name: &EventType,
    ) -> Result<Option<EventTypeRow>, StoreError> {
        let (tenant, name) = (tenant.uuid(), name.as_str());
        let params: [Param<'_>; 2] = [(&tenant, Type::UUID), (&name, Type::TEXT)];
        let rows = self.interactive().await?.query(&sql::READ_EVENT_TYPE, &params).await?;
        rows.first().map(event_type).transpose()
    }

    /// Names and schemas of the types that check payloads.
    pub(crate) async fn validated_event_types(&self, tenant: TenantId) -> Result<Vec<(String, String)>, StoreError> {
        let tenant = tenant.uuid();
        let rows = self.lookup().await?.query(&sql::VALIDATED_EVENT_TYPES, &[(&tenant, Type::UUID)]).await?;
        rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("schema")?))).collect()
    }

    pub(crate) async fn put_event_type(
        &self,
        tenant: TenantId,
        name: &EventType,
        choices: &EventTypeChoices,
        actor: &Actor,
    ) -> Result<EventTypeWrite, StoreError> {
        let id = TenantId::at(OffsetDateTime::now_utc(), Uuid::new_v4().into_bytes()).uuid();
        let (tenant, name, actor) = (tenant.uuid(), name.as_str(), changed_by(actor));
        let mut connection = self.interactive().await?;
        // Requests at the same moment may exceed a limit by their number.
        let others: [Param<'_>; 2] = [(&tenant, Type::UUID), (&name, Type::TEXT)];
        let counted = connection.query(&sql::COUNT_EVENT_TYPES, &others).await?;
        let count = |column: &str| counted.first().map_or(Ok(0), |row| row.try_get::<_, i64>(column));
        if count("names")? >= i64::from(MAX_TYPES) {
            return Ok(EventTypeWrite::TooMany);
        }
        if choices.is_validated && count("validated")? >= i64::from(MAX_VALIDATED) {
            return Ok(EventTypeWrite::TooManyValidated);
        }
        let params: [Param<'_>; 9] = [
            (&tenant, Type::UUID),
            (&id, Type::UUID),
            (&name, Type::TEXT),
            (&choices.description, Type::TEXT),
            (&choices.schema, Type::TEXT),
            (&choices.example, Type::TEXT),
            (&choices.is_deprecated, Type::BOOL),
            (&choices.is_validated, Type::BOOL),
            (&actor, Type::TEXT),
        ];
        let rows = connection.query(&sql::PUT_EVENT_TYPE, &params).await?;
        let Some(row) = rows.first() else { return Ok(EventTypeWrite::NoTenant) };
        let is_new: bool = row.try_get("is_new")?;
        event_type(row).map(if is_new { EventTypeWrite::Created } else { EventTypeWrite::Replaced })
    }

    /// False if there is no such type.
    pub(crate) async fn delete_event_type(
        &self,
        tenant: TenantId,
        name: &EventType,
        actor: &Actor,
    ) -> Result<bool, StoreError> {
        let (tenant, name, actor) = (tenant.uuid(), name.as_str(), changed_by(actor));
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&name, Type::TEXT), (&actor, Type::TEXT)];
        Ok(!self.interactive().await?.query(&sql::DELETE_EVENT_TYPE, &params).await?.is_empty())
    }
}

fn event_type(row: &Row) -> Result<EventTypeRow, StoreError> {
    Ok(EventTypeRow {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        choices: EventTypeChoices {
            description: row.try_get("description")?,
            schema: row.try_get("schema")?,
            example: row.try_get("example")?,
            is_deprecated: row.try_get("is_deprecated")?,
            is_validated: row.try_get("is_validated")?,
        },
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
