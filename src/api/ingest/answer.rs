//! The answers of `/ingest`.

use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object};
use serde::Serialize;
use uuid::Uuid;

use crate::api::payload::Answer;
use crate::api::problem::Problem;

/// The stored event.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct IngestAnswer {
    /// For people.
    pub(super) message: &'static str,
    /// The event's id; receivers see it as `webhook-id`.
    pub(super) webhook_id: Uuid,
    /// Whether an earlier request with the same idempotency key had stored it.
    pub(super) duplicate: bool,
}

/// What Slack wants back before it sends events; nothing is stored.
#[derive(Debug, Serialize)]
pub(super) struct ChallengeAnswer {
    /// As it came.
    pub(super) challenge: String,
}

pub(super) enum Ingested {
    /// 202.
    Event(IngestAnswer),
    /// 200. Only described in words: many generators read one kind of success, and no client of theirs is Slack.
    Challenge(ChallengeAnswer),
    /// A parameter was refused before the operation began.
    Refused(Problem),
}

impl IntoResponse for Ingested {
    fn into_response(self) -> Response {
        match self {
            Self::Event(event) => Answer::<_, 202>::Value(event).into_response(),
            Self::Challenge(challenge) => Answer::<_, 200>::Value(challenge).into_response(),
            Self::Refused(problem) => problem.into_response(),
        }
    }
}

impl ApiResponse for Ingested {
    const BAD_REQUEST_HANDLER: bool = true;

    fn meta() -> MetaResponses {
        Answer::<IngestAnswer, 202>::meta()
    }

    fn register(registry: &mut Registry) {
        IngestAnswer::register(registry);
    }

    fn from_parse_request_error(error: poem::Error) -> Self {
        match Answer::<IngestAnswer, 202>::from_parse_request_error(error) {
            Answer::Refused(problem) => Self::Refused(problem),
            Answer::Value(event) => Self::Event(event),
        }
    }
}
