//! Finds what a text names: exactly, in payloads, and among refused requests.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::refusals::refusal_row;
use super::{RefusalRow, Store, StoreError, sql};
use crate::domain::api_key::ApiKey;
use crate::domain::id::{ApiKeyId, EventId, TenantId};

/// Newest refusals that one search looks at.
const MAX_EXAMINED: i64 = 20_000;

/// What has a certain id, external id or idempotency key.
#[derive(Debug, Clone)]
pub(crate) struct Exact {
    /// `tenant`, `subscription`, `event` or `attempt`.
    pub(crate) kind: String,
    pub(crate) tenant: TenantId,
    pub(crate) id: Uuid,
    /// Of an event or attempt.
    pub(crate) event: Option<EventId>,
    /// Of a subscription or attempt.
    pub(crate) subscription: Option<Uuid>,
    pub(crate) at: Option<OffsetDateTime>,
    pub(crate) status: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) target_url: Option<String>,
}

/// Which payloads to search.
#[derive(Debug, Clone)]
pub(crate) struct PayloadSearch<'a> {
    /// `None` for all.
    pub(crate) tenant: Option<TenantId>,
    /// Also an ordering key.
    pub(crate) text: &'a str,
    pub(crate) from: Uuid,
    pub(crate) before: Uuid,
    pub(crate) most: i32,
    /// No further payload is read after this time.
    pub(crate) budget: Duration,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct FoundEvents {
    /// By their ids, newest first, with the time when each was accepted.
    pub(crate) events: Vec<(TenantId, EventId, OffsetDateTime)>,
    /// Where to go on, if rows or time ran out.
    pub(crate) examined_to: Option<Uuid>,
}

/// A call of `publish()` in SQL whose event was refused.
#[derive(Debug, Clone)]
pub(crate) struct RefusedCall {
    pub(crate) id: EventId,
    pub(crate) tenant: TenantId,
    pub(crate) ended_at: OffsetDateTime,
    /// Code and sentence.
    pub(crate) reason: String,
    pub(crate) event_type: Option<String>,
    pub(crate) subscription: Option<Uuid>,
}

impl Store {
    pub(crate) async fn search_exact(&self, tenant: Option<TenantId>, text: &str) -> Result<Vec<Exact>, StoreError> {
        let (tenant, id) = (tenant.map(TenantId::uuid), as_id(text));
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&text, Type::TEXT), (&id, Type::UUID)];
        self.interactive().await?.query(&sql::SEARCH_EXACT, &params).await?.iter().map(exact).collect()
    }

    /// Refusals with this id, key id, subscription, idempotency key or request id, or with the text in their
    /// `beginning`, if that may be searched.
    pub(crate) async fn search_refusals(
        &self,
        tenant: Option<TenantId>,
        text: &str,
        in_beginning: bool,
        most: i64,
    ) -> Result<Vec<RefusalRow>, StoreError> {
        let (tenant, id) = (tenant.map(TenantId::uuid), as_id(text));
        let needle = in_beginning.then_some(text.as_bytes());
        let params: [Param<'_>; 6] = [
            (&tenant, Type::UUID),
            (&text, Type::TEXT),
            (&id, Type::UUID),
            (&needle, Type::BYTEA),
            (&most, Type::INT8),
            (&MAX_EXAMINED, Type::INT8),
        ];
        self.interactive().await?.query(&sql::SEARCH_REFUSALS, &params).await?.iter().map(refusal_row).collect()
    }

    /// The same among calls of `publish()` in SQL.
    pub(crate) async fn search_outbox(
        &self,
        tenant: Option<TenantId>,
        text: &str,
        in_beginning: bool,
        most: i64,
    ) -> Result<Vec<RefusedCall>, StoreError> {
        let (tenant, id) = (tenant.map(TenantId::uuid), as_id(text));
        let needle = in_beginning.then_some(text.as_bytes());
        let params: [Param<'_>; 6] = [
            (&tenant, Type::UUID),
            (&text, Type::TEXT),
            (&id, Type::UUID),
            (&needle, Type::BYTEA),
            (&most, Type::INT8),
            (&MAX_EXAMINED, Type::INT8),
        ];
        self.interactive().await?.query(&sql::SEARCH_OUTBOX, &params).await?.iter().map(refused_call).collect()
    }

    pub(crate) async fn search_payloads(&self, search: &PayloadSearch<'_>) -> Result<FoundEvents, StoreError> {
        let tenant = search.tenant.map(TenantId::uuid);
        let budget = i32::try_from(search.budget.as_millis()).unwrap_or(i32::MAX);
        let params: [Param<'_>; 7] = [
            (&tenant, Type::UUID),
            (&search.text.as_bytes(), Type::BYTEA),
            (&search.text, Type::TEXT),
            (&search.from, Type::UUID),
            (&search.before, Type::UUID),
            (&search.most, Type::INT4),
            (&budget, Type::INT4),
        ];
        let mut found = FoundEvents::default();
        for row in &self.interactive().await?.query(&sql::SEARCH_PAYLOAD, &params).await? {
            found.examined_to = row.try_get("examined_to")?;
            if let Some(id) = row.try_get::<_, Option<Uuid>>("id")? {
                let tenant = row.try_get::<_, Uuid>("tenant_id")?.into();
                found.events.push((tenant, id.into(), row.try_get("accepted_at")?));
            }
        }
        found.events.sort_by_key(|(_, id, _)| std::cmp::Reverse(*id));
        Ok(found)
    }
}

/// Also of a key as people see it.
pub(crate) fn as_id(text: &str) -> Option<Uuid> {
    text.parse().map(EventId::uuid).ok().or_else(|| ApiKey::id_in(text).map(ApiKeyId::uuid))
}

fn refused_call(row: &Row) -> Result<RefusedCall, StoreError> {
    let (code, detail): (String, Option<String>) = (row.try_get("code")?, row.try_get("detail")?);
    Ok(RefusedCall {
        id: row.try_get::<_, Uuid>("id")?.into(),
        tenant: row.try_get::<_, Uuid>("tenant_id")?.into(),
        ended_at: row.try_get("ended_at")?,
        reason: format!("{code}: {}", detail.unwrap_or_default()),
        event_type: row.try_get("event_type")?,
        subscription: row.try_get("subscription_id")?,
    })
}

fn exact(row: &Row) -> Result<Exact, StoreError> {
    Ok(Exact {
        kind: row.try_get("kind")?,
        tenant: row.try_get::<_, Uuid>("tenant_id")?.into(),
        id: row.try_get("id")?,
        event: row.try_get::<_, Option<Uuid>>("event_id")?.map(EventId::from),
        subscription: row.try_get("subscription_id")?,
        at: row.try_get("at")?,
        status: row.try_get("status")?,
        reason: row.try_get("reason")?,
        title: row.try_get("title")?,
        target_url: row.try_get("target_url")?,
    })
}
