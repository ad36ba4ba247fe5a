//! What the framework cannot say: which problems an operation has, which fields may be null,
//! which texts are taken.

use serde_json::{Map, Value, json};

use super::examples::example;
use crate::api::access;
use crate::api::page::List;
use crate::api::problem::PROBLEM_JSON;
use crate::domain::replay::Ending;

/// Fields that are left out of an answer rather than null.
const OMITTED: [(&str, &str); 5] = [
    ("LogAnswer", "payload"),
    ("BatchResult", "webhook_id"),
    ("BatchResult", "duplicate"),
    ("BatchResult", "matched"),
    ("BatchResult", "problem"),
];
/// Fields of a request that may be left out and may not be null.
const NOT_NULL: [(&str, &str); 1] = [("SubscriptionPatch", "target_url")];
/// Header names as people write them; the framework shouts.
const HEADER_NAMES: [&str; 7] = [
    "X-Event-Type",
    "Idempotency-Key",
    "X-Ordering-Key",
    "X-Hub-Signature-256",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];
/// What an event's type looks like.
const EVENT_TYPE: &str = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$";
/// What an entry of `event_types` looks like.
const EVENT_TYPES: &str = r"^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?)$";
/// What a secret looks like: `whsec_` and canonical base64 of 24 to 64 bytes, or another text
/// that is neither a mask nor has control characters.
const SECRET: &str = concat!(
    r"^(whsec_(([A-Za-z0-9+/]{4}){8,20}([A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)?",
    r"|([A-Za-z0-9+/]{4}){21}([A-Za-z0-9+/][AQgw]==)?)",
    r"|(?!whsec_|\*{8}$)[^\x00-\x1f\x7f-\x9f]+)$",
);
/// What an external id looks like: no UUID, and nothing that a path gives another meaning.
const EXTERNAL_ID: &str = concat!(
    r"^(?!\.{1,2}$|generate-signature$|(urn:uuid:)?[0-9A-Fa-f]{8}-?([0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}$)",
    r"[A-Za-z0-9_.:-]{1,255}$",
);
/// What a request may say of a subscription: its id, or its external id.
const SUBSCRIPTION: &str = r"^(?!\.{1,2}$)[A-Za-z0-9_.:-]{1,255}$";
/// What a header's value looks like: visible ASCII, blanks and tabs only in between.
const HEADER_VALUE: &str = r"^([!-~]([\t -~]*[!-~])?)?$";
/// A text of lines, without other control characters.
const DESCRIPTION: &str = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$";

