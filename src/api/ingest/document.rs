//! The headers of known producers in the OpenAPI document, from the table.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::domain::provider::PROVIDERS;

/// Adds a parameter for each header of the table that the operation does not declare itself.
pub(in crate::api) fn finish(path: &str, operation: &mut Map<String, Value>) {
    if !path.starts_with("/ingest") {
        return;
    }
    let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else { return };
    let mut readers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in &PROVIDERS {
        for name in row.header_names() {
            let names = readers.entry(name).or_default();
            if !names.contains(&row.name) {
                names.push(row.name);
            }
        }
    }
    for (name, rows) in readers {
        let is_declared = |parameter: &Value| {
            let declared = parameter.get("name").and_then(Value::as_str);
            declared.is_some_and(|declared| declared.eq_ignore_ascii_case(name))
        };
        if !parameters.iter().any(is_declared) {
            parameters.push(json!({
                "name": name,
                "in": "header",
                "required": false,
                "description": format!("Of the provider {}.", rows.join(", ")),
                "schema": { "type": "string" },
            }));
        }
    }
}
