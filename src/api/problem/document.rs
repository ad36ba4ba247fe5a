//! A problem as JSON, by itself or inside another answer.

use poem::{IntoResponse, Response};
use poem_openapi::Object;
use serde::Serialize;

use super::{FieldError, Problem};

/// What went wrong (RFC 9457).
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all, rename = "Problem")]
pub(in crate::api) struct ProblemDocument {
    /// Stable name of the problem, a URI.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The problem in a few words.
    pub(super) title: &'static str,
    /// The status of the answer.
    #[oai(validator(minimum(value = "400"), maximum(value = "599")))]
    pub(super) status: u16,
    /// A sentence for people.
    pub(super) detail: String,
    /// Stable name for programs.
    pub(super) code: &'static str,
    /// ID to look up this request in the logs.
    pub(super) request_id: String,
    /// The fields that break rules, if any.
    #[oai(validator(max_items = 20))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) errors: Vec<FieldError>,
}

/// The router sees only the status; the outermost layer renders the problem.
impl From<Problem> for poem::Error {
    fn from(problem: Problem) -> Self {
        let mut error = Self::from_status(problem.kind().0);
        error.set_data(problem);
        error
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind().0.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
