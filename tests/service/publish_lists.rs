//! Events to all while subscriptions are written: none is refused, what changed counts, and
//! only what changed is read again.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::api::TestApi;
use crate::support::database::Database;
use crate::support::process::Start;
use crate::support::receiver::Receiver;
use crate::support::wait::until;

async fn publish(api: &TestApi, event_type: &str) -> Value {
    let answer = api.ask("POST", "/events").header("x-event-type", event_type).body("{}").send().await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()
}

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

async fn list_version(client: &Client) -> i64 {
    let version = "select max(subscriptions_version) from tenants";
    client.query_one(version, &[]).await.unwrap().get(0)
}

/// What another replica does: rows change, and this one is not notified.
async fn elsewhere(client: &Client, statement: &str) {
    client.batch_execute(statement).await.unwrap();
}

/// Copies of all subscriptions, `count` of each.
async fn copies(client: &Client, count: i32, event_type: &str, is_ordered: bool) {
    let copy = format!(
        "insert into subscriptions (tenant_id, id, target_url, secret, event_types, verify_ingest, is_ordered)
        select tenant_id, gen_random_uuid(), target_url, secret, '{{{event_type}}}', false, {is_ordered}
        from subscriptions, generate_series(1, {count})"
    );
    elsewhere(client, &copy).await;
}

