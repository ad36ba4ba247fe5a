//! `/status/logs/{subscription_id}`: the delivery log of a subscription, newest first.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::Api;
use super::access::{Allowed, Support};
use super::attempts::{AttemptRow, Shown, shows_bodies};
use super::docs::Resource;
use super::form::Whole;
use super::page::{self, Cursor, Limit, List};
use super::parameter::{Path, Query};
use super::payload::Answer;
use super::problem::Problem;
use super::text::{Moment, choice};
use crate::domain::event_type::EventType;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::{AttemptId, EventId};
use crate::store::LogFilter;

/// Default range.
const DEFAULT_DAYS: u32 = 7;
/// Payloads have up to 1 MiB each.
const MAX_WITH_PAYLOAD: u16 = 10;

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
    data: Vec<AttemptRow>,
    /// Cursor of the next page; null on the last.
    next_cursor: Option<String>,
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
        if with_payload && !shows_bodies(caller.bearer) {
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
        let shown = Shown { bodies: shows_bodies(caller.bearer), payloads: filter.with_payload };
        let data = rows.into_iter().map(|row| AttemptRow::of(row, shown)).collect();
        Ok(Answer::Value(LogPage { data, next_cursor }))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_never_leads_beyond_the_range() {
        let until = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let beyond = AttemptId::from(uuid::Uuid::max());
        assert_eq!(upper_bound(Some(until), Some(beyond)), lower_bound(until));
    }
}
