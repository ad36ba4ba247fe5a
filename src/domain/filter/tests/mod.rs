//! Filters by example, and against an evaluator that knows nothing of indexes, steps or positions.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::content_type::ContentType;

fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn judge(payload: &str) -> Judge {
    Judge::stored(Bytes::copy_from_slice(payload.as_bytes()), &ContentType::default())
}

fn matches(filter_text: &str, payload: &str) -> bool {
    judge(payload).matches(&filter(filter_text))
}

fn refused(text: &str) -> (String, &'static str) {
    let error = Filter::parse(text).expect_err(text);
    (error.pointer, error.code)
}

#[test]
fn all_conditions_must_be_true() {
    let text = r#"{"data": {"amount": {"$gt": 100, "$lte": 500}, "country": {"$in": ["DE", "FR"]}}, "paid": true}"#;
    assert!(matches(text, r#"{"paid": true, "data": {"country": "FR", "amount": 500}}"#));
    for payload in [
        r#"{"paid": true, "data": {"country": "FR", "amount": 100}}"#,
        r#"{"paid": true, "data": {"country": "IT", "amount": 500}}"#,
        r#"{"paid": "true", "data": {"country": "FR", "amount": 500}}"#,
        r#"{"paid": true, "data": {"country": "FR", "amount": "500"}}"#,
        r#"{"paid": true, "data": 7}"#,
        "{}",
        "[]",
    ] {
        assert!(!matches(text, payload), "{payload}");
    }
    assert!(matches("{}", "{}") && matches("{}", "[1]"));
}

#[test]
fn a_missing_field_meets_only_what_denies() {
    for (text, expected) in [
        (r#"{"a": null}"#, false),
        (r#"{"a": {"$eq": 1}}"#, false),
        (r#"{"a": {"$lt": 1}}"#, false),
        (r#"{"a": {"$ne": 1}}"#, true),
        (r#"{"a": {"$nin": [1, null]}}"#, true),
        (r#"{"a": {"$not": {"$gt": 1}}}"#, true),
        (r#"{"a": {"$exist": false}}"#, true),
        (r#"{"a": {"$exist": true}}"#, false),
        (r#"{"a": {"b": {"c": {"$exist": false}}}}"#, true),
        (r#"{"a": {"b": {"c": 1}}}"#, false),
    ] {
        assert_eq!(matches(text, r#"{"b": 1}"#), expected, "{text}");
    }
    assert!(matches(r#"{"a": null}"#, r#"{"a": null}"#));
    assert!(matches(r#"{"a": {"$exist": true}}"#, r#"{"a": null}"#));
    assert!(!matches(r#"{"a": {"$ne": null}}"#, r#"{"a": null}"#));
}

#[test]
fn an_array_is_asked_for_itself_and_for_its_elements() {
    let payload =
        r#"{"tags": ["new", "vip"], "scores": [1, 9], "items": [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 5}]}"#;
    for (text, expected) in [
        (r#"{"tags": "vip"}"#, true),
        (r#"{"tags": ["new", "vip"]}"#, true),
        (r#"{"tags": ["vip", "new"]}"#, false),
        (r#"{"tags": ["new"]}"#, false),
        (r#"{"tags": {"$in": ["x", "new"]}}"#, true),
        (r#"{"tags": {"$startsWith": "v"}}"#, true),
        (r#"{"tags": {"$contains": "vip"}}"#, true),
        (r#"{"tags": {"$contains": "vi"}}"#, false),
        (r#"{"tags": {"$ne": "vip"}}"#, false),
        (r#"{"tags": {"$ne": "old"}}"#, true),
        (r#"{"tags": {"$nin": ["old", "new"]}}"#, false),
        (r#"{"scores": {"$gt": 5, "$lt": 3}}"#, true),
        (r#"{"items": {"sku": "b", "qty": {"$gt": 2}}}"#, true),
        (r#"{"items": {"sku": "a", "qty": {"$gt": 2}}}"#, false),
        (r#"{"items": {"colour": {"$exist": true}}}"#, false),
        (r#"{"items": {"$eq": {"qty": 1, "sku": "a"}}}"#, true),
    ] {
        assert_eq!(matches(text, payload), expected, "{text}");
    }
    assert!(matches(r#"{"id": 2}"#, r#"[{"id": 1}, {"id": 2}]"#), "a payload that is an array");
    assert!(!matches(r#"{"id": {"$exist": false}}"#, "[]"));
}

#[test]
fn texts_numbers_and_other_types_are_never_mixed_up() {
    for (text, payload, expected) in [
        (r#"{"a": 9007199254740993}"#, r#"{"a": 9007199254740992}"#, false),
        (r#"{"a": 1}"#, r#"{"a": 1.0}"#, true),
        (r#"{"a": {"$gt": 0.1}}"#, r#"{"a": 0.10000000000000000001}"#, true),
        (r#"{"a": {"$gte": 1}}"#, r#"{"a": "2"}"#, false),
        (r#"{"a": {"$lt": "b"}}"#, r#"{"a": 1}"#, false),
        (r#"{"a": {"$gte": 0}}"#, r#"{"a": true}"#, false),
        (r#"{"a": {"$lte": "ä"}}"#, r#"{"a": "z"}"#, true),
        (r#"{"a": {"$gt": "\uffff"}}"#, r#"{"a": "\ud83d\ude00"}"#, true),
        (r#"{"a": {"$gt": "2026-11-01"}}"#, r#"{"a": "2026-11-02T00:00:00Z"}"#, true),
        (r#"{"a": "\u0062"}"#, r#"{"\u0061": "b"}"#, true),
        (r#"{"a": {"$contains": "1"}}"#, r#"{"a": 11}"#, false),
        (r#"{"a": {"$endsWith": "é"}}"#, r#"{"a": "caf\u00e9"}"#, true),
        (r#"{"a": {"$eq": {}}}"#, r#"{"a": {}}"#, true),
        (r#"{"a": {"$eq": {}}}"#, r#"{"a": {"b": 1}}"#, false),
        (r#"{"a": "x"}"#, r#"{"a": "\ud800"}"#, false),
    ] {
        assert_eq!(matches(text, payload), expected, "{text} {payload}");
    }
    assert!(matches(r#"{"a": 2}"#, r#"{"a": 1, "a": 2}"#) && !matches(r#"{"a": 1}"#, r#"{"a": 1, "a": 2}"#));
}

#[test]
fn operators_of_logic_combine_and_take_bare_values() {
    let text =
        r#"{"$or": [{"a": 1}, {"$and": [{"b": {"$or": ["x", "y"]}}, {"c": {"$not": 3}}]}], "$not": {"d": true}}"#;
    assert!(matches(text, r#"{"a": 1}"#));
    assert!(matches(text, r#"{"b": "y"}"#));
    assert!(!matches(text, r#"{"b": "y", "c": 3}"#));
    assert!(!matches(text, r#"{"a": 1, "d": true}"#));
    assert!(!matches(text, r#"{"b": "z"}"#));
}

#[test]
fn what_breaks_a_rule_is_named_at_its_place() {
    for (text, pointer, code) in [
        ("[]", "", "wrong_type"),
        (r#"{"a": {"$gtt": 1}}"#, "/a/$gtt", "unknown_operator"),
        (r#"{"$where": "1"}"#, "/$where", "unknown_operator"),
        (r#"{"a": {"$in": 1}}"#, "/a/$in", "wrong_type"),
        (r#"{"a": {"$gt": null}}"#, "/a/$gt", "wrong_type"),
        (r#"{"a": {"$exist": 1}}"#, "/a/$exist", "wrong_type"),
        (r#"{"a": {"$startsWith": 1}}"#, "/a/$startsWith", "wrong_type"),
        (r#"{"a": {"$contains": ["x"]}}"#, "/a/$contains", "wrong_type"),
        (r#"{"$or": []}"#, "/$or", "empty"),
        (r#"{"$or": [{"a": 1}, {"b": {"$lt": {}}}]}"#, "/$or/1/b/$lt", "wrong_type"),
        (r#"{"a": {}}"#, "/a", "empty"),
        (r#"{"a": 1, "b": 2, "a": 3}"#, "/a", "duplicate_field"),
        (r#"{"a": {"$eq": {"b": 1, "b": 1}}}"#, "/a/$eq/b", "duplicate_field"),
        (r#"{"<b>": {"$x": 1}}"#, "/$x", "unknown_operator"),
        (r#"{"a": "\ud800"}"#, "/a", "wrong_type"),
        (r#"{"a": "\u0000"}"#, "/a", "wrong_type"),
        (r#"{"a\u0000": 1}"#, "", "invalid_name"),
        (r#"{"a": 1e401}"#, "/a", "out_of_range"),
        (r#"{"a": 1e99999999999999}"#, "/a", "out_of_range"),
    ] {
        assert_eq!(refused(text), (pointer.to_owned(), code), "{text}");
    }
}

#[test]
fn a_filter_is_bounded_in_bytes_depth_and_conditions() {
    let long = |bytes: usize| format!(r#"{{"a": "{}"}}"#, "x".repeat(bytes - r#"{"a":""}"#.len()));
    assert_eq!(filter(&long(MAX_FILTER_BYTES)).as_str().len(), MAX_FILTER_BYTES);
    assert_eq!(refused(&long(MAX_FILTER_BYTES + 1)).1, "too_long");
    let deep = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    assert!(Filter::parse(&deep(MAX_FILTER_DEPTH)).is_ok());
    assert_eq!(refused(&deep(MAX_FILTER_DEPTH + 1)).1, "too_deep");
    assert_eq!(refused(&deep(1_000)).1, "too_deep");
    assert_eq!(refused(&format!(r#"{{"a": {}{}}}"#, "[".repeat(4_000), "]".repeat(4_000))).1, "too_deep");
    let many = |count: usize| {
        let fields: Vec<_> = (0..count).map(|number| format!(r#""f{number}":{number}"#)).collect();
        format!("{{{}}}", fields.join(","))
    };
    assert!(Filter::parse(&many(MAX_CONDITIONS)).is_ok());
    assert_eq!(refused(&many(MAX_CONDITIONS + 1)).1, "too_many");
}

#[test]
fn equal_filters_are_equal_whatever_their_white_space() {
    assert_eq!(filter("{ \"a b\" : [ 1 ,\n\t2 ] }"), filter(r#"{"a b":[1,2]}"#));
    assert_eq!(filter(r#"{ "a \" b" : " " }"#).as_str(), r#"{"a \" b":" "}"#);
}

#[test]
fn hostile_payloads_cost_a_bounded_number_of_steps() {
    // 98 conditions on each of 500,000 elements.
    let conditions: Vec<_> = (0..98).map(|number| format!(r#"{{"a":{{"$gt":{number}}}}}"#)).collect();
    let all = filter(&format!(r#"{{"$or":[{}]}}"#, conditions.join(",")));
    let numbers = format!(r#"{{"a":[{}0]}}"#, "0,".repeat(500_000));
    assert!(!judge(&numbers).matches(&all));
    assert!(!judge(&numbers).matches(&filter(&format!(r#"{{"$not":{}}}"#, all.as_str()))), "undecided is not true");
    assert!(judge(&numbers).matches(&filter(r#"{"a":{"$not":{"$gt":1}}}"#)), "one condition is decided");
    // Objects with many fields are looked through once.
    let fields: Vec<_> = (0..50_000).map(|number| format!(r#""f{number}":{number}"#)).collect();
    let large = format!("{{{},\"f7\":1}}", fields.join(","));
    let asked: Vec<_> = (49_901..50_000).map(|number| format!(r#""f{number}":{number}"#)).collect();
    let mut of_large = judge(&large);
    assert!(of_large.matches(&filter(&format!("{{{}}}", asked.join(",")))));
    assert!(of_large.matches(&filter(r#"{"f7": 1, "g": {"$exist": false}}"#)));
    assert!(!of_large.matches(&filter(r#"{"f7": 7}"#)));
    // Deeper than any payload.
    for levels in [128, 129, 100_000] {
        let deep = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!judge(&deep).matches(&filter(r#"{"a": 1}"#)));
    }
    for broken in ["", "{", "}", "[\"", "{\"a\"", "{\"a\":", "\\", "]]"] {
        assert!(!judge(broken).matches(&filter(r#"{"a": 1}"#)), "{broken}");
    }
}

/// The rules as they are written in the documents, over values of serde_json.
mod reference {
    use super::*;

    pub(super) fn all(conditions: &Value, value: Option<&Value>) -> bool {
        let conditions = conditions.as_object().unwrap();
        let operators = conditions.iter().filter(|(name, _)| name.starts_with('$'));
        let fields: Vec<_> = conditions.iter().filter(|(name, _)| !name.starts_with('$')).collect();
        let fields_of = |value: Option<&Value>| {
            fields.iter().all(|(name, expected)| {
                let field = value.and_then(Value::as_object).and_then(|object| object.get(*name));
                expected_is(expected, field)
            })
        };
        operators.into_iter().all(|(name, operand)| operator(name, operand, value))
            && (fields.is_empty()
                || match value {
                    Some(Value::Array(elements)) => elements.iter().any(|element| fields_of(Some(element))),
                    value => fields_of(value),
                })
    }

    fn expected_is(expected: &Value, value: Option<&Value>) -> bool {
        if expected.is_object() { all(expected, value) } else { operator("$eq", expected, value) }
    }

    fn operator(name: &str, operand: &Value, value: Option<&Value>) -> bool {
        let each = || value.into_iter().chain(value.and_then(Value::as_array).into_iter().flatten());
        let list = || operand.as_array().unwrap();
        let text = |is_it: fn(&str, &str) -> bool| {
            each().any(|value| value.as_str().is_some_and(|text| is_it(text, operand.as_str().unwrap())))
        };
        let ordered = |is_it: fn(std::cmp::Ordering) -> bool| {
            each().any(|value| match (value, operand) {
                (Value::String(value), Value::String(operand)) => is_it(value.chars().cmp(operand.chars())),
                (Value::Number(value), Value::Number(operand)) => {
                    value.as_f64().unwrap().partial_cmp(&operand.as_f64().unwrap()).is_some_and(is_it)
                }
                _ => false,
            })
        };
        match name {
            "$eq" => each().any(|value| equal(value, operand)),
            "$ne" => !each().any(|value| equal(value, operand)),
            "$in" => each().any(|value| list().iter().any(|operand| equal(value, operand))),
            "$nin" => !each().any(|value| list().iter().any(|operand| equal(value, operand))),
            "$gt" => ordered(std::cmp::Ordering::is_gt),
            "$gte" => ordered(std::cmp::Ordering::is_ge),
            "$lt" => ordered(std::cmp::Ordering::is_lt),
            "$lte" => ordered(std::cmp::Ordering::is_le),
            "$exist" => value.is_some() == operand.as_bool().unwrap(),
            "$startsWith" => text(|text, start| text.starts_with(start)),
            "$endsWith" => text(|text, end| text.ends_with(end)),
            "$contains" => match value {
                Some(Value::Array(elements)) => elements.iter().any(|element| equal(element, operand)),
                _ => operand.is_string() && text(|text, part| text.contains(part)),
            },
            "$and" => list().iter().all(|entry| expected_is(entry, value)),
            "$or" => list().iter().any(|entry| expected_is(entry, value)),
            "$not" => !expected_is(operand, value),
            _ => unreachable!("{name}"),
        }
    }

    fn equal(one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| equal(one, other))
            }
            (Value::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| equal(one, other)))
            }
            (one, other) => one == other,
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "ä\"\\"]).prop_map(str::to_owned)
}

fn scalar() -> impl Strategy<Value = Value> {
    let texts = prop::sample::select(vec!["", "a", "b", "ab", "ba\u{1f600}", "\"\\\n"]);
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        (-6_i32..6).prop_map(|halves| json!(f64::from(halves) / 2.0)),
        texts.prop_map(Value::from),
    ]
}

fn object(values: impl Strategy<Value = Value>, most: usize) -> impl Strategy<Value = Value> {
    prop::collection::btree_map(name(), values, 0..most).prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 40, 5, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from), object(inner, 4)]
    })
}

fn payload() -> impl Strategy<Value = Value> {
    // Some objects are large enough for an index.
    let large = prop::collection::vec((0_u32..40).prop_map(|number| format!("f{number}")), 20..30);
    let with_more = (object(value(), 4), large).prop_map(|(mut payload, names)| {
        let fields = payload.as_object_mut().unwrap();
        names.into_iter().for_each(|name| drop(fields.insert(name, json!(1))));
        payload
    });
    prop_oneof![object(value(), 4), prop::collection::vec(value(), 0..4).prop_map(Value::from), with_more]
}

fn conditions() -> impl Strategy<Value = Value> {
    let one = |name: &'static str| move |operand: Value| json!({ name: operand });
    let ordered = prop::sample::select(vec!["$gt", "$gte", "$lt", "$lte"]);
    let texts = prop::sample::select(vec!["$startsWith", "$endsWith", "$contains"]);
    let leaf = prop_oneof![
        value().prop_map(one("$eq")),
        value().prop_map(one("$ne")),
        prop::collection::vec(value(), 0..3).prop_map(Value::from).prop_map(one("$in")),
        prop::collection::vec(value(), 0..3).prop_map(Value::from).prop_map(one("$nin")),
        any::<bool>().prop_map(Value::from).prop_map(one("$exist")),
        scalar().prop_map(one("$contains")),
        (ordered, prop_oneof![(-3_i64..3).prop_map(Value::from), Just(json!("a"))])
            .prop_map(|(name, operand)| json!({ name: operand })),
        (texts, prop::sample::select(vec!["", "a", "b"])).prop_map(|(name, operand)| json!({ name: operand })),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let expected =
            prop_oneof![inner.clone(), scalar(), prop::collection::vec(scalar(), 0..3).prop_map(Value::from)];
        let fields = prop::collection::btree_map(name(), expected.clone(), 1..3)
            .prop_map(|fields| Value::Object(fields.into_iter().collect()));
        let lists = prop::sample::select(vec!["$and", "$or"]);
        prop_oneof![
            fields,
            (lists, prop::collection::vec(expected.clone(), 1..3)).prop_map(|(name, entries)| json!({ name: entries })),
            expected.prop_map(one("$not")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_decision_is_that_of_the_naive_evaluator(conditions in conditions(), payload in payload()) {
        let parsed = filter(&conditions.to_string());
        let decided = judge(&payload.to_string()).matches(&parsed);
        prop_assert_eq!(decided, reference::all(&conditions, Some(&payload)), "{} {}", conditions, payload);
        prop_assert_eq!(judge(&format!("{payload:#}")).matches(&parsed), decided, "white space counts");
    }

    #[test]
    fn any_text_is_read_or_refused(text in r#"[{}\[\]":,$a0-9e\\ ]{0,60}"#) {
        drop(Filter::parse(&text));
        judge(&text).matches(&filter(r#"{"a": {"$not": {"b": 1}}}"#));
    }
}
