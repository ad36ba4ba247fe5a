//! Every failure of the API: one closed list, always `application/problem+json`. It contains no values of a request,
//! which may be secret.

use poem::Response;
use poem::http::{HeaderValue, StatusCode, header};
use poem_openapi::Object;
use serde::Serialize;

use crate::domain::audience::MAX_RECIPIENTS;
use crate::domain::hops::InvalidHops;
use crate::domain::payload::InvalidPayload;
use crate::domain::signature::InvalidSignature;
use crate::domain::tester::{MAX_TESTS, MAX_TESTS_OF_TENANT};

mod causes;
mod document;
mod samples;

pub(in crate::api) use causes::TWO_SIGNATURES;
pub(in crate::api) use document::ProblemDocument;

pub(super) const PROBLEM_JSON: &str = "application/problem+json";
const TYPE_PREFIX: &str = "https://postrider.dev/problems/";
const RETRY_AFTER_SECONDS: &str = "1";
/// Keeps a response below 4 KiB.
pub(super) const MAX_ERRORS: usize = 20;

/// One field of a request that breaks a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct FieldError {
    /// JSON pointer into the body, or `/query/NAME`, `/path/NAME`, `/headers/NAME`.
    pub(super) pointer: String,
    /// Stable name of the rule.
    pub(super) code: &'static str,
    /// The rule as a sentence.
    pub(super) detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.detail())]
