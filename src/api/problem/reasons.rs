//! Which problem it is when another part says no.

use super::Problem;
use crate::domain::event_type::NotWanted;
use crate::intake::Refusal;
use crate::store::StoreError;
use crate::subscriptions::RotateError;

/// Logged here, once, under the request's span; nothing of it leaves.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() {
            tracing::warn!(%error, "the database is not available to a request");
            return Self::Unavailable;
        }
        tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
        Self::Internal
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

impl From<NotWanted> for Problem {
    fn from(reason: NotWanted) -> Self {
        match reason {
            NotWanted::TypeMissing => Self::EventTypeMissing,
            NotWanted::TypeNotWanted => Self::EventTypeNotWanted,
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::KeyReused => Self::IdempotencyKeyReused,
            Refusal::Changed => Self::Unavailable,
            Refusal::Unavailable(reason) => {
                tracing::debug!(reason, "events cannot be accepted now");
                Self::Unavailable
            }
        }
    }
}
