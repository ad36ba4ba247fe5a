//! `/events`: an event for all subscriptions of the tenant that want it, many events at once,
//! and what became of them.

use std::sync::Arc;
use std::time::Duration;

use poem::Request;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::Api;
use super::access::{Allowed, Publish, Support};
use super::body;
use super::docs::Resource;
use super::form::AnyDocument;
use super::ingest::IngestHeaders;
use super::page::{self, Cursor, Limit, List};
use super::parameter::{Path, Query};
use super::payload::{Answer, Unread};
use super::problem::{FieldError, Problem};
use super::request_id::RequestId;
use super::text::Moment;
use crate::domain::external_id::SubscriptionName;
use crate::domain::payload::Payload;
use crate::domain::timing::InvalidTiming;
use crate::intake::{Accepted, Address, Publication, Refusal, Times, To};

mod batch;
mod cancel;
mod read;
mod retry;

use batch::{BatchAnswer, BatchForm, BatchResult};
use cancel::CancelAnswer;
use read::{DeliveryPage, DeliveryState, EventAnswer};
use retry::RetryAnswer;

/// Most time between the end of a request with one event and its answer.
const ANSWER_BUDGET: Duration = Duration::from_millis(1_900);
/// The same for a batch; items that wait for longer are answered 503, each by itself.
const BATCH_BUDGET: Duration = Duration::from_secs(9);

/// The resource.
pub(super) struct EventsApi(pub(super) Arc<Api>);

/// The event is committed.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct PublishAnswer {
    /// For people.
    message: &'static str,
    /// The event's id; receivers see it as `webhook-id`.
    webhook_id: Uuid,
    /// Whether an earlier request with the same `Idempotency-Key` had stored it.
    duplicate: bool,
    /// How many deliveries it made: one for each subscription that wants it. Null for a duplicate.
    matched: Option<u64>,
}

