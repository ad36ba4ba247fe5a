//! The HTTP client with every limit in view. It never re-sends, never follows a redirect
//! and looks at no environment variable.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::connection::Connector;
use super::gate::Gate;

/// Most header lines of an answer.
const MAX_HEADERS: usize = 64;
/// Most bytes of an answer's head.
const MAX_HEAD_BYTES: usize = 65_536;
/// How long an unused connection is kept: less than the 5 s after which many servers
/// close theirs, so that few requests meet a connection that is closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
const HTTP_1_1: &[u8] = b"http/1.1";

/// The client that sends every delivery.
pub(super) type DeliveryClient = Client<Connector, Full<Bytes>>;

/// A client over this gate.
pub(super) fn new(gate: Gate, extra_roots: Vec<CertificateDer<'static>>, max_idle_per_host: usize) -> DeliveryClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(max_idle_per_host)
        .http1_max_headers(MAX_HEADERS)
        .http1_max_buf_size(MAX_HEAD_BYTES)
        // A second send that no log shows is worse than a failed attempt that one does.
        .retry_canceled_requests(false)
        .set_host(true)
        .build(Connector::new(gate, tls(extra_roots)))
}

/// One configuration for all receivers, so that TLS sessions are resumed.
fn tls(extra_roots: Vec<CertificateDer<'static>>) -> ClientConfig {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let (_added, unusable) = roots.add_parsable_certificates(extra_roots);
    if unusable > 0 {
        tracing::warn!(unusable, "some extra root certificates cannot be used");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the ring provider supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    config
}
