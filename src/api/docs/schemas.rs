//! Schemas as the generators of clients read them: OpenAPI 3.0.3, in which a type that may be null names its type, and
//! a reference has no neighbours.

use serde_json::{Map, Value, json};

use super::words::words;

/// Omitted from a response rather than null.
const OMITTED: [(&str, &str); 5] = [
    ("Problem", "errors"),
    ("Key", "key"),
    ("BatchResult", "webhook_id"),
    ("BatchResult", "duplicate"),
    ("BatchResult", "problem"),
];
/// Omitted, or there and perhaps null.
const OMITTED_OR_NULL: [(&str, &str); 3] =
    [("AttemptRow", "payload"), ("Attempt", "payload"), ("BatchResult", "matched")];

pub(super) fn finish_schemas(schemas: &mut Map<String, Value>) {
    for (name, schema) in schemas.iter_mut() {
        finish_schema(name, schema);
    }
    let finished = schemas.clone();
    let properties = schemas.values_mut().filter_map(|schema| schema.get_mut("properties")?.as_object_mut());
    for property in properties.flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
        finish_reference(property, &finished);
    }
}

/// A request has no other fields; a response always has all, null if their type allows it.
fn finish_schema(name: &str, schema: &mut Value) {
    let required: Vec<Value> = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(schema) = schema.as_object_mut() else { return };
    // The name of the type, which the schema has already.
    schema.remove("title");
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    let mut is_answer = false;
    let mut always_there = Vec::new();
    for (field, property) in properties.iter_mut() {
        let Some(property) = property.as_object_mut() else { continue };
        property.remove("title");
        if let Some(items) = property.get_mut("items").and_then(Value::as_object_mut) {
            items.remove("title");
        }
        if property.remove("readOnly").is_none() {
            continue;
        }
        is_answer = true;
        let place = (name, field.as_str());
        let may_be_null = !required.contains(&field.as_str().into()) && !OMITTED.contains(&place);
        if may_be_null {
            property.insert("nullable".to_owned(), true.into());
        }
        insert_words(place, property, may_be_null);
        if !OMITTED.contains(&place) && !OMITTED_OR_NULL.contains(&place) {
            always_there.push(Value::from(field.as_str()));
        }
    }
    if is_answer {
        schema.insert("required".to_owned(), always_there.into());
    } else {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
}

fn insert_words((schema, field): (&str, &str), property: &mut Map<String, Value>, may_be_null: bool) {
    let Some(mut words) = words(schema, field) else { return };
    let place = match property.get_mut("items").and_then(Value::as_object_mut) {
        Some(items) => items,
        None => property,
    };
    if may_be_null {
        words.push(Value::Null);
    }
    place.insert("enum".to_owned(), words.into());
}

/// A reference that may be null becomes what it refers to: `nullable` counts only beside a type.
fn finish_reference(property: &mut Map<String, Value>, schemas: &Map<String, Value>) {
    let referred = property.get("allOf").and_then(|all| all.pointer("/0/$ref")).or_else(|| property.get("$ref"));
    let Some(reference) = referred.and_then(Value::as_str).map(str::to_owned) else {
        if property.get("nullable").is_some() && !property.contains_key("type") {
            property.insert("type".to_owned(), "object".into());
            property.insert("additionalProperties".to_owned(), true.into());
        }
        return;
    };
    property.remove("$ref");
    if property.get("nullable").is_none() {
        property.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
        return;
    }
    property.remove("allOf");
    let name = reference.rsplit('/').next().unwrap_or_default();
    for (key, value) in schemas.get(name).and_then(Value::as_object).into_iter().flatten() {
        property.entry(key.clone()).or_insert_with(|| value.clone());
    }
}
