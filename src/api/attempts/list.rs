//! Pages of attempts, of whatever subscription.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::StatusCodes;
use super::row::{AttemptRow, Shown, shows_bodies};
use crate::api::Api;
use crate::api::access::{Allowed, AllowedForNamed, Support};
use crate::api::auth::Bearer;
use crate::api::docs::Resource;
use crate::api::logs::LogStatus;
use crate::api::outbox::{self, Found};
use crate::api::page::{self, Cursor, Limit, List, Page};
use crate::api::parameter::{Path, Queries, Query};
use crate::api::payload::Answer;
use crate::api::problem::Problem;
use crate::api::text::Moment;
use crate::api::time_range::TimeRange;
use crate::domain::event_type::EventType;
use crate::domain::external_id::SubscriptionName;
use crate::domain::outcome::Outcome;
use crate::store::AttemptSearch;

pub(in crate::api) struct FoundAttemptsApi(pub(in crate::api) Arc<Api>);

/// A page of attempts, newest first.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct FoundAttempts {
    /// The rows; may be fewer than `limit`, even none, while there is a `next_cursor`.
    data: Vec<AttemptRow>,
    /// Cursor of the next page; null on the last.
    next_cursor: Option<String>,
    /// Set if the page examined as many rows as it may: it has looked at attempts back to then, and `next_cursor` goes on
    /// from there.
    examined_to: Option<Moment>,
}

impl FoundAttempts {
    pub(in crate::api) fn is_empty(&self) -> bool {
        self.data.is_empty() && self.next_cursor.is_none()
    }
}

#[OpenApi(tag = "Resource::Attempts")]
impl FoundAttemptsApi {
    /// Find attempts
    ///
    /// Of one tenant, or of all with `Postrider-Tenant: *`, newest first; also of deleted subscriptions and of test
    /// events. A parameter that is repeated means any of its values. A page examines at most 10,000 rows: then it is
    /// short, even empty, says in `examined_to` how far it came, and `next_cursor` goes on. The scope `support` gets no
    /// response bodies.
    #[oai(path = "/attempts", method = "get", operation_id = "list_attempts")]
    #[expect(clippy::too_many_arguments, reason = "each is a documented parameter of the operation")]
    async fn list(
        &self,
        caller: AllowedForNamed<Support>,
        /// Only attempts with this outcome.
        outcome: Queries<Outcome>,
        /// Only attempts with this status of the response: `404`, or `4xx` for a class.
        status_code: Queries<StatusCodes>,
        /// Only successes or only failures.
        status: Queries<LogStatus>,
        /// Only attempts for this subscription: id or external id. With `*` as the tenant only an id.
        subscription_id: Queries<SubscriptionName>,
        /// Only attempts for events of this type.
        event_type: Queries<EventType>,
        /// Only attempts for this event.
        webhook_id: Queries<Uuid>,
        /// Only attempts begun from then on.
        since: Query<Moment>,
        /// Only attempts begun before then.
        until: Query<Moment>,
        /// Rows per page.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page.
        cursor: Query<Cursor<{ List::Attempts as u8 }>>,
    ) -> Result<Answer<FoundAttempts>, Problem> {
        let limit = page::limit(&limit);
        let range = TimeRange::new(since.0, until.0);
        let filter = AttemptSearch {
            tenant: caller.tenant(),
            subscriptions: self.0.asked_subscriptions(caller.tenant(), &subscription_id.0).await?,
            events: webhook_id.0,
            event_types: event_type.0.iter().map(ToString::to_string).collect(),
            outcomes: outcome.0.into_iter().map(Outcome::as_str).collect(),
            succeeded: succeeded(&status.0),
            status_codes: status_code.0.iter().filter_map(StatusCodes::code).collect(),
            status_classes: status_code.0.iter().filter_map(StatusCodes::class).collect(),
            from: range.from(),
            before: range.before(cursor.0.map(|cursor| cursor.0)),
            with_payload: false,
            limit: i64::try_from(limit + 1).unwrap_or(i64::MAX),
        };
        page(&self.0, &filter, range, limit, caller.bearer()).await.map(Answer::Value)
    }

    /// List the attempts of an event
    ///
    /// For all its subscriptions, newest first. The scope `support` gets no response bodies.
    #[oai(path = "/events/:webhook_id/attempts", method = "get", operation_id = "list_event_attempts")]
    async fn of_event(
        &self,
        caller: Allowed<Support>,
        /// The event.
        webhook_id: Path<Uuid>,
        /// Rows per page.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page.
        cursor: Query<Cursor<{ List::Attempts as u8 }>>,
    ) -> Result<Answer<FoundAttempts>, Problem> {
        let limit = page::limit(&limit);
        let filter = AttemptSearch {
            tenant: Some(caller.tenant),
            subscriptions: Vec::new(),
            events: vec![webhook_id.0],
            event_types: Vec::new(),
            outcomes: Vec::new(),
            succeeded: None,
            status_codes: Vec::new(),
            status_classes: Vec::new(),
            from: Uuid::nil(),
            before: cursor.0.map_or_else(Uuid::max, |cursor| cursor.0),
            with_payload: false,
            limit: i64::try_from(limit + 1).unwrap_or(i64::MAX),
        };
        let found = page(&self.0, &filter, TimeRange::default(), limit, caller.bearer).await?;
        // The event may exist without attempts, and attempts may outlive it.
        if found.data.is_empty() && self.0.store.read_event(caller.tenant, webhook_id.0.into()).await?.is_none() {
            return self.of_unpublished(filter, limit, caller).await.map(Answer::Value);
        }
        Ok(Answer::Value(found))
    }
}

impl FoundAttemptsApi {
    /// None of what waits or was refused; of a duplicate those of the first event.
    async fn of_unpublished(
        &self,
        filter: AttemptSearch,
        limit: usize,
        caller: Allowed<Support>,
    ) -> Result<FoundAttempts, Problem> {
        let id = filter.events.first().copied().unwrap_or_default().into();
        let event = match outbox::find(&self.0, caller.tenant, id).await? {
            Found::Unpublished(_) => {
                return Ok(FoundAttempts { data: Vec::new(), next_cursor: None, examined_to: None });
            }
            Found::Event(event) => event,
        };
        let filter = AttemptSearch { events: vec![event.uuid()], ..filter };
        let found = page(&self.0, &filter, TimeRange::default(), limit, caller.bearer).await?;
        if found.data.is_empty() && self.0.store.read_event(caller.tenant, event).await?.is_none() {
            return Err(Problem::EventNotFound);
        }
        Ok(found)
    }
}

/// A page with at most `limit` rows; the search asks for one more.
pub(in crate::api) async fn page(
    api: &Api,
    filter: &AttemptSearch,
    range: TimeRange,
    limit: usize,
    bearer: Bearer,
) -> Result<FoundAttempts, Problem> {
    let page = api.store.search_attempts(filter).await?;
    let Page { rows, next_cursor, examined_to } = Page::of(page, limit, List::Attempts, |row| row.id.uuid());
    let shown = Shown { bodies: shows_bodies(bearer), payloads: filter.with_payload };
    Ok(FoundAttempts {
        data: rows
            .into_iter()
            .filter(|row| range.holds(row.created_at))
            .map(|row| AttemptRow::of(row, shown))
            .collect(),
        next_cursor,
        examined_to,
    })
}

/// `None` for both.
pub(in crate::api) fn succeeded(statuses: &[LogStatus]) -> Option<bool> {
    let first = *statuses.first()? == LogStatus::Succeeded;
    statuses.iter().all(|status| (*status == LogStatus::Succeeded) == first).then_some(first)
}
