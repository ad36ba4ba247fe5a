//! From a response to an answer: the head decides, the body is decoration.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};

use crate::domain::attempt::{Answer, Directives, MAX_RESPONSE_BODY_BYTES};
use crate::domain::outcome::Outcome;
use crate::domain::retry_after::parse_retry_after;

/// Header in which a receiver can ask for an end.
const DELIVERY_DIRECTIVES: &str = "webhook-delivery";
/// Longest time that an answer's body gets after its head.
const BODY_BUDGET: Duration = Duration::from_secs(2);

/// Reads the answer. After a 2xx head the body has its whole budget, even beyond the
/// attempt's deadline, because nothing hangs on it any more and a connection read to its
/// end is used again; after any other head it has what is left of both.
pub(super) async fn read(response: Response<Incoming>, deadline: Instant, now: OffsetDateTime) -> Answer {
    let (head, body) = response.into_parts();
    let outcome = Outcome::of_status(head.status.as_u16());
    let budget_ends = Instant::now() + BODY_BUDGET;
    let until = if outcome.is_success() { budget_ends } else { budget_ends.min(deadline) };
    let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| parse_retry_after(value.as_bytes(), now));
    let directives = Directives::parse(head.headers.get_all(DELIVERY_DIRECTIVES).iter().map(HeaderValue::as_bytes));
    Answer {
        outcome,
        status: Some(head.status.as_u16()),
        body: first_bytes(body, until).await,
        retry_after,
        directives,
        remote: None,
        duration: Duration::ZERO,
        stale_connection: false,
    }
}

/// Whether the head tells the body's end in two ways. Somebody between here and the
/// receiver may follow the other one, and then the next answer on this connection is not
/// the answer to our request.
pub(super) fn is_ambiguous(response: &Response<Incoming>) -> bool {
    let headers = response.headers();
    headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING)
}

/// What arrives of a body until it ends, fails, exceeds the cap or its time is up. It is
/// never inflated. A body left before its end is dropped, which closes its connection.
async fn first_bytes(mut body: Incoming, until: Instant) -> Bytes {
    let mut bytes = Vec::new();
    let reading = async {
        while !body.is_end_stream() && bytes.len() < MAX_RESPONSE_BODY_BYTES {
            let Some(Ok(frame)) = body.frame().await else { break };
            let data = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
            let room = MAX_RESPONSE_BODY_BYTES - bytes.len();
            bytes.extend_from_slice(data.get(..room).unwrap_or(data));
        }
    };
    // Too late or broken: what came so far is kept, and the head has already decided.
    let _in_time = timeout_at(until, reading).await;
    Bytes::from(bytes)
}