/// Completes a document.
pub(super) fn finish(document: &mut Value, auth_required: bool) {
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        if !auth_required {
            components.remove("securitySchemes");
        }
        if let Some(schemas) = components.get_mut("schemas").and_then(Value::as_object_mut) {
            for (name, schema) in schemas.iter_mut() {
                finish_schema(name, schema);
            }
            schemas.insert("Problem".to_owned(), problem_schema());
        }
    }
    if let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) {
        for (path, operations) in paths.iter_mut() {
            for operation in operations.as_object_mut().into_iter().flat_map(Map::values_mut) {
                finish_operation(path, operation, auth_required);
            }
        }
    }
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
        match field.as_str() {
            "event_types" => {
                let items = json!({ "type": "string", "minLength": 1, "maxLength": 128, "pattern": EVENT_TYPES });
                object.insert("items".to_owned(), items);
            }
            // An answer may show the mask, which is no secret.
            "secret_key" if !is_answer => {
                object.extend(rules(json!({ "minLength": 8, "maxLength": 256, "pattern": SECRET })));
            }
            "problem" => {
                object.remove("type");
                object.insert("allOf".to_owned(), json!([{ "$ref": "#/components/schemas/Problem" }]));
            }
            "event_type" if !is_answer => {
                object.extend(rules(json!({ "minLength": 1, "maxLength": 128, "pattern": EVENT_TYPE })));
            }
            "statuses" if !is_answer => {
                let words = Ending::ALL.map(Ending::as_str);
                object.insert("items".to_owned(), json!({ "type": "string", "enum": words }));
            }
            // A subscription by either name.
            "subscription_id" if !is_answer => object.extend(rules(json!({ "pattern": SUBSCRIPTION }))),
            "idempotency_key" | "ordering_key" if !is_answer => object.extend(rules(idempotency_key())),
            "description" if !is_answer => object.extend(rules(json!({ "pattern": DESCRIPTION }))),
            "external_id" if !is_answer => object.extend(rules(json!({ "minLength": 1, "pattern": EXTERNAL_ID }))),
            "headers" => {
                let value = json!({ "type": "string", "maxLength": 4_096, "pattern": HEADER_VALUE });
                object.insert("additionalProperties".to_owned(), value);
            }
            "metadata" => {
                let value = json!({ "type": "string", "maxLength": 500, "pattern": DESCRIPTION });
                object.insert("additionalProperties".to_owned(), value);
            }
            _ => {}
        }
        // One that changes keys removes them with null.
        if (name, field.as_str()) == ("SubscriptionPatch", "metadata")
            && let Some(value) = object.get_mut("additionalProperties").and_then(Value::as_object_mut)
        {
            value.insert("nullable".to_owned(), true.into());
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

fn finish_operation(path: &str, operation: &mut Value, auth_required: bool) {
    let takes_body = operation.get("requestBody").is_some();
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        finish_parameter(path, parameter);
    }
    let Some(operation) = operation.as_object_mut() else { return };
    access::finish(operation, auth_required);
    let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    if let Some(accepted) = responses.get_mut("202") {
        let followed =
            json!({ "operationId": "read_status", "parameters": { "webhook_id": "$response.body#/webhook_id" } });
        accepted.as_object_mut().map(|accepted| accepted.insert("links".to_owned(), json!({ "status": followed })));
    }
    for (status, description) in problems(path, takes_body, auth_required) {
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

/// Which problems an operation has.
fn problems(path: &str, takes_body: bool, auth_required: bool) -> Vec<(u16, &'static str)> {
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
    if path.contains('{') || matches!(path, "/events" | "/replays") {
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
            .push((409, "Another subscription has this external_id, or headers that are to be kept cannot be opened."));
    }
    if takes_body && path == "/replays" {
        problems.push((409, "As many replays run as may."));
    }
    if path.ends_with("/rotate-secret") {
        problems.push((409, "The secret is the current one already, or as many are live as there may be."));
    }
    problems
}

fn finish_parameter(path: &str, parameter: &mut Value) {
    let shouted = parameter.get("name").and_then(Value::as_str).unwrap_or_default();
    let name =
        HEADER_NAMES.iter().find(|name| name.eq_ignore_ascii_case(shouted)).map_or(shouted, |name| *name).to_owned();
    let rule = match (name.as_str(), path) {
        ("X-Event-Type" | "event_type", _) => json!({ "minLength": 1, "maxLength": 128, "pattern": EVENT_TYPE }),
        ("Idempotency-Key" | "X-Ordering-Key", _) => idempotency_key(),
        ("subscription_id", _) => {
            json!({ "minLength": 1, "maxLength": 255, "pattern": SUBSCRIPTION })
        }
        ("external_id", _) => json!({ "minLength": 1, "maxLength": 255, "pattern": EXTERNAL_ID }),
        ("cursor", "/subscriptions/") => json!({ "pattern": List::Subscriptions.cursor_pattern() }),
        ("cursor", "/events/{webhook_id}/deliveries" | "/status/{webhook_id}") => {
            json!({ "pattern": List::EventDeliveries.cursor_pattern() })
        }
        ("cursor", "/replays") => json!({ "pattern": List::Replays.cursor_pattern() }),
        ("cursor", _) => json!({ "pattern": List::Attempts.cursor_pattern() }),
        _ => Value::Null,
    };
    if let Some(schema) = parameter.get_mut("schema").and_then(Value::as_object_mut) {
        schema.extend(rules(rule));
    }
    parameter.as_object_mut().map(|parameter| parameter.insert("name".to_owned(), name.into()));
}

/// What an idempotency key looks like, and an ordering key.
fn idempotency_key() -> Value {
    json!({ "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" })
}

fn rules(rules: Value) -> Map<String, Value> {
    match rules {
        Value::Object(rules) => rules,
        _ => Map::new(),
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
