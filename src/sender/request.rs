//! Builds the signed request: the exact bytes of the payload, and headers that prove sender and time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::domain::content_type::JSON;
use crate::domain::delivery::Parcel;
use crate::domain::detail::{Fields, fields};
use crate::domain::secret::MASK;
use crate::domain::signature::{sign_hub, sign_v1_all};
use crate::domain::target::Target;

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const WEBHOOK_HOPS: HeaderName = HeaderName::from_static("webhook-hops");
const X_HUB_SIGNATURE_256: HeaderName = HeaderName::from_static("x-hub-signature-256");
const X_EVENT_TYPE: HeaderName = HeaderName::from_static("x-event-type");
const X_WEBHOOK_ATTEMPT: HeaderName = HeaderName::from_static("x-webhook-attempt");

const PRODUCT: HeaderValue = HeaderValue::from_static(concat!("postrider/", env!("CARGO_PKG_VERSION")));

const MASKED_V1: &str = "v1,********";
const MASKED_HUB: &str = "sha256=********";
/// Our headers and the host, so that the map never grows.
const HEADER_ROOM: usize = 12;
const MAX_INTERIM_HEADS: u32 = 100;

/// `None` if the stored target is not a valid URL.
pub(super) fn build(parcel: &Parcel, now: OffsetDateTime) -> Option<Request<Full<Bytes>>> {
    let uri = uri_of(&parcel.destination.target)?;
    let signed = |id: &str, timestamp| Signatures {
        v1: sign_v1_all(parcel.destination.secrets.live(now), id, timestamp, &parcel.payload),
        hub: sign_hub(parcel.destination.secrets.current(), &parcel.payload),
    };
    let mut request = Request::new(Full::new(parcel.payload.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers(parcel, now, signed);
    Some(request)
}

/// The header fields of the same request for the log: as sent, but with masks for signatures and for what is secret.
pub(super) fn shown(parcel: &Parcel, now: OffsetDateTime) -> Fields {
    let Some(uri) = uri_of(&parcel.destination.target) else { return Fields::new() };
    let masked = |_: &str, _| Signatures {
        v1: parcel.destination.secrets.live(now).map(|_| MASKED_V1).collect::<Vec<_>>().join(" "),
        hub: MASKED_HUB.to_owned(),
    };
    let text = |value: &HeaderValue| match value.is_sensitive() {
        true => MASK.to_owned(),
        false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
    };
    let headers = headers(parcel, now, masked);
    let lines = headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
    // The client adds them.
    let length = (CONTENT_LENGTH.as_str().to_owned(), parcel.payload.len().to_string());
    fields(lines.chain([(HOST.as_str().to_owned(), host(&uri)), length]))
}

/// With the port, if it is not the scheme's.
fn host(uri: &Uri) -> String {
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let name = uri.host().unwrap_or_default();
    uri.port_u16().filter(|port| *port != usual).map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

/// Of one request.
struct Signatures {
    v1: String,
    hub: String,
}

fn uri_of(target: &Target) -> Option<Uri> {
    let uri = Uri::try_from(target.as_str()).ok()?;
    let plain_host = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    (plain_host && matches!(uri.scheme_str(), Some("https" | "http"))).then_some(uri)
}

fn headers(parcel: &Parcel, now: OffsetDateTime, sign: impl FnOnce(&str, i64) -> Signatures) -> HeaderMap {
    let id = parcel.key.event.to_string();
    let timestamp = now.unix_timestamp();
    let Signatures { v1, hub } = sign(&id, timestamp);
    let mut headers = HeaderMap::with_capacity(HEADER_ROOM);
    headers.insert(CONTENT_TYPE, content_type(parcel));
    headers.insert(USER_AGENT, PRODUCT);
    headers.insert(WEBHOOK_SIGNATURE, visible(v1));
    // This header holds only one signature.
    headers.insert(X_HUB_SIGNATURE_256, visible(hub));
    headers.insert(WEBHOOK_ID, visible(id));
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(timestamp));
    headers.insert(WEBHOOK_HOPS, HeaderValue::from(parcel.hops.next()));
    headers.insert(X_WEBHOOK_ATTEMPT, HeaderValue::from(parcel.attempt_number));
    if let Some(event_type) = &parcel.event_type {
        headers.insert(X_EVENT_TYPE, visible(event_type.as_str().to_owned()));
    }
    add_own(&mut headers, parcel);
    headers
}

/// As the producer sent it.
fn content_type(parcel: &Parcel) -> HeaderValue {
    match parcel.content_type.other_than_json() {
        None => HeaderValue::from_static(JSON),
        // It was validated when it was accepted.
        Some(other) => HeaderValue::try_from(other).unwrap_or(HeaderValue::from_static(JSON)),
    }
}

/// A subscription's header never replaces one of ours.
fn add_own(headers: &mut HeaderMap, parcel: &Parcel) {
    for (name, value) in parcel.destination.headers.lines() {
        // Both were validated when they were stored.
        let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else { continue };
        value.set_sensitive(true);
        headers.entry(name).or_insert(value);
    }
}

fn visible(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("ids, signatures and event types are visible ASCII")
}

/// Counts 1xx responses. hyper skips them without limit, so a receiver could keep a core busy until the deadline.
#[derive(Debug, Default)]
pub(super) struct InterimHeads {
    seen: AtomicU32,
    too_many: Notify,
}

impl InterimHeads {
    pub(super) fn counted_on(request: &mut Request<Full<Bytes>>) -> Arc<Self> {
        let heads = Arc::new(Self::default());
        let counted = Arc::clone(&heads);
        hyper::ext::on_informational(request, move |_| {
            if counted.seen.fetch_add(1, Ordering::Relaxed) == MAX_INTERIM_HEADS {
                counted.too_many.notify_one();
            }
        });
        heads
    }

    pub(super) async fn too_many(&self) {
        self.too_many.notified().await;
    }
}
