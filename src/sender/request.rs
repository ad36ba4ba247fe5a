//! Builds the signed request: the exact bytes of the payload, and headers that prove sender and time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::domain::content_type::JSON;
use crate::domain::delivery::Parcel;
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

/// Our headers and the host, so that the map never grows.
const HEADER_ROOM: usize = 12;
const MAX_INTERIM_HEADS: u32 = 100;

/// `None` if the stored target is not a valid URL.
pub(super) fn build(parcel: &Parcel, now: OffsetDateTime) -> Option<Request<Full<Bytes>>> {
    let uri = uri_of(&parcel.destination.target)?;
    let mut request = Request::new(Full::new(parcel.payload.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers(parcel, now);
    Some(request)
}

fn uri_of(target: &Target) -> Option<Uri> {
    let uri = Uri::try_from(target.as_str()).ok()?;
    let plain_host = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    (plain_host && matches!(uri.scheme_str(), Some("https" | "http"))).then_some(uri)
}

fn headers(parcel: &Parcel, now: OffsetDateTime) -> HeaderMap {
    let id = parcel.key.event.to_string();
    let timestamp = now.unix_timestamp();
    let secrets = &parcel.destination.secrets;
    let mut headers = HeaderMap::with_capacity(HEADER_ROOM);
    headers.insert(CONTENT_TYPE, content_type(parcel));
    headers.insert(USER_AGENT, PRODUCT);
    headers.insert(WEBHOOK_SIGNATURE, visible(sign_v1_all(secrets.live(now), &id, timestamp, &parcel.payload)));
    // This header holds only one signature.
    headers.insert(X_HUB_SIGNATURE_256, visible(sign_hub(secrets.current(), &parcel.payload)));
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
