//! Filters over payloads: who gets an event, who does not, and why; the same for every way in.

use std::time::Duration;

use postrider::domain::api_key::Scope;
use postrider::domain::id::TenantId;
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::api::{Answer, TestApi};
use crate::support::database::Database;
use crate::support::process::Start;
use crate::support::receiver::Receiver;
use crate::support::redis::RedisServer;

const LARGE: &str = r#"{"data": {"amount": 250, "country": "FR"}}"#;
const SMALL: &str = r#"{"data": {"amount": 20, "country": "FR"}}"#;

fn over(amount: u32) -> Value {
    json!({ "data": { "amount": { "$gt": amount }, "country": { "$in": ["DE", "FR"] } } })
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

async fn publish(api: &TestApi, body: &'static str) -> Value {
    let answer = api.ask("POST", "/events").header("x-event-type", "order.paid").body(body).send().await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()
}

async fn matched(api: &TestApi, body: &'static str) -> u64 {
    publish(api, body).await["matched"].as_u64().unwrap()
}

async fn patch(api: &TestApi, subscription: &str, change: Value) -> Answer {
    api.ask("PATCH", &format!("/subscriptions/{subscription}")).json(&change).send().await
}

async fn why_not(api: &TestApi, published: &Value) -> Vec<(String, String)> {
    let path = format!("/events/{}", published["webhook_id"].as_str().unwrap());
    let event = api.ask("GET", &path).send().await.json();
    let rows = event["not_delivered"].as_array().unwrap().iter();
    rows.map(|row| (row["subscription_id"].as_str().unwrap().to_owned(), row["reason"].as_str().unwrap().to_owned()))
        .collect()
}

/// As another replica does, which this one does not hear of.
async fn elsewhere(client: &Client, subscription: &str, filter: Option<Value>) {
    let statement = "update subscriptions set filter = $2, version = version + 1 where id = $1::text::uuid";
    let filter = filter.map(|filter| filter.to_string());
    assert_eq!(client.execute(statement, &[&subscription, &filter]).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_kept_as_it_was_given_and_null_removes_it() {
    let api = TestApi::start().await;
    let text = r#"{"data":{"amount":{"$gte":12345678901234567890123.10}},"$or":[{"b":1},{"a":2.0}]}"#;
    let body = format!(r#"{{"target_url": "https://hooks.example.com/in", "filter": {text}}}"#);
    let made = api.ask("POST", "/subscriptions/").body(body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(made.text.contains(&format!("\"filter\":{text}")), "{}", made.text);
    let made = made.json();
    let path = format!("/subscriptions/{}", id(&made));
    assert!(api.ask("GET", &path).send().await.text.contains(text));
    assert!(api.ask("GET", "/subscriptions/").send().await.text.contains(text));
    // A change of something else keeps it, and the same one again writes nothing.
    assert!(patch(&api, &id(&made), json!({ "description": "d" })).await.text.contains(text));
    let before = api.ask("GET", &path).send().await.json()["updated_at"].clone();
    let same = api.ask("PATCH", &path).body(format!("{{\"filter\": {} }}", text.replace(',', " , "))).send().await;
    assert_eq!(same.json()["updated_at"], before, "white space is no change");
    let replaced = api.ask("PUT", &path).json(&json!({ "target_url": "https://hooks.example.com/in" })).send().await;
    assert_eq!(replaced.json()["filter"], Value::Null, "PUT takes the default of creation");
    let changed = patch(&api, &id(&made), json!({ "filter": over(5) })).await;
    assert_eq!(changed.json()["filter"], over(5));
    assert_eq!(patch(&api, &id(&made), json!({ "filter": null })).await.json()["filter"], Value::Null);
    let audit = api.ask("GET", &format!("/audit?object_id={}", id(&made))).send().await.json();
    let filters: Vec<_> = audit["data"].as_array().unwrap().iter().map(|row| row["after"]["filter"].clone()).collect();
    assert_eq!(filters[..2], [Value::Null, over(5)], "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_breaks_a_rule_is_refused_with_the_place_and_the_rule() {
    let api = TestApi::start().await;
    let deep = format!("{}1{}", r#"{"a":"#.repeat(17), "}".repeat(17));
    let many: serde_json::Map<_, _> = (0..101).map(|number| (format!("f{number}"), json!(number))).collect();
    for (filter, pointer, code) in [
        ("7".to_owned(), "/filter", "wrong_type"),
        (r#"{"a": {"$regex": "x"}}"#.to_owned(), "/filter/a/$regex", "unknown_operator"),
        (r#"{"a": {"$in": "x"}}"#.to_owned(), "/filter/a/$in", "wrong_type"),
        (r#"{"$or": [{"a": 1}, 5]}"#.to_owned(), "", ""),
        (r#"{"a": 1, "a": 2}"#.to_owned(), "/filter/a", "duplicate_field"),
        (deep, "/filter/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", "too_deep"),
        (format!(r#"{{"a": "{}"}}"#, "x".repeat(8_200)), "/filter", "too_long"),
        (Value::Object(many).to_string(), "/filter/f99", "too_many"),
    ] {
        let body = format!(r#"{{"target_url": "https://hooks.example.com/in", "filter": {filter}}}"#);
        let answer = api.ask("POST", "/subscriptions/").body(body).send().await;
        if code.is_empty() {
            assert_eq!(answer.status, 201, "{filter}: a bare value means equal, wherever it stands");
            continue;
        }
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "validation_failed"), "{filter}");
        let error = &answer.json()["errors"][0];
        assert_eq!(error["code"], code, "{filter}: {error}");
        assert!(error["pointer"].as_str().unwrap().starts_with(pointer) || code == "too_many", "{filter}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_to_all_goes_to_those_whose_filter_it_meets_and_names_the_others() {
    let api = TestApi::start().await;
    let all = id(&api.subscribe(json!({})).await);
    let large = id(&api.subscribe(json!({ "filter": over(100) })).await);
    let larger = id(&api.subscribe(json!({ "filter": over(200) })).await);
    let other_type = id(&api.subscribe(json!({ "filter": over(1), "event_types": ["invoice.*"] })).await);
    assert_eq!(matched(&api, LARGE).await, 3);
    let small = publish(&api, SMALL).await;
    assert_eq!(small["matched"], 1);
    let mut expected = [
        (large.clone(), "filter".to_owned()),
        (larger.clone(), "filter".to_owned()),
        (other_type, "event_type".to_owned()),
    ];
    expected.sort();
    let mut reasons = why_not(&api, &small).await;
    reasons.sort();
    assert_eq!(reasons, expected);
    // Judged as the filter is now.
    assert_eq!(patch(&api, &large, json!({ "filter": over(10) })).await.status, 200);
    assert!(why_not(&api, &small).await.contains(&(large, "not_matched_then".to_owned())));
    // An event for one names no filters.
    let path = format!("/events?subscription_id={all}");
    let addressed = api.ask("POST", &path).body(SMALL).send().await.json();
    assert!(why_not(&api, &addressed).await.contains(&(larger, "addressed_to_another".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_for_one_is_refused_by_its_filter_after_all_other_checks() {
    let api = TestApi::start().await;
    let subscription = id(&api.subscribe(json!({ "filter": over(100), "event_types": ["order.*"] })).await);
    let (ingest, events) = (format!("/ingest/{subscription}"), format!("/events?subscription_id={subscription}"));
    for path in [&ingest, &events] {
        let ask = async |event_type: &str, body: &'static str| {
            api.ask("POST", path).header("x-event-type", event_type).body(body).send().await
        };
        assert_eq!(ask("order.paid", LARGE).await.status, 202);
        let refused = ask("order.paid", SMALL).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "filtered_out"));
        assert_eq!(ask("invoice.paid", SMALL).await.code(), "event_type_not_wanted");
        assert_eq!(ask("order.paid", "{").await.code(), "malformed_json");
    }
    // The first answer stays the answer, whatever the filter has become.
    let keyed = async || api.ask("POST", &ingest).header("x-event-type", "order.paid").header("idempotency-key", "k");
    let first = keyed().await.body(LARGE).send().await.json();
    patch(&api, &subscription, json!({ "filter": over(1_000) })).await;
    let again = keyed().await.body(LARGE).send().await.json();
    assert_eq!((&again["webhook_id"], &again["duplicate"]), (&first["webhook_id"], &json!(true)));
    patch(&api, &subscription, json!({ "is_active": false })).await;
    let disabled = api.ask("POST", &ingest).header("x-event-type", "order.paid").body(SMALL).send().await;
    assert_eq!(disabled.code(), "subscription_disabled", "that comes first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_another_replica_changed_counts_at_once() {
    let api = TestApi::start().await;
    let client = api.database.client().await;
    let subscription = id(&api.subscribe(json!({ "filter": over(100) })).await);
    let addressed = async |body: &'static str| {
        api.ask("POST", &format!("/ingest/{subscription}")).body(body).send().await.status.as_u16()
    };
    assert_eq!((matched(&api, SMALL).await, addressed(SMALL).await), (0, 422));
    elsewhere(&client, &subscription, Some(over(10))).await;
    assert_eq!((addressed(SMALL).await, matched(&api, SMALL).await), (202, 1), "a refusal is decided on the row");
    elsewhere(&client, &subscription, Some(over(100))).await;
    assert_eq!((addressed(SMALL).await, matched(&api, SMALL).await), (422, 0), "and so is an acceptance");
    elsewhere(&client, &subscription, None).await;
    assert_eq!((matched(&api, SMALL).await, addressed(SMALL).await), (1, 202));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_of_a_batch_is_filtered_by_itself() {
    let api = TestApi::start().await;
    let one = id(&api.subscribe(json!({ "filter": over(100) })).await);
    let events = json!([
        { "payload": { "data": { "amount": 250, "country": "DE" } } },
        { "payload": { "data": { "amount": 20, "country": "DE" } } },
        { "payload": { "data": { "amount": 20, "country": "DE" } }, "subscription_id": one },
    ]);
    let answer = api.ask("POST", "/events/batch").json(&json!({ "events": events })).send().await.json();
    let data = &answer["data"];
    assert_eq!((&data[0]["matched"], &data[1]["matched"]), (&json!(1), &json!(0)), "{answer}");
    assert_eq!((&data[2]["status"], &data[2]["problem"]["code"]), (&json!(422), &json!("filtered_out")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_json_or_of_another_tenant_is_not_judged() {
    let api = TestApi::start().await;
    let fields = json!({ "filter": { "a": { "$ne": 1 } }, "ingest": { "content_types": ["text/xml"] } });
    let subscription = id(&api.subscribe(fields).await);
    let path = format!("/ingest/{subscription}");
    let xml = api.ask("POST", &path).header("content-type", "text/xml").bytes("<a/>").send().await;
    assert_eq!(xml.code(), "filtered_out", "a filter needs JSON");
    let other = api.key("globex", Scope::Admin).await;
    let theirs = json!({ "target_url": "https://hooks.example.com/theirs", "filter": { "a": 1 } });
    api.ask("POST", "/subscriptions/").key(&other).json(&theirs).send().await;
    let published = api.ask("POST", "/events").key(&other).body(r#"{"a": 1}"#).send().await.json();
    assert_eq!(published["matched"], 1, "only their own filter counts");
    let tried = api.ask("POST", "/subscriptions/filter-test").json(&json!({ "filter": {} })).send().await.json();
    assert_eq!(tried["examined"], 0, "and only own events are tried");
}

/// Requeued deliveries after every step of a replay.
async fn replay(api: &TestApi, subscription: &str, statuses: &[&str]) -> i64 {
    let wanted = json!({ "subscription_id": subscription, "statuses": statuses, "rate": 1_000 });
    let made = api.ask("POST", "/replays").json(&wanted).send().await;
    assert_eq!(made.status, 202, "{made:?}");
    let (replay, client) = (id(&made.json()), api.database.client().await);
    let tenant: Uuid = client.query_one("select tenant_id from replays", &[]).await.unwrap().get(0);
    let named = (TenantId::new(tenant), replay.parse().unwrap());
    for _ in 0..50 {
        let step = api.store.step_replay(named, Duration::from_secs(3_600), 100).await.unwrap();
        if step.is_none() {
            break;
        }
    }
    let row = client.query_one("select status, replayed from replays", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "finished");
    client.execute("delete from replays", &[]).await.unwrap();
    row.get(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_missed_events_repeats_those_that_the_filter_wants_now() {
    let api = TestApi::start().await;
    let first = publish(&api, LARGE).await;
    // Payloads that do not fit into one look.
    let large = format!(r#"{{"data": {{"amount": 150, "country": "DE"}}, "rest": "{}"}}"#, "x".repeat(900_000));
    for number in 0..24 {
        publish(&api, SMALL).await;
        if number % 2 == 0 {
            assert_eq!(api.ask("POST", "/events").body(large.clone()).send().await.status, 202);
        }
    }
    let subscription = id(&api.subscribe(json!({ "filter": over(100) })).await);
    assert_eq!(replay(&api, &subscription, &["missed"]).await, 13);
    let client = api.database.client().await;
    let pending: i64 = client.query_one("select count(*) from deliveries", &[]).await.unwrap().get(0);
    assert_eq!(pending, 13);
    assert!(why_not(&api, &first).await.is_empty());
    patch(&api, &subscription, json!({ "filter": null })).await;
    assert_eq!(replay(&api, &subscription, &["missed"]).await, 24, "the others are missed as soon as it is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_tried_on_stored_events_before_it_is_set() {
    let api = TestApi::start().await;
    for _ in 0..3 {
        publish(&api, SMALL).await;
    }
    let newest = publish(&api, LARGE).await;
    let reader = api.key("acme", Scope::Read).await;
    let ask = async |body: Value| {
        let answer = api.ask("POST", "/subscriptions/filter-test").key(&reader).json(&body).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let tried = ask(json!({ "filter": over(100), "event_types": ["order.*"], "last": 1_000 })).await;
    assert_eq!((&tried["examined"], &tried["matched"]), (&json!(4), &json!(1)), "{tried}");
    assert_eq!(tried["sample"][0]["webhook_id"], newest["webhook_id"]);
    assert_eq!((&tried["sample"][0]["payload_bytes"], &tried["examined_to"]), (&json!(LARGE.len()), &Value::Null));
    assert_eq!(ask(json!({ "filter": over(10) })).await["matched"], 4);
    assert_eq!(ask(json!({ "filter": over(10), "last": 2 })).await["examined"], 2);
    assert_eq!(ask(json!({ "filter": null, "event_types": ["invoice.*"] })).await["matched"], 0);
    let refused = api.ask("POST", "/subscriptions/filter-test").json(&json!({ "filter": { "$x": 1 } })).send().await;
    assert_eq!(refused.json()["errors"][0]["pointer"], "/filter/$x");
    let too_many = api.ask("POST", "/subscriptions/filter-test").json(&json!({ "last": 10_001 })).send().await;
    assert_eq!(too_many.json()["errors"][0]["code"], "out_of_range");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_redis_has_the_filter_too_and_a_delivery_follows_it() {
    let (database, redis, receiver) = (Database::new().await, RedisServer::start().await, Receiver::new().await);
    let url = redis.url();
    let settings = [("REDIS_URL", url.as_str())];
    let first = Start { settings: &settings, ..Start::new("serve", database.url()) }.ready().await;
    let body = json!({ "target_url": receiver.url(), "filter": over(100) }).to_string();
    let made = first.http().post("/subscriptions/", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("/ingest/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(first.http().post(&path, LARGE).await.status, 202);
    let second = Start { settings: &settings, ..Start::new("serve", database.url()) }.ready().await;
    for replica in [&second, &first] {
        assert_eq!(replica.http().post(&path, SMALL).await.status, 422);
        assert_eq!(replica.http().post(&path, LARGE).await.status, 202);
        assert_eq!(replica.http().post("/events", SMALL).await.json()["matched"], 0);
        assert_eq!(replica.http().post("/events", LARGE).await.json()["matched"], 1);
    }
    receiver.arrived(5).await;
}
