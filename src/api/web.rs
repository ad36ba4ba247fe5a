//! Serves the dashboard: the files that `make web` builds from `web/`, which are part of the binary.
//! It calls the public API like any other client, so nothing here knows a key or a tenant.

use std::io::Write as _;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use poem::endpoint::{BoxEndpoint, EndpointExt as _, make_sync};
use poem::http::header::{self, HeaderMap, HeaderName};
use poem::http::{HeaderValue, StatusCode};
use poem::{Request, Response};
use ring::digest;

use crate::domain::origin::Origins;

/// A file of the dashboard as it was built.
struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

/// Their names are the same in every build (`web/vite.config.ts`).
const FILES: [File; 5] = [
    File { path: "/", content_type: "text/html; charset=utf-8", content: include_bytes!("../../web/dist/index.html") },
    File {
        path: "/app.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_bytes!("../../web/dist/app.js"),
    },
    File {
        path: "/plot.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_bytes!("../../web/dist/plot.js"),
    },
    File {
        path: "/app.css",
        content_type: "text/css; charset=utf-8",
        content: include_bytes!("../../web/dist/app.css"),
    },
    File { path: "/icon.svg", content_type: "image/svg+xml", content: include_bytes!("../../web/dist/icon.svg") },
];

/// What strangers sent is shown here. Even if it were taken for HTML, no script, style or form in it would work, and
/// nothing could be fetched from or sent to another server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      font-src 'self'; base-uri 'none'; form-action 'none'";

const HEADERS: [(HeaderName, &str); 3] = [
    (header::REFERRER_POLICY, "no-referrer"),
    // A new version is seen at once; the tag saves the transfer.
    (header::CACHE_CONTROL, "no-cache"),
    (header::VARY, "accept-encoding"),
];

/// A file as it is sent, with its entity tag.
#[derive(Clone)]
struct Form {
    body: Bytes,
    tag: HeaderValue,
}

impl Form {
    fn of(body: Bytes) -> Self {
        let hash = digest::digest(&digest::SHA256, &body);
        let hex: String = hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::from_str(&format!("\"{hex}\"")).expect("hexadecimal digits are valid in a header");
        Self { body, tag }
    }
}

/// The path and the endpoint of each file. Only pages of `origins` may show the dashboard in a frame.
pub(super) fn pages(origins: &Origins) -> impl Iterator<Item = (&'static str, BoxEndpoint<'static, Response>)> {
    let policy = HeaderValue::from_str(&format!("{POLICY}; {}", origins.frame_ancestors()));
    let policy = policy.expect("origins are valid in a header");
    FILES.iter().map(move |file| {
        let (plain, zipped) = (OnceLock::new(), OnceLock::new());
        let policy = policy.clone();
        let page = make_sync(move |request: Request| {
            let zip = takes_gzip(request.headers());
            let form = if zip {
                zipped.get_or_init(|| Form::of(gzip(file.content)))
            } else {
                plain.get_or_init(|| Form::of(Bytes::from_static(file.content)))
            };
            let mut response = respond(file, form, zip, request.headers());
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy.clone());
            response
        });
        (file.path, page.boxed())
    })
}

fn respond(file: &File, form: &Form, zipped: bool, asked: &HeaderMap) -> Response {
    let mut response = Response::default();
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    if known
        .flat_map(|tags| tags.split(','))
        .any(|tag| tag.trim().trim_start_matches("W/").as_bytes() == form.tag.as_bytes())
    {
        response.set_status(StatusCode::NOT_MODIFIED);
    } else {
        response = Response::builder().content_type(file.content_type).body(form.body.clone());
        let coding = zipped.then_some(HeaderValue::from_static("gzip"));
        response.headers_mut().extend(coding.map(|coding| (header::CONTENT_ENCODING, coding)));
    }
    let headers = HEADERS.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)));
    response.headers_mut().extend(headers.chain([(header::ETAG, form.tag.clone())]));
    response
}

/// `gzip;q=0` forbids it.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    codings.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn gzip(content: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(content.len() / 2), Compression::best());
    encoder.write_all(content).and_then(|()| encoder.finish()).expect("writing to memory does not fail").into()
}
