//! The OpenAPI document and its pages, all from memory.
//! The framework writes the document from types; what it cannot express is added by rule, never for one route.

use std::collections::HashMap;
use std::sync::OnceLock;

use bytes::Bytes;
use poem::Response;
use poem::endpoint::{BoxEndpoint, EndpointExt, make_sync};
use poem::http::{HeaderValue, Method, header};
use poem_openapi::registry::{MetaApi, MetaPath, Registry};
use poem_openapi::{OpenApi, OpenApiService, Tags};
use serde_json::Value;

use super::analytics::AnalyticsApi;
use super::attempts::{AttemptsApi, FoundAttemptsApi};
use super::audit::AuditApi;
use super::deliveries::DeliveriesApi;
use super::event_types::EventTypesApi;
use super::events::{EventsApi, FoundEventsApi};
use super::ingest::IngestApi;
use super::keys::KeysApi;
use super::logs::LogsApi;
use super::me::MeApi;
use super::operations::OperationsApi;
use super::portal::PortalApi;
use super::refusals::RefusalsApi;
use super::replays::ReplaysApi;
use super::search::SearchApi;
use super::signatures::SignaturesApi;
use super::status::StatusApi;
use super::stream::StreamApi;
use super::subscriptions::SubscriptionsApi;
use super::tenants::TenantsApi;

mod examples;
mod finish;
mod problems;
mod schemas;
mod words;

/// Of a server with default settings.
const DEFAULT_URL: &str = "http://localhost:8000";

#[derive(Debug, Tags)]
pub(super) enum Resource {
    /// Which receivers get which events.
    Subscriptions,
    /// What a signed request looks like.
    Signatures,
    /// Publish an event to one subscription.
    Ingest,
    /// Publish events to all interested subscriptions.
    Events,
    /// What events are, and which payloads they may have.
    #[oai(rename = "Event types")]
    EventTypes,
    /// Find deliveries.
    Deliveries,
    /// Repeat deliveries.
    Replays,
    /// The delivery status of an event.
    Status,
    /// The log of all attempts.
    Logs,
    /// One attempt in full.
    Attempts,
    /// Who owns subscriptions, events and keys.
    Tenants,
    /// API keys.
    Keys,
    /// Links for customers.
    #[oai(rename = "Portal sessions")]
    Portal,
    /// Who changed what.
    Audit,
    /// How the service itself does.
    Operations,
    /// Requests to publish that were refused.
    Refusals,
    /// From an id or text to the reason.
    Search,
    /// How deliveries went over time.
    Analytics,
    /// What happens, while it happens.
    Stream,
}

/// Every resource, in the order of the document.
pub(super) type Resources = (
    SubscriptionsApi,
    SignaturesApi,
    IngestApi,
    (EventsApi, FoundEventsApi),
    EventTypesApi,
    DeliveriesApi,
    ReplaysApi,
    StatusApi,
    LogsApi,
    (AttemptsApi, FoundAttemptsApi),
    TenantsApi,
    (KeysApi, MeApi, PortalApi),
    (AuditApi, OperationsApi),
    RefusalsApi,
    SearchApi,
    (AnalyticsApi, StreamApi),
);

/// Scripts are inline; nothing is fetched.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; \
                           font-src data:; connect-src 'self'; worker-src blob:; frame-ancestors 'none'; base-uri 'none'";
struct Contract;

impl OpenApi for Contract {
    /// Where two resources have operations of one path, the framework would document those of one alone.
    fn meta() -> Vec<MetaApi> {
        let mut paths: Vec<MetaPath> = Vec::new();
        for path in Resources::meta().into_iter().flat_map(|resource| resource.paths) {
            match paths.iter_mut().find(|known| known.path == path.path) {
                Some(known) => known.operations.extend(path.operations),
                None => paths.push(path),
            }
        }
        vec![MetaApi { paths }]
    }

    fn register(registry: &mut Registry) {
        Resources::register(registry);
    }

