//! Schemas as tenants write them, and as they should not.

use bytes::Bytes;
use serde_json::json;

use super::*;

fn compile(schema: &Value) -> Result<Schema, InvalidSchema> {
    Schema::compile(&schema.to_string())
}

fn refused(schema: &Value) -> (String, String) {
    let error = compile(schema).expect_err(&schema.to_string());
    (error.pointer, error.rule)
}

fn payload(text: &str) -> Payload {
    Payload::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn pointers(schema: &Schema, text: &str) -> Vec<String> {
    schema.check(&payload(text)).into_iter().map(|mismatch| mismatch.pointer).collect()
}

#[test]
fn what_breaks_the_schema_is_named_by_its_place_without_its_value() {
    let schema = compile(&json!({
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": { "type": "integer" },
            "lines": { "type": "array", "items": { "$ref": "#/$defs/line" } },
        },
        "$defs": { "line": { "type": "object", "properties": { "sku": { "pattern": "^[A-Z]+$" } } } },
    }))
    .unwrap();
    assert!(pointers(&schema, r#"{"id": 1, "lines": [{"sku": "AB"}], "more": null}"#).is_empty());
    assert_eq!(pointers(&schema, r#"{"lines": []}"#), [""]);
    assert_eq!(
        pointers(&schema, r#"{"id": "s3cret", "lines": [{"sku": "AB"}, {"sku": "s3cret"}]}"#),
        ["/id", "/lines/1/sku"]
    );
    for mismatch in schema.check(&payload(r#"{"id": "s3cret", "lines": [{"sku": "s3cret"}]}"#)) {
        assert!(!mismatch.rule.contains("s3cret") && !mismatch.rule.is_empty(), "{mismatch:?}");
    }
    let many = format!(r#"{{"id": 1, "lines": [{}1]}}"#, "1,".repeat(1_000));
    assert_eq!(pointers(&schema, &many).len(), MAX_MISMATCHES);
}

#[test]
fn a_schema_that_is_none_is_refused_at_its_place() {
    for (schema, pointer) in [
        (json!({ "type": "objekt" }), "/type"),
        (json!({ "properties": { "a": { "minimum": "1" } } }), "/properties/a/minimum"),
        (json!({ "properties": { "a": { "pattern": "(" } } }), "/properties/a/pattern"),
        (json!({ "required": "a" }), "/required"),
    ] {
        assert_eq!(refused(&schema).0, pointer, "{schema}");
    }
    assert!(Schema::compile("true").is_err() && Schema::compile("{").is_err());
    let long = json!({ "description": "x".repeat(MAX_SCHEMA_BYTES) });
    assert!(refused(&long).1.contains("bytes"));
}

#[test]
fn references_stay_inside_and_never_lead_in_a_circle() {
    for (schema, pointer) in [
        (json!({ "$ref": "https://example.com/schema.json" }), "/$ref"),
        (json!({ "items": { "$ref": "file:///etc/passwd" } }), "/items/$ref"),
        (json!({ "$ref": "other.json#/a" }), "/$ref"),
        (json!({ "$ref": "#anchor" }), "/$ref"),
        (json!({ "$ref": "#/$defs/none" }), "/$ref"),
        (json!({ "$ref": "#" }), "/$ref/$ref"),
        (json!({ "properties": { "child": { "$ref": "#" } } }), "/properties/child/$ref/properties/child/$ref"),
        (
            json!({ "properties": { "enum": { "allOf": [{ "$ref": "#/properties/enum" }] } } }),
            "/properties/enum/allOf/0/$ref/allOf/0/$ref",
        ),
        (json!({ "const": { "$ref": "#/const" }, "$ref": "#/const" }), "/$ref/$ref"),
        (json!({ "items": { "$id": "https://example.com/x", "type": "string" } }), "/items/$id"),
        (json!({ "$dynamicRef": "#x" }), "/$dynamicRef"),
        (json!({ "unevaluatedProperties": false }), "/unevaluatedProperties"),
    ] {
        assert_eq!(refused(&schema).0, pointer, "{schema}");
    }
    // A property may have the name of a keyword, and data are no schemas.
    assert!(compile(&json!({ "properties": { "$ref": { "type": "string" } }, "enum": [{ "$ref": "x" }] })).is_ok());
    assert!(compile(&json!({ "$schema": "https://example.com/own", "type": "object" })).is_err());
}

#[test]
fn work_that_would_grow_without_bound_is_refused_before_it_begins() {
    // Each definition refers twice to the next: 2^14 checks.
    let mut definitions = serde_json::Map::new();
    for level in 0..14 {
        let next = format!("#/$defs/d{}", level + 1);
        definitions.insert(format!("d{level}"), json!({ "allOf": [{ "$ref": next }, { "$ref": next }] }));
    }
    definitions.insert("d14".to_owned(), json!({ "type": "object" }));
    assert!(refused(&json!({ "$ref": "#/$defs/d0", "$defs": definitions })).1.contains("10000 values"));
    let deep = (0..100).fold(json!({}), |inner, _| json!({ "items": inner }));
    assert!(refused(&deep).1.contains("levels"));
    // A pattern that makes backtracking engines hang, and one that is huge when compiled.
    let hostile = compile(&json!({ "properties": { "a": { "pattern": "^(a+)+$" } } })).unwrap();
    assert_eq!(pointers(&hostile, &format!(r#"{{"a": "{}!"}}"#, "a".repeat(100_000))), ["/a"]);
    assert!(compile(&json!({ "pattern": "(((a{100}){100}){100}){100}" })).is_err());
    // Many values times many rules.
    let rules: Vec<_> = (0..2_000).map(|number| json!({ "const": number })).collect();
    let large = compile(&json!({ "items": { "anyOf": rules } })).unwrap();
    assert!(pointers(&large, "[1, 2, 3]").is_empty());
    let payload = format!("[{}1]", "1,".repeat(400_000));
    assert!(large.check(&self::payload(&payload))[0].rule.contains("too large"));
}

#[test]
fn a_payload_that_cannot_be_read_as_values_is_refused_and_formats_are_not_checked() {
    let any = compile(&json!({ "properties": { "at": { "format": "date-time" } } })).unwrap();
    assert!(pointers(&any, r#"{"at": "yesterday"}"#).is_empty());
    for text in [r#"{"a": "\ud800"}"#, r#"{"a": 1e400}"#] {
        assert_eq!(pointers(&any, text), [""], "{text}");
    }
}
