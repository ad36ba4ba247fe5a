//! Replays, retries and cancelling over the API: who may ask for what, and what is answered.

use postrider::domain::api_key::Scope;
use serde_json::{Value, json};

use crate::support::api::TestApi;

const MISSING: &str = "0199c5f0-0000-7000-8000-000000000001";

/// An API with a subscription, and an event of it whose delivery has failed.
async fn failed() -> (TestApi, String, String) {
    let api = TestApi::start().await;
    let made = api.subscribe(json!({ "external_id": "shop" })).await;
    let accepted = api.ask("POST", "/events").body("{}").send().await;
    let (subscription, event) = (made["id"].as_str().unwrap(), accepted.json()["webhook_id"].clone());
    let fails = "
        with ended as (delete from deliveries returning tenant_id, event_id, subscription_id)
        insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
        select tenant_id, event_id, subscription_id, 'failed', 'exhausted', 6 from ended";
    assert_eq!(api.database.client().await.execute(fails, &[]).await.unwrap(), 1);
    let subscription = subscription.to_owned();
    (api, subscription, event.as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_begun_read_listed_and_cancelled() {
    let (api, subscription, _) = failed().await;
    let asked = json!({ "subscription_id": "shop", "statuses": ["failed", "missed"], "since": "2026-01-01T00:00:00Z", "rate": 7 });
    let begun = api.ask("POST", "/replays").json(&asked).send().await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let replay = begun.json();
    assert_eq!(
        (&replay["subscription_id"], &replay["status"], &replay["rate"], &replay["replayed"]),
        (&json!(subscription), &json!("running"), &json!(7), &json!(0))
    );
    assert_eq!(
        (&replay["statuses"], &replay["since"]),
        (&json!(["failed", "missed"]), &json!("2026-01-01T00:00:00.000000Z"))
    );
    let path = format!("/replays/{}", replay["id"].as_str().unwrap());
    assert_eq!(api.ask("GET", &path).send().await.json(), replay);
    let other = api.ask("POST", "/replays").json(&json!({ "subscription_id": subscription })).send().await.json();
    assert_eq!((&other["statuses"], &other["since"]), (&json!(["failed", "expired", "skipped"]), &Value::Null));

    let first = api.ask("GET", "/replays?limit=1").send().await.json();
    assert_eq!(first["data"], json!([other]));
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = api.ask("GET", &format!("/replays?limit=1&cursor={cursor}")).send().await.json();
    assert_eq!((&second["data"], &second["next_cursor"]), (&json!([replay]), &Value::Null));
    assert_eq!(api.ask("GET", &format!("/replays?subscription_id={MISSING}")).send().await.json()["data"], json!([]));

    for _ in 0..2 {
        let cancelled = api.ask("POST", &format!("{path}/cancel")).send().await;
        assert_eq!((cancelled.status.as_u16(), &cancelled.json()["status"]), (200, &json!("cancelled")));
        assert!(cancelled.json()["ended_at"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_cannot_be_is_refused_with_the_rule_it_breaks() {
    let (api, _, _) = failed().await;
    let refused = async |body: Value| {
        let answer = api.ask("POST", "/replays").json(&body).send().await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "validation_failed"), "{answer:?}");
        answer.json()["errors"][0]["pointer"].as_str().unwrap().to_owned()
    };
    assert_eq!(refused(json!({})).await, "/subscription_id");
    for (field, value) in [
        ("subscription_id", json!("a b")),
        ("statuses", json!([])),
        ("event_types", json!("a.b")),
        ("since", json!("yesterday")),
        ("since", json!("2999-01-01T00:00:00Z")),
        ("until", json!(7)),
        ("rate", json!(0)),
        ("rate", json!(10_001)),
        ("speed", json!(1)),
    ] {
        let mut body = json!({ "subscription_id": "shop" });
        body[field] = value;
        assert_eq!(refused(body).await, format!("/{field}"));
    }
    assert_eq!(refused(json!({ "subscription_id": "shop", "statuses": ["failed", "pending"] })).await, "/statuses/1");
    let backwards =
        json!({ "subscription_id": "shop", "since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z" });
    assert_eq!(refused(backwards).await, "/since");
    let unknown = api.ask("POST", "/replays").json(&json!({ "subscription_id": "nobody" })).send().await;
    assert_eq!((unknown.status.as_u16(), unknown.code().as_str()), (404, "subscription_not_found"));
    for _ in 0..10 {
        let begun = api.ask("POST", "/replays").json(&json!({ "subscription_id": "shop" })).send().await;
        assert_eq!(begun.status, 202);
    }
    let eleventh = api.ask("POST", "/replays").json(&json!({ "subscription_id": "shop" })).send().await;
    assert_eq!((eleventh.status.as_u16(), eleventh.code().as_str()), (409, "too_many_replays"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_retried_and_cancelled_with_every_key_that_may_publish_it() {
    let (api, subscription, event) = failed().await;
    let key = api.key("acme", Scope::Publish).await;
    let ask = async |what: &str| {
        let asked = api.stranger("POST", &format!("/events/{event}/{what}"));
        asked.header("authorization", &format!("Bearer {key}")).send().await
    };
    let retried = ask("retry").await;
    assert_eq!((retried.status.as_u16(), &retried.json()["retried"]), (200, &json!(1)), "{retried:?}");
    let status = api.ask("GET", &format!("/status/{event}")).send().await.json();
    assert_eq!((&status["status"], &status["attempts"]), (&json!("pending"), &json!(6)));
    let cancelled = ask(&format!("cancel?subscription_id={subscription}")).await;
    assert_eq!((&cancelled.json()["cancelled"], &cancelled.json()["sending"]), (&json!(1), &json!(0)));
    let read = api.ask("GET", &format!("/events/{event}")).send().await.json();
    assert_eq!(
        (&read["deliveries"][0]["status"], &read["deliveries"][0]["reason"]),
        (&json!("cancelled"), &json!("requested"))
    );
    // What somebody cancelled is made again only by name.
    assert_eq!(ask("retry").await.json()["retried"], 0);
    assert_eq!(ask(&format!("retry?subscription_id={subscription}")).await.json()["retried"], 1);
    for what in ["retry", "cancel"] {
        let missing = ask(&format!("{what}?subscription_id={MISSING}")).await;
        assert_eq!((missing.status.as_u16(), missing.code().as_str()), (404, "delivery_not_found"), "{what}");
        let missing = api.ask("POST", &format!("/events/{MISSING}/{what}")).send().await;
        assert_eq!((missing.status.as_u16(), missing.code().as_str()), (404, "webhook_not_found"), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_counted_and_can_be_cancelled_before_a_subscription_is_enabled() {
    let api = TestApi::start().await;
    let made = api.subscribe(json!({ "external_id": "shop", "is_active": false })).await;
    assert_eq!(made["health"]["held"], 0);
    let first = api.ask("POST", "/events").body("{}").send().await.json();
    assert_eq!(first["matched"], 1);
    let read = api.ask("GET", "/subscriptions/shop").send().await.json();
    assert_eq!((&read["health"]["held"], &read["health"]["state"]), (&json!(1), &json!("healthy")));
    let cancelled = api.ask("POST", "/subscriptions/shop/cancel-held").send().await;
    assert_eq!(cancelled.json(), json!({ "subscription_id": made["id"], "cancelled": 1, "more": false }));
    let status = api.ask("GET", &format!("/status/{}", first["webhook_id"].as_str().unwrap())).send().await.json();
    assert_eq!((&status["deliveries"][0]["status"], &status["status"]), (&json!("cancelled"), &json!("failed")));

    // Nothing waits, so it begins at full speed; with something, slowly.
    let enable = json!({ "is_active": true });
    let enabled = api.ask("PATCH", "/subscriptions/shop").json(&enable).send().await.json();
    assert_eq!((&enabled["health"]["state"], &enabled["health"]["held"]), (&json!("healthy"), &json!(0)));
    api.ask("PATCH", "/subscriptions/shop").json(&json!({ "is_active": false })).send().await;
    api.ask("POST", "/events").body("{}").send().await;
    let enabled = api.ask("PATCH", "/subscriptions/shop").json(&enable).send().await.json();
    assert_eq!((&enabled["health"]["state"], &enabled["health"]["held"]), (&json!("recovering"), &json!(1)));
    let missing = api.ask("POST", "/subscriptions/nobody/cancel-held").send().await;
    assert_eq!((missing.status.as_u16(), missing.code().as_str()), (404, "subscription_not_found"));
}
