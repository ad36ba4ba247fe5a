//! `/refusals`: requests to `/ingest` and `/events` that were refused.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::Api;
use super::access::{AllowedForNamed, Staff};
use super::docs::Resource;
use super::page::{self, Cursor, Limit, List, Page};
use super::parameter::{Queries, Query};
use super::payload::Answer;
use super::problem::Problem;
use super::text::{Code, Moment};
use super::time_range::TimeRange;
use crate::store::{RefusalFilter, RefusalRow};

mod budget;
mod note;
mod waiting;

pub(super) use note::{Item, Note};
pub use waiting::Refusals;

/// The resource.
pub(super) struct RefusalsApi(pub(super) Arc<Api>);

/// A request to publish that was refused, or an event of a batch.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct RefusalAnswer {
    /// Its id, a UUIDv7.
    id: Uuid,
    /// When it was refused.
    at: Moment,
    /// The tenant that its key or its subscription names; null if neither does.
    tenant_id: Option<Uuid>,
    /// Status of the answer, or of the event's entry.
    status: i16,
    /// The problem's `code`.
    code: String,
    /// Why. For a request without a key it may say more than its answer did.
    detail: String,
    /// The path, with names in place of ids.
    route: String,
    /// The subscription as the request named it: id or external id.
    subscription: Option<String>,
    /// The subscription's id, even if there is no such subscription.
    subscription_id: Option<Uuid>,
    /// As sent.
    event_type: Option<String>,
    /// As sent.
    idempotency_key: Option<String>,
    /// Id of the key that came with it, right or wrong.
    key_id: Option<Uuid>,
    /// Who sent it; behind a load balancer, that one.
    remote_address: Option<String>,
    /// `X-Request-Id` of the answer.
    request_id: String,
    /// First 512 bytes of the body, or of the event in a batch, as text. Null if none had arrived, if no tenant is
    /// named, and for the scope `support`.
    beginning: Option<String>,
}

/// A page of refused requests, newest first.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct RefusalList {
    /// The rows; may be fewer than `limit`, even none, when many were examined.
    data: Vec<RefusalAnswer>,
    /// Asks for the next page; null on the last.
    next_cursor: Option<String>,
    /// Set if the page examined as many requests as it may: it has looked at those back to then.
    examined_to: Option<Moment>,
}

#[OpenApi(prefix_path = "/refusals", tag = "Resource::Refusals")]
impl RefusalsApi {
    /// List refused requests
    ///
    /// Requests to `/ingest`, `/events` and `/events/batch`, and events of a batch, that were answered with 4xx, newest
    /// first. Stored within a second, not more than a few each second, the newest
    /// `POSTRIDER_REFUSALS_PER_TENANT` of each tenant, for `POSTRIDER_REFUSAL_RETENTION`.
    #[oai(path = "/", method = "get", operation_id = "list_refusals")]
    #[expect(clippy::too_many_arguments, reason = "each is a documented parameter of the operation")]
    async fn list(
        &self,
        caller: AllowedForNamed<Staff>,
        /// Only with this `code`; may be repeated.
        code: Queries<Code>,
        /// Only from then on.
        since: Query<Moment>,
        /// Only before then.
        until: Query<Moment>,
        /// Rows of a page.
        limit: Query<Limit>,
        /// `next_cursor` of the page before.
        cursor: Query<Cursor<{ List::Refusals as u8 }>>,
    ) -> Result<Answer<RefusalList>, Problem> {
        self.0.refusals.flush().await;
        let limit = page::limit(&limit);
        let range = TimeRange::new(since.0, until.0);
        let filter = RefusalFilter {
            tenant: caller.tenant(),
            codes: code.0.into_iter().map(|code| code.0).collect(),
            from: range.from(),
            before: range.before(cursor.0.map(|cursor| cursor.0)),
            limit: i64::try_from(limit + 1).unwrap_or(i64::MAX),
        };
        let page = self.0.store.list_refusals(&filter).await?;
        let Page { rows, next_cursor, examined_to } = Page::of(page, limit, List::Refusals, |row| row.id);
        let shows_bodies = caller.bearer().grant.shows_bodies();
        let data = rows
            .into_iter()
            .filter(|row| range.holds(row.at))
            .map(|row| RefusalAnswer::of(row, shows_bodies))
            .collect();
        Ok(Answer::Value(RefusalList { data, next_cursor, examined_to }))
    }
}

impl RefusalAnswer {
    fn of(row: RefusalRow, shows_bodies: bool) -> Self {
        let beginning = row.beginning.filter(|_| shows_bodies);
        Self {
            id: row.id,
            at: Moment(row.at),
            tenant_id: row.tenant,
            status: row.status,
            code: row.code,
            detail: row.detail,
            route: row.route,
            subscription: row.subscription,
            subscription_id: row.subscription_id,
            event_type: row.event_type,
            idempotency_key: row.idempotency_key,
            key_id: row.key,
            remote_address: row.remote_address.map(|address| address.to_string()),
            request_id: row.request_id,
            beginning: beginning.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}
