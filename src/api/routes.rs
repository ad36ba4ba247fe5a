//! What every request passes before poem's router, and every response after it: request id, framing, metrics,
//! headers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use poem::endpoint::{Endpoint, EndpointExt as _};
use poem::error::MethodNotAllowedError;
use poem::http::{HeaderValue, Method, Uri, Version, header, uri};
use poem::{IntoResponse as _, Request, Response, Route, RouteMethod};
use poem_openapi::registry::MetaOperation;
use poem_openapi::{OpenApi as _, OperationId};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Api;
use super::access::Guard;
use super::analytics::AnalyticsApi;
use super::attempts::{AttemptsApi, FoundAttemptsApi};
use super::audit::AuditApi;
use super::auth::Keys;
use super::body::BodyBudget;
use super::deliveries::DeliveriesApi;
use super::docs::{self, Resources};
use super::event_types::EventTypesApi;
use super::events::{EventsApi, FoundEventsApi};
use super::ingest::IngestApi;
use super::keys::KeysApi;
use super::logs::LogsApi;
use super::me::MeApi;
use super::operations::OperationsApi;
use super::path;
use super::places::Places;
use super::portal::PortalApi;
use super::problem::Problem;
use super::refusals::{Note, Refusals, RefusalsApi};
use super::replays::ReplaysApi;
use super::request_id::{RequestId, X_REQUEST_ID, request_id};
use super::search::SearchApi;
use super::signatures::SignaturesApi;
use super::status::StatusApi;
use super::stream::{Feed, StreamApi};
use super::subscriptions::SubscriptionsApi;
use super::tenants::TenantsApi;
use super::web;
use crate::store::Store;
use crate::telemetry::Metrics;

mod operation;

use operation::{Operation, problem_of};

const MAX_HEADER_BYTES: usize = 64 * 1_024;
/// In the log.
const LOGGED_PATH_BYTES: usize = 128;

pub(super) struct Routes {
    metrics: Metrics,
    guard: Arc<Guard>,
    bodies: BodyBudget,
    refusals: Refusals,
    store: Store,
    feed: Arc<Feed>,
    router: Route,
}

impl Endpoint for Routes {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        Ok(self.answer(request).await)
    }
}

impl Routes {
    pub(super) fn new(api: Api) -> Self {
        let keys = Keys::new(api.store.clone(), api.tenants.clone(), api.clock.clone());
        let places = Places::new(api.store.connections_for_one_tenant());
        let guard = Arc::new(Guard::new(api.settings.auth_required, keys, places));
        let metrics = api.metrics.clone();
        let bodies = BodyBudget::new(api.settings.max_request_bytes, metrics.clone());
        let refusals = api.refusals.clone();
        let (store, feed) = (api.store.clone(), Arc::new(Feed::new(api.settings.max_streams)));
        Self { router: router(Arc::new(api), &guard, &feed), guard, bodies, refusals, store, feed, metrics }
    }

    /// Background work, until `shutdown`.
    pub(super) async fn beside(&self, shutdown: &CancellationToken) {
        let feeding = self.feed.run(&self.store, shutdown);
        tokio::join!(self.guard.keys().write_uses(shutdown), self.refusals.write(shutdown), feeding);
    }

