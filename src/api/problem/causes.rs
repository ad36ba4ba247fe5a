//! Which problem a failure of the parts below becomes.

use super::{FieldError, Problem};
use crate::api::form::pointer_to;
use crate::domain::event_type::NotWanted;
use crate::domain::ingest::InvalidIngest;
use crate::domain::request_headers::InvalidHeader;
use crate::domain::schema::Mismatch;
use crate::domain::signature::InvalidSignature;
use crate::intake::Refusal;
use crate::store::StoreError;
use crate::subscriptions::{RotateError, WriteError};

/// Unique indexes of external ids.
const EXTERNAL_IDS: [&str; 2] = ["subscriptions_external_id", "tenants_external_id"];

/// Which of two would be the right one, only the subscription's `ingest` can say.
pub(in crate::api) const TWO_SIGNATURES: &str =
    "the request has signature headers of two kinds: send one, or name the provider in the subscription's ingest";

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        from_store(&error)
    }
}

/// Logs the error once; the response does not contain it.
fn from_store(error: &StoreError) -> Problem {
    if matches!(error, StoreError::Constraint(name) if EXTERNAL_IDS.contains(&name.as_str())) {
        return Problem::ExternalIdTaken;
    }
    if error.is_unavailable() {
        tracing::warn!(%error, "the database is not available to a request");
        return Problem::Unavailable;
    }
    tracing::error!(error = error as &dyn std::error::Error, "a request failed");
    Problem::Internal
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Header { rule: InvalidHeader::NoAuthStored, .. } => {
                Self::field("/auth", "required", InvalidHeader::NoAuthStored)
            }
            WriteError::Header { name, rule } => {
                let pointer = name.as_deref().map(pointer_to).unwrap_or_default();
                Self::field(format!("/headers{pointer}"), "invalid_header", rule)
            }
            WriteError::HeadersDoNotOpen(reason) => {
                tracing::error!(%reason, "stored headers cannot be opened");
                Self::HeadersUnreadable
            }
            WriteError::IngestSecretOfAnother => {
                Self::field("/ingest/secret", "required", InvalidIngest::SecretOfAnother)
            }
            WriteError::LimitReached(limit) => Self::LimitReached("max_subscriptions", limit),
            WriteError::NoTenant => Self::TenantNotFound,
            WriteError::Store(error) => error.into(),
        }
    }
}

impl From<RotateError> for Problem {
    fn from(error: RotateError) -> Self {
        match error {
            RotateError::Same => Self::SecretUnchanged,
            RotateError::TooMany => Self::TooManySecrets,
            RotateError::Store(error) => error.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::SubscriptionNotFound,
            Refusal::NoTenant => Self::TenantNotFound,
            Refusal::Disabled => Self::SubscriptionDisabled,
            Refusal::Signature(InvalidSignature::Missing) => Self::SignatureMissing,
            Refusal::Signature(InvalidSignature::Ambiguous) => Self::MalformedRequest(TWO_SIGNATURES),
            Refusal::Signature(reason) => Self::SignatureInvalid(reason),
            Refusal::NotWanted(NotWanted::TypeMissing) => Self::EventTypeMissing,
            Refusal::NotWanted(NotWanted::TypeNotWanted) => Self::EventTypeNotWanted,
            Refusal::FilteredOut => Self::FilteredOut,
            Refusal::SchemaMismatch(mismatches) => {
                let error = |Mismatch { pointer, rule }| FieldError { pointer, code: "schema_mismatch", detail: rule };
                Self::SchemaMismatch(mismatches.into_iter().map(error).collect())
            }
            Refusal::TooManyRecipients => Self::TooManyRecipients,
            Refusal::KeyReused => Self::IdempotencyKeyReused,
            Refusal::RateLimited { limit, retry_after } => Self::RateLimited(limit, retry_after.as_secs().max(1)),
            Refusal::Store(error) => from_store(&error),
            Refusal::Over | Refusal::Changed | Refusal::NotTaken => Self::Unavailable,
            Refusal::Unavailable(reason) => {
                tracing::debug!(reason, "events cannot be accepted now");
                Self::Unavailable
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::events::problem;

    #[test]
    fn a_refusal_of_an_event_from_sql_has_the_code_that_a_request_would_get() {
        let lasting = [
            Refusal::NotFound,
            Refusal::NoTenant,
            Refusal::Disabled,
            Refusal::NotWanted(NotWanted::TypeMissing),
            Refusal::NotWanted(NotWanted::TypeNotWanted),
            Refusal::TooManyRecipients,
            Refusal::Over,
            Refusal::KeyReused,
        ];
        for refusal in lasting {
            let code = refusal.lasting_code();
            assert_eq!(code, Some(problem(refusal, "/query").code()));
        }
    }
}
