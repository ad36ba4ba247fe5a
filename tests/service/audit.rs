//! Who did what: every change by hand leaves a row in its commit, and `GET /audit` shows it to those it concerns.

use std::time::Duration;

use postrider::domain::actor::Actor;
use postrider::domain::api_key::Scope;
use serde_json::{Value, json};

use crate::support::api::{TestApi, made_key};
use crate::support::receiver::Reply;
use crate::support::rig::Rig;

/// Rows of a page of the audit with this key.
async fn audit(api: &TestApi, key: &str, query: &str) -> Vec<Value> {
    let answer = api.stranger("GET", &format!("/audit{query}")).key(key).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["data"].as_array().unwrap().clone()
}

/// Actions and keys, oldest first.
fn told(rows: &[Value]) -> Vec<(&str, &str)> {
    rows.iter().rev().map(|row| (row["action"].as_str().unwrap(), row["key_id"].as_str().unwrap_or_default())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_subscription_is_told_with_the_key_behind_each_change() {
    let api = TestApi::start().await;
    let [one, two] =
        [made_key(&api.store, "acme", Scope::Admin).await, made_key(&api.store, "acme", Scope::Admin).await];
    let ids = [&one, &two].map(|key| key.id.to_string());
    let (first, second) = (ids[0].as_str(), ids[1].as_str());
    let fields = json!({ "target_url": "https://hooks.example.com/", "secret_key": "do not tell anybody", "auth": { "type": "bearer", "token": "hidden-token" } });
    let made = api.stranger("POST", "/subscriptions/").key(&one.text).json(&fields).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/subscriptions/{id}");
    let change = async |key: &str, fields: Value| api.stranger("PATCH", &path).key(key).json(&fields).send().await;

    let disabled = change(&two.text, json!({ "is_active": false })).await;
    let reason = disabled.json()["disabled_reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with(&format!("by key {second} at 20")), "{reason}");
    let described = change(&one.text, json!({ "description": "off for now" })).await;
    assert_eq!(described.json()["disabled_reason"], reason, "who disabled it stays");
    let enabled = change(&one.text, json!({ "is_active": true })).await;
    assert_eq!(enabled.json()["disabled_reason"], Value::Null);
    let rotate = api.stranger("POST", &format!("{path}/rotate-secret")).key(&two.text);
    assert_eq!(rotate.json(&json!({ "secret_key": "another secret text" })).send().await.status, 200);
    assert_eq!(api.stranger("DELETE", &path).key(&one.text).send().await.status, 200);

    let rows = audit(&api, &api.admin, &format!("?object_id={id}")).await;
    let expected = [
        ("subscription.created", first),
        ("subscription.disabled", second),
        ("subscription.updated", first),
        ("subscription.enabled", first),
        ("subscription.secret_rotated", second),
        ("subscription.deleted", first),
    ];
    assert_eq!(told(&rows), expected);
    assert_eq!(rows[5]["request_id"], made.headers["x-request-id"].to_str().unwrap());
    assert_eq!((&rows[5]["before"], &rows[0]["after"]), (&Value::Null, &Value::Null));
    assert_eq!(rows[3]["after"], json!({ "description": "off for now" }), "only what changed");
    let all = Value::from(rows.clone()).to_string();
    for secret in ["do not tell", "another secret", "hidden-token", "whsec_"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }

    let by_two = audit(&api, &api.admin, &format!("?object_id={id}&key_id={second}")).await;
    assert_eq!(told(&by_two), [expected[1], expected[4]]);
    assert_eq!(told(&audit(&api, &api.admin, "?action=subscription.disabled").await), [expected[1]]);
    let either = audit(&api, &api.admin, "?action=subscription.disabled&action=subscription.deleted").await;
    assert_eq!(told(&either), [expected[1], expected[5]]);
    let stranger = api.key("globex", Scope::Admin).await;
    assert_eq!(audit(&api, &stranger, &format!("?object_id={id}")).await, [] as [Value; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_one_another_and_an_operator_sees_all_tenants_or_one() {
    let api = TestApi::start().await;
    api.subscribe(json!({})).await;
    let operator = api.operator(Scope::Admin).await;
    api.key("globex", Scope::Admin).await;
    let all = audit(&api, &operator, "").await;
    let ask = async |tenant: &str| {
        api.stranger("GET", "/audit").key(&operator).header("postrider-tenant", tenant).send().await
    };
    assert_eq!(ask("*").await.json()["data"], Value::from(all.clone()));
    let acme = ask("acme").await.json()["data"].as_array().unwrap().clone();
    assert_eq!(acme, audit(&api, &api.admin, "").await);
    assert!(acme.len() < all.len() && acme.iter().all(|row| row["tenant_id"] == acme[0]["tenant_id"]), "{acme:?}");
    assert_eq!(ask("nobody").await.code(), "tenant_not_found");

    let (mut paged, mut query) = (Vec::new(), "?limit=1".to_owned());
    loop {
        let page = api.stranger("GET", &format!("/audit{query}")).key(&operator).send().await.json();
        assert_eq!(page["examined_to"], Value::Null, "a full page ends at its last row");
        paged.extend(page["data"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=1&cursor={cursor}");
    }
    assert_eq!(paged, all);
    let until = all[0]["at"].as_str().unwrap();
    assert!(audit(&api, &operator, "?until=2026-01-01T00:00:00Z").await.is_empty());
    assert!(!audit(&api, &operator, &format!("?since=2026-01-01T00:00:00Z&until={until}")).await.is_empty());
    for wrong in
        ["action=subscription.eaten", "object_id=1", "key_id=x", "since=today", "limit=0", "cursor=x", "who=me"]
    {
        let refused = api.stranger("GET", &format!("/audit?{wrong}")).key(&operator).send().await;
        assert_eq!(refused.status, 422, "{wrong}");
        refused.code();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_long_transaction_belongs_to_the_time_at_which_it_was_made() {
    let api = TestApi::start().await;
    let subscription = api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned();
    let client = api.database.client().await;
    client.batch_execute("begin").await.unwrap();
    let between: String = client
        .query_one("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')", &[])
        .await
        .unwrap()
        .get(0);
    let disable =
        format!("update subscriptions set is_active = false, version = version + 1 where id = '{subscription}'");
    client.batch_execute(&format!("{disable}; commit")).await.unwrap();
    let found = async |range: &str| {
        audit(&api, &api.admin, &format!("?action=subscription.disabled&{range}={between}")).await.len()
    };
    assert_eq!((found("since").await, found("until").await), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_retries_cancels_and_replays_are_told_and_what_changes_nothing_is_not() {
    let api = TestApi::start().await;
    let made = made_key(&api.store, "acme", Scope::Admin).await;
    let key = made.id.to_string();
    let subscription = api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned();
    let publish =
        async || api.ask("POST", "/events").body("{}").send().await.json()["webhook_id"].as_str().unwrap().to_owned();
    let event = publish().await;
    let ask = async |path: String| api.stranger("POST", &path).key(&made.text).send().await;
    let fails = "
        with ended as (delete from deliveries returning tenant_id, event_id, subscription_id)
        insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
        select tenant_id, event_id, subscription_id, 'failed', 'exhausted', 6 from ended";
    api.database.client().await.execute(fails, &[]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ask(format!("/events/{event}/retry")).await.status, 200);
    }
    for _ in 0..2 {
        assert_eq!(ask(format!("/events/{event}/cancel")).await.status, 200);
    }
    let rows = audit(&api, &api.admin, &format!("?object_id={event}")).await;
    assert_eq!(told(&rows), [("event.retried", key.as_str()), ("event.cancelled", key.as_str())]);
    assert_eq!(rows[1]["after"]["deliveries"], 1);

    let held = publish().await;
    api.ask("PATCH", &format!("/subscriptions/{subscription}")).json(&json!({ "is_active": false })).send().await;
    assert_eq!(ask(format!("/subscriptions/{subscription}/cancel-held")).await.json()["cancelled"], 1, "{held}");
    let rows = audit(&api, &api.admin, "?action=subscription.held_cancelled").await;
    assert_eq!(
        (told(&rows), &rows[0]["after"]),
        (vec![("subscription.held_cancelled", key.as_str())], &json!({ "deliveries": 1 }))
    );

    let asked = json!({ "subscription_id": subscription });
    let replay = api.stranger("POST", "/replays").key(&made.text).json(&asked).send().await;
    let replay = replay.json()["id"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        ask(format!("/replays/{replay}/cancel")).await;
    }
    let rows = audit(&api, &api.admin, &format!("?object_id={replay}")).await;
    assert_eq!(told(&rows), [("replay.created", key.as_str()), ("replay.cancelled", key.as_str())]);
    assert_eq!(rows[1]["after"]["subscription_id"], subscription);

    api.store.revoke_api_key(made.id, None, &Actor::COMMAND).await.unwrap();
    let rows = audit(&api, &api.admin, &format!("?object_id={key}")).await;
    assert_eq!(told(&rows), [("key.created", ""), ("key.revoked", "")]);
    assert_eq!(rows[0]["actor"], "command");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_the_actor_is_anonymous() {
    let api = TestApi::start_with(false).await;
    let made = api
        .ask("POST", "/subscriptions/")
        .json(&json!({ "target_url": "https://hooks.example.com/", "is_active": false }));
    let made = made.send().await.json();
    assert!(made["disabled_reason"].as_str().unwrap().starts_with("by a request without a key at 20"), "{made}");
    let rows = audit(&api, "none", &format!("?object_id={}", made["id"].as_str().unwrap())).await;
    assert_eq!((&rows[0]["actor"], &rows[0]["key_id"]), (&json!("anonymous"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_rows_go_some_at_a_time() {
    let rig = Rig::new().await;
    let old = "
        insert into audit (id, actor_kind, action, object_kind, object_id)
        select uuid_v7(now() - interval '91 days'), 'command', 'key.created', 'key', gen_random_uuid()
        from generate_series(1, 5)";
    rig.sql(old).await;
    let before = rig.count("audit").await;
    let day = Duration::from_secs(86_400);
    let forget = async || rig.store().forget_audit(90 * day, 3).await.unwrap();
    assert_eq!([forget().await, forget().await, forget().await], [3, 2, 0]);
    assert_eq!(rig.count("audit").await, before - 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postrider_disables_itself_is_told_as_its_own() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::Status(410)]);
    rig.accept(&subscription, b"{}").await;
    rig.settle().await;
    let row = "select actor_kind, after ->> 'disabled_reason' from audit where action = 'subscription.disabled'";
    let row = rig.client.query_one(row, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("postrider", "gone"));
}
