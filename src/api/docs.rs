//! The OpenAPI document and the pages that show it, all from memory: no internet needed.
//!
//! The framework writes the document from the types; what it cannot say (which problems an
//! operation has, which fields may be null) is added here by rule, never by hand for one route.

use std::collections::HashMap;
use std::sync::OnceLock;

use bytes::Bytes;
use poem::endpoint::{BoxEndpoint, EndpointExt, make_sync};
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::{Response, Route};
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::{OpenApi, OpenApiService};
use serde_json::{Map, Value, json};

use super::ingest::IngestApi;
use super::logs::LogsApi;
use super::problem::PROBLEM_JSON;
use super::signatures::SignaturesApi;
use super::status::StatusApi;
use super::subscriptions::SubscriptionsApi;

/// Every resource, in the order of the document.
pub(super) type Resources = (SubscriptionsApi, SignaturesApi, IngestApi, StatusApi, LogsApi);

/// Paths of the document and its pages.
pub(super) const PAGES: [&str; 4] = ["/", "/docs", "/redoc", "/openapi.json"];

/// The pages carry their scripts inline; nothing may be fetched from elsewhere.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self' data:; \
                           font-src data:; connect-src 'self'; worker-src blob:; frame-ancestors 'none'; base-uri 'none'";
/// Fields that are left out of an answer rather than null.
const OMITTED: [(&str, &str); 1] = [("LogAnswer", "payload")];
/// Fields of a request that may be left out and may not be null.
const NOT_NULL: [(&str, &str); 1] = [("SubscriptionPatch", "target_url")];
/// Header names as people write them; the framework shouts.
const HEADER_NAMES: [&str; 6] =
    ["X-Event-Type", "Idempotency-Key", "X-Hub-Signature-256", "webhook-id", "webhook-timestamp", "webhook-signature"];

/// What the resources promise, without anything to serve them.
struct Contract;

impl OpenApi for Contract {
    fn meta() -> Vec<MetaApi> {
        Resources::meta()
    }

    fn register(registry: &mut Registry) {
        Resources::register(registry);
    }

    fn add_routes(self, _routes: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

fn service() -> OpenApiService<Contract, ()> {
    OpenApiService::new(Contract, "postrider", env!("CARGO_PKG_VERSION")).description(
        "Webhook delivery: events come in, are stored durably, and are delivered signed, retried and logged.",
    )
}

/// The OpenAPI document as JSON, the same for every process of this version.
pub fn openapi_document() -> String {
    let mut document: Value = serde_json::from_str(&service().spec()).unwrap_or_default();
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        for (name, schema) in schemas.iter_mut() {
            finish_schema(name, schema);
        }
        schemas.insert("Problem".to_owned(), problem_schema());
    }
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        for (path, operations) in paths.iter_mut() {
            for operation in operations.as_object_mut().into_iter().flat_map(Map::values_mut) {
                finish_operation(path, operation);
            }
        }
    }
    format!("{document:#}")
}

