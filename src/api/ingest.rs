//! `/ingest/{subscription_id}`: publishes an event to one subscription.
//! Order of checks: key, subscription, signature, body.

use std::sync::Arc;
use std::time::Duration;

use poem::Request;
use poem_openapi::OpenApi;
use tokio::time::{Instant, timeout_at};

use super::Api;
use super::access::{AllowedOrSigned, Publish};
use super::auth::Caller;
use super::body::{self, Party};
use super::docs::Resource;
use super::form::AnyDocument;
use super::parameter::Path;
use super::payload::Unread;
use super::problem::{Problem, TWO_SIGNATURES};
use super::refusals::Note;
use crate::domain::external_id::SubscriptionName;
use crate::domain::payload::Payload;
use crate::intake::{Accepted, Address, Publication, Refusal, Times, To};

mod answer;
mod document;
mod facts;
mod headers;

use answer::{ChallengeAnswer, IngestAnswer, Ingested};
pub(super) use document::finish;
use facts::ProducerFacts;
pub(super) use headers::{EventHeaders, has_signature, may_be_signed};

/// A later response is 503.
const ANSWER_BUDGET: Duration = Duration::from_millis(1_900);

pub(super) struct IngestApi(pub(super) Arc<Api>);

#[OpenApi(prefix_path = "/ingest", tag = "Resource::Ingest")]
impl IngestApi {
    /// Publish an event to one subscription
    ///
    /// 202 means: stored durably, and delivered until its schedule ends. If the subscription has `verify_ingest`, one
    /// signature is required: `X-Hub-Signature-256`, the three `webhook-*` headers, or the one of another provider;
    /// `ingest` of the subscription says which. A valid signature is enough without a key. A known provider also gives
    /// event type and idempotency key, where the request says nothing itself. Slack's `url_verification` alone is
    /// answered with 200 and its `challenge`, after its signature was verified; nothing is stored.
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
        request_header(
            name = "webhook-hops",
            ty = "Option<String>",
            description = "Set by deliveries: how many of them led here. More than 5 are refused."
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
    ) -> Result<Ingested, Problem> {
        Ok(match self.accept(caller.0, request, subscription_id.0, body.body).await? {
            Taken::Event(accepted) => Ingested::Event(IngestAnswer {
                message: "webhook accepted",
                webhook_id: accepted.event.uuid(),
                duplicate: accepted.is_duplicate(),
            }),
            Taken::Challenge(challenge) => Ingested::Challenge(ChallengeAnswer { challenge }),
        })
    }
}

impl IngestApi {
    async fn accept(
        &self,
        caller: Option<Caller>,
        request: &Request,
        name: SubscriptionName,
        body: poem::Body,
    ) -> Result<Taken, Problem> {
        let (headers, has_key) = (request.headers(), caller.is_some());
        if !has_key && !may_be_signed(headers) {
            return Err(Problem::Unauthenticated);
        }
        let (asked, producer) = (EventHeaders::read(headers)?, headers::of_producer(headers)?);
        let hops = asked.hops()?;
        let note = request.extensions().get::<Note>().cloned().unwrap_or_default();
        let hidden = Hidden { has_key, is_ambiguous: producer.signed_as().count() > 1, note: &note };
        let tenant = caller.map(|caller| caller.tenant);
        let address = Address { tenant, name, headers: Some(Arc::clone(&producer)) };
        let began = Instant::now();
        let mut publisher = self.0.intake.publisher();
        let subscription = publisher.check(&address, None).await.map_err(|refusal| hidden.problem(refusal))?;
        note.subscription(subscription.tenant, subscription.id);
        // The producer's time for the body does not count.
        let left = ANSWER_BUDGET.saturating_sub(began.elapsed());
        let party = caller.map_or(Party::Keyless(subscription.id), |caller| Party::Tenant(caller.tenant));
        let bytes = match body::read_for(party, request, body, self.0.settings.max_payload_bytes).await {
            // A body that is too large cannot have a valid signature.
            Err(Problem::BodyTooLarge(limit)) if !has_key => {
                note.cause(Problem::BodyTooLarge(limit));
                return Err(Problem::Unauthenticated);
            }
            read => read?,
        };
        let deadline = Instant::now() + left;
        let checked = timeout_at(deadline, publisher.check(&address, Some(&bytes))).await;
        let checked = checked.map_err(|_| Problem::Unavailable)?;
        let subscription = checked.map_err(|refusal| hidden.problem(refusal))?;
        note.signed();
        let content_type = body::content_type(headers)?;
        let facts = ProducerFacts::read(&subscription, &producer, content_type, &bytes)?;
        if let Some(challenge) = facts.challenge {
            return Ok(Taken::Challenge(challenge));
        }
        let publication = Publication {
            to: To::One(address),
            payload: Payload::of(bytes, facts.content_type).map_err(Problem::PayloadInvalid)?,
            hops,
            event_type: match asked.event_type()? {
                Some(name) => Some(name),
                None => facts.event_type?,
            },
            key: if facts.owns_key_header { facts.key } else { asked.idempotency_key()?.or(facts.key) },
            ordering_key: asked.ordering_key()?,
            from_outbox: None,
            times: Times::default(),
        };
        let accepted = publisher.publish(&publication, deadline).await;
        accepted.map(Taken::Event).map_err(|refusal| hidden.problem(refusal))
    }
}

/// What became of a request.
enum Taken {
    Event(Accepted),
    /// Slack's, which is answered and not stored.
    Challenge(String),
}

/// Without a key the response must not reveal whether a subscription exists.
#[derive(Clone, Copy)]
struct Hidden<'a> {
    has_key: bool,
    is_ambiguous: bool,
    /// Says what the response does not.
    note: &'a Note,
}

impl Hidden<'_> {
    fn problem(self, refusal: Refusal) -> Problem {
        match refusal {
            Refusal::NotFound | Refusal::NoTenant | Refusal::Signature(_) if !self.has_key => {
                self.note.cause(refusal.into());
                // Whatever the subscription is, the request is the producer's mistake.
                if self.is_ambiguous { Problem::MalformedRequest(TWO_SIGNATURES) } else { Problem::Unauthenticated }
            }
            refusal => refusal.into(),
        }
    }
}
