//! `/stream`: what happens, as Server-Sent Events, while it happens.
//!
//! One reader of a replica serves all its viewers ([`Feed`]). A viewer that comes back reads for itself what it missed.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use poem::http::{HeaderValue, header};
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchema, Registry};

use super::Api;
use super::problem::Problem;
use super::text::{FromText, Refused, inline};
use crate::domain::id::ApiKeyId;

mod feed;
mod item;
mod viewer;

pub(super) use feed::Feed;
pub(super) use item::StreamCursor;
pub(super) use viewer::Filter;

use viewer::Viewer;

const EVENT_STREAM: &str = "text/event-stream";
const MOST_REASON_LETTERS: usize = 64;

/// Why a delivery ended or is held.
#[derive(Debug, Clone)]
pub(super) struct Reason(pub(super) String);

impl FromText for Reason {
    fn rules() -> MetaSchema {
        let pattern = Some("^[a-z0-9_]+$".to_owned());
        MetaSchema { pattern, max_length: Some(MOST_REASON_LETTERS), ..MetaSchema::new("string") }
    }

    fn from_text(text: &str) -> Result<Self, Refused> {
        let is_word = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if is_word && (1..=MOST_REASON_LETTERS).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(Refused { code: super::text::INVALID_PARAMETER, rule: "must be a reason, as in exhausted".to_owned() })
    }
}

/// An endless answer.
pub(super) enum EventStream {
    Open(Body),
    Refused(Problem),
}

impl EventStream {
    /// Follows the feed, after what came since `cursor`.
    pub(super) fn open(
        api: &Arc<Api>,
        feed: &Arc<Feed>,
        filter: Filter,
        key: Option<ApiKeyId>,
        cursor: Option<StreamCursor>,
    ) -> Result<Self, Problem> {
        let viewer = Viewer::open(Arc::clone(api), Arc::clone(feed), filter, key, cursor)?;
        let frames = futures_util::stream::unfold(viewer, |mut viewer| async {
            let bytes = viewer.next().await?;
            Some((Ok::<Bytes, io::Error>(bytes), viewer))
        });
        Ok(Self::Open(Body::from_bytes_stream(frames)))
    }
}

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        let body = match self {
            Self::Open(body) => body,
            Self::Refused(problem) => return problem.into_response(),
        };
        let mut response = Response::builder().content_type(EVENT_STREAM).body(body);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        // Proxies like nginx would collect events before they pass them on.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

impl ApiResponse for EventStream {
    const BAD_REQUEST_HANDLER: bool = true;

    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "Events, until the client closes the connection or the server stops.",
                status: Some(200),
                status_range: None,
                content: vec![MetaMediaType { content_type: EVENT_STREAM, schema: inline(MetaSchema::new("string")) }],
                headers: vec![],
            }],
        }
    }

    fn register(_registry: &mut Registry) {}

    fn from_parse_request_error(error: poem::Error) -> Self {
        let problem = error.data::<Problem>().cloned();
        Self::Refused(problem.unwrap_or(Problem::MalformedRequest("the request cannot be read")))
    }
}

/// The value of `Last-Event-ID`; an empty one counts as none, as browsers mean it.
pub(super) fn last_event(request: &poem::Request) -> Result<Option<StreamCursor>, Problem> {
    let mut values = request.headers().get_all("last-event-id").iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        let is_repeated = request.headers().contains_key("last-event-id");
        let refused = Problem::MalformedRequest("Last-Event-ID must stand only once");
        return if is_repeated { Err(refused) } else { Ok(None) };
    };
    if value.is_empty() {
        return Ok(None);
    }
    let cursor = value.to_str().ok().and_then(StreamCursor::read);
    let refused =
        || Problem::field("/headers/last-event-id", "invalid_cursor", "must be the id of an event of a stream");
    cursor.map(Some).ok_or_else(refused)
}
