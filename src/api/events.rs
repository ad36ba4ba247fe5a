//! `/events`: publishes one event or many, finds them, and reads what happened to them.

use std::sync::Arc;
use std::time::Duration;

use poem::Request;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::Api;
use super::access::{Allowed, AllowedForEach, Publish, Repeat, Support};
use super::body;
use super::docs::Resource;
use super::form::AnyDocument;
use super::ingest::EventHeaders;
use super::page::{self, Cursor, Limit, List};
use super::parameter::{Path, Queries, Query};
use super::payload::{Answer, Unread};
use super::problem::{FieldError, Problem};
use super::refusals::Note;
use super::request_id::RequestId;
use super::text::Moment;
use crate::domain::external_id::SubscriptionName;
use crate::domain::payload::Payload;
use crate::domain::timing::InvalidTiming;
use crate::intake::{Accepted, Address, Publication, Refusal, Times, To};

mod batch;
mod cancel;
mod found;
mod list;
mod payload;
mod read;
mod retry;

use batch::{BatchAnswer, BatchForm, BatchResult};
use cancel::CancelAnswer;
pub(super) use found::FoundEventsApi;
pub(super) use list::EventState;
pub(super) use read::DeliveryState;
use read::{DeliveryPage, EventAnswer};
pub(super) use read::{NotDeliveredAnswer, not_delivered};
use retry::RetryAnswer;

const ANSWER_BUDGET: Duration = Duration::from_millis(1_900);
/// Items that would take longer get 503, each by itself.
const BATCH_BUDGET: Duration = Duration::from_secs(9);

pub(super) struct EventsApi(pub(super) Arc<Api>);

/// The stored event.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct PublishAnswer {
    /// For people.
    message: &'static str,
    /// The event's id; receivers see it as `webhook-id`.
    webhook_id: Uuid,
    /// Whether an earlier request with the same `Idempotency-Key` had stored it.
    duplicate: bool,
    /// Number of deliveries created, one per matching subscription. Null for a duplicate.
    matched: Option<u64>,
}

