//! Rows of the outbox as events that wait to be published, newest first.

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::super::connection::Param;
use super::super::search::as_id;
use super::super::{Store, StoreError, sql};
use super::{EventSearch, FoundEvent, Searched, event_row, given};
use crate::domain::id::{EventId, TenantId};

/// Rows of one page, found or not; as many as of events.
const MAX_EXAMINED: i64 = 10_000;
/// After its first row. The search in events that follows takes up to 800 ms more.
const MAX_EXAMINING_MS: f64 = 50.0;
const PENDING: &str = "pending";

/// What the outbox knows by this name.
#[derive(Debug, Clone)]
pub(crate) enum Named {
    Waiting(FoundEvent),
    /// The first event with the idempotency key of a duplicate.
    Event(TenantId, EventId),
}

impl Store {
    /// A page of rows that wait, for the same search as in events. Read it first: a row that is published in between is
    /// in both then, and never in none.
    pub(crate) async fn search_waiting(&self, filter: &EventSearch) -> Result<Searched<FoundEvent, Uuid>, StoreError> {
        let mut page = Searched::default();
        let (tenant, common) = (filter.tenant.map(TenantId::uuid), &filter.common);
        if !common.statuses.is_empty() && !common.statuses.contains(&PENDING) {
            return Ok(page);
        }
        let (subscriptions, types) = (given(&common.subscriptions), given(&common.event_types));
        let (keys, ordering_keys) = (given(&filter.idempotency_keys), given(&filter.ordering_keys));
        let params: [Param<'_>; 12] = [
            (&tenant, Type::UUID),
            (&subscriptions, Type::UUID_ARRAY),
            (&types, Type::TEXT_ARRAY),
            (&keys, Type::TEXT_ARRAY),
            (&ordering_keys, Type::TEXT_ARRAY),
            (&common.since, Type::TIMESTAMPTZ),
            (&common.until, Type::TIMESTAMPTZ),
            (&filter.payload, Type::BYTEA),
            (&filter.before, Type::UUID),
            (&filter.limit, Type::INT8),
            (&MAX_EXAMINED, Type::INT8),
            (&MAX_EXAMINING_MS, Type::FLOAT8),
        ];
        for row in &self.interactive().await?.query(&sql::LIST_OUTBOX, &params).await? {
            match row.try_get::<_, Option<Uuid>>("examined_id")? {
                Some(id) => page.examined_to = Some(id),
                None => page.rows.push(waiting(row)?),
            }
        }
        Ok(page)
    }

    /// Rows that wait with this id, idempotency or ordering key, and the event of a duplicate with this id.
    pub(crate) async fn search_named_in_outbox(
        &self,
        tenant: Option<TenantId>,
        text: &str,
        most: i64,
    ) -> Result<Vec<Named>, StoreError> {
        let (tenant, id) = (tenant.map(TenantId::uuid), as_id(text));
        let params: [Param<'_>; 5] = [
            (&tenant, Type::UUID),
            (&text, Type::TEXT),
            (&id, Type::UUID),
            (&most, Type::INT8),
            (&MAX_EXAMINED, Type::INT8),
        ];
        self.interactive().await?.query(&sql::NAMED_IN_OUTBOX, &params).await?.iter().map(named).collect()
    }
}

fn named(row: &Row) -> Result<Named, StoreError> {
    Ok(match row.try_get::<_, Option<Uuid>>("duplicate_of")? {
        Some(event) => Named::Event(row.try_get::<_, Uuid>("tenant_id")?.into(), event.into()),
        None => Named::Waiting(waiting(row)?),
    })
}

fn waiting(row: &Row) -> Result<FoundEvent, StoreError> {
    Ok(FoundEvent {
        tenant: row.try_get("tenant_id")?,
        id: row.try_get("id")?,
        status: PENDING.to_owned(),
        facts: event_row(row)?,
        deliveries: Vec::new(),
        more: false,
    })
}
