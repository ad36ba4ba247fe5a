//! A replay by filter: a dry run counts what it would repeat, its token makes the replay select the same, and it goes on
//! over all subscriptions of a tenant.

use postrider::domain::api_key::Scope;
use postrider::store::Store;
use serde_json::{Value, json};
use std::time::Duration;

use crate::support::stock::{Stock, data, field};

const LIFETIME: Duration = Duration::from_secs(3_600);

/// `acme` with three failed deliveries, one expired and one that succeeded; the subscriptions `shop` and `depot`.
async fn ended() -> (Stock, String, String) {
    let stock = Stock::new().await;
    let (shop, depot) = (stock.subscription("shop", true).await, stock.subscription("depot", true).await);
    for (seconds, subscription, status) in
        [(50, &shop, "failed"), (40, &depot, "failed"), (30, &shop, "failed"), (20, &depot, "expired")]
    {
        let event = stock.event("acme", "order.created", seconds).await;
        stock.ended(&event, subscription, status, if status == "failed" { "exhausted" } else { "lifetime" }).await;
    }
    let event = stock.event("acme", "order.paid", 10).await;
    stock.attempt(&event, &shop, "delivered").await;
    (stock, shop, depot)
}

impl Stock {
    async fn post(&self, body: &Value) -> (u16, Value) {
        let answer = self.api.ask("POST", "/replays").json(body).send().await;
        (answer.status.as_u16(), answer.json())
    }

