//! `/deliveries`: the deliveries of a tenant or of all, newest event first.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::Api;
use super::access::{Allowed, AllowedForNamed, Manage, Support};
use super::docs::Resource;
use super::events::DeliveryState;
use super::page::{self, Limit, List, PairCursor};
use super::parameter::{Queries, Query};
use super::payload::{Answer, Document};
use super::problem::Problem;
use super::text::{Moment, choice};
use crate::domain::event_type::EventType;
use crate::domain::external_id::SubscriptionName;
use crate::store::{Common, DeliveryFilter, FoundDelivery};

mod bulk;

use bulk::{Bulk, BulkCancel, BulkForm, BulkRetry};

pub(super) struct DeliveriesApi(pub(super) Arc<Api>);

choice! {
    /// Why a delivery is held or ended.
    pub(super) enum DeliveryReason {
        Disabled = "disabled",
        Ordered = "ordered",
        BreakerOpen = "breaker_open",
        RetryAfter = "retry_after",
        Recovering = "recovering",
        RateLimit = "rate_limit",
        Concurrency = "concurrency",
        Exhausted = "exhausted",
        Gone = "gone",
        AbortedByReceiver = "aborted_by_receiver",
        BlockedAddress = "blocked_address",
        SkipAfterAttempts = "skip_after_attempts",
        Requested = "requested",
        SubscriptionDeleted = "subscription_deleted",
        ExpiresAt = "expires_at",
        Lifetime = "lifetime",
    }
}

/// A page of deliveries, newest event first.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct FoundDeliveries {
    /// The rows; may be fewer than `limit`, even none, while there is a `next_cursor`.
    data: Vec<FoundDeliveryAnswer>,
    /// Cursor of the next page; null on the last.
    next_cursor: Option<String>,
    /// Set if the page examined as many rows as it may: it has looked at events back to then, and `next_cursor` goes on
    /// from there.
    examined_to: Option<Moment>,
}

/// A delivery with its event, its subscription and its newest attempt.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct FoundDeliveryAnswer {
    /// The event.
    webhook_id: Uuid,
    /// Type of the event.
    event_type: Option<String>,
    /// The owner of event and subscription.
    tenant_id: Uuid,
    /// The subscription.
    subscription_id: Uuid,
    /// The subscription's external id.
    external_id: Option<String>,
    /// The subscription's target; null if it was deleted so long ago that retention dropped it.
    target_url: Option<String>,
    /// `pending`, `sending`, `held`, `succeeded`, `failed`, `cancelled`, `expired` or `skipped`.
    status: String,
    /// Why it is held or ended.
    reason: Option<String>,
    /// Attempts so far.
    attempts: i32,
    /// Outcome of the newest attempt.
    last_outcome: Option<String>,
    /// Status of the receiver's newest response, if the newest attempt had one.
    last_status_code: Option<i16>,
    /// The error of the newest attempt; null after a success.
    error_message: Option<String>,
    /// When the event was accepted.
    accepted_at: Moment,
    /// When the newest attempt began.
    last_attempt: Option<Moment>,
    /// When the next attempt is due.
    next_attempt_at: Option<Moment>,
}

