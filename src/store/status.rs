//! What became of an event: read from the queue, the log and the ended deliveries at once.

use time::{Duration, OffsetDateTime};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Store, StoreError, sql};
use crate::domain::id::{EventId, SubscriptionId, TenantId};

/// How much earlier than its event's id an attempt's id may be, by clocks that differ.
const ID_SLACK: Duration = Duration::minutes(10);

/// An event and its deliveries.
#[derive(Debug, Clone)]
pub struct EventStatus {
    /// What kind it is.
    pub event_type: Option<String>,
    /// When it was accepted.
    pub accepted_at: OffsetDateTime,
    /// Its deliveries, by subscription.
    pub deliveries: Vec<DeliveryStatus>,
}

/// One delivery, whatever table it stands in.
#[derive(Debug, Clone)]
pub struct DeliveryStatus {
    /// Whom it is for.
    pub subscription: SubscriptionId,
    /// `pending`, `sending`, `held`, `succeeded`, `failed`, `cancelled`, `expired`, `skipped`.
    pub status: String,
    /// Why it is held or ended.
    pub reason: Option<String>,
    /// Attempts counted so far, the one under way included.
    pub attempts: i32,
    /// When the newest attempt began.
    pub last_attempt_at: Option<OffsetDateTime>,
    /// When it is due, if it is scheduled.
    pub next_attempt_at: Option<OffsetDateTime>,
    /// What the newest attempt met; `None` after success.
    pub error_message: Option<String>,
}

impl Store {
    /// What became of a tenant's event; `None` when it is unknown, expired or another's.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn read_status(&self, tenant: TenantId, event: EventId) -> Result<Option<EventStatus>, StoreError> {
        let (tenant, id, floor) = (tenant.uuid(), event.uuid(), first_attempt(event));
        let params: [super::connection::Param<'_>; 3] =
            [(&tenant, Type::UUID), (&id, Type::UUID), (&floor, Type::UUID)];
        let rows = self.interactive().await?.query(&sql::READ_STATUS, &params).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut deliveries = Vec::with_capacity(rows.len());
        for row in &rows {
            deliveries.extend(delivery(row)?);
        }
        Ok(Some(EventStatus {
            event_type: first.try_get("event_type")?,
            accepted_at: first.try_get("accepted_at")?,
            deliveries,
        }))
    }
}

/// The smallest id that an attempt for this event can have.
pub(super) fn first_attempt(event: EventId) -> Uuid {
    let accepted_at = event.accepted_at().unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let earliest = accepted_at.checked_sub(ID_SLACK).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    EventId::floor(earliest).uuid()
}

/// The delivery in a row; `None` where it has none.
pub(super) fn delivery(row: &Row) -> Result<Option<DeliveryStatus>, StoreError> {
    let Some(subscription) = row.try_get::<_, Option<Uuid>>("subscription_id")? else { return Ok(None) };
    Ok(Some(DeliveryStatus {
        subscription: subscription.into(),
        status: row.try_get("status")?,
        reason: row.try_get("reason")?,
        attempts: row.try_get("attempts")?,
        last_attempt_at: row.try_get("last_attempt_at")?,
        next_attempt_at: row.try_get("next_attempt_at")?,
        error_message: row.try_get("error_message")?,
    }))
}