    /// Steps every replay until none runs, as if a second had passed before each step.
    async fn replay(&self) -> usize {
        let (store, mut steps): (&Store, usize) = (&self.api.store, 0);
        loop {
            self.client.execute("update replays set stepped_at = '1970-01-01 00:00:00+00'", &[]).await.unwrap();
            let running = store.running_replays(10).await.unwrap();
            if running.is_empty() {
                return steps;
            }
            for replay in running {
                store.step_replay(replay, LIFETIME, 100).await.unwrap();
                steps += 1;
            }
            assert!(steps < 100, "the replay never ends");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_and_its_token_repeats_exactly_that() {
    let (stock, shop, depot) = ended().await;
    let body = json!({ "only": { "status": ["failed", "expired"], "event_type": "order.created" }, "rate": 2, "dry_run": true });
    let (status, plan) = stock.post(&body).await;
    assert_eq!((status, &plan["count"]), (200, &json!(4)), "{plan}");
    let by_subscription = json!([{ "subscription_id": shop, "count": 2 }, { "subscription_id": depot, "count": 2 }]);
    let mut found = data(&json!({ "data": plan["by_subscription"] }));
    found.sort_by_key(|row| row["subscription_id"] != json!(shop));
    assert_eq!(json!(found), by_subscription);
    assert_eq!(plan["sample"].as_array().unwrap().len(), 4);
    assert_eq!(stock.get("/replays").await["data"], json!([]), "a dry run changes nothing");

    // What fails after the dry run is not part of it.
    let later = stock.event("acme", "order.created", -2).await;
    stock.ended(&later, &shop, "failed", "exhausted").await;
    let mut with_token = body.clone();
    with_token["token"] = plan["token"].clone();
    with_token["dry_run"] = json!(false);
    let (status, replay) = stock.post(&with_token).await;
    assert_eq!((status, &replay["total"], &replay["replayed"]), (202, &json!(4), &json!(0)), "{replay}");
    assert_eq!((&replay["subscription_id"], &replay["to"]), (&Value::Null, &json!("original")));
    assert_eq!(replay["only"]["status"], json!(["expired", "failed"]));
    let steps = stock.replay().await;
    assert!(steps >= 2, "two of four a second took {steps} steps");
    let done = stock.get(&format!("/replays/{}", replay["id"].as_str().unwrap())).await;
    assert_eq!((&done["status"], &done["replayed"], &done["total"]), (&json!("finished"), &json!(4), &json!(4)));
    assert_eq!(data(&stock.get("/deliveries?status=pending").await).len(), 4);
    assert_eq!(field(&data(&stock.get("/deliveries?status=failed").await), "webhook_id"), [later]);
    let listed = stock.get(&format!("/replays?subscription_id={shop}")).await;
    assert_eq!(listed["data"], json!([]), "its filter named no subscription");
    let audited = stock.get("/audit?action=replay.created").await;
    assert_eq!(audited["data"][0]["after"]["only"]["event_type"], json!(["order.created"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_ends_at_the_microsecond_at_which_the_list_does() {
    let (stock, ..) = ended().await;
    // The replica, whose clock is in the ids, was ahead of the database.
    let inside = "update events
                  set accepted_at = date_trunc('milliseconds', accepted_at) - interval '299.5 milliseconds'";
    stock.client.execute(inside, &[]).await.unwrap();
    let newest = field(&data(&stock.get("/deliveries?status=failed").await), "accepted_at").remove(0);
    for (until, count) in [(newest.replace("500Z", "501Z"), 3), (newest, 2)] {
        let listed = data(&stock.get(&format!("/deliveries?status=failed&until={until}")).await);
        let (_, plan) = stock.post(&json!({ "only": { "status": "failed", "until": until }, "dry_run": true })).await;
        assert_eq!((listed.len(), &plan["count"]), (count, &json!(count)), "{until}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_says_until_when_it_selects_also_in_the_audit() {
    let (stock, ..) = ended().await;
    let earlier = "2026-01-01T18:00:00.000000Z";
    for (until, is_exact) in [(earlier, true), ("2999-01-01T00:00:00.000000Z", false)] {
        let (status, replay) = stock.post(&json!({ "only": { "status": "failed", "until": until } })).await;
        let said = replay["until"].as_str().unwrap();
        assert_eq!((status, said == until, said <= until), (202, is_exact, true), "{replay}");
        let audited = stock.get(&format!("/audit?object_id={}", replay["id"].as_str().unwrap())).await;
        // The audit has milliseconds.
        assert_eq!(audited["data"][0]["after"]["until"].as_str().unwrap()[..23], said[..23], "{audited}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_to_matching_subscriptions_sends_to_those_that_want_the_events_now() {
    let (stock, shop, depot) = ended().await;
    for (path, types) in [(&shop, "other.*"), (&depot, "order.*")] {
        let change = json!({ "event_types": [types] });
        let changed = stock.api.ask("PATCH", &format!("/subscriptions/{path}")).json(&change).send().await;
        assert_eq!(changed.status, 200);
    }
    let fresh = stock.subscription("fresh", true).await;
    let filtered = async |payload_type: &str| {
        let made = stock.api.subscribe(json!({ "filter": { "type": payload_type } })).await;
        made["id"].as_str().unwrap().to_owned()
    };
    let (keen, picky) = (filtered("order.created").await, filtered("order.paid").await);
    let body = json!({ "only": { "status": "failed" }, "to": "matching", "dry_run": true });
    let (status, plan) = stock.post(&body).await;
    // Three events, each to depot, fresh and keen.
    assert_eq!((status, &plan["count"]), (200, &json!(9)), "{plan}");
    let (status, replay) = stock.post(&json!({ "only": { "status": "failed" }, "to": "matching", "rate": 1 })).await;
    assert_eq!((status, &replay["total"]), (202, &json!(9)));
    stock.replay().await;
    let pending = data(&stock.get("/deliveries?status=pending").await);
    let of = |id: &str| pending.iter().filter(|row| row["subscription_id"] == json!(id)).count();
    assert_eq!((of(&shop), of(&depot), of(&fresh), of(&keen), of(&picky)), (0, 3, 3, 3, 0));
    let done = stock.get(&format!("/replays/{}", replay["id"].as_str().unwrap())).await;
    assert_eq!((&done["status"], &done["replayed"], &done["to"]), (&json!("finished"), &json!(9), &json!("matching")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_subscription_gets_what_was_published_before_it() {
    let (stock, ..) = ended().await;
    let unwanted = stock.event("acme", "order.created", 60).await;
    stock.event("default", "order.created", 60).await;
    stock.event("acme", "user.created", 60).await;
    let (fresh, other) = (stock.subscription("fresh", true).await, stock.subscription("other", true).await);
    let only = json!({ "event_type": "order.created", "subscription_id": "fresh" });
    let (status, plan) = stock.post(&json!({ "only": only, "to": "matching", "dry_run": true })).await;
    let expected = json!([{ "subscription_id": fresh, "count": 5 }]);
    assert_eq!((status, &plan["by_subscription"]), (200, &expected), "{plan}");
    let (status, replay) =
        stock.post(&json!({ "only": only, "to": "matching", "token": plan["token"], "rate": 2 })).await;
    assert_eq!((status, &replay["total"]), (202, &json!(5)), "{replay}");
    stock.replay().await;
    let pending = data(&stock.get("/deliveries?status=pending").await);
    let of = |id: &str| pending.iter().filter(|row| row["subscription_id"] == json!(id)).count();
    assert_eq!((of(&fresh), of(&other)), (5, 0));
    assert!(pending.iter().any(|row| row["webhook_id"] == json!(unwanted)), "nobody had got it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_filter_selects_is_retried_or_cancelled_after_a_look() {
    let (stock, shop, _) = ended().await;
    let post = async |path: &str, body: Value| {
        let answer = stock.api.ask("POST", path).json(&body).send().await;
        (answer.status.as_u16(), answer.json())
    };
    let only = json!({ "status": "failed", "subscription_id": "shop" });
    let (status, plan) = post("/deliveries/retry", json!({ "only": only, "dry_run": true })).await;
    assert_eq!((status, &plan["count"]), (200, &json!(2)));
    let (status, retried) = post("/deliveries/retry", json!({ "only": only, "token": plan["token"] })).await;
    assert_eq!((status, &retried["retried"], &retried["more"]), (202, &json!(2), &json!(false)), "{retried}");
    stock.replay().await;
    let pending = data(&stock.get("/deliveries?status=pending").await);
    assert_eq!(field(&pending, "subscription_id"), [shop.clone(), shop.clone()]);
    let replay = stock.get(&format!("/replays/{}", retried["replay_id"].as_str().unwrap())).await;
    assert_eq!((&replay["status"], &replay["replayed"]), (&json!("finished"), &json!(2)));
    assert_eq!(stock.get("/replays?subscription_id=shop").await["data"], json!([replay]));
    assert_eq!(stock.get("/replays?subscription_id=depot").await["data"], json!([]));
    assert_eq!(stock.get("/replays?subscription_id=depot&subscription_id=shop").await["data"], json!([replay]));

    let (status, plan) = post("/deliveries/cancel", json!({ "only": {}, "dry_run": true })).await;
    assert_eq!(
        (status, &plan["count"], &plan["by_subscription"][0]["subscription_id"]),
        (200, &json!(2), &json!(shop))
    );
    let (status, cancelled) = post("/deliveries/cancel", json!({ "only": {}, "token": plan["token"] })).await;
    assert_eq!((status, cancelled), (202, json!({ "cancelled": 2, "sending": 0, "more": false })));
    assert_eq!(data(&stock.get("/deliveries?reason=requested").await).len(), 2);
    for (path, status) in [("retry", "held"), ("cancel", "failed")] {
        let (code, problem) = post(&format!("/deliveries/{path}"), json!({ "only": { "status": [status] } })).await;
        assert_eq!((code, &problem["errors"][0]["pointer"]), (422, &json!("/only/status/0")));
    }
    let (code, problem) = post("/deliveries/cancel", json!({})).await;
    assert_eq!((code, &problem["errors"][0]["pointer"]), (422, &json!("/only")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_cannot_be_is_refused_with_the_rule_it_breaks() {
    let (stock, shop, _) = ended().await;
    let only = json!({ "status": ["failed"] });
    let (_, plan) = stock.post(&json!({ "only": only, "dry_run": true })).await;
    let token = plan["token"].clone();
    let other = stock.api.key("other", Scope::Admin).await;
    let stolen = json!({ "only": only, "token": token });
    let stolen = stock.api.ask("POST", "/replays").key(&other).json(&stolen).send().await;
    assert_eq!((stolen.status.as_u16(), &stolen.json()["errors"][0]["pointer"]), (422, &json!("/token")));
    for (body, pointer) in [
        (json!({ "only": { "status": ["expired"] }, "token": token }), "/token"),
        (json!({ "only": only, "to": "matching", "token": token }), "/token"),
        (json!({ "only": only, "token": "0199c5f0-0000-7000-8000-000000000001" }), "/token"),
        (json!({ "only": only, "token": "x" }), "/token"),
        (json!({ "only": only, "subscription_id": shop }), "/subscription_id"),
        (json!({ "only": only, "since": "2026-01-01T00:00:00Z" }), "/since"),
        (json!({ "subscription_id": shop, "dry_run": true }), "/dry_run"),
        (json!({ "subscription_id": shop, "to": "matching" }), "/to"),
        (json!({ "dry_run": true }), "/dry_run"),
        (json!({ "only": { "status": ["pending"] } }), "/only/status/0"),
        (json!({ "only": { "status": "none" } }), "/only/status"),
        (json!({ "only": { "status": "pending" } }), "/only/status"),
        (json!({ "only": { "reason": [] } }), "/only/reason"),
        (json!({ "only": { "colour": "red" } }), "/only/colour"),
        (json!({ "only": only, "to": "somewhere" }), "/to"),
    ] {
        let (status, problem) = stock.post(&body).await;
        assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!(pointer)), "{body}");
    }
    let unknown = stock.post(&json!({ "only": { "subscription_id": "nobody" } })).await;
    assert_eq!((unknown.0, &unknown.1["code"]), (404, &json!("subscription_not_found")));
    let nothing = stock.post(&json!({ "only": { "subscription_id": shop, "reason": "gone" }, "dry_run": true })).await;
    assert_eq!((nothing.0, &nothing.1["count"]), (200, &json!(0)));
}
