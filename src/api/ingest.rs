//! `/ingest/{subscription_id}`: the hot path, an event for one subscription.
//!
//! Order of the checks: who asks, is there such a subscription, does it take events, is the
//! signature right; then the bytes. Whatever would be refused on a copy of the subscription
//! is judged again on a fresh one, so a change elsewhere never refuses a good event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use poem::Request;
use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use time::OffsetDateTime;

use super::Api;
use super::access::{AllowedOrSigned, Publish};
use super::auth::Caller;
use super::body::{self, Party};
use super::docs::Resource;
use super::payload::{Answer, AnyDocument, Unread};
use super::problem::Problem;
use super::subscription_path::SubscriptionPath;
use super::text::IdText;
use crate::domain::audience::Audience;
use crate::domain::event_type::EventType;
use crate::domain::external_id::SubscriptionName;
use crate::domain::idempotency::{Fingerprint, IdempotencyKey};
use crate::domain::ordering::OrderingKey;
use crate::domain::payload::Payload;
use crate::domain::signature::InvalidSignature;
use crate::domain::subscription::Subscription;
use crate::domain::timing::Timing;
use crate::intake::{Accepted, Refusal, Submission};

mod headers;

pub(super) use headers::IngestHeaders;

/// How often a changed subscription is read again before the request is given up.
const TRIES: usize = 3;
/// Most time between the end of a request and its answer; beyond it the answer is 503.
const ANSWER_BUDGET: Duration = Duration::from_millis(1_900);

/// The resource.
pub(super) struct IngestApi(pub(super) Arc<Api>);

/// The event is committed.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct IngestAnswer {
    /// For people.
    message: &'static str,
    /// The event's id; receivers see it as `webhook-id`.
    webhook_id: IdText,
    /// Whether an earlier request with the same `Idempotency-Key` had stored it.
    duplicate: bool,
}

#[OpenApi(prefix_path = "/ingest", tag = "Resource::Ingest")]
impl IngestApi {
    /// Accept an event for one subscription
    ///
    /// 202 means: stored durably, and delivered until the schedule ends. Where the
    /// subscription has `verify_ingest`, a signature is required: `X-Hub-Signature-256`, or
    /// the three `webhook-*` headers; it alone opens this route, without a key.
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
        subscription_id: Path<SubscriptionPath>,
        body: Unread<AnyDocument>,
    ) -> Result<Answer<IngestAnswer, 202>, Problem> {
        let SubscriptionPath(name) = subscription_id.0;
        let accepted = self.accept(caller.0, request, &name, body.body).await?;
        Ok(Answer::Value(IngestAnswer {
            message: "webhook accepted",
            webhook_id: IdText(accepted.event.uuid()),
            duplicate: accepted.is_duplicate(),
        }))
    }
}

/// A subscription, and whether it was read for this request.
struct Seen {
    subscription: Arc<Subscription>,
    is_fresh: bool,
}

/// All of a request that has been read.
struct Arrived<'a> {
    caller: Option<Caller>,
    headers: IngestHeaders<'a>,
    body: Bytes,
    /// What the bytes turned out to be.
    payload: Result<Payload, Problem>,
    now: OffsetDateTime,
}

impl IngestApi {
    async fn accept(
        &self,
        caller: Option<Caller>,
        request: &Request,
        name: &SubscriptionName,
        body: poem::Body,
    ) -> Result<Accepted, Problem> {
        let headers = request.headers();
        if caller.is_none() && !IngestHeaders::has_signature(headers) {
            return Err(Problem::Unauthenticated);
        }
        let ingest_headers = IngestHeaders::read(headers)?;
        let began = Instant::now();
        let mut seen = self.see(caller, name).await?;
        let signed = ingest_headers.is_signed();
        if !seen.is_fresh && check_open(&seen.subscription, caller, signed).is_err() {
            seen = self.see_fresh(caller, name).await?;
        }
        check_open(&seen.subscription, caller, signed)?;
        // The body takes the producer's time, the rest takes ours.
        let left = ANSWER_BUDGET.saturating_sub(began.elapsed());
        let limit = self.0.settings.max_payload_bytes;
        let party = caller.map_or(Party::Keyless(seen.subscription.id), |caller| Party::Tenant(caller.tenant));
        let body = match body::read_for(party, request, body, limit).await {
            // A body too large to read is a signature that cannot be right.
            Err(Problem::BodyTooLarge(_)) if caller.is_none() => return Err(Problem::Unauthenticated),
            read => read?,
        };
        let payload =
            body::check_json(headers).and_then(|()| Payload::parse(body.clone()).map_err(Problem::PayloadInvalid));
        let now = self.0.clock.now();
        let arrived = Arrived { caller, headers: ingest_headers, body, payload, now };
        tokio::time::timeout(left, self.submit(seen, name, &arrived)).await.unwrap_or(Err(Problem::Unavailable))
    }

