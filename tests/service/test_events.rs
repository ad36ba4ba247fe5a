//! A test event is one real request, whose attempt is answered and logged, and which counts nowhere.

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::Method;
use postrider::domain::secret::Secret;
use postrider::domain::signature::{sign_hub, sign_v1};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::database::Database;
use crate::support::http::Http;
use crate::support::process::{Postrider, Start};
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::until;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// An `api` replica, which has no worker, and a receiver.
struct Scene {
    database: Database,
    receiver: Receiver,
    api: Postrider,
    http: Http,
}

impl Scene {
    async fn new() -> Self {
        let (database, receiver) = (Database::new().await, Receiver::new().await);
        let api = Start::new("api", database.url()).ready().await;
        let http = api.http();
        Self { database, receiver, api, http }
    }

    /// A subscription with these fields besides target and secret; its path.
    async fn subscribed(&self, fields: Value) -> String {
        let mut form = json!({ "target_url": self.receiver.url(), "secret_key": SECRET });
        form.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let made = self.http.post("/subscriptions/", &form.to_string()).await;
        assert_eq!(made.status, 201, "{}", made.text());
        format!("/subscriptions/{}", made.json()["id"].as_str().unwrap())
    }

    async fn count(&self, select: &str) -> i64 {
        let client = self.database.client().await;
        client.query_one(&format!("select count(*) from {select}"), &[]).await.unwrap().get(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_subscription_is_tested_by_a_replica_without_a_worker_and_nothing_else_knows_of_it() {
    let scene = Scene::new().await;
    let path = scene.subscribed(json!({ "event_types": ["order.*"], "is_active": false })).await;
    scene.receiver.script([Reply::With(200, "x-cost", "7".to_owned())]);
    let answer = scene.http.post(&format!("{path}/test"), "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let tested = answer.json();

    let arrived = &scene.receiver.arrived(1).await[0];
    assert_eq!((arrived.header("x-webhook-attempt"), arrived.header("x-event-type")), ("1", "order.test"));
    let (id, secret) = (arrived.header("webhook-id"), Secret::parse(SECRET).unwrap());
    let signed_at = arrived.header("webhook-timestamp").parse().unwrap();
    assert_eq!(arrived.header("webhook-signature"), sign_v1(&secret, id, signed_at, &arrived.body));
    assert_eq!(arrived.header("x-hub-signature-256"), sign_hub(&secret, &arrived.body));
    let payload: Value = serde_json::from_slice(&arrived.body).unwrap();
    assert_eq!((&payload["type"], &payload["data"]), (&json!("order.test"), &json!({ "test": true })));

    assert_eq!(
        (&tested["trigger"], &tested["is_success"], &tested["worker"]),
        (&json!("test"), &json!(true), &Value::Null)
    );
    assert_eq!((&tested["webhook_id"], &tested["event_type"]), (&json!(id), &json!("order.test")));
    assert_eq!(tested["request"]["headers"]["webhook-signature"], "v1,********");
    assert_eq!(tested["response"]["headers"]["x-cost"], "7");
    assert!(tested["timing"]["connect_ms"].is_number() && tested["timing"]["total_ms"].is_number(), "{tested}");
    let read = scene.http.get(&format!("/attempts/{}", tested["id"].as_str().unwrap())).await.json();
    assert_eq!(read, tested);
    let log = scene.http.get(&path.replace("/subscriptions", "/status/logs")).await.json();
    assert_eq!((&log["data"][0]["id"], &log["data"][0]["trigger"]), (&tested["id"], &json!("test")));

    assert_eq!(scene.http.get(&format!("/status/{id}")).await.status, 404);
    for nothing in [
        "events",
        "deliveries",
        "undelivered",
        "all_deliveries",
        "subscription_health",
        "audit where action like 'event%'",
    ] {
        assert_eq!(scene.count(nothing).await, 0, "{nothing}");
    }
    assert_eq!(scene.count("delivery_logs").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_is_an_answer_and_changes_no_health() {
    let scene = Scene::new().await;
    let path = scene.subscribed(json!({})).await;
    scene.receiver.script([Reply::Status(500), Reply::Status(410)]);
    for (status, outcome) in [(500, "http_5xx"), (410, "http_4xx"), (200, "delivered")] {
        let tested = scene.http.post(&format!("{path}/test"), "{}").await;
        assert_eq!(tested.status, 200, "{}", tested.text());
        let tested = tested.json();
        assert_eq!((&tested["status_code"], &tested["outcome"]), (&json!(status), &json!(outcome)));
        assert_eq!((&tested["attempt_number"], &tested["response"]["body"]), (&json!(1), &json!("seen")));
    }
    let refused = scene.database.client().await;
    refused.execute("update subscriptions set target_url = 'http://127.0.0.1:1/'", &[]).await.unwrap();
    let tested = scene.http.post(&format!("{path}/test"), "{}").await.json();
    assert_eq!((&tested["outcome"], &tested["response"]["headers"]), (&json!("connect_refused"), &Value::Null));
    let subscription = scene.http.get(&path).await.json();
    assert_eq!((&subscription["is_active"], &subscription["health"]["state"]), (&json!(true), &json!("healthy")));
    assert_eq!((scene.count("subscription_health").await, scene.count("attempts").await), (0, 4));
    assert_eq!(scene.receiver.count(), 3, "nothing is tried again");
    // The ready queries do not count them.
    let failures = include_str!("../../sql/analytics/failures.sql");
    assert!(refused.query(failures, &[]).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_payload_goes_out_byte_for_byte_and_what_breaks_a_rule_is_refused_unsent() {
    let scene = Scene::new().await;
    let path = format!("{}/test", scene.subscribed(json!({ "event_types": ["order.created"] })).await);
    let tested = scene.http.post(&path, r#"{"event_type": "invoice.paid", "payload": { "a":1.0,  "a":2 }}"#).await;
    assert_eq!(tested.json()["event_type"], "invoice.paid", "{}", tested.text());
    let arrived = &scene.receiver.arrived(1).await[0];
    assert_eq!((&arrived.body[..], arrived.header("x-event-type")), (&br#"{ "a":1.0,  "a":2 }"#[..], "invoice.paid"));
    let large = format!(r#"{{"payload": ["{}"]}}"#, "y".repeat(1_048_576));
    for (body, status, code) in [
        (r#"{"payload": 7}"#, 422, "payload_invalid"),
        (r#"{"event_type": "a..b"}"#, 422, "validation_failed"),
        (r#"{"colour": 1}"#, 422, "validation_failed"),
        ("[", 400, "malformed_json"),
        (&large, 413, "body_too_large"),
    ] {
        let refused = scene.http.post(&path, body).await;
        let met = (refused.status.as_u16(), refused.json()["code"].as_str().unwrap().to_owned());
        assert_eq!(met, (status, code.to_owned()), "{}", &body[..body.len().min(40)]);
    }
    let unknown = scene.http.post("/subscriptions/0199c5f0-0000-7000-8000-00000000dead/test", "{}").await;
    assert_eq!((unknown.status.as_u16(), unknown.json()["code"].as_str()), (404, Some("subscription_not_found")));
    assert_eq!(scene.receiver.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn four_tests_of_a_tenant_wait_for_a_slow_receiver_and_its_other_requests_are_answered() {
    let scene = Scene::new().await;
    let path = scene.subscribed(json!({})).await;
    let test_path = format!("{path}/test");
    scene.receiver.hold();
    let test = || scene.http.post(&test_path, "{}");
    let waiting = join_all((0..4).map(|_| test()));
    let meanwhile = async {
        scene.receiver.arrived(4).await;
        let fifth = test().await;
        assert_eq!((fifth.status.as_u16(), fifth.json()["code"].as_str()), (429, Some("too_many_tests")));
        assert_eq!(fifth.headers["retry-after"], "1");
        for _ in 0..20 {
            assert_eq!(scene.http.get(&path).await.status, 200);
        }
        scene.receiver.let_go();
    };
    let (tested, ()) = tokio::join!(waiting, meanwhile);
    assert!(tested.iter().all(|tested| tested.status == 200), "{tested:?}");
    assert_eq!(test().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_whose_client_leaves_is_in_the_log_all_the_same() {
    let scene = Scene::new().await;
    let path = scene.subscribed(json!({})).await;
    scene.receiver.hold();
    let mut leaving = TcpStream::connect(scene.api.address()).await.unwrap();
    let request = format!("POST {path}/test HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
    leaving.write_all(request.as_bytes()).await.unwrap();
    scene.receiver.arrived(1).await;
    drop(leaving);
    scene.receiver.let_go();
    let delivered = "attempts where trigger = 'test' and outcome = 'delivered'";
    until("the attempt is in the log", async || (scene.count(delivered).await == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_a_test_whose_client_has_left() {
    let scene = Scene::new().await;
    let path = scene.subscribed(json!({})).await;
    scene.receiver.hold();
    let mut leaving = TcpStream::connect(scene.api.address()).await.unwrap();
    let request = format!("POST {path}/test HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
    leaving.write_all(request.as_bytes()).await.unwrap();
    scene.receiver.arrived(1).await;
    drop(leaving);
    scene.api.terminate();
    let Scene { database, api, .. } = scene;
    assert!(api.ended().await.success());
    let select = "select count(*) from attempts where trigger = 'test' and outcome = 'unknown'";
    let logged: i64 = database.client().await.query_one(select, &[]).await.unwrap().get(0);
    assert_eq!(logged, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_is_cut_off_by_a_stop_is_answered_and_logged_as_unknown() {
    let scene = Scene::new().await;
    let path = format!("{}/test", scene.subscribed(json!({})).await);
    scene.receiver.hold();
    let testing = scene.http.post(&path, "{}");
    let stopping = async {
        scene.receiver.arrived(1).await;
        scene.api.terminate();
    };
    let (tested, ()) = tokio::join!(testing, stopping);
    assert_eq!((tested.status.as_u16(), &tested.json()["outcome"]), (200, &json!("unknown")));
    assert_eq!(scene.count("attempts where trigger = 'test' and outcome = 'unknown'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_machine_lacks_is_no_attempt() {
    let scene = Scene::new().await;
    let path = scene.subscribed(json!({})).await;
    // On the connection that is open already.
    let limit = scene.api.take_descriptors();
    let tested = scene.http.send(Method::POST, &format!("{path}/test"), &[], Bytes::new()).await.unwrap();
    scene.api.give_descriptors(limit);
    assert_eq!((tested.status.as_u16(), tested.json()["code"].as_str()), (503, Some("unavailable")));
    assert_eq!((scene.count("attempts").await, scene.receiver.count()), (0, 0));
    let faults = scene.api.ops().get("/metrics").await.text();
    assert!(faults.contains("postrider_local_faults_total{fault=\"descriptors\"} 1\n"), "{faults}");
}
