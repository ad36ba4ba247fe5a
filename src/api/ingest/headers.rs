//! The headers of a request that publishes.

use std::sync::Arc;

use poem::http::HeaderMap;

use crate::api::problem::Problem;
use crate::domain::event_type::EventType;
use crate::domain::hops::{Hops, InvalidHops};
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ordering::OrderingKey;
use crate::domain::provider::{PROVIDERS, ProducerHeaders};

const EVENT_TYPE: &str = "x-event-type";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const ORDERING_KEY: &str = "x-ordering-key";
/// No signature is in them.
const NEVER_SIGNATURES: [&str; 13] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "postrider-tenant",
    "user-agent",
    "x-request-id",
    EVENT_TYPE,
    IDEMPOTENCY_KEY,
    ORDERING_KEY,
];

/// Whether a header of a known signature is there.
pub(in crate::api) fn has_signature(headers: &HeaderMap) -> bool {
    let known = PROVIDERS.iter().filter_map(|row| row.scheme.as_ref()).flat_map(|scheme| scheme.header_names());
    known.into_iter().any(|name| headers.contains_key(name))
}

/// Whether a header is there that a subscription might name as its signature's.
pub(in crate::api) fn may_be_signed(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| !NEVER_SIGNATURES.contains(&name.as_str()))
}

/// The headers of a request that tell its producer. One that a provider uses may occur once.
pub(super) fn of_producer(headers: &HeaderMap) -> Result<Arc<ProducerHeaders>, Problem> {
    let mut telling = Vec::new();
    let is_telling = |name: &&str| *name == IDEMPOTENCY_KEY || !NEVER_SIGNATURES.contains(name);
    for name in headers.keys().map(|name| name.as_str()).filter(is_telling) {
        let is_known = || PROVIDERS.iter().flat_map(|row| row.header_names()).any(|known| known == name);
        let value = match single(headers, name, "a header of the producer must stand only once") {
            // A header that is not text cannot be a valid signature.
            Ok(value) => value.map(|value| std::str::from_utf8(value).unwrap_or_default().to_owned()),
            Err(refused) if is_known() => return Err(refused),
            Err(_) => None,
        };
        telling.push((name.to_owned(), value));
    }
    let headers = ProducerHeaders::new(telling);
    headers.check_lists().map_err(Problem::SignatureInvalid)?;
    Ok(Arc::new(headers))
}

/// Each may occur once: of two, a proxy and we might read different ones.
pub(in crate::api) struct EventHeaders<'a> {
    event_type: Option<&'a [u8]>,
    idempotency_key: Option<&'a [u8]>,
    ordering_key: Option<&'a [u8]>,
    hops: Option<&'a [u8]>,
}

impl<'a> EventHeaders<'a> {
    pub(in crate::api) fn read(headers: &'a HeaderMap) -> Result<Self, Problem> {
        Ok(Self {
            event_type: single(headers, EVENT_TYPE, "X-Event-Type must stand only once")?,
            idempotency_key: single(headers, IDEMPOTENCY_KEY, "Idempotency-Key must stand only once")?,
            ordering_key: single(headers, ORDERING_KEY, "X-Ordering-Key must stand only once")?,
            hops: single(headers, "webhook-hops", "webhook-hops must stand only once")?,
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

    pub(in crate::api) fn hops(&self) -> Result<Hops, Problem> {
        Ok(self.hops.map(hops).transpose()?.unwrap_or_default())
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

/// A number that cannot be read is refused: ignored, it would let a loop begin anew.
fn hops(value: &[u8]) -> Result<Hops, Problem> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    text.parse().map_err(|rule| match rule {
        InvalidHops::TooMany => Problem::TooManyHops,
        InvalidHops::NotANumber => Problem::field("/headers/webhook-hops", "invalid_hops", rule),
    })
}

fn single<'a>(headers: &'a HeaderMap, name: &str, rule: &'static str) -> Result<Option<&'a [u8]>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Problem::MalformedRequest(rule)),
        (value, None) => Ok(value.map(|value| value.as_bytes())),
    }
}
