//! Status and logs say what became of an event, whichever table has it.

use crate::support::api::TestApi;
use postrider::domain::api_key::Scope;
use serde_json::{Value, json};
use tokio_postgres::Client;

/// An event of `acme` that was accepted now; its id.
async fn event(client: &Client) -> String {
    let insert = "insert into events (tenant_id, id, event_type, payload)
        select id, uuid_v7(), 'order.created', '{\"a\": 1}'::bytea from tenants where name = 'acme' returning id::text";
    client.query_one(insert, &[]).await.unwrap().get(0)
}

/// A row of the log for the newest event and the only subscription.
async fn attempt(client: &Client, number: i32, outcome: &str, ago: &str) {
    let insert = format!(
        "insert into attempts (tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome,
             status_code, error_message, response_body, duration_ms, created_at)
         select s.tenant_id, s.id, uuid_v7_floor(now() - interval '{ago}'), e.id, e.event_type, {number}, '{outcome}',
             200, case when '{outcome}' <> 'delivered' then '{outcome}: no' end, 'ok'::bytea, 12,
             now() - interval '{ago}'
         from subscriptions s, (select * from events order by id desc limit 1) e"
    );
    client.batch_execute(&insert).await.unwrap();
}

async fn status(api: &TestApi, event: &str) -> Value {
    let answer = api.ask("GET", &format!("/status/{event}")).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_an_event_is_shown() {
    let api = TestApi::start().await;
    let subscription = api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned();
    let client = api.database.client().await;
    let id = event(&client).await;
    assert_eq!(status(&api, &id).await["status"], "no_match");
    client
        .batch_execute(
            "insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
             select e.tenant_id, e.id, s.id, now(), octet_length(e.payload) from events e, subscriptions s",
        )
        .await
        .unwrap();
    let fresh = status(&api, &id).await;
    assert_eq!(
        (&fresh["status"], &fresh["attempts"], &fresh["last_attempt"]),
        (&json!("pending"), &json!(0), &Value::Null)
    );
    assert!(fresh["next_attempt_at"].is_string() && fresh["accepted_at"].is_string());
    attempt(&client, 1, "http_5xx", "2 seconds").await;
    client.batch_execute("update deliveries set attempts = 1").await.unwrap();
    let failing = status(&api, &id).await;
    assert_eq!(failing["error_message"], "http_5xx: no");
    assert_eq!(failing["deliveries"][0]["subscription_id"], subscription.as_str());
    let wait = "update deliveries set next_attempt_at = 'infinity', ordering_key = 'k', position = 1";
    client.batch_execute(wait).await.unwrap();
    let held = status(&api, &id).await;
    assert_eq!(
        (&held["deliveries"][0]["status"], &held["deliveries"][0]["reason"], &held["next_attempt_at"]),
        (&json!("held"), &json!("ordered"), &Value::Null)
    );
    attempt(&client, 2, "delivered", "1 second").await;
    client.batch_execute("delete from deliveries").await.unwrap();
    let done = status(&api, &id).await;
    assert_eq!(
        (&done["status"], &done["is_success"], &done["attempts"]),
        (&json!("succeeded"), &json!(true), &json!(2))
    );
    assert_eq!((&done["error_message"], &done["next_attempt_at"]), (&Value::Null, &Value::Null));
    let other = api.key("other", Scope::Read).await;
    assert_eq!(api.ask("GET", &format!("/status/{id}")).key(&other).send().await.code(), "webhook_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_filtered_and_paged_newest_first() {
    let api = TestApi::start().await;
    let path = format!("/status/logs/{}", api.subscribe(json!({})).await["id"].as_str().unwrap());
    let client = api.database.client().await;
    event(&client).await;
    for (number, outcome, ago) in
        [(1, "timeout", "30 seconds"), (2, "timeout", "20 seconds"), (3, "delivered", "10 seconds")]
    {
        attempt(&client, number, outcome, ago).await;
    }
    let numbers = async |query: &str| -> Vec<Value> {
        let answer = api.ask("GET", &format!("{path}{query}")).send().await;
        assert_eq!(answer.status, 200, "{query} {answer:?}");
        answer.json()["data"].as_array().unwrap().iter().map(|row| row["attempt_number"].clone()).collect()
    };
    assert_eq!(numbers("").await, [3, 2, 1]);
    assert_eq!(numbers("?days=1&status=failed").await, [2, 1]);
    assert_eq!(numbers("/?status=succeeded").await, [3]);
    assert_eq!(numbers("?event_type=order.created&limit=1").await, [3]);
    assert_eq!(numbers("?event_type=other").await, Vec::<Value>::new());
    assert_eq!(numbers("?until=2020-01-01T00:00:00Z&since=2019-01-01T00:00:00Z").await, Vec::<Value>::new());
    let page = api.ask("GET", &format!("{path}?limit=2&include=payload")).send().await.json();
    let row = &page["data"][0];
    assert_eq!(
        (&row["outcome"], &row["is_success"], &row["error_message"]),
        (&json!("delivered"), &json!(true), &Value::Null)
    );
    assert_eq!(
        (&row["payload"], &row["response_body"], &row["status_code"]),
        (&json!("{\"a\": 1}"), &json!("ok"), &json!(200))
    );
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(numbers(&format!("?limit=2&cursor={cursor}")).await, [1]);
    let first = api.ask("GET", &path).send().await.json()["data"][0].clone();
    assert!(first.get("payload").is_none() && first["duration_ms"] == 12, "{first}");
    api.database.client().await.batch_execute("delete from events").await.unwrap();
    let gone = api.ask("GET", &format!("{path}?include=payload")).send().await.json()["data"][0].clone();
    assert_eq!(gone.get("payload"), Some(&Value::Null), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_makes_no_sense_is_refused() {
    let api = TestApi::start().await;
    let path = format!("/status/logs/{}", api.subscribe(json!({})).await["id"].as_str().unwrap());
    for query in [
        "days=0",
        "days=366",
        "days=abc",
        "days=1.5",
        "days=-1",
        "days=1&days=2",
        "limit=0",
        "limit=101",
        "offset=1",
        "cursor=x",
        "cursor=",
        "status=banana",
        "include=everything",
        "since=-9999-01-01",
        "since=yesterday",
        "since=2026-01-01T00:00:00Z&days=1",
        "event_type=a..b",
        "event_type=%00",
        "dayz=7",
    ] {
        let answer = api.ask("GET", &format!("{path}?{query}")).send().await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "validation_failed"), "{query}");
        assert!(answer.json()["errors"][0]["pointer"].as_str().unwrap().starts_with("/query"), "{answer:?}");
    }
    let days = api.ask("GET", &format!("{path}?days=366")).send().await.json();
    assert_eq!(days["errors"][0]["detail"], "must be a whole number from 1 to 365");
    assert_eq!(api.ask("GET", "/status/logs/0199c5f0-0000-7000-8000-000000000001").send().await.status, 404);
    let invalid = api.ask("GET", "/status/abc").send().await;
    assert_eq!(invalid.json()["errors"][0]["pointer"], "/path/webhook_id");
}
