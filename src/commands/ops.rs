//! Health and metrics on a separate listener, so that the API's port shows neither.
//!
//! `/readyz` fails while the process stops and while the database does not answer.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::domain::slots::Slots;
use crate::http::{self, RequestBody, Stopping};
use crate::store::Store;
use crate::telemetry::Metrics;

const MAX_CONNECTIONS: usize = 64;

#[derive(Clone)]
pub(super) struct Ops {
    pub(super) store: Store,
    pub(super) metrics: Metrics,
    pub(super) slots: Slots,
    pub(super) stopping: CancellationToken,
}

impl Ops {
    /// Runs until the task is dropped: a stopping process still reports its health.
    pub(super) async fn serve(self, listener: TcpListener) {
        let answer = move |request| {
            let ops = self.clone();
            async move { ops.answer(&request).await }
        };
        http::serve(listener, MAX_CONNECTIONS, Stopping::never(), answer).await;
    }

    async fn answer(&self, request: &Request<RequestBody>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
        }
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "alive\n".to_owned()),
            "/readyz" => self.readiness().await,
            "/metrics" => self.metrics(),
            _ => text(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n".to_owned()),
        }
    }

    async fn readiness(&self) -> Response<Full<Bytes>> {
        if self.stopping.is_cancelled() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
        }
        match self.store.ping().await {
            Ok(()) => text(StatusCode::OK, "ready\n".to_owned()),
            Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        }
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        self.metrics.in_flight.set(self.slots.in_flight() as f64);
        self.metrics.in_flight_bytes.set(self.slots.bytes_in_flight() as f64);
        let status = self.store.pool_status();
        for (state, count) in [("open", status.open), ("idle", status.idle), ("waited_for", status.waiting)] {
            self.metrics.connections.with_label_values(&[state]).set(count as f64);
        }
        text(StatusCode::OK, self.metrics.render())
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let plain = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, plain);
    response
}
