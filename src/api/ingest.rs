//! `/ingest/{subscription_id}`: publishes an event to one subscription.
//! Order of checks: key, subscription, signature, body.

use std::sync::Arc;
use std::time::Duration;

use poem::Request;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::Api;
use super::access::{AllowedOrSigned, Publish};
use super::auth::Caller;
use super::body::{self, Party};
use super::docs::Resource;
use super::form::AnyDocument;
use super::parameter::Path;
use super::payload::{Answer, Unread};
use super::problem::Problem;
use crate::domain::external_id::SubscriptionName;
use crate::domain::payload::Payload;
use crate::intake::{Accepted, Address, Publication, Refusal, Times, To};

mod headers;

pub(super) use headers::IngestHeaders;

/// A later response is 503.
const ANSWER_BUDGET: Duration = Duration::from_millis(1_900);

pub(super) struct IngestApi(pub(super) Arc<Api>);

/// The stored event.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct IngestAnswer {
    /// For people.
    message: &'static str,
    /// The event's id; receivers see it as `webhook-id`.
    webhook_id: Uuid,
    /// Whether an earlier request with the same `Idempotency-Key` had stored it.
    duplicate: bool,
}

#[OpenApi(prefix_path = "/ingest", tag = "Resource::Ingest")]
impl IngestApi {
    /// Publish an event to one subscription
    ///
    /// 202 means: stored durably, and delivered until its schedule ends. If the subscription has `verify_ingest`, a
    /// signature is required: `X-Hub-Signature-256`, or the three `webhook-*` headers. A valid signature is enough
    /// without a key.
    #[oai(
        path = "/:subscription_id",
        method = "post",
        operation_id = "ingest",
        request_header(name = "X-Event-Type", ty = "Option<String>", description = "What kind of event it is."),
        request_header(
            name = "Idempotency-Key",
            ty = "Option<String>",
            description = "1 to 255 visible characters; a repeated request with it is the same one."
        ),
        request_header(
            name = "X-Ordering-Key",
            ty = "Option<String>",
            description = "1 to 255 visible characters; where the subscription is `ordered`, events with the same key \
                           are delivered one after the other."
        ),
        request_header(
            name = "X-Hub-Signature-256",
            ty = "Option<String>",
            description = "sha256= and the hex HMAC-SHA256 of the body."
        ),
        request_header(name = "webhook-id", ty = "Option<String>", description = "Of Standard Webhooks."),
        request_header(name = "webhook-timestamp", ty = "Option<String>", description = "Of Standard Webhooks."),
        request_header(name = "webhook-signature", ty = "Option<String>", description = "Of Standard Webhooks.")
    )]
    async fn ingest(
        &self,
        caller: AllowedOrSigned<Publish>,
        request: &Request,
        /// The subscription.
        subscription_id: Path<SubscriptionName>,
        body: Unread<AnyDocument>,
    ) -> Result<Answer<IngestAnswer, 202>, Problem> {
        let accepted = self.accept(caller.0, request, subscription_id.0, body.body).await?;
        Ok(Answer::Value(IngestAnswer {
            message: "webhook accepted",
            webhook_id: accepted.event.uuid(),
            duplicate: accepted.is_duplicate(),
        }))
    }
}

impl IngestApi {
    async fn accept(
        &self,
        caller: Option<Caller>,
        request: &Request,
        name: SubscriptionName,
        body: poem::Body,
    ) -> Result<Accepted, Problem> {
        let (headers, has_key) = (request.headers(), caller.is_some());
        if !has_key && !IngestHeaders::has_signature(headers) {
            return Err(Problem::Unauthenticated);
        }
        let asked = IngestHeaders::read(headers)?;
        let tenant = caller.map(|caller| caller.tenant);
        let address = Address { tenant, name, signature: Some(asked.signature.clone()) };
        let began = Instant::now();
        let mut publisher = self.0.intake.publisher();
        let subscription = publisher.check(&address, None).await.map_err(|refusal| problem(refusal, has_key))?;
        // The producer's time for the body does not count.
        let left = ANSWER_BUDGET.saturating_sub(began.elapsed());
        let party = caller.map_or(Party::Keyless(subscription.id), |caller| Party::Tenant(caller.tenant));
        let bytes = match body::read_for(party, request, body, self.0.settings.max_payload_bytes).await {
            // A body that is too large cannot have a valid signature.
            Err(Problem::BodyTooLarge(_)) if !has_key => return Err(Problem::Unauthenticated),
            read => read?,
        };
        let deadline = Instant::now() + left;
        let checked = timeout_at(deadline, publisher.check(&address, Some(&bytes))).await;
        checked.map_err(|_| Problem::Unavailable)?.map_err(|refusal| problem(refusal, has_key))?;
        body::check_json(headers)?;
        let publication = Publication {
            to: To::One(address),
            payload: Payload::parse(bytes).map_err(Problem::PayloadInvalid)?,
            event_type: asked.event_type()?,
            key: asked.idempotency_key()?,
            ordering_key: asked.ordering_key()?,
            times: Times::default(),
        };
        publisher.publish(&publication, deadline).await.map_err(|refusal| problem(refusal, has_key))
    }
}

/// Without a key the response must not reveal whether a subscription exists.
fn problem(refusal: Refusal, has_key: bool) -> Problem {
    match refusal {
        Refusal::NotFound | Refusal::NoTenant | Refusal::Signature(_) if !has_key => Problem::Unauthenticated,
        refusal => refusal.into(),
    }
}
