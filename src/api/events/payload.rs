//! The payload of an event as it was published.

use poem::http::{HeaderValue, header};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchema, Registry};
use uuid::Uuid;

use crate::api::payload::refused;
use crate::api::problem::Problem;
use crate::api::text::inline;
use crate::domain::content_type::ContentType;

/// Strangers wrote the bytes and named their type: a browser must save them, and run nothing of them.
const POLICY: &str = "default-src 'none'; sandbox";

pub(super) enum PayloadAnswer {
    Payload {
        webhook_id: Uuid,
        bytes: Vec<u8>,
        content_type: ContentType,
    },
    /// A parameter was refused before the operation began.
    Refused(Problem),
}

impl IntoResponse for PayloadAnswer {
    fn into_response(self) -> Response {
        let (webhook_id, bytes, content_type) = match self {
            Self::Payload { webhook_id, bytes, content_type } => (webhook_id, bytes, content_type),
            Self::Refused(problem) => return problem.into_response(),
        };
        let file = format!("attachment; filename=\"{webhook_id}\"");
        let mut response = Response::builder().content_type(content_type.as_str()).body(bytes);
        let headers = response.headers_mut();
        headers.extend(HeaderValue::from_str(&file).ok().map(|file| (header::CONTENT_DISPOSITION, file)));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl ApiResponse for PayloadAnswer {
    const BAD_REQUEST_HANDLER: bool = true;

    fn meta() -> MetaResponses {
        // Of any type: JSON where the payload is.
        let schema = inline(MetaSchema::ANY);
        MetaResponses {
            responses: vec![MetaResponse {
                description: "The bytes.",
                status: Some(200),
                status_range: None,
                content: vec![MetaMediaType { content_type: "*/*", schema }],
                headers: vec![],
            }],
        }
    }

    fn register(_registry: &mut Registry) {}

    fn from_parse_request_error(error: poem::Error) -> Self {
        Self::Refused(refused(&error))
    }
}