#[OpenApi(prefix_path = "/events", tag = "Resource::Events")]
impl EventsApi {
    /// Publish an event to all interested subscriptions
    ///
    /// 202 means: stored durably, together with a delivery to each subscription of the tenant whose `event_types`
    /// match. For a disabled subscription the delivery is held until it is enabled. An event that matches no
    /// subscription is stored too. One event can have up to 10,000 deliveries.
    ///
    /// With `subscription_id` the event goes to that subscription alone, which must be active and match, as at
    /// `/ingest`; no signature is required.
    #[oai(
        path = "/",
        method = "post",
        operation_id = "publish",
        request_header(
            name = "X-Event-Type",
            ty = "Option<String>",
            description = "What kind of event it is. Without it only subscriptions that want all events get it."
        ),
        request_header(
            name = "Idempotency-Key",
            ty = "Option<String>",
            description = "1 to 255 visible characters; a repeated request with it is the same one."
        ),
        request_header(
            name = "X-Ordering-Key",
            ty = "Option<String>",
            description = "1 to 255 visible characters; events with the same one are delivered in order to \
                           subscriptions that are ordered. Not together with deliver_at."
        ),
        request_header(
            name = "webhook-hops",
            ty = "Option<String>",
            description = "Of the delivery that led to this event, if one did: pass it on. More than 5 are refused."
        )
    )]
    #[expect(clippy::too_many_arguments, reason = "each is a documented parameter of the operation")]
    async fn publish(
        &self,
        caller: Allowed<Publish>,
        request: &Request,
        /// Publish to this subscription alone: its id or external id.
        subscription_id: Query<SubscriptionName>,
        /// Earliest delivery; at most POSTRIDER_DELIVERY_LIFETIME ahead. A time in the past means now.
        deliver_at: Query<Moment>,
        /// Latest delivery; in the future, and after `deliver_at`.
        expires_at: Query<Moment>,
        body: Unread<AnyDocument>,
    ) -> Result<Answer<PublishAnswer, 202>, Problem> {
        let headers = EventHeaders::read(request.headers())?;
        let hops = headers.hops()?;
        let bytes = body::read(request, body.body, self.0.settings.max_payload_bytes).await?;
        body::check_json(request.headers())?;
        let asked = [deliver_at.0, expires_at.0].map(|at| at.map(|at| at.0));
        let ordering_key = headers.ordering_key()?;
        let times = Times::new(asked, ordering_key.is_some(), self.0.clock.now(), self.0.settings.delivery_lifetime);
        let to = match subscription_id.0 {
            Some(name) => To::One(Address { tenant: Some(caller.tenant), name, headers: None }),
            None => To::All(caller.tenant),
        };
        let publication = Publication {
            to,
            times: times.map_err(|rule| Problem::Invalid(vec![timing_error(rule, "/query")]))?,
            payload: Payload::parse(bytes).map_err(Problem::PayloadInvalid)?,
            hops,
            event_type: headers.event_type()?,
            key: headers.idempotency_key()?,
            ordering_key,
            from_outbox: None,
        };
        let published = self.0.intake.publisher().publish(&publication, Instant::now() + ANSWER_BUDGET).await;
        published
            .map(|accepted| Answer::Value(PublishAnswer::of(accepted)))
            .map_err(|refusal| problem(refusal, "/query"))
    }

    /// Publish up to 1,000 events
    ///
    /// Each event is accepted or refused by itself. The response has one entry per event, in the same order. The
    /// headers of `/events` are fields of each event here; as headers they are refused. Payloads are delivered byte
    /// for byte as in the request. The whole request has at most POSTRIDER_MAX_BATCH_BYTES (default 8 MiB). An entry
    /// with status 503 may be repeated, safely with an `idempotency_key`.
    #[oai(path = "/batch", method = "post", operation_id = "publish_batch")]
    async fn publish_batch(
        &self,
        caller: AllowedForEach<Publish>,
        request: &Request,
        body: Unread<BatchForm>,
    ) -> Result<Answer<BatchAnswer>, Problem> {
        body::check_json(request.headers())?;
        batch::check_headers(request.headers())?;
        let hops = EventHeaders::read(request.headers())?.hops()?;
        let bytes = body::read(request, body.body, self.0.settings.max_batch_bytes).await?;
        let limits = batch::Limits {
            payload_bytes: self.0.settings.max_payload_bytes,
            lifetime: self.0.settings.delivery_lifetime,
            now: self.0.clock.now(),
            hops,
            tenant: caller.tenant(),
        };
        let deadline = Instant::now() + BATCH_BUDGET;
        // Reading megabytes would block other requests.
        let note = request.extensions().get::<Note>().cloned().unwrap_or_default();
        let noting = note.clone();
        let reading = tokio::task::spawn_blocking(move || batch::read(&bytes, limits, &noting));
        let read = reading.await.map_err(|_| Problem::Internal)??;
        let read = batch::find_tenants(read, caller.bearer(), &self.0.tenants, &note).await;
        let settled = batch::publish(&self.0.intake, read, deadline, &note).await;
        let request_id = request.extensions().get::<RequestId>().cloned().unwrap_or_default();
        let data = settled.into_iter().map(|result| BatchResult::of(result, &request_id.0)).collect();
        Ok(Answer::Value(BatchAnswer { data }))
    }

    /// Read the deliveries of an event
    ///
    /// Which subscriptions received it, which did not, and why. The first 100 of each; `counts` covers all.
    #[oai(path = "/:webhook_id", method = "get", operation_id = "read_event")]
    async fn read(
        &self,
        caller: Allowed<Support>,
        /// The event.
        webhook_id: Path<Uuid>,
    ) -> Result<Answer<EventAnswer>, Problem> {
        read::event(&self.0, caller.tenant, webhook_id.0).await.map(Answer::Value)
    }

    /// Deliver an event again
    ///
    /// Repeats its deliveries that are `failed`, `expired` or `skipped`, with a whole new schedule, and makes
    /// scheduled ones due now. With `subscription_id` only that one, even if it succeeded or was cancelled.
    /// Deliveries that are due, in flight or held stay as they are; for a disabled subscription a repeated one is
    /// held.
    #[oai(path = "/:webhook_id/retry", method = "post", operation_id = "retry_event")]
    async fn retry(
        &self,
        caller: Allowed<Repeat>,
        /// The event.
        webhook_id: Path<Uuid>,
        /// Only its delivery to this subscription: id or external id.
        subscription_id: Query<SubscriptionName>,
    ) -> Result<Answer<RetryAnswer>, Problem> {
        retry::retry(&self.0, caller.tenant, webhook_id.0, subscription_id.0, caller.actor()).await.map(Answer::Value)
    }

    /// Cancel the pending deliveries of an event
    ///
    /// Pending deliveries end as `cancelled`. Those in flight end so if their attempt fails; if it succeeds, they
    /// have succeeded. With `subscription_id` only that one.
    #[oai(path = "/:webhook_id/cancel", method = "post", operation_id = "cancel_event")]
    async fn cancel(
        &self,
        caller: Allowed<Repeat>,
        /// The event.
        webhook_id: Path<Uuid>,
        /// Only its delivery to this subscription: id or external id.
        subscription_id: Query<SubscriptionName>,
    ) -> Result<Answer<CancelAnswer>, Problem> {
        cancel::cancel(&self.0, caller.tenant, webhook_id.0, subscription_id.0, caller.actor()).await.map(Answer::Value)
    }

    /// List the deliveries of an event
    ///
    /// In the order of their subscriptions' ids.
    #[oai(path = "/:webhook_id/deliveries", method = "get", operation_id = "list_event_deliveries")]
    async fn deliveries(
        &self,
        caller: Allowed<Support>,
        /// The event.
        webhook_id: Path<Uuid>,
        /// Only deliveries with this status.
        status: Queries<DeliveryState>,
        /// Rows of a page.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page.
        cursor: Query<Cursor<{ List::EventDeliveries as u8 }>>,
    ) -> Result<Answer<DeliveryPage>, Problem> {
        let after = cursor.0.map(|cursor| cursor.0.into());
        let asked = read::Asked { statuses: status.0, after, limit: page::limit(&limit) };
        read::deliveries(&self.0, caller.tenant, webhook_id.0, asked).await.map(Answer::Value)
    }
}

impl PublishAnswer {
    fn of(accepted: Accepted) -> Self {
        Self {
            message: "event accepted",
            webhook_id: accepted.event.uuid(),
            duplicate: accepted.is_duplicate(),
            matched: matched(accepted),
        }
    }
}

fn matched(accepted: Accepted) -> Option<u64> {
    accepted.deliveries.and_then(|count| u64::try_from(count).ok())
}

/// With the times of the event below this pointer.
pub(super) fn problem(refusal: Refusal, pointer: &str) -> Problem {
    match refusal {
        Refusal::Over => Problem::Invalid(vec![timing_error(InvalidTiming::Over, pointer)]),
        refusal => refusal.into(),
    }
}

fn timing_error(rule: InvalidTiming, pointer: &str) -> FieldError {
    let (name, code) = match rule {
        InvalidTiming::TooFarAhead(_) => ("deliver_at", "too_far_ahead"),
        InvalidTiming::Ordered => ("deliver_at", "ordered"),
        InvalidTiming::Over => ("expires_at", "in_the_past"),
        InvalidTiming::BeforeDelivery => ("expires_at", "before_delivery"),
    };
    FieldError { pointer: format!("{pointer}/{name}"), code, detail: rule.to_string() }
}
