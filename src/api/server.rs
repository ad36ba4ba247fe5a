//! Serves the API on a listener.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Request;
use poem::endpoint::Endpoint;
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use tokio::net::TcpListener;

use super::Api;
use super::routes::Routes;
use crate::http::{self, RequestBody, Stopping};
use crate::supervisor::Supervisor;

/// A test event is cut off 3 s after the API closes, and then its attempt is written.
const TASKS_DRAIN: Duration = Duration::from_secs(5);

/// Returns after running requests and their tasks have finished.
pub async fn serve(listener: TcpListener, api: Api, stopping: Stopping, supervisor: Supervisor) {
    let (max_connections, tasks) = (api.settings.max_connections, api.tasks.clone());
    let routes = Arc::new(Routes::new(api));
    let beside = {
        let (routes, shutdown) = (Arc::clone(&routes), stopping.closing.clone());
        supervisor.spawn_lasting("the API's background task", async move { Box::pin(routes.beside(&shutdown)).await })
    };
    http::serve(listener, max_connections, stopping, move |request| {
        let (routes, request) = (Arc::clone(&routes), poem_request(request));
        async move { hyper::Response::from(routes.get_response(request).await) }
    })
    .await;
    tasks.close();
    if tokio::time::timeout(TASKS_DRAIN, tasks.wait()).await.is_err() {
        tracing::warn!(tasks = tasks.len(), "the stop does not wait longer for tasks of requests");
    }
    // It ends with `closing`.
    let _ended = beside.await;
}

/// The peer's address is in the extension [`crate::http::Peer`].
fn poem_request(request: Request<RequestBody>) -> poem::Request {
    let (parts, body) = request.into_parts();
    let parts = (parts, LocalAddr::default(), RemoteAddr::default(), Scheme::HTTP).into();
    poem::Request::from_parts(parts, poem::Body::from(body.boxed()))
}
