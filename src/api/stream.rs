//! `/stream`: what happens, as Server-Sent Events, while it happens.
//!
//! One reader of a replica serves all its viewers ([`Feed`]). A viewer that comes back reads for itself what it missed.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use poem::http::{HeaderValue, header};
use poem::{Body, IntoResponse, Response};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchema, Registry};
use poem_openapi::{ApiResponse, OpenApi};

use super::Api;
use super::access::{AllowedForNamed, Support};
use super::deliveries::DeliveryReason;
use super::docs::Resource;
use super::events::DeliveryState;
use super::parameter::{Queries, Query};
use super::problem::Problem;
use super::text::{Moment, inline};
use crate::domain::event_type::EventType;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::ApiKeyId;

mod feed;
mod item;
mod position;
mod seats;
mod viewer;

pub(super) use feed::Feed;

use item::StreamCursor;
use viewer::{Filter, Viewer};

const EVENT_STREAM: &str = "text/event-stream";

pub(super) struct StreamApi(pub(super) Arc<Api>, pub(super) Arc<Feed>);

#[OpenApi(tag = "Resource::Stream")]
impl StreamApi {
    /// Watch what happens
    ///
    /// Server-Sent Events: `accepted` (an event), `attempt`, and `ended` (a delivery: succeeded, failed, cancelled,
    /// expired or skipped), about a second after they happen, as JSON. The id of each is a cursor: with it in
    /// `Last-Event-ID` the stream goes on after it and skips nothing, on every replica; there it may repeat events of the
    /// 15 seconds before, under the same ids in their data. It goes back 24 hours at most, and not beyond retention:
    /// after an older id `missed` comes first, with null. A client that reads too slowly gets `missed` with a number. A
    /// comment comes every 15 seconds. Test events are left out. An eighth of the streams of a
    /// replica, `POSTRIDER_MAX_STREAMS`, may be of one tenant: 50 where nothing is set.
    #[oai(
        path = "/stream",
        method = "get",
        operation_id = "stream",
        request_header(
            name = "Last-Event-ID",
            ty = "Option<String>",
            description = "Id of the last event that the client got."
        )
    )]
    #[expect(clippy::too_many_arguments, reason = "each is a documented parameter of the operation")]
    async fn stream(
        &self,
        request: &poem::Request,
        caller: AllowedForNamed<Support>,
        /// Only deliveries with one of these statuses. An accepted event and an attempt that failed are `pending`.
        status: Queries<DeliveryState>,
        /// Only deliveries that ended for one of these reasons.
        reason: Queries<DeliveryReason>,
        /// Only deliveries to one of these subscriptions: id or external id. With `*` as the tenant only an id.
        subscription_id: Queries<SubscriptionName>,
        /// Only of one of these event types.
        event_type: Queries<EventType>,
        /// Only of events accepted from then on. What happened before the stream began does not come. Of an event from SQL
        /// its attempts and its end are compared by the time of `publish()`.
        since: Query<Moment>,
        /// Only of events accepted before then.
        until: Query<Moment>,
    ) -> Result<EventStream, Problem> {
        let filter = Filter {
            tenant: caller.tenant(),
            statuses: status.0.into_iter().map(DeliveryState::word).collect(),
            reasons: reason.0.into_iter().map(DeliveryReason::word).collect(),
            subscriptions: self.0.asked_subscriptions(caller.tenant(), &subscription_id.0).await?,
            event_types: event_type.0.iter().map(ToString::to_string).collect(),
            since: since.0.map(|since| since.0),
            until: until.0.map(|until| until.0),
        };
        EventStream::open(&self.0, &self.1, filter, caller.bearer().key, last_event(request)?)
    }
}

/// An endless answer.
enum EventStream {
    Open(Body),
    Refused(Problem),
}

impl EventStream {
    /// Follows the feed, after what came since `cursor`.
    fn open(
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
fn last_event(request: &poem::Request) -> Result<Option<StreamCursor>, Problem> {
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