#[OpenApi(prefix_path = "/events", tag = "Resource::Events")]
impl EventsApi {
    /// Publish an event to all subscriptions that want it
    ///
    /// 202 means: stored durably together with a delivery for each subscription of the tenant
    /// whose `event_types` want it, and delivered to each until its schedule ends. A disabled
    /// subscription gets a delivery too, which is held until it is enabled. An event that
    /// nobody wants is stored all the same. One event may go to 10,000 subscriptions.
    ///
    /// With `subscription_id` the event is addressed to that subscription alone, which has to
    /// be active and to want it, as at `/ingest`, but a signature is never asked for.
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
        )
    )]
    #[expect(clippy::too_many_arguments, reason = "each is a documented parameter of the operation")]
    async fn publish(
        &self,
        caller: Allowed<Publish>,
        request: &Request,
        /// Addresses the event to this subscription alone, by its id or its external id.
        subscription_id: Query<SubscriptionName>,
        /// Not delivered before; at most POSTRIDER_DELIVERY_LIFETIME ahead. In the past: now.
        deliver_at: Query<Moment>,
        /// Not delivered after; in the future, and after `deliver_at`.
        expires_at: Query<Moment>,
        body: Unread<AnyDocument>,
    ) -> Result<Answer<PublishAnswer, 202>, Problem> {
        let headers = IngestHeaders::read(request.headers())?;
        let bytes = body::read(request, body.body, self.0.settings.max_payload_bytes).await?;
        body::check_json(request.headers())?;
        let asked = [deliver_at.0, expires_at.0].map(|at| at.map(|at| at.0));
        let ordering_key = headers.ordering_key()?;
        let times = Times::new(asked, ordering_key.is_some(), self.0.clock.now(), self.0.settings.delivery_lifetime);
        let to = match subscription_id.0 {
            Some(name) => To::One(Address { tenant: Some(caller.tenant), name, signature: None }),
            None => To::All(caller.tenant),
        };
        let publication = Publication {
            to,
            times: times.map_err(|rule| Problem::Invalid(vec![timing_error(rule, "/query")]))?,
            payload: Payload::parse(bytes).map_err(Problem::PayloadInvalid)?,
            event_type: headers.event_type()?,
            key: headers.idempotency_key()?,
            ordering_key,
        };
        let published = self.0.intake.publisher().publish(&publication, Instant::now() + ANSWER_BUDGET).await;
        published
            .map(|accepted| Answer::Value(PublishAnswer::of(accepted)))
            .map_err(|refusal| problem(refusal, "/query"))
    }

    /// Publish up to 1,000 events
    ///
    /// Each event stands for itself: one that is refused does not spoil its neighbours. The
    /// answer has one entry for each, in the same order. What `/events` takes as headers each
    /// event has as fields of its own; such a header is refused. A payload's bytes are delivered
    /// exactly as they stand in the request. The whole request has at most
    /// POSTRIDER_MAX_BATCH_BYTES, 8 MiB unless set otherwise. An entry with status 503 may be
    /// repeated; with an `idempotency_key` that is safe.
    #[oai(path = "/batch", method = "post", operation_id = "publish_batch")]
    async fn publish_batch(
        &self,
        caller: Allowed<Publish>,
        request: &Request,
        body: Unread<BatchForm>,
    ) -> Result<Answer<BatchAnswer>, Problem> {
        body::check_json(request.headers())?;
        batch::check_headers(request.headers())?;
        let bytes = body::read(request, body.body, self.0.settings.max_batch_bytes).await?;
        let limits = batch::Limits {
            payload_bytes: self.0.settings.max_payload_bytes,
            lifetime: self.0.settings.delivery_lifetime,
            now: self.0.clock.now(),
            tenant: caller.tenant,
        };
        let deadline = Instant::now() + BATCH_BUDGET;
        // Megabytes take a while to read, and nobody else should wait for that.
        let reading = tokio::task::spawn_blocking(move || batch::read(&bytes, limits));
        let read = reading.await.map_err(|_| Problem::Internal)??;
        let settled = batch::publish(&self.0.intake, read, deadline).await;
        let request_id = request.extensions().get::<RequestId>().cloned().unwrap_or_default();
        let data = settled.into_iter().map(|result| BatchResult::of(result, &request_id.0)).collect();
        Ok(Answer::Value(BatchAnswer { data }))
    }

    /// Read what became of a published event
    ///
    /// Who got it, who did not, and why. The first 100 of each; `counts` has all.
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
    /// Its deliveries that ended as `failed`, `expired` or `skipped` are made again, with their
    /// whole schedule, and those that wait for their time are made now. With `subscription_id`
    /// that one alone, even if it succeeded or was cancelled. What is under way, due or held stays
    /// as it is, and for a disabled subscription it is held.
    #[oai(path = "/:webhook_id/retry", method = "post", operation_id = "retry_event")]
    async fn retry(
        &self,
        caller: Allowed<Publish>,
        /// The event.
        webhook_id: Path<Uuid>,
        /// Only its delivery to this subscription, by its id or its external id.
        subscription_id: Query<SubscriptionName>,
    ) -> Result<Answer<RetryAnswer>, Problem> {
        retry::retry(&self.0, caller.tenant, webhook_id.0, subscription_id.0, caller.actor()).await.map(Answer::Value)
    }

    /// Cancel what is owed of an event
    ///
    /// Its deliveries that have not ended end as `cancelled`. Those under way end so when their
    /// attempt has failed; if it succeeds, they have succeeded. With `subscription_id` only that one.
    #[oai(path = "/:webhook_id/cancel", method = "post", operation_id = "cancel_event")]
    async fn cancel(
        &self,
        caller: Allowed<Publish>,
        /// The event.
        webhook_id: Path<Uuid>,
        /// Only its delivery to this subscription, by its id or its external id.
        subscription_id: Query<SubscriptionName>,
    ) -> Result<Answer<CancelAnswer>, Problem> {
        cancel::cancel(&self.0, caller.tenant, webhook_id.0, subscription_id.0, caller.actor()).await.map(Answer::Value)
    }

    /// List the deliveries of an event
    ///
    /// By the id of their subscriptions, a page at a time.
    #[oai(path = "/:webhook_id/deliveries", method = "get", operation_id = "list_event_deliveries")]
    async fn deliveries(
        &self,
        caller: Allowed<Support>,
        /// The event.
        webhook_id: Path<Uuid>,
        /// Only deliveries that have this status.
        status: Query<DeliveryState>,
        /// Rows of a page.
        limit: Query<Limit>,
        /// `next_cursor` of the page before.
        cursor: Query<Cursor<{ List::EventDeliveries as u8 }>>,
    ) -> Result<Answer<DeliveryPage>, Problem> {
        let after = cursor.0.map(|cursor| cursor.0.into());
        let asked = read::Asked { status: status.0, after, limit: page::limit(&limit) };
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

/// The problem of a refusal, with the times of the event below this pointer.
fn problem(refusal: Refusal, pointer: &str) -> Problem {
    match refusal {
        Refusal::Over => Problem::Invalid(vec![timing_error(InvalidTiming::Over, pointer)]),
        refusal => refusal.into(),
    }
}

/// Which of the times below this pointer breaks the rule.
fn timing_error(rule: InvalidTiming, pointer: &str) -> FieldError {
    let (name, code) = match rule {
        InvalidTiming::TooFarAhead(_) => ("deliver_at", "too_far_ahead"),
        InvalidTiming::Ordered => ("deliver_at", "ordered"),
        InvalidTiming::Over => ("expires_at", "in_the_past"),
        InvalidTiming::BeforeDelivery => ("expires_at", "before_delivery"),
    };
    FieldError { pointer: format!("{pointer}/{name}"), code, detail: rule.to_string() }
}
