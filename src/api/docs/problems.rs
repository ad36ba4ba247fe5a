//! Which problems an operation can have. Each response of the document shows one example for each of its problems;
//! the tests of the service compare every problem that they meet with this list.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::api::access::About;
use crate::api::body::PLAIN_JSON;
use crate::api::problem::{FieldError, PROBLEM_JSON, Problem};
use crate::domain::payload::InvalidPayload;
use crate::domain::signature::InvalidSignature;

const REQUEST_ID: &str = "0199c5f0-0000-7000-8000-000000000009";

/// What decides on the problems of an operation.
pub(super) struct Operation<'a> {
    pub(super) id: &'a str,
    pub(super) path: &'a str,
    pub(super) takes_body: bool,
    pub(super) about: About,
    /// Limited in number for each tenant, as everything but publishing.
    pub(super) takes_place: bool,
    /// A signature is enough.
    pub(super) or_signature: bool,
    /// Names of its query parameters.
    pub(super) query: Vec<&'a str>,
}

impl Operation<'_> {
    /// By status, then by code.
    pub(super) fn responses(&self) -> Map<String, Value> {
        let mut by_status: BTreeMap<u16, Vec<Problem>> = BTreeMap::new();
        for problem in self.problems() {
            by_status.entry(problem.status().as_u16()).or_default().push(problem);
        }
        by_status.into_iter().map(|(status, problems)| (status.to_string(), response(status, &problems))).collect()
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = vec![
            Problem::MalformedRequest("there must be exactly one Host header, with one host"),
            Problem::Unauthenticated,
            Problem::ScopeMissing,
            self.invalid(),
            Problem::HeadersTooLarge,
            Problem::Internal,
            Problem::Unavailable,
        ];
        problems.extend(self.takes_place.then_some(Problem::TooManyRequests(8)));
        problems.extend(self.of_tenant());
        problems.extend(self.of_body());
        problems.extend(self.of_path());
        problems.extend(self.of_publishing());
        problems.extend(self.of_itself());
        problems
    }

    /// With a field that the operation has.
    fn invalid(&self) -> Problem {
        let of_path = self.path.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        match (self.takes_body, self.query.first(), of_path) {
            (true, ..) => Problem::field("/colour", "unknown_field", "is not a documented field"),
            (_, Some(name), _) => Problem::Invalid(vec![FieldError {
                pointer: format!("/query/{name}"),
                code: "duplicate_parameter",
                detail: "must stand only once".to_owned(),
            }]),
            _ => Problem::field("/query/colour", "unknown_parameter", "is not a documented parameter"),
        }
    }

    fn of_tenant(&self) -> Vec<Problem> {
        let names_one =
            self.path.contains("{tenant}") || matches!(self.id, "create_key" | "list_keys" | "create_portal_session");
        match self.about {
            About::One | About::Named | About::Each => vec![Problem::TenantRequired, Problem::TenantNotFound],
            About::Any => vec![Problem::TenantNotFound],
            About::None if names_one => vec![Problem::TenantNotFound],
            About::None => Vec::new(),
        }
    }

    fn of_body(&self) -> Vec<Problem> {
        if !self.takes_body {
            return Vec::new();
        }
        vec![
            Problem::MalformedJson,
            Problem::RequestTimeout,
            Problem::BodyTooLarge(self.body_limit()),
            Problem::UnsupportedMediaType(PLAIN_JSON),
        ]
    }

    /// The defaults.
    fn body_limit(&self) -> usize {
        match self.id {
            "ingest" | "publish" => 1_048_576,
            "publish_batch" => 8_388_608,
            "generate_signature" | "test_subscription" => 1_114_112,
            _ => crate::api::payload::CONTROL_LIMIT,
        }
    }

    /// What the path, the query or the body names, and is not there.
    fn of_path(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let names_subscription = self.path.contains("{subscription_id}") || self.query.contains(&"subscription_id");
        if names_subscription || matches!(self.id, "create_replay" | "retry_deliveries" | "cancel_deliveries") {
            problems.push(Problem::SubscriptionNotFound);
        }
        if self.path.contains("{webhook_id}") {
            problems.push(Problem::EventNotFound);
        }
        if matches!(self.id, "retry_event" | "cancel_event") {
            problems.extend([Problem::DeliveryNotFound, Problem::NotPublished]);
        }
        if self.path.contains("{replay_id}") {
            problems.push(Problem::ReplayNotFound);
        }
        if self.path.contains("{attempt_id}") {
            problems.push(Problem::AttemptNotFound);
        }
        if self.path.contains("{name}") && self.id != "put_event_type" {
            problems.push(Problem::EventTypeNotFound);
        }
        if self.path.contains("{key_id}") {
            problems.push(Problem::KeyNotFound);
        }
        problems
    }

    fn of_publishing(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.or_signature {
            problems.extend([Problem::SignatureMissing, Problem::SignatureInvalid(InvalidSignature::Wrong)]);
        }
        if matches!(self.id, "ingest" | "publish") {
            problems.extend([
                Problem::SubscriptionDisabled,
                Problem::IdempotencyKeyReused,
                Problem::PayloadInvalid(InvalidPayload::NotAContainer),
                Problem::EventTypeMissing,
                Problem::EventTypeNotWanted,
                Problem::FilteredOut,
                Problem::schema_mismatch_sample(),
                Problem::TooManyHops,
                Problem::RateLimited(500, 1),
            ]);
        }
        if self.id == "publish_batch" {
            problems.push(Problem::TooManyHops);
        }
        if self.id == "publish" {
            problems.push(Problem::TooManyRecipients);
        }
        problems
    }

    /// Conflicts with what is stored.
    fn of_itself(&self) -> Vec<Problem> {
        match self.id {
            "create_subscription" => {
                vec![Problem::ExternalIdTaken, Problem::LimitReached("max_subscriptions", 1_000)]
            }
            "replace_subscription" | "change_subscription" => {
                vec![Problem::ExternalIdTaken, Problem::HeadersUnreadable]
            }
            "rotate_secret" => vec![Problem::SecretUnchanged, Problem::TooManySecrets],
            "create_replay" | "retry_deliveries" => vec![Problem::TooManyReplays],
            "test_subscription" => {
                vec![Problem::TooManyTests, Problem::PayloadInvalid(InvalidPayload::NotAContainer)]
            }
            "stream" => vec![Problem::TooManyStreams(50, "of this tenant")],
            "create_tenant" | "put_tenant" | "change_tenant" => vec![Problem::ExternalIdTaken],
            "create_portal_session" => vec![Problem::LimitReached("max_portal_sessions", 1_000)],
            "put_event_type" => vec![Problem::LimitReached("max_event_types", 1_000)],
            "delete_tenant" => vec![Problem::DefaultTenant],
            _ => Vec::new(),
        }
    }
}

fn response(status: u16, problems: &[Problem]) -> Value {
    let titles: Vec<_> = problems.iter().map(|problem| problem.title()).collect();
    let examples: Map<_, _> = problems.iter().map(|problem| (problem.code().to_owned(), example(problem))).collect();
    json!({
        "description": format!("{}.", titles.join("; ")),
        "headers": headers(status),
        "content": { PROBLEM_JSON: {
            "schema": { "$ref": "#/components/schemas/Problem" },
            "examples": examples,
        } },
    })
}

/// As the server renders it.
pub(super) fn example(problem: &Problem) -> Value {
    json!({ "summary": problem.title(), "value": problem.document(REQUEST_ID) })
}

fn headers(status: u16) -> Value {
    match status {
        401 => json!({ "WWW-Authenticate": {
            "description": "How to authenticate.",
            "schema": { "type": "string", "enum": ["Bearer"] },
        } }),
        429 | 503 => json!({ "Retry-After": {
            "description": "Seconds to wait before the request is sent again.",
            "schema": { "type": "integer", "minimum": 1 },
        } }),
        _ => json!({}),
    }
}
