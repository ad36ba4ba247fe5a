//! Reading the delivery log, a page at a time.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Store, StoreError, sql};
use crate::domain::id::{AttemptId, EventId, SubscriptionId, TenantId};

/// Which rows of a subscription's log are wanted.
#[derive(Debug, Clone)]
pub struct LogFilter {
    /// Smallest id; ids carry the time.
    pub from: AttemptId,
    /// Only ids below this one.
    pub before: AttemptId,
    /// Successes alone (`true`), failures alone (`false`), or both.
    pub succeeded: Option<bool>,
    /// Only attempts for events of this type.
    pub event_type: Option<String>,
    /// Whether the event's bytes are wanted too.
    pub with_payload: bool,
    /// Most rows.
    pub limit: i64,
}

/// One row of the log.
#[derive(Debug, Clone)]
pub struct LoggedAttempt {
    /// Its id.
    pub id: AttemptId,
    /// The event.
    pub event: EventId,
    /// The event's type.
    pub event_type: Option<String>,
    /// 1 for the first attempt.
    pub attempt_number: i32,
    /// The coarse word.
    pub outcome: String,
    /// Status of the answer, if there was one.
    pub status_code: Option<i16>,
    /// One sentence, except after success.
    pub error_message: Option<String>,
    /// First bytes of the answer's body.
    pub response_body: Option<Vec<u8>>,
    /// How long it took.
    pub duration_ms: i32,
    /// When it began.
    pub created_at: OffsetDateTime,
    /// The event's bytes, where asked for and still there.
    pub payload: Option<Vec<u8>>,
}

impl Store {
    /// A page of a subscription's log, newest first.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn list_attempts(
        &self,
        tenant: TenantId,
        subscription: SubscriptionId,
        filter: &LogFilter,
    ) -> Result<Vec<LoggedAttempt>, StoreError> {
        let (tenant, subscription) = (tenant.uuid(), subscription.uuid());
        let (from, before) = (filter.from.uuid(), filter.before.uuid());
        let params: [super::connection::Param<'_>; 8] = [
            (&tenant, Type::UUID),
            (&subscription, Type::UUID),
            (&from, Type::UUID),
            (&before, Type::UUID),
            (&filter.succeeded, Type::BOOL),
            (&filter.event_type, Type::TEXT),
            (&filter.with_payload, Type::BOOL),
            (&filter.limit, Type::INT8),
        ];
        let rows = self.interactive().await?.query(&sql::LIST_ATTEMPTS, &params).await?;
        rows.iter().map(logged).collect()
    }
}

fn logged(row: &Row) -> Result<LoggedAttempt, StoreError> {
    Ok(LoggedAttempt {
        id: row.try_get::<_, Uuid>("id")?.into(),
        event: row.try_get::<_, Uuid>("event_id")?.into(),
        event_type: row.try_get("event_type")?,
        attempt_number: row.try_get("attempt_number")?,
        outcome: row.try_get("outcome")?,
        status_code: row.try_get("status_code")?,
        error_message: row.try_get("error_message")?,
        response_body: row.try_get("response_body")?,
        duration_ms: row.try_get("duration_ms")?,
        created_at: row.try_get("created_at")?,
        payload: row.try_get("payload")?,
    })
}
