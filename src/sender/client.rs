//! The HTTP client and its limits. It never retries, follows no redirect, and reads no environment variable.

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

const MAX_HEADERS: usize = 64;
const MAX_HEAD_BYTES: usize = 65_536;
/// Many servers close idle connections after 5 s; less avoids most requests on a closing connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
const HTTP_1_1: &[u8] = b"http/1.1";

pub(super) type DeliveryClient = Client<Connector, Full<Bytes>>;

pub(super) fn new(gate: Gate, extra_roots: Vec<CertificateDer<'static>>, max_idle_per_host: usize) -> DeliveryClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(max_idle_per_host)
        .http1_max_headers(MAX_HEADERS)
        .http1_max_buf_size(MAX_HEAD_BYTES)
        // A second request that no log shows is worse than a failed attempt that is logged.
        .retry_canceled_requests(false)
        .set_host(true)
        .build(Connector::new(gate, tls(extra_roots)))
}

/// Shared by all receivers, so that TLS sessions are resumed.
fn tls(extra_roots: Vec<CertificateDer<'static>>) -> ClientConfig {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let (_added, unusable) = roots.add_parsable_certificates(extra_roots);
    if unusable > 0 {
        tracing::warn!(unusable, "cannot parse some extra root certificates; they are ignored");
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the ring provider supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    config
}
