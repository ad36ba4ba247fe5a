//! Events, newest first.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::super::connection::Param;
use super::super::{Store, StoreError, sql};
use super::{Common, MAX_EXAMINED, MAX_EXAMINING_MS, Searched, given};
use crate::domain::id::TenantId;

/// A search for a text in payloads is limited by time: less than the 1.3 s of a statement, with a margin for the rows
/// that it found.
const MAX_READING_MS: f64 = 800.0;
const MAX_READ: i64 = 1_000_000;
/// Of each event of a list, in each table.
const MAX_COUNTED: i64 = 500;

/// Selects events; an empty list means all.
#[derive(Debug, Clone)]
pub(crate) struct EventSearch {
    /// `None` for all tenants.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) common: Common,
    pub(crate) idempotency_keys: Vec<String>,
    pub(crate) ordering_keys: Vec<String>,
    /// Bytes that the payload contains.
    pub(crate) payload: Option<Vec<u8>>,
    /// Below which the page begins.
    pub(crate) before: Uuid,
    pub(crate) limit: i64,
}

/// An event with its status and its deliveries, counted.
#[derive(Debug, Clone)]
pub(crate) struct FoundEvent {
    pub(crate) tenant: Uuid,
    pub(crate) id: Uuid,
    /// `pending`, `succeeded`, `failed` or `no_match`.
    pub(crate) status: String,
    pub(crate) facts: EventRow,
    /// By status.
    pub(crate) deliveries: Vec<(String, i64)>,
    /// Whether there are more than were counted.
    pub(crate) more: bool,
}

/// What was published, without the payload.
#[derive(Debug, Clone)]
pub(crate) struct EventRow {
    pub(crate) event_type: Option<String>,
    pub(crate) accepted_at: OffsetDateTime,
    pub(crate) payload_bytes: i32,
    /// Whether it was published to all interested subscriptions.
    pub(crate) fan_out: bool,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) ordering_key: Option<String>,
    pub(crate) deliver_at: Option<OffsetDateTime>,
    pub(crate) expires_at: Option<OffsetDateTime>,
}

impl Store {
    /// A page of events, newest first.
    pub(crate) async fn search_events(&self, filter: &EventSearch) -> Result<Searched<FoundEvent, Uuid>, StoreError> {
        let (tenant, common) = (filter.tenant.map(TenantId::uuid), &filter.common);
        let (subscriptions, statuses) = (given(&common.subscriptions), given(&common.statuses));
        let types = given(&common.event_types);
        let (keys, ordering_keys) = (given(&filter.idempotency_keys), given(&filter.ordering_keys));
        let (most, millis) =
            if filter.payload.is_some() { (MAX_READ, MAX_READING_MS) } else { (MAX_EXAMINED, MAX_EXAMINING_MS) };
        let params: [Param<'_>; 14] = [
            (&tenant, Type::UUID),
            (&subscriptions, Type::UUID_ARRAY),
            (&statuses, Type::TEXT_ARRAY),
            (&types, Type::TEXT_ARRAY),
            (&keys, Type::TEXT_ARRAY),
            (&ordering_keys, Type::TEXT_ARRAY),
            (&common.since, Type::TIMESTAMPTZ),
            (&common.until, Type::TIMESTAMPTZ),
            (&filter.payload, Type::BYTEA),
            (&filter.before, Type::UUID),
            (&filter.limit, Type::INT8),
            (&most, Type::INT8),
            (&millis, Type::FLOAT8),
            (&MAX_COUNTED, Type::INT8),
        ];
        let mut page = Searched::default();
        for row in &self.interactive().await?.query(&sql::SEARCH_EVENTS, &params).await? {
            match row.try_get::<_, Option<Uuid>>("examined_event")? {
                Some(event) => page.examined_to = Some(event),
                None => page.rows.push(found(row)?),
            }
        }
        Ok(page)
    }
}

fn found(row: &Row) -> Result<FoundEvent, StoreError> {
    let words = ["pending", "sending", "held", "succeeded", "failed", "cancelled", "expired", "skipped"];
    let count = |word: &str| Ok((word.to_owned(), row.try_get(word)?));
    Ok(FoundEvent {
        tenant: row.try_get("tenant_id")?,
        id: row.try_get("event_id")?,
        status: row.try_get("status")?,
        facts: event_row(row)?,
        deliveries: words.into_iter().map(count).collect::<Result<_, StoreError>>()?,
        more: row.try_get("more")?,
    })
}

/// Of a row with these columns.
pub(in crate::store) fn event_row(row: &Row) -> Result<EventRow, StoreError> {
    Ok(EventRow {
        event_type: row.try_get("event_type")?,
        accepted_at: row.try_get("accepted_at")?,
        payload_bytes: row.try_get("payload_bytes")?,
        fan_out: row.try_get("fan_out")?,
        idempotency_key: row.try_get("idempotency_key")?,
        ordering_key: row.try_get("ordering_key")?,
        deliver_at: row.try_get("deliver_at")?,
        expires_at: row.try_get("expires_at")?,
    })
}
