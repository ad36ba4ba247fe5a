//! Reads the deliveries of an event from queue, log and ended deliveries.

use time::{Duration, OffsetDateTime};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::id::{EventId, SubscriptionId, TenantId};

/// Clocks differ, so an attempt's id may be this much earlier than its event's.
const ID_SLACK: Duration = Duration::minutes(10);

/// An event with the statuses of all its deliveries and a page of them.
#[derive(Debug, Clone)]
pub(crate) struct EventStatus {
    pub(crate) event_type: Option<String>,
    pub(crate) accepted_at: OffsetDateTime,
    pub(crate) statuses: Vec<String>,
    pub(crate) attempts: i64,
    pub(crate) last_attempt_at: Option<OffsetDateTime>,
    pub(crate) next_attempt_at: Option<OffsetDateTime>,
    /// `None` if the newest attempt succeeded.
    pub(crate) error_message: Option<String>,
    pub(crate) deliveries: Vec<DeliveryStatus>,
}

#[derive(Debug, Clone)]
pub(crate) struct DeliveryStatus {
    pub(crate) subscription: SubscriptionId,
    pub(crate) external_id: Option<String>,
    /// `None` if the subscription is gone.
    pub(crate) target_url: Option<String>,
    /// `pending`, `sending`, `held`, `succeeded`, `failed`, `cancelled`, `expired`, `skipped`.
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    /// Includes a running attempt.
    pub(crate) attempts: i32,
    pub(crate) last_attempt_at: Option<OffsetDateTime>,
    pub(crate) next_attempt_at: Option<OffsetDateTime>,
    /// Of the newest attempt; `None` after a success.
    pub(crate) error_message: Option<String>,
}

impl Store {
    /// With at most `limit` deliveries to subscriptions above `after`. `None` if the tenant has no such event.
    pub(crate) async fn read_status(
        &self,
        tenant: TenantId,
        event: EventId,
        after: Option<SubscriptionId>,
        limit: i64,
    ) -> Result<Option<EventStatus>, StoreError> {
        let (tenant, id, first) = (tenant.uuid(), event.uuid(), first_attempt(event));
        let after: Option<Uuid> = after.map(SubscriptionId::uuid);
        let params: [Param<'_>; 5] = [
            (&tenant, Type::UUID),
            (&id, Type::UUID),
            (&first, Type::UUID),
            (&after, Type::UUID),
            (&limit, Type::INT8),
        ];
        let rows = self.interactive().await?.query(&sql::READ_STATUS, &params).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut deliveries = Vec::with_capacity(rows.len());
        for row in &rows {
            deliveries.extend(delivery(row)?);
        }
        Ok(Some(EventStatus {
            event_type: first.try_get("event_type")?,
            accepted_at: first.try_get("accepted_at")?,
            statuses: first.try_get::<_, Option<_>>("event_statuses")?.unwrap_or_default(),
            attempts: first.try_get("event_attempts")?,
            last_attempt_at: first.try_get("event_last_attempt_at")?,
            next_attempt_at: first.try_get("event_next_attempt_at")?,
            error_message: first.try_get("event_error_message")?,
            deliveries,
        }))
    }
}

pub(super) fn first_attempt(event: EventId) -> Uuid {
    let accepted_at = event.accepted_at().unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let earliest = accepted_at.checked_sub(ID_SLACK).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    EventId::lower_bound(earliest).uuid()
}

pub(super) fn delivery(row: &Row) -> Result<Option<DeliveryStatus>, StoreError> {
    let Some(subscription) = row.try_get::<_, Option<Uuid>>("subscription_id")? else { return Ok(None) };
    Ok(Some(DeliveryStatus {
        subscription: subscription.into(),
        external_id: row.try_get("external_id")?,
        target_url: row.try_get("target_url")?,
        status: row.try_get("status")?,
        reason: row.try_get("reason")?,
        attempts: row.try_get("attempts")?,
        last_attempt_at: row.try_get("last_attempt_at")?,
        next_attempt_at: row.try_get("next_attempt_at")?,
        error_message: row.try_get("error_message")?,
    }))
}
