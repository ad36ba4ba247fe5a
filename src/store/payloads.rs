//! Payloads of stored events, to decide filters on.

use bytes::Bytes;
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::content_type::ContentType;
use crate::domain::filter::Judge;
use crate::domain::id::{EventId, TenantId};

/// Of one statement, besides the last payload.
pub(crate) const PAYLOAD_BYTES: usize = 8 << 20;

/// An event's payload as it was accepted.
#[derive(Debug)]
pub(crate) struct StoredPayload {
    pub(crate) event: EventId,
    pub(crate) bytes: Bytes,
    content_type: ContentType,
}

/// A stored event, to try a filter on.
#[derive(Debug)]
pub(crate) struct StoredEvent {
    pub(crate) event_type: Option<String>,
    pub(crate) accepted_at: OffsetDateTime,
    pub(crate) payload: StoredPayload,
}

impl StoredPayload {
    fn of(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            event: row.try_get::<_, Uuid>("id")?.into(),
            bytes: row.try_get::<_, Vec<u8>>("payload")?.into(),
            content_type: ContentType::stored(row.try_get("content_type")?),
        })
    }

    pub(crate) fn judge(&self) -> Judge {
        Judge::stored(self.bytes.clone(), &self.content_type)
    }
}

impl Store {
    /// In the order of ids: those that fit in [`PAYLOAD_BYTES`], and one more.
    pub(crate) async fn payloads(
        &self,
        tenant: TenantId,
        events: &[EventId],
    ) -> Result<Vec<StoredPayload>, StoreError> {
        let tenant = tenant.uuid();
        let events: Vec<Uuid> = events.iter().map(|event| event.uuid()).collect();
        let bytes = i64::try_from(PAYLOAD_BYTES).unwrap_or(i64::MAX);
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&events, Type::UUID_ARRAY), (&bytes, Type::INT8)];
        let rows = self.interactive().await?.query(&sql::READ_PAYLOADS, &params).await?;
        rows.iter().map(StoredPayload::of).collect()
    }

    /// Newest first, with ids below `below`; as many as fit in [`PAYLOAD_BYTES`], and one more.
    pub(crate) async fn newest_events(
        &self,
        tenant: TenantId,
        below: Option<EventId>,
        most: i64,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let (tenant, below) = (tenant.uuid(), below.map(EventId::uuid));
        let bytes = i64::try_from(PAYLOAD_BYTES).unwrap_or(i64::MAX);
        let params: [Param<'_>; 4] =
            [(&tenant, Type::UUID), (&below, Type::UUID), (&most, Type::INT8), (&bytes, Type::INT8)];
        let rows = self.interactive().await?.query(&sql::NEWEST_PAYLOADS, &params).await?;
        let event = |row: &Row| {
            Ok(StoredEvent {
                event_type: row.try_get("event_type")?,
                accepted_at: row.try_get("accepted_at")?,
                payload: StoredPayload::of(row)?,
            })
        };
        rows.iter().map(event).collect()
    }
}