    async fn submit(
        &self,
        mut seen: Seen,
        name: &SubscriptionName,
        arrived: &Arrived<'_>,
    ) -> Result<Accepted, Problem> {
        for _ in 0..TRIES {
            let judged = match judge(&seen.subscription, arrived) {
                Err(_) if !seen.is_fresh => {
                    seen = self.see_fresh(arrived.caller, name).await?;
                    judge(&seen.subscription, arrived)?
                }
                judged => judged?,
            };
            let id = seen.subscription.id;
            let print = || {
                let (event_type, ordering_key) = (judged.event_type.as_ref(), judged.ordering_key.as_ref());
                Fingerprint::of_ingest(id, event_type, judged.payload.bytes(), ordering_key)
            };
            let key = judged.idempotency_key.map(|key| (key, print()));
            let submission = Submission {
                audience: Audience::one(&seen.subscription),
                event_type: judged.event_type,
                payload: judged.payload,
                timing: Timing::default(),
                ordering_key: judged.ordering_key,
                key,
            };
            match self.0.intake.accept(submission).await {
                Ok(accepted) => return Ok(accepted),
                Err(Refusal::Changed) => seen = self.see_fresh(arrived.caller, name).await?,
                Err(refusal) => return Err(refusal.into()),
            }
        }
        Err(Problem::Unavailable)
    }

    async fn see(&self, caller: Option<Caller>, name: &SubscriptionName) -> Result<Seen, Problem> {
        let tenant = caller.map(|caller| caller.tenant);
        let copy = match (name, tenant) {
            (SubscriptionName::Id(id), _) => self.0.subscriptions.copy(tenant, *id).await,
            (SubscriptionName::External(name), Some(tenant)) => self.0.subscriptions.copy_named(tenant, name).await,
            (SubscriptionName::External(_), None) => None,
        };
        match copy {
            Some(subscription) => Ok(Seen { subscription, is_fresh: false }),
            None => self.see_fresh(caller, name).await,
        }
    }

    async fn see_fresh(&self, caller: Option<Caller>, name: &SubscriptionName) -> Result<Seen, Problem> {
        let tenant = caller.map(|caller| caller.tenant);
        let found = match (name, tenant) {
            (SubscriptionName::Id(id), _) => self.0.subscriptions.read(tenant, *id).await?,
            (SubscriptionName::External(name), Some(tenant)) => self.0.subscriptions.read_named(tenant, name).await?,
            // Without a key nobody knows whose external id it is.
            (SubscriptionName::External(_), None) => None,
        };
        match found {
            Some(subscription) => Ok(Seen { subscription, is_fresh: true }),
            // Whether an id exists is nothing for strangers.
            None if caller.is_none() => Err(Problem::Unauthenticated),
            None => Err(Problem::SubscriptionNotFound),
        }
    }
}

/// What can be said before the body is read.
fn check_open(subscription: &Subscription, caller: Option<Caller>, signed: bool) -> Result<(), Problem> {
    match caller {
        None if subscription.verify_ingest => Ok(()),
        None => Err(Problem::Unauthenticated),
        Some(_) if !subscription.is_active => Err(Problem::SubscriptionDisabled),
        Some(_) if subscription.verify_ingest && !signed => Err(Problem::SignatureMissing),
        Some(_) => Ok(()),
    }
}

/// What an event is stored with.
struct Judged {
    event_type: Option<EventType>,
    payload: Payload,
    idempotency_key: Option<IdempotencyKey>,
    ordering_key: Option<OrderingKey>,
}

/// All checks, in their order.
fn judge(subscription: &Subscription, arrived: &Arrived<'_>) -> Result<Judged, Problem> {
    check_open(subscription, arrived.caller, arrived.headers.is_signed())?;
    if subscription.verify_ingest {
        verify(subscription, arrived)?;
    }
    // A stranger learns this only after a valid signature.
    if !subscription.is_active {
        return Err(Problem::SubscriptionDisabled);
    }
    let payload = arrived.payload.clone()?;
    let event_type = arrived.headers.event_type()?;
    let idempotency_key = arrived.headers.idempotency_key()?;
    let ordering_key = arrived.headers.ordering_key()?;
    subscription.check_wanted(event_type.as_ref())?;
    Ok(Judged { event_type, payload, idempotency_key, ordering_key })
}

fn verify(subscription: &Subscription, arrived: &Arrived<'_>) -> Result<(), Problem> {
    let live = subscription.destination.secrets.live(arrived.now);
    let verified = arrived.headers.signature.verify(live, &arrived.body, arrived.now.unix_timestamp());
    verified.map_err(|reason| match (arrived.caller, reason) {
        (None, _) => Problem::Unauthenticated,
        (Some(_), InvalidSignature::Missing) => Problem::SignatureMissing,
        (Some(_), reason) => Problem::SignatureInvalid(reason),
    })
}
