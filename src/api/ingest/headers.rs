//! The headers of an ingest request.

use poem::http::HeaderMap;

use crate::api::problem::Problem;
use crate::domain::event_type::EventType;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ordering::OrderingKey;
use crate::domain::signature::SignatureHeaders;

/// Each may occur once: of two, a proxy and we might read different ones.
pub(in crate::api) struct IngestHeaders<'a> {
    event_type: Option<&'a [u8]>,
    idempotency_key: Option<&'a [u8]>,
    ordering_key: Option<&'a [u8]>,
    pub(super) signature: SignatureHeaders,
}

impl<'a> IngestHeaders<'a> {
    const SIGNATURES: [&'static str; 4] =
        ["x-hub-signature-256", "webhook-id", "webhook-timestamp", "webhook-signature"];

    pub(in crate::api) fn has_signature(headers: &HeaderMap) -> bool {
        Self::SIGNATURES.iter().any(|name| headers.contains_key(*name))
    }

    pub(in crate::api) fn read(headers: &'a HeaderMap) -> Result<Self, Problem> {
        // A header that is not text cannot be a valid signature.
        let text = |name| -> Result<Option<String>, Problem> {
            Ok(single(headers, name)?.map(|value| std::str::from_utf8(value).unwrap_or_default().to_owned()))
        };
        let [hub, id, timestamp, signature] = Self::SIGNATURES;
        Ok(Self {
            event_type: single(headers, "x-event-type")?,
            idempotency_key: single(headers, "idempotency-key")?,
            ordering_key: single(headers, "x-ordering-key")?,
            signature: SignatureHeaders {
                hub: text(hub)?,
                id: text(id)?,
                timestamp: text(timestamp)?,
                signature: text(signature)?,
            },
        })
    }

    pub(in crate::api) fn event_type(&self) -> Result<Option<EventType>, Problem> {
        let parse = |value| {
            let text = std::str::from_utf8(value).unwrap_or_default();
            text.parse::<EventType>()
                .map_err(|rule| Problem::field("/headers/x-event-type", "invalid_event_type", rule))
        };
        self.event_type.map(parse).transpose()
    }

    pub(in crate::api) fn idempotency_key(&self) -> Result<Option<IdempotencyKey>, Problem> {
        let parse = |value| {
            let text = std::str::from_utf8(value).unwrap_or_default();
            text.parse::<IdempotencyKey>()
                .map_err(|rule| Problem::field("/headers/idempotency-key", "invalid_idempotency_key", rule))
        };
        self.idempotency_key.map(parse).transpose()
    }

    pub(in crate::api) fn ordering_key(&self) -> Result<Option<OrderingKey>, Problem> {
        let parse = |value| {
            let text = std::str::from_utf8(value).unwrap_or_default();
            text.parse::<OrderingKey>()
                .map_err(|rule| Problem::field("/headers/x-ordering-key", "invalid_ordering_key", rule))
        };
        self.ordering_key.map(parse).transpose()
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a [u8]>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Problem::MalformedRequest("a header that counts once stands twice")),
        (value, None) => Ok(value.map(|value| value.as_bytes())),
    }
}
