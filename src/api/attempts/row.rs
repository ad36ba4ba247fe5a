//! A row of the log, as every list shows it.

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use crate::api::auth::Bearer;
use crate::api::text::Moment;
use crate::domain::attempt::MAX_RESPONSE_BODY_BYTES;
use crate::store::LoggedAttempt;

const DELIVERED: &str = "delivered";

/// One attempt.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct AttemptRow {
    /// Its id, a UUIDv7 that carries when it began.
    id: Uuid,
    /// The tenant.
    tenant_id: Uuid,
    /// The subscription.
    subscription_id: Uuid,
    /// The event. A test event has an id of its own, and no event is stored under it.
    webhook_id: Uuid,
    /// Type of the event.
    event_type: Option<String>,
    /// 1 for the first attempt of a delivery.
    attempt_number: i32,
    /// Why it was made: `fresh`, the first of its delivery; `schedule`, the next delay of the retry schedule;
    /// `retry_after`, the receiver asked for a later time; `probe`, the open breaker let one through; `manual`, a
    /// retry that somebody asked for; `replay`; `test`, a test event.
    trigger: &'static str,
    /// Status of the receiver's response, if there was one.
    status_code: Option<i16>,
    /// Whether the receiver answered 2xx.
    is_success: bool,
    /// The outcome, a stable name.
    outcome: String,
    /// The outcome as a sentence; null after a success.
    error_message: Option<String>,
    /// First 16 KiB of the response body, as text.
    response_body: Option<String>,
    /// Address of the receiver, if a connection was tried.
    remote_address: Option<String>,
    /// Duration; 0 if the worker was lost during the attempt.
    duration_ms: i32,
    /// When it began.
    created_at: Moment,
    /// The event's payload as text, null where the event is gone; only with `include=payload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Option<String>>,
}

/// What a caller sees of an attempt besides its facts.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Shown {
    pub(in crate::api) bodies: bool,
    pub(in crate::api) payloads: bool,
}

/// The scope `support` sees no response bodies.
pub(in crate::api) fn shows_bodies(bearer: Bearer) -> bool {
    bearer.grant.shows_bodies()
}

impl AttemptRow {
    pub(in crate::api) fn of(row: LoggedAttempt, shown: Shown) -> Self {
        let payload = row.payload.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let body = row.response_body.filter(|_| shown.bodies);
        Self {
            id: row.id.uuid(),
            tenant_id: row.tenant.uuid(),
            subscription_id: row.subscription.uuid(),
            webhook_id: row.event.uuid(),
            event_type: row.event_type,
            attempt_number: row.attempt_number,
            trigger: row.trigger.as_str(),
            status_code: row.status_code,
            is_success: row.outcome == DELIVERED,
            outcome: row.outcome,
            error_message: row.error_message,
            response_body: body.map(|bytes| readable(&bytes, MAX_RESPONSE_BODY_BYTES)),
            remote_address: row.remote_address.map(|address| address.to_string()),
            duration_ms: row.duration_ms,
            created_at: Moment(row.created_at),
            payload: shown.payloads.then_some(payload),
        }
    }

    pub(super) fn response_body(&self) -> Option<&str> {
        self.response_body.as_deref()
    }
}

/// Limits the text too: a replacement character is longer than the byte it replaces.
fn readable(bytes: &[u8], limit: usize) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    text.truncate(text.floor_char_boundary(limit));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_broken_bytes_stays_within_the_limit() {
        assert_eq!(readable(&[0xff; 100], 100).chars().count(), 33);
        assert_eq!(readable(b"ok", 100), "ok");
    }
}
