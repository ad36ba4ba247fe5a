//! Holds every answer that a test gets to the OpenAPI document: its status, its fields and words, its problem.

use std::sync::LazyLock;

use serde_json::Value;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&postrider::api::openapi_document()).unwrap());

/// The operation of a path as it was sent; `None` if there is none, or if it is percent-encoded.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let parts = |path: &'static str| path.trim_matches('/').split('/');
    let sent: Vec<&str> = path.split('?').next()?.trim_matches('/').split('/').collect();
    let fits = |documented: &'static str| {
        let same = |(part, sent): (&str, &&str)| (part.starts_with('{') && !sent.is_empty()) || part == *sent;
        parts(documented).count() == sent.len() && parts(documented).zip(&sent).all(same)
    };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let fitting = paths.iter().filter(|(documented, _)| fits(documented));
    // A plain part is nearer than a variable one.
    let (_, operations) = fitting.min_by_key(|(documented, _)| documented.matches('{').count())?;
    operations.get(method.to_lowercase()).filter(|_| !path.contains('%'))
}

pub(crate) const EVENT_STREAM: &str = "text/event-stream";

/// Panics if the answer is not one of those that the document promises.
pub(crate) fn check(method: &str, path: &str, status: u16, content_type: &str, body: &str) {
    let Some(operation) = operation(method, path) else { return };
    // The answer to Slack's challenge stands in words only.
    if path.starts_with("/ingest/") && status == 200 {
        return;
    }
    let response = &operation["responses"][status.to_string()];
    let place = format!("{method} {path}: {status} {body}");
    assert!(response.is_object(), "the document knows no such status: {place}");
    // The bytes of a payload.
    if response["content"]["*/*"].is_object() {
        return;
    }
    let content = &response["content"][content_type];
    assert!(content.is_object(), "the document knows no {content_type} here: {place}");
    if content_type == EVENT_STREAM {
        return;
    }
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("not JSON: {place}"));
    if let Some(broken) = broken(&content["schema"], &body, "") {
        panic!("not as documented: {broken}: {place}");
    }
    if let Some(code) = body["code"].as_str().filter(|_| content_type == "application/problem+json") {
        let known = &content["examples"][code]["value"];
        assert_eq!(known["status"], status, "src/api/docs/problems.rs does not give {code} to this operation: {place}");
    }
}

/// What is wrong with a value of this schema, and where.
fn broken(schema: &Value, value: &Value, at: &str) -> Option<String> {
    if *schema == Value::Bool(true) {
        return None;
    }
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    if let Some(reference) = reference {
        let schema = DOCUMENT.pointer(reference.trim_start_matches('#')).unwrap();
        return broken(schema, value, at);
    }
    if value.is_null() && schema["nullable"] == true {
        return None;
    }
    if ["type", "enum", "properties", "items"].iter().all(|rule| schema[*rule].is_null()) && schema.is_object() {
        return None;
    }
    let words = schema["enum"].as_array();
    if words.is_some_and(|words| !words.contains(value)) {
        return Some(format!("{at} has the unknown word {value}"));
    }
    let is_of = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    if !is_of {
        return Some(format!("{at} is no {}", schema["type"]));
    }
    let entries = value.as_array().into_iter().flatten().enumerate();
    let in_list = entries.map(|(index, entry)| broken(&schema["items"], entry, &format!("{at}/{index}")));
    in_list.flatten().next().or_else(|| broken_field(schema, value, at))
}

fn broken_field(schema: &Value, value: &Value, at: &str) -> Option<String> {
    let fields = value.as_object()?;
    let mut required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.find(|name| !fields.contains_key(*name)) {
        return Some(format!("{at}/{missing} is missing"));
    }
    fields.iter().find_map(|(name, value)| {
        let at = format!("{at}/{name}");
        match (schema["properties"].get(name), schema.get("additionalProperties")) {
            (Some(property), _) => broken(property, value, &at),
            (None, Some(other)) => broken(other, value, &at),
            (None, None) => Some(format!("{at} is not documented")),
        }
    })
}

#[test]
fn an_answer_that_the_document_does_not_promise_is_found() {
    let schema = &DOCUMENT["components"]["schemas"]["Key"];
    let key = serde_json::json!({
        "id": "0199c5f0-0000-7000-8000-000000000002", "name": null, "tenant_id": null, "scope": "admin",
        "expires_at": null, "created_at": "", "last_used_at": null, "revoked_at": null,
    });
    assert_eq!(broken(schema, &key, ""), None);
    for (field, value) in [("id", Value::Null), ("scope", "root".into()), ("name", 1.into()), ("colour", 1.into())] {
        let mut other = key.clone();
        other[field] = value;
        assert!(broken(schema, &other, "").is_some_and(|broken| broken.contains(field)), "{field}");
    }
    assert!(operation("GET", "/subscriptions/generate-signature").is_none());
    assert!(operation("POST", "/subscriptions?x=1").is_some() && operation("GET", "/nothing").is_none());
}
