//! Health and metrics on a separate listener, so that the API's port shows neither.
//!
//! `/readyz` fails while the process stops, with the reason if a task of it failed, while the database does not answer
//! or only reads, and while the clocks disagree.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;

use crate::domain::slots::Slots;
use crate::http::{self, RequestBody, Stopping};
use crate::store::Store;
use crate::supervisor::Supervisor;
use crate::telemetry::Metrics;

const MAX_CONNECTIONS: usize = 64;

#[derive(Clone)]
pub(super) struct Ops {
    pub(super) store: Store,
    pub(super) metrics: Metrics,
    pub(super) slots: Slots,
    pub(super) supervisor: Supervisor,
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
        if let Some(reason) = self.supervisor.failure() {
            return text(StatusCode::SERVICE_UNAVAILABLE, format!("stopping: {reason}\n"));
        }
        if self.supervisor.stop().is_cancelled() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
        }
        if !self.store.clock().agrees() {
            let sentence = "this machine's clock and the database's differ by more than 120 s\n";
            return text(StatusCode::SERVICE_UNAVAILABLE, sentence.to_owned());
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

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::domain::slots::SlotLimits;
    use crate::store::{StoreConfig, TlsDefaults};

    #[tokio::test]
    async fn a_process_that_stops_because_a_task_panicked_is_not_ready_and_says_why() {
        let url = "postgres://postgres@%2Fnowhere/nothing".to_owned();
        let schema = "public".to_owned();
        let away =
            StoreConfig { direct_url: None, url, schema, tls: TlsDefaults::default(), prepare: true, pool_size: 6 };
        let ops = Ops {
            store: Store::new(&away).unwrap(),
            metrics: Metrics::new(),
            slots: Slots::new(SlotLimits { total: 1, bytes: 1, per_subscription: 1 }),
            supervisor: Supervisor::default(),
        };
        ops.supervisor.spawn_lasting("intake's writer", async { panic!("planted") }).await.unwrap();
        let answer = ops.readiness().await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "stopping: intake's writer panicked: planted\n");
    }
}
