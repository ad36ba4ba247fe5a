//! Each subscription is served as its owner wants it: tried again on a schedule of its own,
//! with a time limit of its own, from the next attempt after an edit.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

use crate::support::api::TestApi;
use crate::support::database::Database;
use crate::support::http::Http;
use crate::support::process::Start;
use crate::support::receiver::{Receiver, Reply};
use crate::support::rig::Rig;
use crate::support::wait::until;

/// Seconds until the only delivery is due, or its lease ends.
const DUE_IN: &str = "select extract(epoch from next_attempt_at - now())::float8 from deliveries";
const DUE_NOW: &str =
    "update deliveries set next_attempt_at = now() where next_attempt_at < 'infinity' and lease is null";
const LEASES_LAPSED: &str =
    "update deliveries set next_attempt_at = now() - interval '6 seconds' where lease is not null";

/// Changes a subscription over the API.
async fn change(http: &Http, subscription: &str, fields: Value) -> Value {
    let path = format!("/subscriptions/{subscription}");
    let answer = http.send(Method::PATCH, &path, &[], fields.to_string().into()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn due_in(rig: &Rig) -> f64 {
    rig.client.query_one(DUE_IN, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_of_its_own_decides_when_and_how_often_from_the_next_attempt_on() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::Status(500), Reply::Status(500), Reply::Status(500)]);
    rig.accept(&subscription, b"{}").await;
    rig.settle().await;
    assert!((8.0..=10.0).contains(&due_in(&rig).await), "the instance's");

    rig.sql("update subscriptions set retry_schedule = '10s,1h'").await;
    rig.sql(DUE_NOW).await;
    rig.settle().await;
    assert!((3_590.0..=3_600.0).contains(&due_in(&rig).await), "its own");

    rig.sql("update subscriptions set retry_schedule = 'none'").await;
    rig.sql(DUE_NOW).await;
    rig.settle().await;
    let ended = rig.client.query_one("select reason, attempts from undelivered", &[]).await.unwrap();
    assert_eq!((ended.get(0), ended.get(1)), ("exhausted", 3_i32));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_is_refused_by_now_is_read_as_it_was_meant() {
    let api = TestApi::start().await;
    let made = api.subscribe(json!({ "retry_schedule": " 10s , 20s" })).await;
    assert_eq!(made["retry_schedule"], "10s,20s");
    let path = format!("/subscriptions/{}", made["id"].as_str().unwrap());
    let refused = api.ask("PATCH", &path).json(&json!({ "retry_schedule": "10s,,20s" })).send().await;
    let error = &refused.json()["errors"][0];
    assert_eq!((refused.status.as_u16(), &error["pointer"]), (422, &json!("/retry_schedule")));
    assert!(error["detail"].as_str().unwrap().contains("standard, fast, day or none"), "{error}");
    let client = api.database.client().await;
    for (stored, read) in [("", "none"), ("10s,,20s", "10s,20s"), ("0s,0s", "0s,0s")] {
        let store = "update subscriptions set retry_schedule = $1, version = version + 1";
        client.execute(store, &[&stored]).await.unwrap();
        let answer = api.ask("GET", &path).send().await;
        assert_eq!((answer.status.as_u16(), &answer.json()["retry_schedule"]), (200, &json!(read)), "{stored}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_attempt_that_was_cut_off_is_the_last_of_its_own_schedule() {
    let cut_off = async |policy: &str| {
        let rig = Rig::new().await;
        let subscription = rig.subscription().await;
        rig.sql(&format!("update subscriptions set {policy}")).await;
        rig.accept(&subscription, b"{}").await;
        // A worker took its third attempt and was lost.
        rig.sql("update deliveries set lease = gen_random_uuid(), attempts = 3").await;
        rig.sql(LEASES_LAPSED).await;
        rig.settle().await;
        (rig.receiver.count(), rig.count("undelivered where reason = 'exhausted' and attempts = 3").await)
    };
    let none_of_its_own = cut_off("description = 'follows the instance'").await;
    assert_eq!(none_of_its_own, (0, 1), "the instance allows three attempts");
    assert_eq!(cut_off("retry_schedule = '1s,1s,1s'").await, (1, 0), "its own allows a fourth");
    assert_eq!(cut_off("retry_schedule = '1s'").await, (0, 1), "its own had ended before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_time_limit_lengthens_the_lease_of_its_deliveries_alone() {
    let rig = Rig::new().await;
    let (patient, other) = (rig.subscription().await, rig.subscription().await);
    let patience = format!("update subscriptions set request_timeout_ms = 60000 where id = '{}'", patient.id);
    rig.sql(&patience).await;
    for subscription in [&patient, &other] {
        rig.accept(subscription, b"{}").await;
    }
    rig.receiver.hold();
    let working = rig.working();
    rig.receiver.arrived(2).await;
    let lease = async |subscription: &str| -> f64 {
        let of_one = format!("{DUE_IN} where subscription_id = '{subscription}'");
        rig.client.query_one(&of_one, &[]).await.unwrap().get(0)
    };
    let (long, short) = (lease(&patient.id.to_string()).await, lease(&other.id.to_string()).await);
    assert!((40.0..=75.0).contains(&long) && short <= 20.0, "{long} {short}");
    rig.receiver.let_go();
    working.stop().await;
    assert_eq!(rig.count("deliveries").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_of_its_own_holds_for_fresh_events_and_for_retries() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let settings = [("POSTRIDER_REQUEST_TIMEOUT", "30s")];
    let postrider = Start { settings: &settings, ..Start::new("serve", database.url()) }.ready().await;
    let http = postrider.http();
    let id = http.subscribe(&receiver.url()).await;
    change(&http, &id, json!({ "request_timeout_ms": 1_000, "retry_schedule": "1s" })).await;
    receiver.hold();
    assert_eq!(http.post(&format!("/ingest/{id}"), "{}").await.status, 202);
    let client = database.client().await;
    let limits = until("both attempts met their limit", async || {
        let rows = client.query("select outcome, duration_ms from attempts order by id", &[]).await.unwrap();
        Some(rows).filter(|rows| rows.len() == 2)
    })
    .await;
    for row in limits {
        let (outcome, took) = (row.get::<_, &str>(0), row.get::<_, i32>(1));
        assert_eq!(outcome, "timeout");
        assert!(Duration::from_millis(took.unsigned_abs().into()) < Duration::from_secs(25), "{took} ms");
    }
    receiver.let_go();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_born_leased_has_the_longer_lease_too() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let postrider = Start::new("serve", database.url()).ready().await;
    let http = postrider.http();
    let id = http.subscribe(&receiver.url()).await;
    change(&http, &id, json!({ "request_timeout_ms": 60_000 })).await;
    receiver.hold();
    assert_eq!(http.post(&format!("/ingest/{id}"), "{}").await.status, 202);
    receiver.arrived(1).await;
    let client = database.client().await;
    let lease: f64 = client.query_one(DUE_IN, &[]).await.unwrap().get(0);
    assert!((40.0..=75.0).contains(&lease), "{lease}");
    receiver.let_go();
    until("it is delivered", async || {
        let left: i64 = client.query_one("select count(*) from deliveries", &[]).await.unwrap().get(0);
        Some(()).filter(|()| left == 0)
    })
    .await;
}
