//! Reads what was written to the log, in the order of its transactions' beginnings.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::id::TenantId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TailKind {
    Accepted,
    Attempt,
    /// Without success; a success is its attempt.
    Ended,
}

/// A row of the log.
#[derive(Debug, Clone)]
pub(crate) struct TailRow {
    pub(crate) kind: TailKind,
    /// The time of its transaction.
    pub(crate) at: OffsetDateTime,
    pub(crate) tenant: TenantId,
    /// Of the attempt, otherwise of the event.
    pub(crate) id: Uuid,
    pub(crate) event: Uuid,
    pub(crate) subscription: Option<Uuid>,
    pub(crate) event_type: Option<String>,
    /// Outcome or status.
    pub(crate) word: Option<String>,
    pub(crate) reason: Option<String>,
    /// Size of the payload, number of the attempt, or attempts made.
    pub(crate) number: i32,
    pub(crate) status_code: Option<i32>,
    pub(crate) error_message: Option<String>,
    pub(crate) duration_ms: Option<i32>,
    pub(crate) began_at: OffsetDateTime,
    pub(crate) trigger: Option<String>,
}

/// Some rows, earliest first.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    /// Everything before it was visible when this read began or will never be.
    pub(crate) mark: OffsetDateTime,
    pub(crate) now: OffsetDateTime,
    pub(crate) rows: Vec<TailRow>,
    /// If there are more rows: where the next read begins. It repeats rows.
    pub(crate) next: Option<OffsetDateTime>,
}

impl Store {
    /// Up to about `most` rows of each kind from `since` on.
    pub(crate) async fn tail(
        &self,
        since: OffsetDateTime,
        until: OffsetDateTime,
        most: i64,
    ) -> Result<Tail, StoreError> {
        let params: [Param<'_>; 3] = [(&since, Type::TIMESTAMPTZ), (&until, Type::TIMESTAMPTZ), (&most, Type::INT8)];
        let found = self.interactive().await?.query(&sql::TAIL, &params).await?;
        let first = found.first().ok_or_else(|| StoreError::Unreadable("no mark".to_owned()))?;
        let (mark, now) = (first.try_get("mark")?, first.try_get("now")?);
        let mut rows = Vec::with_capacity(found.len());
        for row in &found {
            rows.extend(tail_row(row)?);
        }
        let next = [TailKind::Accepted, TailKind::Attempt, TailKind::Ended].into_iter().filter_map(|kind| {
            let times: Vec<OffsetDateTime> = rows.iter().filter(|row| row.kind == kind).map(|row| row.at).collect();
            // All rows of the last time are there, so the next read begins after it.
            let is_cut = i64::try_from(times.len()).unwrap_or(i64::MAX) >= most;
            times.last().filter(|_| is_cut).map(|last| *last + time::Duration::microseconds(1))
        });
        let next = next.min();
        Ok(Tail { mark, now, next, rows })
    }
}

/// `None` for the row that has only the mark.
fn tail_row(row: &Row) -> Result<Option<TailRow>, StoreError> {
    let Some(kind) = row.try_get::<_, Option<&str>>("kind")? else { return Ok(None) };
    let kind = match kind {
        "accepted" => TailKind::Accepted,
        "attempt" => TailKind::Attempt,
        "ended" => TailKind::Ended,
        other => return Err(StoreError::Unreadable(format!("the kind {other:?} of a row of the log"))),
    };
    Ok(Some(TailRow {
        kind,
        at: row.try_get("at")?,
        tenant: row.try_get::<_, Uuid>("tenant_id")?.into(),
        id: row.try_get("id")?,
        event: row.try_get("event_id")?,
        subscription: row.try_get("subscription_id")?,
        event_type: row.try_get("event_type")?,
        word: row.try_get("word")?,
        reason: row.try_get("reason")?,
        number: row.try_get("number")?,
        status_code: row.try_get("status_code")?,
        error_message: row.try_get("error_message")?,
        duration_ms: row.try_get("duration_ms")?,
        began_at: row.try_get("began_at")?,
        trigger: row.try_get("trigger")?,
    }))
}