pub(super) enum Problem {
    /// Ambiguous, such as two lengths of the body.
    MalformedRequest(&'static str),
    MalformedJson,
    SignatureMissing,
    Unauthenticated,
    SignatureInvalid(InvalidSignature),
    ScopeMissing,
    TenantRequired,
    TenantNotFound,
    KeyNotFound,
    DefaultTenant,
    /// A limit of the tenant is reached: its name, and its value.
    LimitReached(&'static str, u32),
    RouteNotFound,
    SubscriptionNotFound,
    EventNotFound,
    DeliveryNotFound,
    /// From SQL: it waits, or was refused.
    NotPublished,
    ReplayNotFound,
    AttemptNotFound,
    TooManyReplays,
    MethodNotAllowed(String),
    RequestTimeout,
    SubscriptionDisabled,
    SecretUnchanged,
    ExternalIdTaken,
    HeadersUnreadable,
    TooManySecrets,
    IdempotencyKeyReused,
    BodyTooLarge(usize),
    /// What is allowed, as a sentence.
    UnsupportedMediaType(&'static str),
    PayloadInvalid(InvalidPayload),
    EventTypeMissing,
    EventTypeNotWanted,
    FilteredOut,
    /// Where the payload breaks the schema of its type.
    SchemaMismatch(Vec<FieldError>),
    EventTypeNotFound,
    /// The limit, and seconds until the next event.
    RateLimited(u32, u64),
    /// How many requests of one tenant are answered at a time.
    TooManyRequests(usize),
    /// Test events that are under way.
    TooManyTests,
    /// The limit, and whose it is.
    TooManyStreams(usize, &'static str),
    TooManyRecipients,
    /// A delivery that led back too often; our own sender gives it up.
    TooManyHops,
    Invalid(Vec<FieldError>),
    HeadersTooLarge,
    /// Our failure; the log has it under the request's id.
    Internal,
    /// The database does not answer or is busy.
    Unavailable,
}

impl Problem {
    pub(super) fn field(pointer: impl Into<String>, code: &'static str, detail: impl ToString) -> Self {
        Self::Invalid(vec![FieldError { pointer: pointer.into(), code, detail: detail.to_string() }])
    }

    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::MalformedRequest(_) => (StatusCode::BAD_REQUEST, "malformed_request", "Malformed request"),
            Self::MalformedJson => (StatusCode::BAD_REQUEST, "malformed_json", "Malformed JSON"),
            Self::SignatureMissing => (StatusCode::BAD_REQUEST, "signature_missing", "Signature missing"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "Not authenticated"),
            Self::SignatureInvalid(_) => (StatusCode::UNAUTHORIZED, "signature_invalid", "Signature not accepted"),
            Self::ScopeMissing => (StatusCode::FORBIDDEN, "scope_missing", "Not allowed with this key"),
            Self::TenantRequired => (StatusCode::BAD_REQUEST, "tenant_required", "Tenant required"),
            Self::TenantNotFound => (StatusCode::NOT_FOUND, "tenant_not_found", "No such tenant"),
            Self::KeyNotFound => (StatusCode::NOT_FOUND, "key_not_found", "No such key"),
            Self::DefaultTenant => (StatusCode::CONFLICT, "default_tenant", "Default tenant"),
            Self::LimitReached(..) => (StatusCode::CONFLICT, "limit_reached", "Limit reached"),
            Self::RouteNotFound => (StatusCode::NOT_FOUND, "route_not_found", "No such route"),
            Self::SubscriptionNotFound => (StatusCode::NOT_FOUND, "subscription_not_found", "No such subscription"),
            Self::EventNotFound => (StatusCode::NOT_FOUND, "webhook_not_found", "No such webhook"),
            Self::DeliveryNotFound => (StatusCode::NOT_FOUND, "delivery_not_found", "No such delivery"),
            Self::NotPublished => (StatusCode::CONFLICT, "not_published", "Not published"),
            Self::ReplayNotFound => (StatusCode::NOT_FOUND, "replay_not_found", "No such replay"),
            Self::AttemptNotFound => (StatusCode::NOT_FOUND, "attempt_not_found", "No such attempt"),
            Self::TooManyReplays => (StatusCode::CONFLICT, "too_many_replays", "Too many replays"),
            Self::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed"),
            Self::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request_timeout", "Request too slow"),
            Self::SubscriptionDisabled => (StatusCode::CONFLICT, "subscription_disabled", "Subscription disabled"),
            Self::SecretUnchanged => (StatusCode::CONFLICT, "secret_unchanged", "Secret unchanged"),
            Self::ExternalIdTaken => (StatusCode::CONFLICT, "external_id_taken", "External id taken"),
            Self::HeadersUnreadable => (StatusCode::CONFLICT, "headers_unreadable", "Headers unreadable"),
            Self::TooManySecrets => (StatusCode::CONFLICT, "too_many_secrets", "Too many live secrets"),
            Self::IdempotencyKeyReused => (StatusCode::CONFLICT, "idempotency_key_reused", "Idempotency key reused"),
            Self::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            Self::UnsupportedMediaType(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Unsupported media type")
            }
            Self::PayloadInvalid(InvalidPayload::Malformed) => {
                (StatusCode::BAD_REQUEST, "malformed_json", "Malformed JSON")
            }
            Self::PayloadInvalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "payload_invalid", "Not a payload"),
            Self::EventTypeMissing => (StatusCode::UNPROCESSABLE_ENTITY, "event_type_missing", "Event type missing"),
            Self::EventTypeNotWanted => {
                (StatusCode::UNPROCESSABLE_ENTITY, "event_type_not_wanted", "Event type not wanted")
            }
            Self::FilteredOut => (StatusCode::UNPROCESSABLE_ENTITY, "filtered_out", "Filtered out"),
            Self::SchemaMismatch(_) => (StatusCode::UNPROCESSABLE_ENTITY, "schema_mismatch", "Schema mismatch"),
            Self::EventTypeNotFound => (StatusCode::NOT_FOUND, "event_type_not_found", "No such event type"),
            Self::RateLimited(..) => (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many events"),
            Self::TooManyRequests(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests"),
            Self::TooManyTests => (StatusCode::TOO_MANY_REQUESTS, "too_many_tests", "Too many test events"),
            Self::TooManyStreams(..) => (StatusCode::TOO_MANY_REQUESTS, "too_many_streams", "Too many streams"),
            Self::TooManyRecipients => (StatusCode::UNPROCESSABLE_ENTITY, "too_many_recipients", "Too many recipients"),
            Self::TooManyHops => (StatusCode::UNPROCESSABLE_ENTITY, "too_many_hops", "Too many hops"),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", "Validation failed"),
            Self::HeadersTooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", "Headers too large")
            }
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available for a moment"),
        }
    }

    fn detail(&self) -> String {
        let sentence = match self {
            Self::MalformedRequest(rule) => rule,
            Self::MalformedJson => "the body must be one JSON document in UTF-8, without byte order mark",
            Self::SignatureMissing => return InvalidSignature::Missing.to_string(),
            Self::Unauthenticated => "a valid key is needed: Authorization: Bearer prk_…",
            Self::SignatureInvalid(reason) => return reason.to_string(),
            Self::ScopeMissing => {
                "the key is valid, but this request needs another scope, another capability or an operator key"
            }
            Self::TenantRequired => "this request needs one tenant: name its id or external id in Postrider-Tenant",
            Self::TenantNotFound => "there is no tenant with this id or external id, or the key is not for it",
            Self::KeyNotFound => "there is no key with this id",
            Self::DefaultTenant => "the tenant default cannot be deleted",
            Self::LimitReached(name, value) => {
                return format!("the tenant has {name} {value}, which is reached; nothing was stored");
            }
            Self::RouteNotFound => "there is nothing at this path; /docs lists what there is",
            Self::SubscriptionNotFound => "there is no subscription with this id",
            Self::EventNotFound => "there is no webhook with this id, or its retention has ended",
            Self::DeliveryNotFound => "the webhook makes no delivery to this subscription",
            Self::NotPublished => {
                "the webhook came from SQL and has no deliveries: it waits to be published, or was refused; nothing was changed"
            }
            Self::ReplayNotFound => "there is no replay with this id, or it ended more than 30 days ago",
            Self::AttemptNotFound => "there is no attempt with this id, or its retention has ended",
            Self::TooManyReplays => "10 replays run; wait until one has finished, or cancel one",
            Self::MethodNotAllowed(_) => "this path does not know this method; see the Allow header",
            Self::RequestTimeout => "the body did not arrive within 30 seconds",
            Self::SubscriptionDisabled => "the subscription is disabled; nothing was stored",
            Self::SecretUnchanged => "this is the current secret already; nothing was changed",
            Self::ExternalIdTaken => "this external_id is taken by another subscription or tenant; nothing was changed",
            Self::HeadersUnreadable => {
                "the stored headers or auth cannot be opened to be kept; give all values of both anew, or null"
            }
            Self::TooManySecrets => {
                "5 secrets are live; wait until one ends, or end the older ones by changing secret_key with PATCH"
            }
            Self::IdempotencyKeyReused => "this Idempotency-Key was used for another request",
            Self::BodyTooLarge(limit) => return format!("the body must be at most {limit} bytes"),
            Self::UnsupportedMediaType(rule) => rule,
            Self::PayloadInvalid(reason) => return reason.to_string(),
            Self::EventTypeMissing => "the subscription filters by event type, so X-Event-Type is required",
            Self::EventTypeNotWanted => "the subscription's event_types do not name this event type",
            Self::FilteredOut => "the subscription's filter does not match this payload; nothing was stored",
            Self::SchemaMismatch(_) => "the payload breaks the schema of its event type; errors names where",
            Self::EventTypeNotFound => "there is no event type with this name",
            Self::RateLimited(limit, _) => {
                return format!("the tenant's limit publish_per_second of {limit} is reached; nothing was stored");
            }
            Self::TooManyRequests(places) => {
                return format!("{places} requests of this tenant are answered at a time, and too many others wait");
            }
            Self::TooManyTests => {
                return format!(
                    "at most {MAX_TESTS_OF_TENANT} test events of a tenant and {MAX_TESTS} in all are under way at a \
                     time; nothing was sent"
                );
            }
            Self::TooManyStreams(most, whose) => return format!("streams {whose} open on this replica: {most}"),
            Self::TooManyRecipients => {
                return format!("more than {MAX_RECIPIENTS} subscriptions want this event; nothing was stored");
            }
            Self::TooManyHops => return InvalidHops::TooMany.to_string(),
            Self::Invalid(_) => "one or more values break a rule; errors names each",
            Self::HeadersTooLarge => "the header fields must have at most 64 KiB in all",
            Self::Internal => "the failure is logged under this request_id",
            Self::Unavailable => "try again in a moment; with an Idempotency-Key that is safe",
        };
        sentence.to_owned()
    }

    fn errors(&self) -> Vec<FieldError> {
        match self {
            Self::Invalid(errors) | Self::SchemaMismatch(errors) => errors.iter().take(MAX_ERRORS).cloned().collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.kind().0
    }

    /// Stable, for programs.
    pub(super) fn code(&self) -> &'static str {
        self.kind().1
    }

    /// In a few words.
    pub(super) fn title(&self) -> &'static str {
        self.kind().2
    }

    pub(super) fn document(&self, request_id: &str) -> ProblemDocument {
        let (status, code, title) = self.kind();
        ProblemDocument {
            kind: format!("{TYPE_PREFIX}{}", code.replace('_', "-")),
            title,
            status: status.as_u16(),
            detail: self.detail(),
            code,
            request_id: request_id.to_owned(),
            errors: self.errors(),
        }
    }

    pub(super) fn render(&self, request_id: &str) -> Response {
        let text = serde_json::to_string(&self.document(request_id)).expect("a problem is plain text and numbers");
        let mut response = Response::builder().status(self.status()).content_type(PROBLEM_JSON).body(text);
        let headers = response.headers_mut();
        match self {
            Self::Unauthenticated | Self::SignatureInvalid(_) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::RateLimited(_, seconds) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            }
            Self::TooManyHops => {
                headers.insert("webhook-delivery", HeaderValue::from_static("abort-message"));
            }
            Self::Unavailable | Self::TooManyRequests(_) | Self::TooManyTests | Self::TooManyStreams(..) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            }
            Self::MethodNotAllowed(allowed) => {
                headers.extend(HeaderValue::from_str(allowed).ok().map(|allowed| (header::ALLOW, allowed)));
            }
            Self::MalformedRequest(_) | Self::HeadersTooLarge | Self::RequestTimeout => {
                // The rest of the connection may be ambiguous, so it is not read.
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}
