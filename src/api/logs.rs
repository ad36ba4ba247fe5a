//! `/status/logs/{subscription_id}`: the delivery log of a subscription, newest first.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::{Enum, Object, OpenApi};
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::Api;
use super::access::{Allowed, Support};
use super::docs::Resource;
use super::page::{self, DEFAULT_LIMIT, List};
use super::payload::Answer;
use super::problem::Problem;
use super::subscription_path::SubscriptionPath;
use super::text::{IdText, Moment};
use crate::domain::api_key::Scope;
use crate::domain::attempt::MAX_RESPONSE_BODY_BYTES;
use crate::domain::event_type::EventType;
use crate::domain::id::{AttemptId, EventId};
use crate::store::{LogFilter, LoggedAttempt};

/// How far back the log is read when nobody says.
const DEFAULT_DAYS: u16 = 7;
/// Most rows of a page that carries payloads, each up to 1 MiB.
const MAX_WITH_PAYLOAD: u16 = 10;
const DELIVERED: &str = "delivered";

/// The resource.
pub(super) struct LogsApi(pub(super) Arc<Api>);

/// Which attempts are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(super) enum LogStatus {
    /// Those that a receiver answered with 2xx.
    Succeeded,
    /// All others.
    Failed,
}

/// What else a row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(super) enum Include {
    /// The event's payload.
    Payload,
}

/// A page of the log, newest first.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct LogPage {
    /// The rows.
    data: Vec<LogAnswer>,
    /// Asks for the next page; null on the last.
    next_cursor: Option<String>,
}

/// One attempt.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct LogAnswer {
    /// Its id, a UUIDv7 that carries when it began.
    id: IdText,
    /// Whom it was for.
    subscription_id: IdText,
    /// The event.
    webhook_id: IdText,
    /// What kind of event.
    event_type: Option<String>,
    /// 1 for the first attempt of a delivery.
    attempt_number: i32,
    /// Status of the receiver's answer, if there was one.
    status_code: Option<i16>,
    /// Whether the receiver answered 2xx.
    is_success: bool,
    /// What it met, as one stable word.
    outcome: String,
    /// The same as a sentence; null after success.
    error_message: Option<String>,
    /// First 16 KiB of the answer's body, as text.
    response_body: Option<String>,
    /// How long it took; 0 for an attempt whose end nobody saw.
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
    /// Every attempt, newest first. Of a deleted subscription too, until retention ends.
    #[oai(path = "/:subscription_id", method = "get", operation_id = "list_logs")]
    #[expect(clippy::too_many_arguments, reason = "each is a documented parameter of the operation")]
    async fn list(
        &self,
        caller: Allowed<Support>,
        /// The subscription.
        subscription_id: Path<SubscriptionPath>,
        /// How far back; 7 when neither this nor `since` is given, and not together with it.
        #[oai(validator(minimum(value = "1"), maximum(value = "365")))]
        days: Query<Option<u16>>,
        /// Only attempts from then on.
        since: Query<Option<Moment>>,
        /// Only attempts before then.
        until: Query<Option<Moment>>,
        /// Only successes or only failures.
        status: Query<Option<LogStatus>>,
        /// Only attempts for events of this type.
        #[oai(validator(max_length = 128))]
        event_type: Query<Option<String>>,
        /// Rows of a page; at most 10 come with `include=payload`.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u16>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// `payload` adds the event's payload to each row; not with the scope `support`, which gets no response bodies either.
        include: Query<Option<Include>>,
    ) -> Result<Answer<LogPage>, Problem> {
        if days.is_some() && since.is_some() {
            return Err(Problem::field("/query/days", "conflict", "must not stand together with since"));
        }
        let event_type = event_type.0.map(|text| text.parse::<EventType>()).transpose();
        let event_type = event_type.map_err(|rule| Problem::field("/query/event_type", "invalid_event_type", rule))?;
        let before = cursor.0.map(|cursor| page::read_cursor(List::Attempts, &cursor)).transpose()?;
        let since =
            since.0.map_or_else(|| days_ago(self.0.clock.now(), days.0.unwrap_or(DEFAULT_DAYS)), |since| since.0);
        let with_payload = include.0 == Some(Include::Payload);
        if with_payload && !shows_bodies(&caller) {
            return Err(Problem::ScopeMissing);
        }
        let most = if with_payload { MAX_WITH_PAYLOAD } else { page::MAX_LIMIT };
        let limit = limit.0.unwrap_or(DEFAULT_LIMIT).min(most);
        let filter = LogFilter {
            from: floor(since),
            before: upper_bound(until.0.map(|until| until.0), before.map(Into::into)),
            succeeded: status.0.map(|status| status == LogStatus::Succeeded),
            event_type: event_type.map(|name| name.to_string()),
            with_payload,
            limit: i64::from(limit) + 1,
        };
        let id = self.0.subscription_id(caller.tenant, &subscription_id.0).await?;
        self.page(caller, IdText(id.uuid()), &filter, usize::from(limit)).await
    }
}

impl LogsApi {
    async fn page(
        &self,
        caller: Allowed<Support>,
        subscription: IdText,
        filter: &LogFilter,
        limit: usize,
    ) -> Result<Answer<LogPage>, Problem> {
        let rows = self.0.store.list_attempts(caller.tenant, subscription.0.into(), filter).await?;
        // A subscription without rows may still be one.
        if rows.is_empty() && !self.0.store.known_subscription(caller.tenant, subscription.0.into()).await? {
            return Err(Problem::SubscriptionNotFound);
        }
        let (rows, next_cursor) = page::cut(rows, limit, List::Attempts, |row| row.id.uuid());
        let hide = |row: LogAnswer| if shows_bodies(&caller) { row } else { LogAnswer { response_body: None, ..row } };
        let data = rows.into_iter().map(|row| hide(log_answer(subscription, row, filter.with_payload))).collect();
        Ok(Answer::Value(LogPage { data, next_cursor }))
    }
}

/// Whether the caller may see payloads and response bodies.
fn shows_bodies(caller: &Allowed<Support>) -> bool {
    caller.bearer.scope.allows(Scope::Read)
}

fn days_ago(now: OffsetDateTime, days: u16) -> OffsetDateTime {
    now.checked_sub(Duration::days(i64::from(days))).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// The smallest id of an attempt that began then.
fn floor(at: OffsetDateTime) -> AttemptId {
    EventId::floor(at).uuid().into()
}

/// Only ids below this: the end of the range, or where the page before ended.
fn upper_bound(until: Option<OffsetDateTime>, cursor: Option<AttemptId>) -> AttemptId {
    let until = until.map_or_else(|| uuid::Uuid::max().into(), floor);
    cursor.map_or(until, |cursor| cursor.min(until))
}

fn log_answer(subscription_id: IdText, row: LoggedAttempt, with_payload: bool) -> LogAnswer {
    let payload = row.payload.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    LogAnswer {
        id: IdText(row.id.uuid()),
        subscription_id,
        webhook_id: IdText(row.event.uuid()),
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

/// Bytes as text of at most `limit` bytes: each replacement character is longer than the
/// byte it stands for.
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
        assert_eq!(upper_bound(Some(until), Some(beyond)), floor(until));
    }
}
