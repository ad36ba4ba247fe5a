//! Rows of the log: an attempt in full, and the attempt of a test event.

use std::net::IpAddr;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::record::detail_text;
use super::{Store, StoreError, sql};
use crate::domain::attempt::Attempt;
use crate::domain::delivery::DeliveryKey;
use crate::domain::detail::Detail;
use crate::domain::id::{AttemptId, EventId, SubscriptionId, TenantId};
use crate::domain::trigger::Trigger;

/// A row of the log.
#[derive(Debug, Clone)]
pub(crate) struct LoggedAttempt {
    pub(crate) tenant: TenantId,
    pub(crate) subscription: SubscriptionId,
    pub(crate) id: AttemptId,
    pub(crate) event: EventId,
    pub(crate) event_type: Option<String>,
    pub(crate) attempt_number: i32,
    pub(crate) trigger: Trigger,
    pub(crate) outcome: String,
    pub(crate) status_code: Option<i16>,
    pub(crate) error_message: Option<String>,
    pub(crate) response_body: Option<Vec<u8>>,
    pub(crate) remote_address: Option<IpAddr>,
    pub(crate) duration_ms: i32,
    pub(crate) created_at: OffsetDateTime,
    /// `None` if it was not requested or is gone.
    pub(crate) payload: Option<Vec<u8>>,
}

impl Store {
    /// An attempt with its details, where they were kept.
    pub(crate) async fn read_attempt(
        &self,
        tenant: TenantId,
        id: AttemptId,
    ) -> Result<Option<(LoggedAttempt, Option<Detail>)>, StoreError> {
        let (tenant, id) = (tenant.uuid(), id.uuid());
        let params: [Param<'_>; 2] = [(&tenant, Type::UUID), (&id, Type::UUID)];
        let rows = self.interactive().await?.query(&sql::READ_ATTEMPT, &params).await?;
        rows.first().map(in_full).transpose()
    }

    /// Logs the attempt of a test event, and returns it as [`Self::read_attempt`] does.
    pub(crate) async fn log_test(
        &self,
        key: DeliveryKey,
        event_type: Option<&str>,
        attempt: &Attempt,
    ) -> Result<(LoggedAttempt, Option<Detail>), StoreError> {
        let answer = &attempt.answer;
        let (tenant, subscription, id, event) =
            (key.tenant.uuid(), key.subscription.uuid(), attempt.id.uuid(), key.event.uuid());
        let outcome = answer.outcome.as_str();
        let status = answer.status.and_then(|status| i16::try_from(status).ok());
        let message = answer.message();
        let body = answer.status.map(|_| answer.body.as_ref());
        let remote = answer.remote.map(|address| address.to_string());
        let duration = i32::try_from(answer.duration.as_millis()).unwrap_or(i32::MAX);
        let detail = answer.detail.as_deref().map(detail_text);
        let params: [Param<'_>; 13] = [
            (&tenant, Type::UUID),
            (&subscription, Type::UUID),
            (&id, Type::UUID),
            (&event, Type::UUID),
            (&event_type, Type::TEXT),
            (&outcome, Type::TEXT),
            (&status, Type::INT2),
            (&message, Type::TEXT),
            (&body, Type::BYTEA),
            (&remote, Type::TEXT),
            (&duration, Type::INT4),
            (&attempt.started_at, Type::TIMESTAMPTZ),
            (&detail, Type::TEXT),
        ];
        let rows = self.interactive().await?.query(&sql::LOG_TEST, &params).await?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("a logged attempt has no row".to_owned()))?;
        in_full(row)
    }
}

fn in_full(row: &Row) -> Result<(LoggedAttempt, Option<Detail>), StoreError> {
    let text: Option<&str> = row.try_get("detail")?;
    let unreadable = |_| StoreError::Unreadable("the details of an attempt".to_owned());
    Ok((logged(row)?, text.map(serde_json::from_str).transpose().map_err(unreadable)?))
}

/// The columns of every query of the log have these names.
pub(super) fn logged(row: &Row) -> Result<LoggedAttempt, StoreError> {
    let remote: Option<&str> = row.try_get("remote_address")?;
    Ok(LoggedAttempt {
        tenant: row.try_get::<_, Uuid>("tenant_id")?.into(),
        subscription: row.try_get::<_, Uuid>("subscription_id")?.into(),
        id: row.try_get::<_, Uuid>("id")?.into(),
        event: row.try_get::<_, Uuid>("event_id")?.into(),
        event_type: row.try_get("event_type")?,
        attempt_number: row.try_get("attempt_number")?,
        trigger: Trigger::of_stored(row.try_get("trigger")?),
        outcome: row.try_get("outcome")?,
        status_code: row.try_get("status_code")?,
        error_message: row.try_get("error_message")?,
        response_body: row.try_get("response_body")?,
        remote_address: remote.and_then(|text| text.parse().ok()),
        duration_ms: row.try_get("duration_ms")?,
        created_at: row.try_get("created_at")?,
        payload: row.try_get("payload")?,
    })
}
