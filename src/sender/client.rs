//! The HTTP client and its limits. It never retries, follows no redirect, and reads no environment variable.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

use super::SenderConfig;
use super::connection::Connector;
use super::gate::Gate;
use crate::tls;

/// Of a body's chunks; the head reader limits heads.
const MAX_BUFFER_BYTES: usize = 65_536;
/// Many servers close idle connections after 5 s; less avoids most requests on a closing connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
const HTTP_1_1: &[u8] = b"http/1.1";

pub(super) type DeliveryClient = Client<Connector, Full<Bytes>>;

pub(super) fn new(gate: Gate, roots: RootCertStore, config: &SenderConfig) -> DeliveryClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(config.max_idle_per_host)
        .http1_max_buf_size(MAX_BUFFER_BYTES)
        // A second request that no log shows is worse than a failed attempt that is logged.
        .retry_canceled_requests(false)
        .set_host(true)
        .build(Connector::new(gate, tls(roots), config.keep))
}

/// Shared by all receivers, so that TLS sessions are resumed.
fn tls(roots: RootCertStore) -> ClientConfig {
    let mut config = tls::verified_by(roots);
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    config
}
