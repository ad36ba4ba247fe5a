//! What every request passes before a resource sees it: request id, framing, path, key,
//! scope, query names. And what every answer passes on its way out.
//!
//! The paths, methods and query names are read from the OpenAPI document, so what is
//! documented and what is answered cannot differ.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use poem::endpoint::{BoxEndpoint, Endpoint, EndpointExt as _};
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header, uri};
use poem::{IntoEndpoint as _, Request, Response};
use poem_openapi::OpenApiService;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::auth::{Caller, Keys};
use super::body::BodyBudget;
use super::docs;
use super::events::EventsApi;
use super::ingest::{IngestApi, IngestHeaders};
use super::logs::LogsApi;
use super::problem::{INVALID_PARAMETER, Problem};
use super::replays::ReplaysApi;
use super::request_id::{RequestId, X_REQUEST_ID, request_id};
use super::signatures::SignaturesApi;
use super::status::StatusApi;
use super::subscriptions::SubscriptionsApi;
use super::{Api, default_tenant};
use crate::domain::api_key::Scope;
use crate::telemetry::Metrics;

mod table;

use table::{Access, Matched, Table};

/// Most bytes of all header names and values.
const MAX_HEADER_BYTES: usize = 64 * 1_024;
/// Most of a path that is logged, in bytes.
const LOGGED_PATH_BYTES: usize = 128;

/// The API as an endpoint that never fails.
pub(super) struct Routes {
    auth_required: bool,
    metrics: Metrics,
    keys: Keys,
    bodies: BodyBudget,
    table: Table,
    resources: BoxEndpoint<'static, Response>,
    pages: BoxEndpoint<'static, Response>,
}

impl Endpoint for Routes {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        Ok(self.answer(request).await)
    }
}

impl Routes {
    /// All routes over this API.
    pub(super) fn new(api: Api) -> Self {
        let keys = Keys::new(api.store.clone(), api.clock.clone());
        let api = Arc::new(api);
        let resources = (
            SubscriptionsApi(Arc::clone(&api)),
            SignaturesApi(Arc::clone(&api)),
            IngestApi(Arc::clone(&api)),
            EventsApi(Arc::clone(&api)),
            ReplaysApi(Arc::clone(&api)),
            StatusApi(Arc::clone(&api)),
            LogsApi(Arc::clone(&api)),
        );
        let resources: docs::Resources = resources;
        let table = Table::of(&docs::openapi_document());
        count_from_zero(&table, &api.metrics);
        Self {
            auth_required: api.settings.auth_required,
            metrics: api.metrics.clone(),
            keys,
            bodies: BodyBudget::new(api.settings.max_request_bytes, api.metrics.clone()),
            table,
            resources: OpenApiService::new(resources, "", "").into_endpoint().map_to_response().boxed(),
            pages: docs::pages(api.settings.auth_required),
        }
    }

    /// What goes on beside the requests, until `shutdown`.
    pub(super) async fn beside(&self, shutdown: &CancellationToken) {
        self.keys.write_uses(shutdown).await;
    }

