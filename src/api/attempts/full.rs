//! An attempt in full.

use std::collections::BTreeMap;

use poem_openapi::Object;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::row::{AttemptRow, Shown};
use crate::domain::attempt::MAX_RESPONSE_BODY_BYTES;
use crate::domain::detail::{Detail, FieldValue, Fields, Micros, Parts};
use crate::store::LoggedAttempt;

/// An attempt in full: its row of the log, and what was kept besides.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all, rename = "Attempt")]
pub(in crate::api) struct AttemptAnswer {
    #[oai(flatten)]
    #[serde(flatten)]
    row: AttemptRow,
    /// What was sent.
    request: RequestSent,
    /// What came back.
    response: ResponseReceived,
    /// The parts of the duration.
    timing: Timing,
    /// Id of the worker that sent it; null for a test event.
    worker: Option<Uuid>,
}

/// The head that was sent; its fields are null if details were not kept.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct RequestSent {
    /// The URL called.
    url: Option<String>,
    /// Header fields by name in lower case. Signatures and the subscription's own values are masked.
    headers: Option<BTreeMap<String, Value>>,
}

/// The response; `headers` is null without one, or if details were not kept.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct ResponseReceived {
    /// Header fields by name in lower case; one that came several times is an array. The first 64 of them, up to 2 KiB.
    headers: Option<BTreeMap<String, Value>>,
    /// Whether there were more header fields, or longer ones.
    headers_truncated: bool,
    /// First 16 KiB of the body, as text.
    body: Option<String>,
    /// Whether the body had more bytes.
    body_truncated: bool,
}

/// The parts of a duration in milliseconds. On a connection that was open already there are only the last two.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct Timing {
    /// Looking up the name.
    dns_ms: Option<f64>,
    /// Connecting.
    connect_ms: Option<f64>,
    /// The TLS handshake.
    tls_ms: Option<f64>,
    /// From the connection to the first byte of the response.
    first_byte_ms: Option<f64>,
    /// All of it, to the last byte that was read.
    total_ms: Option<f64>,
}

impl AttemptAnswer {
    pub(in crate::api) fn of(row: LoggedAttempt, detail: Option<Detail>, with_bodies: bool) -> Self {
        let is_full = row.response_body.as_ref().is_some_and(|body| body.len() >= MAX_RESPONSE_BODY_BYTES);
        let has_begun = row.duration_ms > 0;
        let total = has_begun.then(|| f64::from(row.duration_ms));
        let row = AttemptRow::of(row, Shown { bodies: with_bodies, payloads: false });
        let mut response = ResponseReceived {
            body: row.response_body().map(str::to_owned),
            body_truncated: is_full,
            ..ResponseReceived::default()
        };
        let Some(detail) = detail else {
            let timing = Timing { total_ms: total, ..Timing::default() };
            return Self { row, request: RequestSent::default(), response, timing, worker: None };
        };
        response.headers = detail.response.map(shown);
        response.headers_truncated = detail.response_is_cut;
        response.body_truncated = detail.body_is_cut;
        Self {
            row,
            request: RequestSent { url: Some(detail.url), headers: Some(shown(detail.request)) },
            response,
            timing: Timing::of(detail.timing),
            worker: detail.worker.map(|worker| worker.uuid()),
        }
    }
}

impl Timing {
    fn of(parts: Parts) -> Self {
        let millis = |part: Option<Micros>| part.map(Micros::as_millis);
        Self {
            dns_ms: millis(parts.dns_ms),
            connect_ms: millis(parts.connect_ms),
            tls_ms: millis(parts.tls_ms),
            first_byte_ms: millis(parts.first_byte_ms),
            total_ms: millis(parts.total_ms),
        }
    }
}

fn shown(fields: Fields) -> BTreeMap<String, Value> {
    let value = |value| match value {
        FieldValue::One(one) => Value::from(one),
        FieldValue::Several(values) => Value::from(values),
    };
    fields.into_iter().map(|(name, of_name)| (name, value(of_name))).collect()
}
