//! Reads events and their deliveries.

use time::OffsetDateTime;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::finding::{event_row, given};
use super::status::{delivery, first_attempt};
use super::{DeliveryStatus, EventRow, Store, StoreError, sql};
use crate::domain::content_type::ContentType;
use crate::domain::id::{EventId, SubscriptionId, TenantId};

#[derive(Debug, Clone)]
pub(crate) struct EventFacts {
    pub(crate) row: EventRow,
    /// The subscription that a system event is about.
    pub(crate) about: Option<SubscriptionId>,
    pub(crate) deliveries: Vec<(String, i64)>,
}

/// A subscription without a delivery of an event.
#[derive(Debug, Clone)]
pub(crate) struct NotDelivered {
    pub(crate) subscription: SubscriptionId,
    pub(crate) external_id: Option<String>,
    pub(crate) target_url: String,
    /// Its current patterns; empty = all.
    pub(crate) event_types: Vec<String>,
    /// Text of its current filter.
    pub(crate) filter: Option<String>,
    pub(crate) created_at: OffsetDateTime,
}

impl Store {
    pub(crate) async fn read_event(&self, tenant: TenantId, event: EventId) -> Result<Option<EventFacts>, StoreError> {
        let (tenant, event) = (tenant.uuid(), event.uuid());
        let params: [Param<'_>; 2] = [(&tenant, Type::UUID), (&event, Type::UUID)];
        let rows = self.interactive().await?.query(&sql::READ_EVENT, &params).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut deliveries = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Some(status) = row.try_get("status")? {
                deliveries.push((status, row.try_get("deliveries")?));
            }
        }
        Ok(Some(EventFacts {
            row: event_row(first)?,
            about: first.try_get::<_, Option<Uuid>>("about")?.map(SubscriptionId::from),
            deliveries,
        }))
    }

    /// The bytes that were published, and their content type.
    pub(crate) async fn read_payload(
        &self,
        tenant: TenantId,
        event: EventId,
    ) -> Result<Option<(Vec<u8>, ContentType)>, StoreError> {
        let (tenant, event) = (tenant.uuid(), event.uuid());
        let params: [Param<'_>; 2] = [(&tenant, Type::UUID), (&event, Type::UUID)];
        let rows = self.interactive().await?.query(&sql::READ_PAYLOAD, &params).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some((row.try_get("payload")?, ContentType::stored(row.try_get("content_type")?))))
    }

    /// A page of an event's deliveries in order of subscriptions, after `after`.
    pub(crate) async fn list_deliveries(
        &self,
        tenant: TenantId,
        event: EventId,
        statuses: &[&str],
        after: Option<SubscriptionId>,
        limit: i64,
    ) -> Result<Vec<DeliveryStatus>, StoreError> {
        let (tenant, id, first) = (tenant.uuid(), event.uuid(), first_attempt(event));
        let (statuses, after) = (given(statuses), after.map(SubscriptionId::uuid));
        let params: [Param<'_>; 6] = [
            (&tenant, Type::UUID),
            (&id, Type::UUID),
            (&first, Type::UUID),
            (&statuses, Type::TEXT_ARRAY),
            (&after, Type::UUID),
            (&limit, Type::INT8),
        ];
        let rows = self.interactive().await?.query(&sql::LIST_DELIVERIES, &params).await?;
        rows.iter().filter_map(|row| delivery(row).transpose()).collect()
    }

    pub(crate) async fn not_delivered(
        &self,
        tenant: TenantId,
        event: EventId,
        limit: i64,
    ) -> Result<Vec<NotDelivered>, StoreError> {
        let (tenant, event) = (tenant.uuid(), event.uuid());
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&event, Type::UUID), (&limit, Type::INT8)];
        let rows = self.interactive().await?.query(&sql::NOT_DELIVERED, &params).await?;
        let not_delivered = |row: &tokio_postgres::Row| {
            Ok(NotDelivered {
                subscription: row.try_get::<_, Uuid>("id")?.into(),
                external_id: row.try_get("external_id")?,
                target_url: row.try_get("target_url")?,
                event_types: row.try_get("event_types")?,
                filter: row.try_get("filter")?,
                created_at: row.try_get("created_at")?,
            })
        };
        rows.iter().map(not_delivered).collect()
    }
}