    async fn answer(&self, mut request: Request) -> Response {
        let began = Instant::now();
        let request_id = request_id(request.headers());
        request.extensions_mut().insert(RequestId(request_id.clone()));
        let path = request.uri().path();
        let span = tracing::info_span!(
            "request",
            request_id,
            method = %request.method(),
            path = path.get(..path.floor_char_boundary(LOGGED_PATH_BYTES)).unwrap_or_default(),
            status = tracing::field::Empty,
        );
        let matched = self.table.find(path).cloned();
        let parameter = matched.as_ref().and_then(|matched| matched.parameter.clone()).unwrap_or_default();
        let asked = (matched.clone(), request.method().clone());
        let passing = AssertUnwindSafe(self.pass(request, matched)).catch_unwind().instrument(span.clone());
        let mut response = match passing.await {
            Ok(Ok(response)) => response,
            Ok(Err(problem)) => problem.render(&request_id, &parameter),
            Err(_) => {
                span.in_scope(|| tracing::error!("a request panicked"));
                Problem::Internal.render(&request_id, &parameter)
            }
        };
        span.record("status", response.status().as_u16());
        span.in_scope(|| tracing::debug!("answered"));
        self.count(asked, response.status(), began);
        let headers = response.headers_mut();
        headers.extend(HeaderValue::from_str(&request_id).ok().map(|id| (X_REQUEST_ID, id)));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    fn count(&self, (matched, method): (Option<Arc<Matched>>, Method), status: StatusCode, began: Instant) {
        let operation = matched.as_ref().and_then(|matched| matched.operation(&method).ok());
        let operation = operation.map_or("none", |operation| operation.id.as_str());
        self.metrics.requests.with_label_values(&[operation, status.as_str()]).inc();
        self.metrics.request_seconds.with_label_values(&[operation]).observe(began.elapsed().as_secs_f64());
    }

    async fn pass(&self, mut request: Request, matched: Option<Arc<Matched>>) -> Result<Response, Problem> {
        check_framing(&request)?;
        let matched = matched.filter(|matched| matched.knows(request.uri().path())).ok_or(Problem::RouteNotFound)?;
        let operation = matched.operation(request.method())?;
        let caller = self.caller(request.headers(), operation.access).await?;
        operation.check_query(request.uri().query().unwrap_or_default())?;
        if let Some(caller) = caller {
            request.extensions_mut().insert(caller);
        }
        // Held here until the request is answered.
        let memory = self.bodies.of_request();
        request.extensions_mut().insert(memory.clone());
        matched.rewrite(&mut request);
        let endpoint = if operation.access == Access::Public { &self.pages } else { &self.resources };
        let response = endpoint.get_response(request).await;
        drop(memory);
        finish(response).map_err(|problem| operation.explain(problem))
    }

    async fn caller(&self, headers: &HeaderMap, access: Access) -> Result<Option<Caller>, Problem> {
        let needed = match access {
            Access::Public => return Ok(None),
            Access::Key(scope) | Access::KeyOrSignature(scope) => scope,
        };
        if !self.auth_required {
            return Ok(Some(Caller { tenant: default_tenant(), scope: Scope::Admin }));
        }
        match self.keys.caller(headers).await? {
            Some(caller) if caller.scope.allows(needed) => Ok(Some(caller)),
            // A valid signature opens ingest by itself, whatever else comes with it.
            _ if matches!(access, Access::KeyOrSignature(_)) && IngestHeaders::has_signature(headers) => Ok(None),
            Some(_) => Err(Problem::ScopeMissing),
            None => Err(Problem::Unauthenticated),
        }
    }
}

/// A rate over a series that begins with its first event misses that event.
fn count_from_zero(table: &Table, metrics: &Metrics) {
    for operation in table.operations() {
        metrics.request_seconds.with_label_values(&[&operation.id]);
        for status in &operation.usual {
            metrics.requests.with_label_values(&[&operation.id, status]);
        }
    }
}

/// Refuses what a proxy before us and we might read in two ways.
fn check_framing(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > MAX_HEADER_BYTES {
        return Err(Problem::HeadersTooLarge);
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if uri::Authority::try_from(host.as_bytes()).is_ok() => {}
        (None, None) if request.version() == Version::HTTP_10 => {}
        _ => return Err(Problem::MalformedRequest("there must be exactly one Host header, with one host")),
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            if headers.contains_key(header::CONTENT_LENGTH) {
                return Err(Problem::MalformedRequest("Content-Length must not stand beside Transfer-Encoding"));
            }
            Ok(())
        }
        _ => Err(Problem::MalformedRequest("the only transfer coding known here is chunked")),
    }
}

/// Turns what the framework answered into a problem where it is one.
fn finish(mut response: Response) -> Result<Response, Problem> {
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return Err(problem);
    }
    match response.status() {
        StatusCode::NOT_FOUND => Err(Problem::RouteNotFound),
        status if status.is_server_error() => {
            tracing::error!(%status, "the framework failed");
            Err(Problem::Internal)
        }
        status if status.is_client_error() => Err(Problem::MalformedRequest("the request cannot be read")),
        _ => Ok(response),
    }
}
