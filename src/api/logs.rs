//! `/status/logs/{subscription_id}`: the delivery log of a subscription, newest first.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::Api;
use super::access::{Allowed, Support};
use super::docs::Resource;
use super::form::Whole;
use super::page::{self, Cursor, Limit, List};
use super::parameter::{Path, Query};
use super::payload::Answer;
use super::problem::Problem;
use super::text::{Moment, choice};
use crate::domain::api_key::Scope;
use crate::domain::attempt::MAX_RESPONSE_BODY_BYTES;
use crate::domain::event_type::EventType;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::{AttemptId, EventId};
use crate::store::{LogFilter, LoggedAttempt};

/// Default range.
const DEFAULT_DAYS: u32 = 7;
/// Payloads have up to 1 MiB each.
const MAX_WITH_PAYLOAD: u16 = 10;
const DELIVERED: &str = "delivered";

pub(super) struct LogsApi(pub(super) Arc<Api>);

choice! {
    pub(super) enum LogStatus {
        Succeeded = "succeeded",
        Failed = "failed",
    }
}

choice! {
    pub(super) enum Include {
        Payload = "payload",
    }
}

/// A page of the log, newest first.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct LogPage {
    /// The rows.
    data: Vec<LogAnswer>,
    /// Cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

/// One attempt.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct LogAnswer {
    /// Its id, a UUIDv7 that carries when it began.
    id: Uuid,
    /// The subscription.
    subscription_id: Uuid,
    /// The event.
    webhook_id: Uuid,
    /// Type of the event.
    event_type: Option<String>,
    /// 1 for the first attempt of a delivery.
    attempt_number: i32,
    /// Status of the receiver's response, if there was one.
    status_code: Option<i16>,
    /// Whether the receiver answered 2xx.
    is_success: bool,
    /// The outcome, a stable name.
    outcome: String,
    /// The outcome as a sentence; null after a success.
    error_message: Option<String>,
    /// First 16 KiB of the response body, as text.
    response_body: Option<String>,
    /// Duration; 0 if the worker was lost during the attempt.
    duration_ms: i32,
    /// When it began.
    created_at: Moment,
    /// The event's payload as text, null where the event is gone; only with `include=payload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Option<String>>,
}

#[OpenApi(prefix_path = "/status/logs", tag = "Resource::Logs")]
impl LogsApi {
    /// Read the delivery log of a subscription
    ///
    /// Every attempt, newest first. Also of a deleted subscription, until retention drops it.
    #[oai(path = "/:subscription_id", method = "get", operation_id = "list_logs")]
    #[expect(clippy::too_many_arguments, reason = "each is a documented parameter of the operation")]
    async fn list(
        &self,
        caller: Allowed<Support>,
        /// The subscription.
        subscription_id: Path<SubscriptionName>,
        /// Range in days, 7 by default; not together with `since`.
        days: Query<Whole<1, 365>>,
        /// Only attempts since then.
        since: Query<Moment>,
        /// Only attempts before then.
        until: Query<Moment>,
        /// Only successes or only failures.
        status: Query<LogStatus>,
        /// Only attempts for events of this type.
        event_type: Query<EventType>,
        /// Rows per page; at most 10 with `include=payload`.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page.
        cursor: Query<Cursor<{ List::Attempts as u8 }>>,
        /// `payload` adds the event's payload to each row. Not allowed for the scope `support`, which gets no
        /// response bodies either.
        include: Query<Include>,
    ) -> Result<Answer<LogPage>, Problem> {
        if days.0.is_some() && since.0.is_some() {
            return Err(Problem::field("/query/days", "conflict", "must not stand together with since"));
        }
        let days = days.0.map_or(DEFAULT_DAYS, |days| days.0);
        let since = since.0.map_or_else(|| days_ago(self.0.clock.now(), days), |since| since.0);
        let with_payload = include.0 == Some(Include::Payload);
        if with_payload && !shows_bodies(&caller) {
            return Err(Problem::ScopeMissing);
        }
        let most = if with_payload { MAX_WITH_PAYLOAD } else { page::MAX_LIMIT };
        let limit = page::limit(&limit).min(most.into());
        let filter = LogFilter {
            from: lower_bound(since),
            before: upper_bound(until.0.map(|until| until.0), cursor.0.map(|cursor| cursor.0.into())),
            succeeded: status.0.map(|status| status == LogStatus::Succeeded),
            event_type: event_type.0.map(|name| name.to_string()),
            with_payload,
            limit: i64::try_from(limit + 1).unwrap_or(i64::MAX),
        };
        let id = self.0.subscription_id(caller.tenant, &subscription_id.0).await?;
        self.page(caller, id.uuid(), &filter, limit).await
    }
}

impl LogsApi {
    async fn page(
        &self,
        caller: Allowed<Support>,
        subscription: Uuid,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<Answer<LogPage>, Problem> {
        let rows = self.0.store.list_attempts(caller.tenant, subscription.into(), filter).await?;
        // The subscription may exist without rows.
        if rows.is_empty() && !self.0.store.known_subscription(caller.tenant, subscription.into()).await? {
            return Err(Problem::SubscriptionNotFound);
        }
        let (rows, next_cursor) = page::cut(rows, limit, List::Attempts, |row| row.id.uuid());
        let hide = |row: LogAnswer| if shows_bodies(&caller) { row } else { LogAnswer { response_body: None, ..row } };
        let data = rows.into_iter().map(|row| hide(log_answer(subscription, row, filter.with_payload))).collect();
        Ok(Answer::Value(LogPage { data, next_cursor }))
    }
}

fn shows_bodies(caller: &Allowed<Support>) -> bool {
    caller.bearer.scope.allows(Scope::Read)
}

fn days_ago(now: OffsetDateTime, days: u32) -> OffsetDateTime {
    now.checked_sub(Duration::days(i64::from(days))).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn lower_bound(at: OffsetDateTime) -> AttemptId {
    EventId::lower_bound(at).uuid().into()
}

/// The end of the range, or of the previous page.
fn upper_bound(until: Option<OffsetDateTime>, cursor: Option<AttemptId>) -> AttemptId {
    let until = until.map_or_else(|| uuid::Uuid::max().into(), lower_bound);
    cursor.map_or(until, |cursor| cursor.min(until))
}

fn log_answer(subscription_id: Uuid, row: LoggedAttempt, with_payload: bool) -> LogAnswer {
    let payload = row.payload.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    LogAnswer {
        id: row.id.uuid(),
        subscription_id,
        webhook_id: row.event.uuid(),
        event_type: row.event_type,
        attempt_number: row.attempt_number,
        status_code: row.status_code,
        is_success: row.outcome == DELIVERED,
        outcome: row.outcome,
        error_message: row.error_message,
        response_body: row.response_body.map(|bytes| readable(&bytes, MAX_RESPONSE_BODY_BYTES)),
        duration_ms: row.duration_ms,
        created_at: Moment(row.created_at),
        payload: with_payload.then_some(payload),
    }
}

/// Limits the text too: a replacement character is longer than the byte it replaces.
fn readable(bytes: &[u8], limit: usize) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    text.truncate(text.floor_char_boundary(limit));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_broken_bytes_stays_within_the_limit() {
        assert_eq!(readable(&[0xff; 100], 100).chars().count(), 33);
        assert_eq!(readable(b"ok", 100), "ok");
    }

    #[test]
    fn a_cursor_never_leads_beyond_the_range() {
        let until = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let beyond = AttemptId::from(uuid::Uuid::max());
        assert_eq!(upper_bound(Some(until), Some(beyond)), lower_bound(until));
    }
}
