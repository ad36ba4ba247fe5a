//! An event and its deliveries, however many: counted, and read by page.

use time::OffsetDateTime;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::status::{delivery, first_attempt};
use super::{DeliveryStatus, Store, StoreError, sql};
use crate::domain::id::{EventId, SubscriptionId, TenantId};

/// An event, with its deliveries counted.
#[derive(Debug, Clone)]
pub struct EventFacts {
    /// What kind it is.
    pub event_type: Option<String>,
    /// When it was accepted.
    pub accepted_at: OffsetDateTime,
    /// Size of its payload.
    pub payload_bytes: i32,
    /// Whether it was published to all who want it.
    pub fan_out: bool,
    /// The subscription that it is about, where it is a system event.
    pub about: Option<SubscriptionId>,
    /// Each status that a delivery of it has, and how many have it.
    pub deliveries: Vec<(String, i64)>,
}

/// A subscription that an event makes no delivery to.
#[derive(Debug, Clone)]
pub struct NotDelivered {
    /// Which one.
    pub subscription: SubscriptionId,
    /// The patterns that it has now; empty for all.
    pub event_types: Vec<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

impl Store {
    /// A tenant's event; `None` when it is unknown, expired or another's.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn read_event(&self, tenant: TenantId, event: EventId) -> Result<Option<EventFacts>, StoreError> {
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
            event_type: first.try_get("event_type")?,
            accepted_at: first.try_get("accepted_at")?,
            payload_bytes: first.try_get("payload_bytes")?,
            fan_out: first.try_get("fan_out")?,
            about: first.try_get::<_, Option<Uuid>>("about")?.map(SubscriptionId::from),
            deliveries,
        }))
    }

    /// A page of an event's deliveries by subscription, of one status or of all, above the
    /// subscription `after`.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn list_deliveries(
        &self,
        tenant: TenantId,
        event: EventId,
        status: Option<&str>,
        after: Option<SubscriptionId>,
        limit: i64,
    ) -> Result<Vec<DeliveryStatus>, StoreError> {
        let (tenant, id, floor) = (tenant.uuid(), event.uuid(), first_attempt(event));
        let after: Option<Uuid> = after.map(SubscriptionId::uuid);
        let params: [Param<'_>; 6] = [
            (&tenant, Type::UUID),
            (&id, Type::UUID),
            (&floor, Type::UUID),
            (&status, Type::TEXT),
            (&after, Type::UUID),
            (&limit, Type::INT8),
        ];
        let rows = self.interactive().await?.query(&sql::LIST_DELIVERIES, &params).await?;
        rows.iter().filter_map(|row| delivery(row).transpose()).collect()
    }

    /// The first subscriptions of the tenant that the event makes no delivery to, by id.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn not_delivered(
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
                event_types: row.try_get("event_types")?,
                created_at: row.try_get("created_at")?,
            })
        };
        rows.iter().map(not_delivered).collect()
    }
}
