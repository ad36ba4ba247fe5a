//! Adds what the framework cannot express: the introduction, problems of operations, words and required fields.

use poem_openapi::registry::MetaSchema;
use serde_json::{Map, Value, json};

use super::examples;
use super::problems::Operation;
use super::schemas::finish_schemas;
use crate::api::access;
use crate::api::ingest;
use crate::api::problem::Problem;
use crate::api::text::FromText as _;
use crate::domain::event_type::EventType;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ordering::OrderingKey;

/// The version that all generators read.
const OPENAPI: &str = "3.0.3";
const INTRODUCTION: &str = include_str!("introduction.md");
/// As people write them; the framework uses upper case.
const HEADER_NAMES: [&str; 7] = [
    "X-Event-Type",
    "Idempotency-Key",
    "X-Ordering-Key",
    "X-Hub-Signature-256",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

/// `servers`: URLs, the usual one first.
pub(super) fn finish(document: &mut Value, servers: &[&str]) {
    let Some(document) = document.as_object_mut() else { return };
    document.insert("openapi".to_owned(), OPENAPI.into());
    document.insert("servers".to_owned(), servers.iter().map(|url| json!({ "url": url })).collect());
    if let Some(info) = document.get_mut("info").and_then(Value::as_object_mut) {
        info.insert("description".to_owned(), introduction().into());
        info.insert("license".to_owned(), json!({ "name": env!("CARGO_PKG_LICENSE") }));
    }
    let schemas = document.get_mut("components").and_then(|components| components.get_mut("schemas"));
    if let Some(schemas) = schemas.and_then(Value::as_object_mut) {
        finish_schemas(schemas);
    }
    remove_unused_schemas(document);
    let descriptions = descriptions(document);
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        for (path, operations) in paths.iter_mut() {
            for operation in operations.as_object_mut().into_iter().flat_map(Map::values_mut) {
                finish_operation(path, operation, &descriptions);
            }
        }
    }
}

/// With a table of all problems.
fn introduction() -> String {
    let row =
        |problem: &Problem| format!("| {} | `{}` | {} |\n", problem.status().as_u16(), problem.code(), problem.title());
    let rows: String = Problem::samples().iter().map(row).collect();
    INTRODUCTION.replace("{problems}", rows.trim_end())
}

/// Those that stand where they were referred to.
fn remove_unused_schemas(document: &mut Map<String, Value>) {
    let text = Value::Object(document.clone()).to_string();
    let schemas = document.get_mut("components").and_then(|components| components.get_mut("schemas"));
    if let Some(schemas) = schemas.and_then(Value::as_object_mut) {
        schemas.retain(|name, _| name == "Problem" || text.contains(&format!("\"#/components/schemas/{name}\"")));
    }
}

/// Of the schemas, by their reference.
fn descriptions(document: &Map<String, Value>) -> Map<String, Value> {
    let schemas = document.get("components").and_then(|components| components.get("schemas"));
    let schemas = schemas.and_then(Value::as_object).into_iter().flatten();
    let described = schemas.filter_map(|(name, schema)| {
        let description = schema.get("description")?.clone();
        Some((format!("#/components/schemas/{name}"), description))
    });
    described.collect()
}

fn finish_operation(path: &str, operation: &mut Value, descriptions: &Map<String, Value>) {
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        finish_parameter(parameter);
    }
    let Some(operation) = operation.as_object_mut() else { return };
    let (about, or_signature) = access::finish(operation);
    ingest::finish(path, operation);
    let problems = {
        let facts = Operation {
            id: operation.get("operationId").and_then(Value::as_str).unwrap_or_default(),
            path,
            takes_body: operation.contains_key("requestBody"),
            about,
            takes_place: operation.get("x-scope").is_none_or(|scope| scope != "publish"),
            or_signature,
            query: query_names(operation),
        };
        facts.responses()
    };
    examples::insert(operation);
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for response in responses.values_mut() {
        let schema = response.pointer("/content/application~1json/schema/$ref").and_then(Value::as_str);
        let description = schema.and_then(|schema| descriptions.get(schema)).cloned();
        if let (Some(description), Some(response)) = (description, response.as_object_mut()) {
            response.insert("description".to_owned(), description);
        }
    }
    if let Some(accepted) = responses.get_mut("202").and_then(Value::as_object_mut)
        && matches!(path, "/events" | "/ingest/{subscription_id}")
    {
        let followed =
            json!({ "operationId": "read_status", "parameters": { "webhook_id": "$response.body#/webhook_id" } });
        accepted.insert("links".to_owned(), json!({ "status": followed }));
    }
    responses.extend(problems);
    for response in responses.values_mut().filter_map(Value::as_object_mut) {
        let headers = response.entry("headers").or_insert_with(|| json!({})).as_object_mut();
        let request_id = json!({
            "description": "ID to look up this request in the logs.",
            "schema": { "type": "string", "maxLength": 64 },
        });
        headers.map(|headers| headers.insert("X-Request-Id".to_owned(), request_id));
    }
}

fn query_names(operation: &Map<String, Value>) -> Vec<&str> {
    let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
    let query = parameters.filter(|parameter| parameter.get("in").is_some_and(|place| place == "query"));
    query.filter_map(|parameter| parameter.get("name").and_then(Value::as_str)).collect()
}

/// The framework knows headers only by name.
fn finish_parameter(parameter: &mut Value) {
    let shouted = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
    let Some(name) = HEADER_NAMES.iter().find(|name| name.eq_ignore_ascii_case(shouted)) else { return };
    let schema = match *name {
        "X-Event-Type" => EventType::rules(),
        "Idempotency-Key" => IdempotencyKey::rules(),
        "X-Ordering-Key" => OrderingKey::rules(),
        _ => MetaSchema::new("string"),
    };
    if let Some(parameter) = parameter.as_object_mut() {
        parameter.insert("name".to_owned(), (*name).into());
        parameter.insert("schema".to_owned(), serde_json::to_value(schema).unwrap_or_default());
    }
}