/// Makes a row that cannot be read into a list: reading the whole list fails, reading what
/// changed does not.
async fn booby_trap(client: &Client, subscription: &str) {
    let trap = format!(
        "alter table subscriptions disable trigger all;
        update subscriptions set event_types = '{{not a type}}', listed_version = 0
        where id = '{subscription}';
        alter table subscriptions enable trigger all"
    );
    elsewhere(client, &trap).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_changes_who_gets_an_event_changes_the_list() {
    let api = TestApi::start().await;
    let made = id(&api.subscribe(json!({ "event_types": ["a"] })).await);
    let client = api.database.client().await;
    let path = format!("/subscriptions/{made}");
    let mut before = list_version(&client).await;
    for (fields, changes) in [
        (json!({ "description": "other", "target_url": "https://hooks.example.com/other" }), false),
        (json!({ "is_active": false }), false),
        (json!({ "ordered": true, "secret_key": "another secret" }), false),
        (json!({ "event_types": ["a", "b"] }), true),
        (json!({ "event_types": ["a", "b"] }), false),
    ] {
        assert_eq!(api.ask("PATCH", &path).json(&fields).send().await.status, 200);
        let after = list_version(&client).await;
        assert_eq!(after > before, changes, "{fields}");
        before = after;
    }
    let rotated = api.ask("POST", &format!("{path}/rotate-secret")).json(&json!({})).send().await;
    assert_eq!((rotated.status.as_u16(), list_version(&client).await), (200, before));
    assert_eq!(api.ask("DELETE", &path).send().await.status, 200);
    assert!(list_version(&client).await > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_list_that_is_out_of_date_only_what_changed_is_read_again() {
    let api = TestApi::start().await;
    let [one, two, other] =
        [json!(["a"]), json!(["b"]), json!(["x"])].map(|types| api.subscribe(json!({ "event_types": types })));
    let (one, two, other) = (id(&one.await), id(&two.await), id(&other.await));
    let client = api.database.client().await;
    assert_eq!(publish(&api, "a").await["matched"], 1);
    booby_trap(&client, &other).await;
    let change =
        |what: &str, of: &str| format!("update subscriptions set version = version + 1, {what} where id = '{of}'");
    for (change, matched) in [
        (change("description = 'other'", &one), 1),
        (change("event_types = '{a}'", &two), 2),
        (change("deleted_at = now()", &two), 1),
        (change("is_active = false", &one), 1),
        (format!("delete from subscriptions where id = '{two}'"), 1),
    ] {
        elsewhere(&client, &change).await;
        // Once after the statement found the list out of date, and once on what was read then.
        assert_eq!(publish(&api, "a").await["matched"], matched, "{change}");
        assert_eq!(publish(&api, "a").await["matched"], matched, "{change}");
    }
    let last = publish(&api, "a").await;
    let path = format!("/events/{}", last["webhook_id"].as_str().unwrap());
    let delivery = api.ask("GET", &path).send().await.json()["deliveries"][0].clone();
    assert_eq!((&delivery["status"], &delivery["reason"]), (&json!("held"), &json!("disabled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_new_subscriptions_are_read_by_themselves() {
    let api = TestApi::start().await;
    let made = id(&api.subscribe(json!({ "event_types": ["a"] })).await);
    let client = api.database.client().await;
    assert_eq!(publish(&api, "a").await["matched"], 1);
    copies(&client, 300, "a", false).await;
    // It keeps its version, so that nothing but reading the whole list looks at it.
    booby_trap(&client, &made).await;
    assert_eq!(publish(&api, "a").await["matched"], 301);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_to_an_ordered_subscription_that_the_list_does_not_know_keep_their_order() {
    let api = TestApi::start().await;
    api.subscribe(json!({ "event_types": ["x"] })).await;
    let client = api.database.client().await;
    assert_eq!(publish(&api, "a").await["matched"], 0);
    copies(&client, 1, "a", true).await;
    let event = |key: &str| json!({ "event_type": "a", "payload": {}, "ordering_key": key });
    let events = json!({ "events": [event("k"), event("l"), event("k"), event("k")] });
    let batch = api.ask("POST", "/events/batch").json(&events).send().await.json();
    let sent: Vec<_> = batch["data"].as_array().unwrap().iter().map(|result| result["webhook_id"].clone()).collect();
    assert!(batch["data"].as_array().unwrap().iter().all(|result| result["matched"] == 1), "{batch}");
    let group = "select event_id::text, next_attempt_at = 'infinity' from deliveries where ordering_key = 'k' order by position";
    let expected = [(&sent[0], false), (&sent[2], true), (&sent[3], true)];
    let expected = expected.map(|(event, waits)| (event.as_str().unwrap().to_owned(), waits));
    until("the head of the group alone is due", async || {
        let rows = client.query(group, &[]).await.unwrap();
        let group: Vec<(String, bool)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        (group == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_goes_on_while_subscriptions_are_made_and_changed() {
    let api = TestApi::start().await;
    let mut made = Vec::new();
    for _ in 0..20 {
        made.push(id(&api.subscribe(json!({})).await));
    }
    let is_over = AtomicBool::new(false);
    let writer = async |place: usize| {
        let mut written = 0;
        while !is_over.load(Ordering::Relaxed) {
            api.subscribe(json!({ "event_types": ["z"] })).await;
            let path = format!("/subscriptions/{}", made[(written + place) % made.len()]);
            let change = json!({ "event_types": [format!("t.{written}"), "a"], "description": format!("{written}") });
            assert_eq!(api.ask("PATCH", &path).json(&change).send().await.status, 200);
            written += 1;
        }
    };
    let publisher = async {
        for _ in 0..60 {
            // Whatever else they want, all want this one throughout.
            assert_eq!(publish(&api, "a").await["matched"], 20);
        }
        is_over.store(true, Ordering::Relaxed);
    };
    tokio::join!(writer(0), writer(5), writer(10), writer(15), publisher);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_nothing_writes_nothing() {
    let api = TestApi::start().await;
    let made = api
        .subscribe(json!({
            "event_types": ["a", "b.*"], "description": "orders", "external_id": "orders-eu", "metadata": { "k": "v" },
            "headers": { "x-team": "red" }, "auth": { "type": "bearer", "token": "t" }, "retry_schedule": "10s,20s",
        }))
        .await;
    let path = format!("/subscriptions/{}", id(&made));
    let client = api.database.client().await;
    let row = async || {
        let row = "select xmin::text, version, updated_at::text from subscriptions";
        let row = client.query_one(row, &[]).await.unwrap();
        (row.get::<_, String>(0), row.get::<_, i64>(1), row.get::<_, String>(2))
    };
    let before = row().await;
    for fields in [
        json!({}),
        json!({ "description": "orders", "is_active": true, "event_types": ["a", "b.*"], "retry_schedule": "10s,20s" }),
        json!({ "metadata": { "k": "v" }, "external_id": "orders-eu" }),
        json!({ "headers": { "X-Team": "red" }, "auth": { "type": "bearer", "token": "t" } }),
    ] {
        let patched = api.ask("PATCH", &path).json(&fields).send().await;
        assert_eq!((patched.status.as_u16(), &patched.json()["updated_at"]), (200, &made["updated_at"]), "{fields}");
        assert_eq!(row().await, before, "{fields}");
    }
    for fields in [
        json!({ "headers": { "X-Team": "blue" } }),
        json!({ "secret_key": "a secret that ends all others" }),
        json!({ "description": null }),
    ] {
        let before = row().await;
        assert_eq!(api.ask("PATCH", &path).json(&fields).send().await.status, 200);
        assert!(row().await.1 > before.1, "{fields}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_to_all_is_sent_where_each_subscription_wants_it_now() {
    let (database, old, new) = (Database::new().await, Receiver::new().await, Receiver::new().await);
    let replica = Start::new("serve", database.url()).ready().await;
    let http = replica.http();
    let body = json!({ "target_url": old.url(), "event_types": ["a"] }).to_string();
    let made = http.post("/subscriptions/", &body).await.json();
    let publish = async || {
        let headers = [("x-event-type", "a")];
        let answer = http.send(Method::POST, "/events", &headers, Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.json()["matched"]), (202, &json!(1)));
    };
    publish().await;
    old.arrived(1).await;
    let client = database.client().await;
    let moved = "update subscriptions set target_url = $2, version = version + 1 where id = $1::text::uuid";
    client.execute(moved, &[&id(&made), &new.url()]).await.unwrap();
    publish().await;
    new.arrived(1).await;
    publish().await;
    new.arrived(2).await;
    assert_eq!(old.requests().len(), 1);
}