#[OpenApi(prefix_path = "/deliveries", tag = "Resource::Deliveries")]
impl DeliveriesApi {
    /// Find deliveries
    ///
    /// Of one tenant, or of all with `Postrider-Tenant: *`; newest event first, and those of one event by descending
    /// subscription id. A parameter that is repeated means any of its values. A page examines at most 10,000 rows: then
    /// it is short, even empty, says in `examined_to` how far it came, and `next_cursor` goes on.
    #[oai(path = "/", method = "get", operation_id = "list_deliveries")]
    #[expect(clippy::too_many_arguments, reason = "each is a documented parameter of the operation")]
    async fn list(
        &self,
        caller: AllowedForNamed<Support>,
        /// Only deliveries with this status.
        status: Queries<DeliveryState>,
        /// Only deliveries that are held or ended for this reason.
        reason: Queries<DeliveryReason>,
        /// Only deliveries to this subscription: id or external id. With `*` as the tenant only an id.
        subscription_id: Queries<SubscriptionName>,
        /// Only deliveries of events of this type.
        event_type: Queries<EventType>,
        /// Only deliveries of events accepted from then on.
        since: Query<Moment>,
        /// Only deliveries of events accepted before then.
        until: Query<Moment>,
        /// Rows per page.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page.
        cursor: Query<PairCursor<{ List::Deliveries as u8 }>>,
    ) -> Result<Answer<FoundDeliveries>, Problem> {
        let limit = page::limit(&limit);
        let filter = DeliveryFilter {
            tenant: caller.tenant(),
            common: Common {
                subscriptions: self.0.asked_subscriptions(caller.tenant(), &subscription_id.0).await?,
                statuses: status.0.into_iter().map(DeliveryState::word).collect(),
                event_types: event_type.0.iter().map(ToString::to_string).collect(),
                since: since.0.map(|since| since.0),
                until: until.0.map(|until| until.0),
            },
            reasons: reason.0.into_iter().map(DeliveryReason::word).collect(),
            before: cursor.0.map_or((Uuid::max(), Uuid::max()), |cursor| (cursor.0, cursor.1)),
            limit: i64::try_from(limit + 1).unwrap_or(i64::MAX),
        };
        let page = self.0.store.search_deliveries(&filter).await?;
        let key = |row: &FoundDelivery| (row.event, row.subscription);
        let (rows, cursor) = page::cut_pairs(page.rows, limit, List::Deliveries, key);
        let examined_to = page.examined_to.filter(|_| cursor.is_none());
        let examined = examined_to.map(|pair| page::pair_cursor_after(List::Deliveries, pair));
        Ok(Answer::Value(FoundDeliveries {
            data: rows.into_iter().map(FoundDeliveryAnswer::of).collect(),
            next_cursor: cursor.or(examined),
            examined_to: examined_to.and_then(|(event, _)| page::time_of(event)),
        }))
    }

    /// Retry deliveries
    ///
    /// Requeues all ended deliveries that `only` selects, of whatever subscriptions, by a replay of up to 1,000 a second.
    /// `dry_run` counts them first; its `token` makes this request select the same.
    #[oai(path = "/retry", method = "post", operation_id = "retry_deliveries")]
    async fn retry(&self, caller: Allowed<Manage>, body: Document<BulkForm>) -> Result<Bulk<BulkRetry>, Problem> {
        let form = body.read(&self.0.settings.targets)?;
        bulk::retry(&self.0, &caller, form).await
    }

    /// Cancel deliveries
    ///
    /// Ends pending and held deliveries that `only` selects as `cancelled`, newest event first, for about a second: if
    /// `more` is true, repeat the request. Those in flight end so if their attempt fails. `dry_run` counts them first.
    #[oai(path = "/cancel", method = "post", operation_id = "cancel_deliveries")]
    async fn cancel(&self, caller: Allowed<Manage>, body: Document<BulkForm>) -> Result<Bulk<BulkCancel>, Problem> {
        let form = body.read(&self.0.settings.targets)?;
        bulk::cancel(&self.0, &caller, form).await
    }
}

impl FoundDeliveryAnswer {
    fn of(row: FoundDelivery) -> Self {
        Self {
            webhook_id: row.event,
            event_type: row.event_type,
            tenant_id: row.tenant,
            subscription_id: row.subscription,
            external_id: row.external_id,
            target_url: row.target_url,
            status: row.status,
            reason: row.reason,
            attempts: row.attempts,
            last_outcome: row.last_outcome,
            last_status_code: row.last_status_code,
            error_message: row.error_message,
            accepted_at: Moment(row.accepted_at),
            last_attempt: row.last_attempt_at.map(Moment),
            next_attempt_at: row.next_attempt_at.map(Moment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::text::FromText as _;
    use crate::domain::end::EndReason;

    #[test]
    fn every_reason_of_an_end_can_be_asked_for() {
        for reason in EndReason::ALL.map(EndReason::as_str) {
            assert_eq!(DeliveryReason::from_text(reason).unwrap().word(), reason);
        }
    }
}
