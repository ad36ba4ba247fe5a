//! `/status/logs/{subscription_id}`: the delivery log of a subscription, newest first.

use std::sync::Arc;

use poem_openapi::OpenApi;
use time::{Duration, OffsetDateTime};

use super::Api;
use super::access::{Allowed, Support};
use super::attempts::{self, FoundAttempts, shows_bodies};
use super::docs::Resource;
use super::form::Whole;
use super::page::{self, Cursor, Limit, List};
use super::parameter::{Path, Queries, Query};
use super::payload::Answer;
use super::problem::Problem;
use super::text::{Moment, choice};
use super::time_range::TimeRange;
use crate::domain::event_type::EventType;
use crate::domain::external_id::SubscriptionName;
use crate::store::AttemptSearch;

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

#[OpenApi(prefix_path = "/status/logs", tag = "Resource::Logs")]
impl LogsApi {
    /// Read the delivery log of a subscription
    ///
    /// Every attempt, newest first. Also of a deleted subscription, until retention drops it. A page examines at most
    /// 10,000 rows: then it is short, even empty, says in `examined_to` how far it came, and `next_cursor` goes on.
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
        status: Queries<LogStatus>,
        /// Only attempts for events of this type.
        event_type: Queries<EventType>,
        /// Rows per page; at most 10 with `include=payload`.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page.
        cursor: Query<Cursor<{ List::Attempts as u8 }>>,
        /// `payload` adds the event's payload to each row. Not allowed for the scope `support`, which gets no
        /// response bodies either.
        include: Query<Include>,
    ) -> Result<Answer<FoundAttempts>, Problem> {
        if days.0.is_some() && since.0.is_some() {
            return Err(Problem::field("/query/days", "conflict", "must not stand together with since"));
        }
        let days = days.0.map_or(DEFAULT_DAYS, |days| days.0);
        let since = since.0.unwrap_or_else(|| Moment(days_ago(self.0.clock.now(), days)));
        let range = TimeRange::new(Some(since), until.0);
        let with_payload = include.0 == Some(Include::Payload);
        if with_payload && !shows_bodies(caller.bearer) {
            return Err(Problem::ScopeMissing);
        }
        let most = if with_payload { MAX_WITH_PAYLOAD } else { page::MAX_LIMIT };
        let limit = page::limit(&limit).min(most.into());
        let id = self.0.subscription_id(caller.tenant, &subscription_id.0).await?;
        let filter = AttemptSearch {
            tenant: Some(caller.tenant),
            subscriptions: vec![id.uuid()],
            events: Vec::new(),
            event_types: event_type.0.iter().map(ToString::to_string).collect(),
            outcomes: Vec::new(),
            succeeded: attempts::succeeded(&status.0),
            status_codes: Vec::new(),
            status_classes: Vec::new(),
            from: range.from(),
            before: range.before(cursor.0.map(|cursor| cursor.0)),
            with_payload,
            limit: i64::try_from(limit + 1).unwrap_or(i64::MAX),
        };
        let page = attempts::page(&self.0, &filter, range, limit, caller.bearer).await?;
        // The subscription may exist without rows.
        if page.is_empty() && !self.0.store.known_subscription(caller.tenant, id).await? {
            return Err(Problem::SubscriptionNotFound);
        }
        Ok(Answer::Value(page))
    }
}

fn days_ago(now: OffsetDateTime, days: u32) -> OffsetDateTime {
    now.checked_sub(Duration::days(i64::from(days))).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
