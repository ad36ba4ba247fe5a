//! `/status/{webhook_id}`: the delivery status of an event.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::Api;
use super::access::{Allowed, Support};
use super::docs::Resource;
use super::outbox::{self, Found};
use super::page::{self, Cursor, List, MAX_LIMIT};
use super::parameter::{Path, Query};
use super::payload::Answer;
use super::problem::Problem;
use super::text::Moment;
use crate::domain::id::{EventId, SubscriptionId, TenantId};
use crate::store::{DeliveryStatus, EventStatus, Unpublished};

const SUCCEEDED: &str = "succeeded";

pub(super) struct StatusApi(pub(super) Arc<Api>);

/// The status of an event over all its deliveries.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct StatusAnswer {
    /// The event. For an id that `postrider.publish()` returned for a repeated idempotency key: the first event.
    webhook_id: Uuid,
    /// Its type.
    event_type: Option<String>,
    /// `pending` while any delivery is, then `succeeded` if all did, else `failed`; `no_match` if it matched no
    /// subscription; `refused` if it came from SQL and could not be published.
    status: &'static str,
    /// Attempts so far.
    attempts: i64,
    /// When the newest attempt began.
    last_attempt: Option<Moment>,
    /// When the next attempt is due.
    next_attempt_at: Option<Moment>,
    /// Whether every delivery succeeded.
    is_success: bool,
    /// The error of the newest attempt, or why it was refused; null after a success.
    error_message: Option<String>,
    /// When it was accepted; when `postrider.publish()` was called, until it is published.
    accepted_at: Moment,
    /// By subscription id; at most 100.
    deliveries: Vec<DeliveryAnswer>,
    /// Cursor of the next deliveries; null on the last page.
    deliveries_next_cursor: Option<String>,
}

/// The status of one delivery.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct DeliveryAnswer {
    /// The subscription.
    subscription_id: Uuid,
    /// Its external id.
    external_id: Option<String>,
    /// Where it delivers to now; null if it was deleted long ago.
    target_url: Option<String>,
    /// `pending`, `sending`, `held`, `succeeded`, `failed`, `cancelled`, `expired` or `skipped`.
    status: String,
    /// Why it is held or ended.
    reason: Option<String>,
    /// Attempts so far.
    attempts: i32,
    /// When the newest attempt began.
    last_attempt: Option<Moment>,
    /// When the next attempt is due.
    next_attempt_at: Option<Moment>,
    /// Whether it succeeded.
    is_success: bool,
    /// The error of the newest attempt; null after a success.
    error_message: Option<String>,
}

#[OpenApi(prefix_path = "/status", tag = "Resource::Status")]
impl StatusApi {
    /// Read the status of an event
    ///
    /// From the 202 on, or from the commit of `postrider.publish()`, on every replica, until retention drops it. The status covers all deliveries; the response
    /// has 100 of them, and `cursor` leads to the next.
    #[oai(path = "/:webhook_id", method = "get", operation_id = "read_status")]
    async fn read(
        &self,
        caller: Allowed<Support>,
        /// The event.
        webhook_id: Path<Uuid>,
        /// `deliveries_next_cursor` of the previous page.
        cursor: Query<Cursor<{ List::EventDeliveries as u8 }>>,
    ) -> Result<Answer<StatusAnswer>, Problem> {
        let after = cursor.0.map(|cursor| cursor.0.into());
        self.read_by_id(caller.tenant, webhook_id.0.into(), after).await.map(Answer::Value)
    }
}

impl StatusApi {
    async fn read_by_id(
        &self,
        tenant: TenantId,
        id: EventId,
        after: Option<SubscriptionId>,
    ) -> Result<StatusAnswer, Problem> {
        let (store, one_more) = (&self.0.store, i64::from(MAX_LIMIT) + 1);
        if let Some(event) = store.read_status(tenant, id, after, one_more).await? {
            return Ok(answer(id.uuid(), event));
        }
        match outbox::find(&self.0, tenant, id).await? {
            Found::Unpublished(unpublished) => Ok(unpublished_answer(id.uuid(), unpublished)),
            Found::Event(id) => {
                let event = store.read_status(tenant, id, after, one_more).await?;
                Ok(answer(id.uuid(), event.ok_or(Problem::EventNotFound)?))
            }
        }
    }
}

fn unpublished_answer(webhook_id: Uuid, unpublished: Unpublished) -> StatusAnswer {
    let (status, error_message) = outbox::status(&unpublished);
    StatusAnswer {
        webhook_id,
        event_type: unpublished.facts.event_type,
        status,
        attempts: 0,
        last_attempt: None,
        next_attempt_at: None,
        is_success: false,
        error_message,
        accepted_at: Moment(unpublished.facts.accepted_at),
        deliveries: Vec::new(),
        deliveries_next_cursor: None,
    }
}

fn answer(webhook_id: Uuid, event: EventStatus) -> StatusAnswer {
    let status = overall(event.statuses.iter().map(String::as_str));
    let (deliveries, deliveries_next_cursor) =
        page::cut(event.deliveries, MAX_LIMIT.into(), List::EventDeliveries, |row| row.subscription.uuid());
    StatusAnswer {
        webhook_id,
        event_type: event.event_type,
        status,
        attempts: event.attempts,
        last_attempt: event.last_attempt_at.map(Moment),
        next_attempt_at: event.next_attempt_at.map(Moment),
        is_success: status == SUCCEEDED,
        error_message: event.error_message,
        accepted_at: Moment(event.accepted_at),
        deliveries: deliveries.into_iter().map(delivery_answer).collect(),
        deliveries_next_cursor,
    }
}

pub(super) fn delivery_answer(delivery: DeliveryStatus) -> DeliveryAnswer {
    let is_success = delivery.status == SUCCEEDED;
    DeliveryAnswer {
        subscription_id: delivery.subscription.uuid(),
        external_id: delivery.external_id,
        target_url: delivery.target_url,
        status: delivery.status,
        reason: delivery.reason,
        attempts: delivery.attempts,
        last_attempt: delivery.last_attempt_at.map(Moment),
        next_attempt_at: delivery.next_attempt_at.map(Moment),
        is_success,
        error_message: delivery.error_message.filter(|_| !is_success),
    }
}

/// From the statuses of all its deliveries.
pub(super) fn overall<'a>(statuses: impl Iterator<Item = &'a str> + Clone) -> &'static str {
    let mut all = statuses.clone().peekable();
    if all.peek().is_none() {
        "no_match"
    } else if statuses.clone().any(|status| matches!(status, "pending" | "sending" | "held")) {
        "pending"
    } else if all.all(|status| status == SUCCEEDED) {
        SUCCEEDED
    } else {
        "failed"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_pending_while_any_delivery_is_and_succeeds_only_whole() {
        let of = |statuses: &[&'static str]| overall(statuses.iter().copied());
        assert_eq!(of(&[]), "no_match");
        assert_eq!(of(&["succeeded", "held"]), "pending");
        assert_eq!(of(&["succeeded", "succeeded"]), "succeeded");
        assert_eq!(of(&["succeeded", "cancelled"]), "failed");
    }
}
