//! Deliveries, ordered by event and subscription.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::super::connection::Param;
use super::super::{Store, StoreError, sql};
use super::{Common, MAX_EXAMINED, MAX_EXAMINING_MS, Searched, given};
use crate::domain::id::TenantId;

/// Selects deliveries.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryFilter {
    /// `None` for all tenants.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) common: Common,
    pub(crate) reasons: Vec<&'static str>,
    /// Event and subscription below which the page begins.
    pub(crate) before: (Uuid, Uuid),
    pub(crate) limit: i64,
}

/// A delivery with what is known of its event, its subscription and its newest attempt.
#[derive(Debug, Clone)]
pub(crate) struct FoundDelivery {
    pub(crate) tenant: Uuid,
    pub(crate) event: Uuid,
    pub(crate) subscription: Uuid,
    pub(crate) event_type: Option<String>,
    pub(crate) external_id: Option<String>,
    /// `None` if retention has dropped the deleted subscription.
    pub(crate) target_url: Option<String>,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) attempts: i32,
    pub(crate) last_outcome: Option<String>,
    pub(crate) last_status_code: Option<i16>,
    pub(crate) error_message: Option<String>,
    pub(crate) accepted_at: OffsetDateTime,
    pub(crate) last_attempt_at: Option<OffsetDateTime>,
    pub(crate) next_attempt_at: Option<OffsetDateTime>,
}

impl Store {
    /// A page of deliveries, newest event first.
    pub(crate) async fn search_deliveries(
        &self,
        filter: &DeliveryFilter,
    ) -> Result<Searched<FoundDelivery, (Uuid, Uuid)>, StoreError> {
        let (tenant, common) = (filter.tenant.map(TenantId::uuid), &filter.common);
        let (subscriptions, statuses) = (given(&common.subscriptions), given(&common.statuses));
        let (reasons, types) = (given(&filter.reasons), given(&common.event_types));
        let params: [Param<'_>; 12] = [
            (&tenant, Type::UUID),
            (&subscriptions, Type::UUID_ARRAY),
            (&statuses, Type::TEXT_ARRAY),
            (&reasons, Type::TEXT_ARRAY),
            (&types, Type::TEXT_ARRAY),
            (&common.since, Type::TIMESTAMPTZ),
            (&common.until, Type::TIMESTAMPTZ),
            (&filter.before.0, Type::UUID),
            (&filter.before.1, Type::UUID),
            (&filter.limit, Type::INT8),
            (&MAX_EXAMINED, Type::INT8),
            (&MAX_EXAMINING_MS, Type::FLOAT8),
        ];
        let mut page = Searched::default();
        for row in &self.interactive().await?.query(&sql::SEARCH_DELIVERIES, &params).await? {
            match row.try_get::<_, Option<Uuid>>("examined_event")? {
                Some(event) => page.examined_to = Some((event, row.try_get("examined_subscription")?)),
                None => page.rows.push(found(row)?),
            }
        }
        Ok(page)
    }
}

fn found(row: &Row) -> Result<FoundDelivery, StoreError> {
    Ok(FoundDelivery {
        tenant: row.try_get("tenant_id")?,
        event: row.try_get("event_id")?,
        subscription: row.try_get("subscription_id")?,
        event_type: row.try_get("event_type")?,
        external_id: row.try_get("external_id")?,
        target_url: row.try_get("target_url")?,
        status: row.try_get("status")?,
        reason: row.try_get("reason")?,
        attempts: row.try_get("attempts")?,
        last_outcome: row.try_get("last_outcome")?,
        last_status_code: row.try_get("last_status_code")?,
        error_message: row.try_get("error_message")?,
        accepted_at: row.try_get("accepted_at")?,
        last_attempt_at: row.try_get("last_attempt_at")?,
        next_attempt_at: row.try_get("next_attempt_at")?,
    })
}
