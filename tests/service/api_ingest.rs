//! Ingest refuses in the documented order, and never on an old copy.

use crate::support::api::TestApi;
use postrider::domain::secret::Secret;
use postrider::domain::signature::{sign_hub, sign_v1};
use serde_json::json;
use time::OffsetDateTime;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const MISSING: &str = "0199c5f0-0000-7000-8000-000000000001";

async fn path(api: &TestApi, fields: serde_json::Value) -> String {
    format!("/ingest/{}", api.subscribe(fields).await["id"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_learns_nothing() {
    let api = TestApi::start().await;
    let plain = path(&api, json!({})).await;
    let signed = path(&api, json!({ "secret_key": SECRET })).await;
    let wrong = sign_hub(&Secret::parse("another secret").unwrap(), b"{}");
    let large = "x".repeat(2_000_000);
    for path in [plain.as_str(), &signed, &format!("/ingest/{MISSING}")] {
        assert_eq!(api.stranger("POST", path).body("{}").send().await.status, 401, "{path}");
        let with = api.stranger("POST", path).header("x-hub-signature-256", &wrong);
        assert_eq!(with.body("{}").send().await.code(), "unauthenticated", "{path}");
        let with = api.stranger("POST", path).header("x-hub-signature-256", &wrong);
        assert_eq!(with.body(large.clone()).send().await.status, 401, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_signature_alone_opens_a_verifying_subscription() {
    let api = TestApi::start().await;
    let path = path(&api, json!({ "secret_key": SECRET })).await;
    let secret = Secret::parse(SECRET).unwrap();
    let hub = api.stranger("POST", &path).header("x-hub-signature-256", &sign_hub(&secret, b"{ }"));
    assert_eq!(hub.body("{ }").send().await.status, 202);
    let now = OffsetDateTime::now_utc().unix_timestamp();
    for (at, expected) in [(now, 202), (now - 301, 401), (now + 310, 401)] {
        let ask = api.stranger("POST", &path).header("webhook-id", "m1").header("webhook-timestamp", &at.to_string());
        let ask = ask.header("webhook-signature", &sign_v1(&secret, "m1", at, b"{}"));
        assert_eq!(ask.body("{}").send().await.status, expected, "{at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_come_in_their_order() {
    let api = TestApi::start().await;
    let signed = path(&api, json!({ "secret_key": SECRET, "event_types": ["order.created"] })).await;
    let off = path(&api, json!({ "secret_key": SECRET, "is_active": false })).await;
    let right = sign_hub(&Secret::parse(SECRET).unwrap(), b"[1");
    let ask = |path: &str| api.ask("POST", path).bytes("[1");
    assert_eq!(ask(&format!("/ingest/{MISSING}")).send().await.code(), "subscription_not_found");
    assert_eq!(ask(&off).send().await.code(), "subscription_disabled");
    assert_eq!(ask(&signed).send().await.code(), "signature_missing");
    let wrong = ask(&signed).header("x-hub-signature-256", "sha256=00").send().await;
    assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (401, "signature_invalid"));
    let ask = || ask(&signed).header("x-hub-signature-256", &right);
    assert_eq!(ask().send().await.code(), "unsupported_media_type");
    assert_eq!(ask().header("content-type", "application/json").send().await.code(), "malformed_json");
    let right = sign_hub(&Secret::parse(SECRET).unwrap(), b"{}");
    let ask = || api.ask("POST", &signed).body("{}").header("x-hub-signature-256", &right);
    assert_eq!(ask().send().await.code(), "event_type_missing");
    assert_eq!(ask().header("x-event-type", "Order.Created").send().await.code(), "event_type_not_wanted");
    assert_eq!(ask().header("x-event-type", "a..b").send().await.code(), "validation_failed");
    assert_eq!(ask().header("x-event-type", "order.created").send().await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_payload_are_refused() {
    let api = TestApi::start().await;
    let path = path(&api, json!({})).await;
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("null", 422),
        ("1", 422),
        (&"[".repeat(2_000), 400),
        (&format!("{}{}", "[".repeat(129), "]".repeat(129)), 422),
        (&format!("\"{}\"", "x".repeat(1_048_576)), 413),
    ] {
        let answer = api.ask("POST", &path).body(body.to_owned()).send().await;
        assert_eq!(answer.status, status, "{}", &body[..body.len().min(40)]);
    }
    for (name, value) in [("content-encoding", "gzip"), ("content-type", "text/plain")] {
        assert_eq!(api.ask("POST", &path).body("{}").header(name, value).send().await.status, 415);
    }
    let long = "k".repeat(256);
    assert_eq!(api.ask("POST", &path).body("{}").header("idempotency-key", &long).send().await.status, 422);
    let twice = api.ask("POST", &path).body("{}").header("x-event-type", "a").header("x-event-type", "b");
    let twice = twice.send().await;
    assert_eq!((twice.status.as_u16(), twice.code().as_str()), (400, "malformed_request"));
    assert_eq!(twice.json()["detail"], "X-Event-Type must stand only once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_on_another_replica_is_seen_before_a_refusal() {
    let api = TestApi::start().await;
    let path = path(&api, json!({ "event_types": ["a"] })).await;
    let ask = || api.ask("POST", &path).body("{}").header("x-event-type", "b");
    assert_eq!(ask().send().await.code(), "event_type_not_wanted");
    let client = api.database.client().await;
    client.execute("update subscriptions set event_types = '{b}', version = version + 1", &[]).await.unwrap();
    assert_eq!(ask().send().await.status, 202);
    client.execute("update subscriptions set deleted_at = now(), version = version + 1", &[]).await.unwrap();
    let refused = api.ask("POST", &path).body("{}").header("x-event-type", "c").send().await;
    assert_eq!(refused.code(), "subscription_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vanished_database_is_a_503_that_says_when_to_come_back() {
    let api = TestApi::start().await;
    let path = path(&api, json!({})).await;
    assert_eq!(api.ask("POST", &path).body("{}").send().await.status, 202);
    api.database.vanish().await;
    let answer = api.ask("POST", &path).body("{}").send().await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["retry-after"], "1");
}