/// What is not required may be null; what an answer may leave out as null is always there.
fn finish_schema(name: &str, schema: &mut Value) {
    let required: Vec<String> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let mut is_answer = false;
    let mut always_there = Vec::new();
    for (field, property) in properties.iter_mut() {
        let Some(object) = property.as_object_mut() else { continue };
        is_answer |= object.remove("readOnly").is_some();
        let is_listed = |list: &[(&str, &str)]| list.contains(&(name, field.as_str()));
        if !required.contains(field) && !is_listed(&NOT_NULL) {
            if let Some(reference) = object.remove("$ref") {
                object.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
            }
            object.insert("nullable".to_owned(), true.into());
        }
        if field == "event_types" {
            let pattern = r"^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?)$";
            let items = json!({ "type": "string", "minLength": 1, "maxLength": 128, "pattern": pattern });
            object.insert("items".to_owned(), items);
        }
        if !is_listed(&OMITTED) {
            always_there.push(Value::from(field.as_str()));
        }
    }
    let Some(schema) = schema.as_object_mut() else { return };
    if is_answer {
        schema.insert("required".to_owned(), always_there.into());
    } else {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    if let Some(example) = example(name) {
        schema.insert("example".to_owned(), example);
    }
}

fn example(schema: &str) -> Option<Value> {
    match schema {
        "SubscriptionForm" => Some(json!({
            "target_url": "https://example.com/hook",
            "event_types": ["order.created", "invoice.*"],
            "description": "orders",
        })),
        "SubscriptionPatch" => Some(json!({ "is_active": false })),
        "SignatureRequest" => Some(json!({
            "payload": { "x": 1 },
            "secret_key": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        })),
        _ => None,
    }
}

fn finish_operation(path: &str, operation: &mut Value) {
    let takes_body = operation.get("requestBody").is_some();
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        let shouted = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
        if let Some(name) = HEADER_NAMES.iter().find(|name| name.eq_ignore_ascii_case(shouted)) {
            parameter.as_object_mut().map(|parameter| parameter.insert("name".to_owned(), (*name).into()));
        }
    }
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    let mut problems = vec![
        (400, "The request cannot be read."),
        (401, "No valid key."),
        (403, "The key's scope does not cover this."),
        (422, "Values break rules; errors names each."),
        (431, "Too many or too long header fields."),
        (500, "A failure of ours, logged under the request_id."),
        (503, "Away for a moment; Retry-After says how long."),
    ];
    if path.contains('{') {
        problems.push((404, "Unknown, gone, or another tenant's."));
    }
    if takes_body {
        problems.push((408, "The body took longer than 30 seconds."));
        problems.push((413, "The body is too large."));
        problems.push((415, "The body is not plain JSON."));
    }
    if path.starts_with("/ingest") {
        problems.push((409, "The subscription is disabled, or the idempotency key was used for another request."));
    }
    for (status, description) in problems {
        let content = json!({ PROBLEM_JSON: { "schema": { "$ref": "#/components/schemas/Problem" } } });
        responses.insert(status.to_string(), json!({ "description": description, "content": content }));
    }
    for response in responses.values_mut() {
        let request_id = json!({
            "description": "By which the request is found in the log.",
            "schema": { "type": "string", "maxLength": 64 },
        });
        if let Some(response) = response.as_object_mut() {
            response.insert("headers".to_owned(), json!({ "X-Request-Id": request_id }));
        }
    }
}

fn problem_schema() -> Value {
    let text = |description: &str| json!({ "type": "string", "description": description });
    json!({
        "type": "object",
        "description": "What went wrong (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": { "type": "string", "format": "uri", "description": "Stable name of the problem." },
            "title": text("The problem in a few words."),
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": text("A sentence for people."),
            "code": text("Stable word for programs."),
            "request_id": text("By which the request is found in the log."),
            "errors": {
                "type": "array",
                "maxItems": 20,
                "description": "The fields that break rules; only where there are any.",
                "items": {
                    "type": "object",
                    "required": ["pointer", "code", "detail"],
                    "properties": {
                        "pointer": text("JSON pointer into the body, or /query/…, /path/…, /headers/…."),
                        "code": text("Stable word for the rule."),
                        "detail": text("The rule as a sentence."),
                    },
                },
            },
        },
        "example": {
            "type": "https://postrider.dev/problems/event-type-not-wanted",
            "title": "Event type not wanted",
            "status": 422,
            "detail": "the subscription's event_types do not name this event type",
            "code": "event_type_not_wanted",
            "request_id": "0199c5f0-0000-7000-8000-000000000001",
        },
    })
}

/// The pages, each made when it is first asked for.
pub(super) fn pages() -> BoxEndpoint<'static, Response> {
    let page = |make: fn(&OpenApiService<Contract, ()>) -> String| {
        let made: OnceLock<Bytes> = OnceLock::new();
        make_sync(move |_| {
            let html = made.get_or_init(|| {
                let service = service();
                make(&service).replace(&service.spec(), &openapi_document()).into()
            });
            respond("text/html; charset=utf-8", html.clone())
        })
    };
    let document: OnceLock<Bytes> = OnceLock::new();
    Route::new()
        .at(
            "/",
            make_sync(|_| Response::builder().status(StatusCode::SEE_OTHER).header(header::LOCATION, "/docs").finish()),
        )
        .at("/docs", page(OpenApiService::swagger_ui_html))
        .at("/redoc", page(OpenApiService::redoc_html))
        .at(
            "/openapi.json",
            make_sync(move |_| respond("application/json", document.get_or_init(|| openapi_document().into()).clone())),
        )
        .map_to_response()
        .boxed()
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
            "/ingest/{subscription_id}",
            "/status/logs/{subscription_id}",
            "/status/{webhook_id}",
            "/subscriptions/",
            "/subscriptions/generate-signature",
            "/subscriptions/{subscription_id}",
        ];
        assert_eq!(paths, expected);
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
