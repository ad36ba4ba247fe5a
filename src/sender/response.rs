//! Reads a response. The head decides the outcome; the body is only logged.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HeaderValue, RETRY_AFTER};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};

use crate::domain::attempt::{Answer, Directives, MAX_RESPONSE_BODY_BYTES};
use crate::domain::outcome::Outcome;
use crate::domain::retry_after::parse_retry_after;

const DELIVERY_DIRECTIVES: &str = "webhook-delivery";
const BODY_BUDGET: Duration = Duration::from_secs(2);

/// After a 2xx head the body may exceed the deadline, because a connection read to its end is reused. After any
/// other head the deadline holds.
/// Returns whether the body had more bytes, too.
pub(super) async fn read(response: Response<Incoming>, deadline: Instant, now: OffsetDateTime) -> (Answer, bool) {
    let (head, body) = response.into_parts();
    let outcome = Outcome::of_status(head.status.as_u16());
    let budget_ends = Instant::now() + BODY_BUDGET;
    let until = if outcome.is_success() { budget_ends } else { budget_ends.min(deadline) };
    let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| parse_retry_after(value.as_bytes(), now));
    let directives = Directives::parse(head.headers.get_all(DELIVERY_DIRECTIVES).iter().map(HeaderValue::as_bytes));
    let (body, is_whole) = first_bytes(body, until).await;
    let status = Some(head.status.as_u16());
    (Answer { status, body, retry_after, directives, ..Answer::without_response(outcome) }, !is_whole)
}

/// Reads up to the cap, without decompressing, and returns whether that was all. Dropping an unfinished body closes its
/// connection.
async fn first_bytes(mut body: Incoming, until: Instant) -> (Bytes, bool) {
    let mut bytes = Vec::new();
    let reading = async {
        while !body.is_end_stream() {
            let Some(frame) = body.frame().await else { return true };
            let Ok(frame) = frame else { return false };
            let data = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
            let room = MAX_RESPONSE_BODY_BYTES - bytes.len();
            bytes.extend_from_slice(data.get(..room).unwrap_or(data));
            if data.len() > room {
                return false;
            }
        }
        true
    };
    // A late or broken body is kept as far as it came.
    let is_whole = timeout_at(until, reading).await.unwrap_or(false);
    (Bytes::from(bytes), is_whole)
}
