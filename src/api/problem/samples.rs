//! One problem of each kind, for the documents.

use super::{FieldError, Problem};
use crate::api::body::PLAIN_JSON;
use crate::domain::payload::InvalidPayload;
use crate::domain::signature::InvalidSignature;

impl Problem {
    pub(in crate::api) fn schema_mismatch_sample() -> Self {
        let detail = "value is not of type \"integer\"".to_owned();
        Self::SchemaMismatch(vec![FieldError { pointer: "/data/amount".to_owned(), code: "schema_mismatch", detail }])
    }

    /// One of each code, by status and code.
    pub(in crate::api) fn samples() -> Vec<Self> {
        let mut samples = vec![
            Self::MalformedRequest("there must be exactly one Host header, with one host"),
            Self::MalformedJson,
            Self::SignatureMissing,
            Self::Unauthenticated,
            Self::SignatureInvalid(InvalidSignature::Wrong),
            Self::ScopeMissing,
            Self::TenantRequired,
            Self::TenantNotFound,
            Self::KeyNotFound,
            Self::DefaultTenant,
            Self::LimitReached("max_subscriptions", 1_000),
            Self::RouteNotFound,
            Self::SubscriptionNotFound,
            Self::EventNotFound,
            Self::DeliveryNotFound,
            Self::NotPublished,
            Self::ReplayNotFound,
            Self::AttemptNotFound,
            Self::TooManyReplays,
            Self::MethodNotAllowed("GET, HEAD".to_owned()),
            Self::RequestTimeout,
            Self::SubscriptionDisabled,
            Self::SecretUnchanged,
            Self::ExternalIdTaken,
            Self::HeadersUnreadable,
            Self::TooManySecrets,
            Self::IdempotencyKeyReused,
            Self::BodyTooLarge(1_048_576),
            Self::UnsupportedMediaType(PLAIN_JSON),
            Self::PayloadInvalid(InvalidPayload::NotAContainer),
            Self::EventTypeMissing,
            Self::EventTypeNotWanted,
            Self::FilteredOut,
            Self::schema_mismatch_sample(),
            Self::EventTypeNotFound,
            Self::RateLimited(500, 1),
            Self::TooManyRequests(8),
            Self::TooManyTests,
            Self::TooManyStreams(50, "of this tenant"),
            Self::TooManyHops,
            Self::TooManyRecipients,
            Self::Invalid(Vec::new()),
            Self::HeadersTooLarge,
            Self::Internal,
            Self::Unavailable,
        ];
        samples.sort_by_key(|problem| (problem.status(), problem.code()));
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_is_one_sample_of_each_code() {
        let source = include_str!("../problem.rs");
        let kinds = source.split("fn kind(").nth(1).unwrap().split("\n    }\n").next().unwrap();
        // The first string of each arm is its code, the second its title.
        let codes: BTreeSet<_> = kinds.split("StatusCode::").skip(1).filter_map(|arm| arm.split('"').nth(1)).collect();
        let samples: Vec<_> = Problem::samples().iter().map(Problem::code).collect();
        assert_eq!(samples.iter().copied().collect::<BTreeSet<_>>(), codes);
        assert_eq!(samples.len(), codes.len(), "a code has two samples");
    }
}