    fn add_routes(self, _routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

fn service() -> OpenApiService<Contract, ()> {
    OpenApiService::new(Contract, "postrider", env!("CARGO_PKG_VERSION"))
}

/// Equal for every process of this version.
pub fn openapi_document() -> String {
    document(&[DEFAULT_URL])
}

fn document(servers: &[&str]) -> String {
    let mut document: Value = serde_json::from_str(&service().spec()).unwrap_or_default();
    finish::finish(&mut document, servers);
    format!("{document:#}")
}

/// Created on first use.
pub(super) fn pages(public_url: &str) -> [(&'static str, BoxEndpoint<'static, Response>); 3] {
    let page = |make: fn(&OpenApiService<Contract, ()>) -> String| {
        let made: OnceLock<Bytes> = OnceLock::new();
        let public_url = public_url.to_owned();
        make_sync(move |_| {
            let html = made.get_or_init(|| {
                let service = service();
                // A page may only ask the server that it came from, whatever its name.
                make(&service).replace(&service.spec(), &document(&["/", &public_url])).into()
            });
            respond("text/html; charset=utf-8", html.clone())
        })
        .boxed()
    };
    let made: OnceLock<Bytes> = OnceLock::new();
    let public_url = public_url.to_owned();
    let json =
        make_sync(move |_| respond("application/json", made.get_or_init(|| document(&[&public_url]).into()).clone()));
    [
        ("/docs", page(OpenApiService::swagger_ui_html)),
        ("/redoc", page(OpenApiService::redoc_html)),
        ("/openapi.json", json.boxed()),
    ]
}

fn respond(content_type: &str, body: Bytes) -> Response {
    let mut response = Response::builder().content_type(content_type).body(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_paths_as_they_are_promised() {
        let document: Value = serde_json::from_str(&openapi_document()).unwrap();
        let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
        let expected = [
            "/analytics/deliveries",
            "/analytics/summary",
            "/attempts",
            "/attempts/{attempt_id}",
            "/audit",
            "/deliveries",
            "/deliveries/cancel",
            "/deliveries/retry",
            "/event-types",
            "/event-types/{name}",
            "/events",
            "/events/batch",
            "/events/{webhook_id}",
            "/events/{webhook_id}/attempts",
            "/events/{webhook_id}/cancel",
            "/events/{webhook_id}/deliveries",
            "/events/{webhook_id}/payload",
            "/events/{webhook_id}/retry",
            "/ingest/{subscription_id}",
            "/keys",
            "/keys/{key_id}",
            "/me",
            "/operations",
            "/portal-sessions",
            "/refusals",
            "/replays",
            "/replays/{replay_id}",
            "/replays/{replay_id}/cancel",
            "/search",
            "/status/logs/{subscription_id}",
            "/status/{webhook_id}",
            "/stream",
            "/subscriptions/",
            "/subscriptions/filter-test",
            "/subscriptions/generate-signature",
            "/subscriptions/{subscription_id}",
            "/subscriptions/{subscription_id}/cancel-held",
            "/subscriptions/{subscription_id}/rotate-secret",
            "/subscriptions/{subscription_id}/test",
            "/tenants",
            "/tenants/{tenant}",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn every_operation_belongs_to_one_resource() {
        let document: Value = serde_json::from_str(&openapi_document()).unwrap();
        let operations =
            document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
        let mut used = std::collections::BTreeSet::new();
        for operation in operations {
            assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{operation}");
            used.insert(operation["tags"][0].as_str().unwrap());
        }
        let named: Vec<&str> =
            document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
        assert_eq!(named.iter().copied().collect::<std::collections::BTreeSet<_>>(), used);
        assert_eq!(named.len(), used.len(), "none twice");
    }

    #[test]
    fn a_field_that_may_be_null_is_there_and_nullable() {
        let document: Value = serde_json::from_str(&openapi_document()).unwrap();
        let subscription = &document["components"]["schemas"]["Subscription"];
        assert_eq!(subscription["properties"]["disabled_reason"]["nullable"], true);
        assert!(subscription["properties"]["id"].get("nullable").is_none());
        assert!(subscription["required"].as_array().unwrap().contains(&"disabled_reason".into()));
    }

    #[test]
    fn the_pages_show_the_finished_document() {
        let service = service();
        let html = service.swagger_ui_html().replace(&service.spec(), &openapi_document());
        assert!(html.contains("#/components/schemas/Problem"));
    }
}