    async fn answer(&self, mut request: Request) -> Response {
        let began = Instant::now();
        let request_id = request_id(request.headers());
        request.extensions_mut().insert(RequestId(request_id.clone()));
        let note = Note::of(&request, &request_id);
        note.iter().cloned().for_each(|note| drop(request.extensions_mut().insert(note)));
        let path = request.uri().path();
        let span = tracing::info_span!(
            "request",
            request_id,
            method = %request.method(),
            path = path.get(..path.floor_char_boundary(LOGGED_PATH_BYTES)).unwrap_or_default(),
            status = tracing::field::Empty,
        );
        let response = self.route(request).instrument(span.clone()).await;
        let operation = response.data::<OperationId>().map_or("none", |id| id.0);
        let response = problem_of(response);
        if let Some(note) = note {
            self.refusals.keep(&note, response.as_ref().err());
        }
        let mut response = response.unwrap_or_else(|problem| problem.render(&request_id));
        span.record("status", response.status().as_u16());
        span.in_scope(|| tracing::debug!("answered"));
        self.metrics.requests.with_label_values(&[operation, response.status().as_str()]).inc();
        self.metrics.request_seconds.with_label_values(&[operation]).observe(began.elapsed().as_secs_f64());
        let headers = response.headers_mut();
        headers.extend(HeaderValue::from_str(&request_id).ok().map(|id| (X_REQUEST_ID, id)));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    async fn route(&self, mut request: Request) -> Response {
        if let Err(problem) = check_framing(&request).and_then(|()| normalise_path(&mut request)) {
            return problem.into_response();
        }
        // Held until the response.
        let memory = self.bodies.of_request();
        request.extensions_mut().insert(memory.clone());
        let response = self.router.get_response(request).await;
        drop(memory);
        response
    }
}

/// Each path with and without a trailing slash.
fn router(api: Arc<Api>, guard: &Arc<Guard>, feed: &Arc<Feed>) -> Route {
    let mut handlers = HashMap::new();
    resources(&api, feed).add_routes(&mut handlers);
    let mut described = described();
    let mut router = Route::new();
    for (path, handlers) in handlers {
        let (mut methods, mut allowed) = (RouteMethod::new(), Vec::new());
        for (method, handler) in handlers {
            let meta = described.remove(&(path.clone(), method.clone())).expect("every handler is documented");
            count_from_zero(&meta, &api.metrics);
            allowed.push(method.clone());
            methods = methods.method(method, Operation::of(meta, Arc::clone(guard), handler));
        }
        router = at(router, &path, methods, &allowed);
    }
    for (path, page) in
        docs::pages(&api.settings.public_url).into_iter().chain(web::pages(&api.settings.portal.origins))
    {
        let page = RouteMethod::new().get(Operation::page(Arc::clone(guard), page));
        router = at(router, path, page, &[Method::GET]);
    }
    router
}

/// Other methods get 405.
fn at(router: Route, path: &str, methods: RouteMethod, allowed: &[Method]) -> Route {
    let head = allowed.contains(&Method::GET).then_some("HEAD");
    let mut allowed: Vec<&str> = allowed.iter().map(Method::as_str).chain(head).collect();
    allowed.sort_unstable();
    let allowed = allowed.join(", ");
    let refused = move |_: MethodNotAllowedError| {
        let problem = Problem::MethodNotAllowed(allowed.clone());
        async move { problem }
    };
    let methods = Arc::new(methods.catch_error(refused));
    match path.trim_end_matches('/') {
        "" => router.at("/", methods),
        bare => router.at(bare, Arc::clone(&methods)).at(format!("{bare}/"), methods),
    }
}

fn resources(api: &Arc<Api>, feed: &Arc<Feed>) -> Resources {
    (
        SubscriptionsApi(Arc::clone(api)),
        SignaturesApi(Arc::clone(api)),
        IngestApi(Arc::clone(api)),
        (EventsApi(Arc::clone(api)), FoundEventsApi(Arc::clone(api))),
        EventTypesApi(Arc::clone(api)),
        DeliveriesApi(Arc::clone(api)),
        ReplaysApi(Arc::clone(api)),
        StatusApi(Arc::clone(api)),
        LogsApi(Arc::clone(api)),
        (AttemptsApi(Arc::clone(api)), FoundAttemptsApi(Arc::clone(api))),
        TenantsApi(Arc::clone(api)),
        (KeysApi(Arc::clone(api)), MeApi(Arc::clone(api)), PortalApi(Arc::clone(api))),
        (AuditApi(Arc::clone(api)), OperationsApi(Arc::clone(api))),
        RefusalsApi(Arc::clone(api)),
        SearchApi(Arc::clone(api)),
        (AnalyticsApi(Arc::clone(api)), StreamApi(Arc::clone(api), Arc::clone(feed))),
    )
}

/// By the router's path and the method.
fn described() -> HashMap<(String, Method), MetaOperation> {
    let paths = Resources::meta().into_iter().flat_map(|resource| resource.paths);
    let operations = paths.flat_map(|path| {
        let router_path = router_path(&path.path);
        path.operations.into_iter().map(move |operation| ((router_path.clone(), operation.method.clone()), operation))
    });
    operations.collect()
}

/// `/events/{webhook_id}/retry` is `/events/:param0/retry` in the router.
fn router_path(documented: &str) -> String {
    let mut variables = 0;
    let part = |part: &str| {
        if !part.starts_with('{') {
            return part.to_owned();
        }
        variables += 1;
        format!(":param{}", variables - 1)
    };
    documented.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// A rate needs a sample before the first event.
fn count_from_zero(operation: &MetaOperation, metrics: &Metrics) {
    let id = operation.operation_id.unwrap_or_default();
    metrics.request_seconds.with_label_values(&[id]);
    let documented = operation.responses.responses.iter().filter_map(|response| response.status);
    for status in documented.chain([503]) {
        metrics.requests.with_label_values(&[id, &status.to_string()]);
    }
}

/// Refuses what a proxy and we might read differently.
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

/// The router compares paths as they are written, and matches empty segments.
fn normalise_path(request: &mut Request) -> Result<(), Problem> {
    let uri = request.uri();
    let path = path::normalised(uri.path())?;
    if path.contains("//") {
        return Err(Problem::RouteNotFound);
    }
    let Cow::Owned(path) = path else { return Ok(()) };
    let query = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let normalised = uri::PathAndQuery::try_from(format!("{path}{query}")).map(Uri::from);
    *request.uri_mut() = normalised.map_err(|_| Problem::RouteNotFound)?;
    Ok(())
}
