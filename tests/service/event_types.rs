//! Event types: what a tenant says of them, and payloads that must keep to a schema.

use postrider::domain::api_key::Scope;
use serde_json::{Value, json};

use crate::support::api::{Answer, TestApi};
use crate::support::database::Database;
use crate::support::process::Start;
use crate::support::wait::until;

fn order() -> Value {
    json!({
        "description": "An order was paid",
        "schema": {
            "type": "object",
            "required": ["id"],
            "properties": {
                "id": { "type": "integer" },
                "lines": { "type": "array", "items": { "$ref": "#/$defs/line" } },
            },
            "$defs": { "line": { "type": "object", "required": ["sku"] } },
        },
        "example": { "id": 7, "lines": [{ "sku": "A-1" }] },
        "deprecated": false,
        "validate": true,
    })
}

async fn put(api: &TestApi, name: &str, body: &Value) -> Answer {
    api.ask("PUT", &format!("/event-types/{name}")).json(body).send().await
}

async fn publish(api: &TestApi, path: &str, body: &'static str) -> Answer {
    api.ask("POST", path).header("x-event-type", "order.paid").body(body).send().await
}

fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_type_is_written_read_listed_and_deleted() {
    let api = TestApi::start().await;
    let made = put(&api, "order.paid", &order()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    for field in ["description", "schema", "example", "deprecated", "validate"] {
        assert_eq!(made[field], order()[field], "{field}");
    }
    assert_eq!((&made["name"], &made["created_at"]), (&json!("order.paid"), &made["updated_at"]));
    let again = put(&api, "order.paid", &order()).await;
    assert_eq!((again.status.as_u16(), &again.json()["updated_at"]), (200, &made["updated_at"]), "nothing is written");
    let replaced = put(&api, "order.paid", &json!({ "deprecated": true })).await;
    assert_eq!(replaced.status, 200);
    let replaced = replaced.json();
    assert_eq!(
        (&replaced["schema"], &replaced["example"], &replaced["deprecated"]),
        (&Value::Null, &Value::Null, &json!(true))
    );
    assert_ne!(replaced["updated_at"], made["updated_at"]);
    assert_eq!(api.ask("GET", "/event-types/order.paid").send().await.json(), replaced);
    for name in ["a", "b", "c"] {
        assert_eq!(put(&api, name, &json!({})).await.status, 201);
    }
    let first = api.ask("GET", "/event-types?limit=3").send().await.json();
    let names: Vec<_> = first["data"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["c", "b", "a"], "newest first");
    let next = format!("/event-types?limit=3&cursor={}", first["next_cursor"].as_str().unwrap());
    let next = api.ask("GET", &next).send().await.json();
    assert_eq!((&next["data"][0]["name"], &next["next_cursor"]), (&json!("order.paid"), &Value::Null));
    let deleted = api.ask("DELETE", "/event-types/order.paid").send().await;
    assert_eq!((deleted.status.as_u16(), &deleted.json()["name"]), (200, &json!("order.paid")));
    for method in ["GET", "DELETE"] {
        let gone = api.ask(method, "/event-types/order.paid").send().await;
        assert_eq!((gone.status.as_u16(), gone.code().as_str()), (404, "event_type_not_found"));
    }
    let audit = api.ask("GET", "/audit").send().await.json();
    let actions: Vec<_> = audit["data"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    let of_types: Vec<_> = actions.into_iter().filter(|action| action.starts_with("event_type.")).collect();
    let created = "event_type.created";
    assert_eq!(of_types, ["event_type.deleted", created, created, created, "event_type.updated", created]);
    assert_eq!(audit["data"][0]["before"]["deprecated"], true, "{audit}");
    assert_eq!((&audit["data"][0]["actor"], &audit["data"][0]["after"]), (&json!("key"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_cannot_be_used_is_refused_at_its_place() {
    let api = TestApi::start().await;
    let long = "x".repeat(33 * 1_024);
    for (body, pointer, code) in [
        (
            json!({ "schema": { "properties": { "a": { "type": "objekt" } } } }),
            "/schema/properties/a/type",
            "invalid_schema",
        ),
        (json!({ "schema": { "$ref": "https://example.com/x.json" } }), "/schema/$ref", "invalid_schema"),
        (json!({ "schema": { "items": { "$ref": "#" } } }), "/schema/items/$ref/items/$ref", "invalid_schema"),
        (json!({ "schema": { "pattern": "(((a{100}){100}){100}){100}" } }), "/schema/pattern", "invalid_schema"),
        (json!({ "schema": { "description": long } }), "/schema", "invalid_schema"),
        (json!({ "schema": true }), "/schema", "invalid_schema"),
        (json!({ "validate": true }), "/schema", "required"),
        (json!({ "example": "x".repeat(17 * 1_024) }), "/example", "too_long"),
        (json!({ "colour": 1 }), "/colour", "unknown_field"),
    ] {
        let refused = put(&api, "order.paid", &body).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "validation_failed"), "{refused:?}");
        let error = &refused.json()["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{error}");
    }
    for (body, pointer, code) in [
        (r#"{"schema":{"type":"object","type":"array"}}"#, "/schema/type", "duplicate_field"),
        (r#"{"example":[{"a":1},{"a":1,"a":2,"a":3}]}"#, "/example/1/a", "duplicate_field"),
        (r#"{"example":{"a":"\ud800"}}"#, "/example", "wrong_type"),
        (r#"{"schema":{"description":"\udfff"}}"#, "/schema", "wrong_type"),
    ] {
        let refused = api.ask("PUT", "/event-types/order.paid").body(body).send().await;
        let errors = &refused.json()["errors"];
        let error = &errors[0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{error}");
        assert_eq!(errors.as_array().unwrap().len(), 1, "{errors}");
    }
    let name = put(&api, "a..b", &json!({})).await;
    assert_eq!(name.json()["errors"][0]["code"], "invalid_event_type");
    assert_eq!(api.ask("GET", "/event-types").send().await.json()["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_breaks_the_schema_is_refused_on_every_way_in() {
    let api = TestApi::start().await;
    let subscription = api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned();
    put(&api, "order.paid", &order()).await;
    let (one, ingest) = (format!("/events?subscription_id={subscription}"), format!("/ingest/{subscription}"));
    for path in ["/events", one.as_str(), ingest.as_str()] {
        assert_eq!(publish(&api, path, r#"{"id": 1, "lines": [{"sku": "A"}]}"#).await.status, 202, "{path}");
        let refused = publish(&api, path, r#"{"id": "s3cret", "lines": [{"sku": "A"}, {}]}"#).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "schema_mismatch"), "{path}");
        assert_eq!(pointers(&refused.json()), ["/id", "/lines/1"], "{path}");
        assert!(!refused.text.contains("s3cret"), "{path}");
        let other = api.ask("POST", path).header("x-event-type", "order.sent").body(r#"{"id": "x"}"#).send().await;
        assert_eq!(other.status, 202, "{path}: another type");
        assert_eq!(api.ask("POST", path).body(r#"{"id": "x"}"#).send().await.status, 202, "{path}: no type");
    }
    let items = json!([
        { "event_type": "order.paid", "payload": { "id": 1 } },
        { "event_type": "order.paid", "payload": { "id": 1.5 } },
        { "event_type": "order.sent", "payload": { "id": 1.5 } },
    ]);
    let batch = api.ask("POST", "/events/batch").json(&json!({ "events": items })).send().await.json();
    let statuses: Vec<_> =
        batch["data"].as_array().unwrap().iter().map(|item| item["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [202, 422, 202]);
    assert_eq!(
        (batch["data"][1]["problem"]["code"].as_str(), pointers(&batch["data"][1]["problem"])),
        (Some("schema_mismatch"), vec!["/id"])
    );
    // What a schema only describes is not checked, and neither is what has none any more.
    let mut described = order();
    described["validate"] = json!(false);
    for change in [Some(described), None] {
        put(&api, "order.paid", &order()).await;
        assert_eq!(publish(&api, "/events", "{}").await.status, 422);
        match change {
            Some(described) => assert_eq!(put(&api, "order.paid", &described).await.status, 200),
            None => assert_eq!(api.ask("DELETE", "/event-types/order.paid").send().await.status, 200),
        }
        assert_eq!(publish(&api, "/events", "{}").await.status, 202);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_accepted_before_the_schema_changed_repeats_its_result() {
    let api = TestApi::start().await;
    let ask = async || {
        let ask = api.ask("POST", "/events").header("x-event-type", "order.paid").header("idempotency-key", "k");
        ask.body("{}").send().await
    };
    let first = ask().await.json();
    put(&api, "order.paid", &order()).await;
    let again = ask().await;
    assert_eq!((again.status.as_u16(), &again.json()["webhook_id"]), (202, &first["webhook_id"]));
    assert_eq!(publish(&api, "/events", "{}").await.status, 422, "a new one is checked");
}

#[tokio::test(flavor = "multi_thread")]
async fn event_types_of_a_tenant_are_its_own() {
    let api = TestApi::start().await;
    put(&api, "order.paid", &order()).await;
    let other = api.key("globex", Scope::Admin).await;
    let theirs = async |method: &str, path: &str| api.ask(method, path).key(&other).body("{}").send().await;
    assert_eq!(theirs("GET", "/event-types").await.json()["data"], json!([]));
    assert_eq!(theirs("GET", "/event-types/order.paid").await.status, 404);
    assert_eq!(theirs("DELETE", "/event-types/order.paid").await.status, 404);
    let published = api.ask("POST", "/events").key(&other).header("x-event-type", "order.paid").body("{}").send().await;
    assert_eq!(published.status, 202, "only the own schema counts");
    assert_eq!(theirs("PUT", "/event-types/order.paid").await.status, 201);
    assert_eq!(publish(&api, "/events", "{}").await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_a_thousand_event_types_of_which_a_hundred_validate() {
    let api = TestApi::start().await;
    put(&api, "order.paid", &order()).await;
    let client = api.database.client().await;
    let copies = "
        insert into event_types (tenant_id, id, name, schema, is_deprecated, is_validated)
        select tenant_id, gen_random_uuid(), 'copy.' || n, '{}', false, n < 100
        from event_types, generate_series(1, $1::integer) as n";
    client.execute(copies, &[&998_i32]).await.unwrap();
    let validating = put(&api, "order.sent", &order()).await;
    assert_eq!((validating.status.as_u16(), validating.code().as_str()), (409, "limit_reached"));
    assert!(validating.json()["detail"].as_str().unwrap().contains("max_validated_event_types 100"));
    assert_eq!(put(&api, "order.sent", &json!({})).await.status, 201, "the thousandth");
    let refused = put(&api, "order.gone", &json!({})).await;
    assert!(refused.json()["detail"].as_str().unwrap().contains("max_event_types 1000"), "{refused:?}");
    assert_eq!(put(&api, "order.paid", &json!({ "description": "d" })).await.status, 200, "one that is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_checks_payloads_soon_after_a_schema_is_set_and_no_longer_after_it_is_gone() {
    let database = Database::new().await;
    let (first, second) =
        (Start::new("api", database.url()).ready().await, Start::new("api", database.url()).ready().await);
    let (first, second) = (first.http(), second.http());
    let headers = [("content-type", "application/json"), ("x-event-type", "order.paid")];
    let status = async || {
        let body = bytes::Bytes::from_static(b"{}");
        second.send(hyper::Method::POST, "/events", &headers, body).await.unwrap().status.as_u16()
    };
    let write = async |method: hyper::Method| {
        let body = bytes::Bytes::from(order().to_string());
        first.send(method, "/event-types/order.paid", &headers[..1], body).await.unwrap().status.as_u16()
    };
    assert_eq!(status().await, 202);
    assert_eq!(write(hyper::Method::PUT).await, 201);
    until("the other replica checks", async || (status().await == 422).then_some(())).await;
    assert_eq!(write(hyper::Method::DELETE).await, 200);
    until("the other replica checks no longer", async || (status().await == 202).then_some(())).await;
}
