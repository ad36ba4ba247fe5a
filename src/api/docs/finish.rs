//! Adds what the framework cannot express: problems of operations, required and forbidden fields.

use poem_openapi::registry::MetaSchema;
use serde_json::{Value, json};

use super::examples::example;
use crate::api::access;
use crate::api::ingest;
use crate::api::problem::PROBLEM_JSON;
use crate::api::text::FromText as _;
use crate::domain::event_type::EventType;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ordering::OrderingKey;

/// Omitted from a response, rather than null.
const OMITTED: [(&str, &str); 7] = [
    ("Problem", "errors"),
    ("LogAnswer", "payload"),
    ("Key", "key"),
    ("BatchResult", "webhook_id"),
    ("BatchResult", "duplicate"),
    ("BatchResult", "matched"),
    ("BatchResult", "problem"),
];
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

pub(super) fn finish(document: &mut Value, auth_required: bool) {
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        if !auth_required {
            components.remove("securitySchemes");
        }
        if let Some(schemas) = components.get_mut("schemas").and_then(Value::as_object_mut) {
            for (name, schema) in schemas.iter_mut() {
                finish_schema(name, schema);
            }
        }
    }
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        for (path, operations) in paths.iter_mut() {
            for (method, operation) in operations.as_object_mut().into_iter().flatten() {
                finish_operation(path, method, operation, auth_required);
            }
        }
    }
}

/// A request has no other fields; a response always has all, null if their type allows it.
fn finish_schema(name: &str, schema: &mut Value) {
    let required: Vec<Value> = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(schema) = schema.as_object_mut() else { return };
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let mut is_answer = false;
    let mut always_there = Vec::new();
    for (field, property) in properties.iter_mut() {
        let Some(property) = property.as_object_mut() else { continue };
        if property.remove("readOnly").is_none() {
            continue;
        }
        is_answer = true;
        if !required.contains(&field.as_str().into()) {
            if let Some(reference) = property.remove("$ref") {
                property.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
            }
            property.insert("nullable".to_owned(), true.into());
        }
        if !OMITTED.contains(&(name, field)) {
            always_there.push(Value::from(field.as_str()));
        }
    }
    if is_answer {
        schema.insert("required".to_owned(), always_there.into());
    } else {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    if let Some(example) = example(name) {
        schema.insert("example".to_owned(), example);
    }
}

fn finish_operation(path: &str, method: &str, operation: &mut Value, auth_required: bool) {
    let takes_body = operation.get("requestBody").is_some();
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        finish_parameter(parameter);
    }
    let Some(operation) = operation.as_object_mut() else { return };
    access::finish(operation, auth_required);
    ingest::finish(path, operation);
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    if let Some(accepted) = responses.get_mut("202") {
        let followed =
            json!({ "operationId": "read_status", "parameters": { "webhook_id": "$response.body#/webhook_id" } });
        accepted.as_object_mut().map(|accepted| accepted.insert("links".to_owned(), json!({ "status": followed })));
    }
    for (status, description) in problems(path, method, takes_body, auth_required) {
        let content = json!({ PROBLEM_JSON: { "schema": { "$ref": "#/components/schemas/Problem" } } });
        responses.insert(status.to_string(), json!({ "description": description, "content": content }));
    }
    for response in responses.values_mut().filter_map(Value::as_object_mut) {
        let request_id = json!({
            "description": "By which the request is found in the log.",
            "schema": { "type": "string", "maxLength": 64 },
        });
        response.insert("headers".to_owned(), json!({ "X-Request-Id": request_id }));
    }
}

fn problems(path: &str, method: &str, takes_body: bool, auth_required: bool) -> Vec<(u16, &'static str)> {
    let is_ingest = path.starts_with("/ingest");
    let mut problems = vec![
        (400, "The request cannot be read."),
        (422, "Values break rules; errors names each."),
        (431, "Too many or too long header fields."),
        (500, "A failure of ours, logged under the request_id."),
        (503, "Away for a moment; Retry-After says how long."),
    ];
    if auth_required {
        problems.push((401, "No valid key."));
        problems.push((403, "The key's scope does not cover this."));
    } else if is_ingest {
        problems.push((401, "The signature is not accepted."));
    }
    if path.contains('{') || matches!(path, "/events" | "/replays" | "/keys") {
        problems.push((404, "Unknown, gone, or another tenant's."));
    }
    if takes_body {
        problems.push((408, "The body took longer than 30 seconds."));
        problems.push((413, "The body is too large."));
        problems.push((415, "The body is not plain JSON."));
    }
    if is_ingest || path == "/events" {
        problems.push((409, "The subscription is disabled, or the idempotency key was used for another request."));
    }
    if takes_body && matches!(path, "/subscriptions/" | "/subscriptions/{subscription_id}") {
        problems
            .push((409, "Another subscription has this external_id, the tenant's max_subscriptions is reached, or headers that are to be kept cannot be opened."));
    }
    if takes_body && path == "/replays" {
        problems.push((409, "As many replays run as may."));
    }
    if takes_body && path.starts_with("/tenants") {
        problems.push((409, "Another tenant has this external_id."));
    }
    if method == "delete" && path.starts_with("/tenants") {
        problems.push((409, "The tenant default cannot be deleted."));
    }
    if path.ends_with("/rotate-secret") {
        problems.push((409, "The secret is the current one already, or as many are live as there may be."));
    }
    problems
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
