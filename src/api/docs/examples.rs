//! Examples of requests and answers: a file that a test records from a running server.

use std::sync::LazyLock;

use serde_json::{Map, Value};

/// By operation: `request`, where it has a body, `status` and `response`.
static EXAMPLES: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let recorded: Value = serde_json::from_str(include_str!("examples.json")).unwrap_or_default();
    recorded.as_object().cloned().unwrap_or_default()
});

pub(super) fn insert(operation: &mut Map<String, Value>) {
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
    let Some(example) = EXAMPLES.get(id) else { return };
    let body = operation.get_mut("requestBody");
    put(body.and_then(|body| body.pointer_mut("/content/application~1json")), example.get("request"));
    let status = example.get("status").map(ToString::to_string).unwrap_or_default();
    let response = operation.get_mut("responses").and_then(|responses| responses.get_mut(status));
    let content = response.and_then(|response| response.get_mut("content")).and_then(Value::as_object_mut);
    let first = content.and_then(|content| content.values_mut().next());
    put(first, example.get("response"));
}

fn put(content: Option<&mut Value>, example: Option<&Value>) {
    if let (Some(content), Some(example)) = (content.and_then(Value::as_object_mut), example) {
        content.insert("example".to_owned(), example.clone());
    }
}
