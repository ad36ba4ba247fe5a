//! Publishing decides by the subscriptions as they are now, and keeps what nobody wants.

use postrider::domain::idempotency::Fingerprint;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use crate::support::api::{Answer, TestApi};

const MISSING: &str = "0199c5f0-0000-7000-8000-000000000001";

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_owned()
}

async fn publish(api: &TestApi, query: &str, event_type: Option<&str>) -> Answer {
    let ask = api.ask("POST", &format!("/events{query}")).body("{\"n\": 1.10}");
    event_type.into_iter().fold(ask, |ask, name| ask.header("x-event-type", name)).send().await
}

/// How many deliveries an accepted event made.
async fn matched(api: &TestApi, event_type: Option<&str>) -> u64 {
    let answer = publish(api, "", event_type).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["matched"].as_u64().unwrap()
}

async fn event(api: &TestApi, accepted: &Answer) -> Value {
    let read = api.ask("GET", &format!("/events/{}", accepted.json()["webhook_id"].as_str().unwrap())).send().await;
    assert_eq!(read.status, 200, "{read:?}");
    read.json()
}

fn in_seconds(seconds: i64) -> String {
    (OffsetDateTime::now_utc() + Duration::seconds(seconds)).format(&Rfc3339).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_goes_to_each_subscription_whose_patterns_name_it() {
    let api = TestApi::start().await;
    for patterns in [json!([]), json!(["*"]), json!(["order.*"]), json!(["order.created", "x"]), json!(["invoice.*"])] {
        api.subscribe(json!({ "event_types": patterns })).await;
    }
    for (event_type, expected) in
        [(Some("order.created"), 4), (Some("order.item.added"), 3), (Some("order"), 2), (Some("x"), 3), (None, 1)]
    {
        assert_eq!(matched(&api, event_type).await, expected, "{event_type:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_a_match_is_kept_with_the_reasons() {
    let api = TestApi::start().await;
    let nobody = publish(&api, "", Some("order.created")).await;
    assert_eq!((&nobody.json()["matched"], &nobody.json()["duplicate"]), (&json!(0), &json!(false)));
    let read = event(&api, &nobody).await;
    assert_eq!(
        (&read["status"], &read["payload_bytes"], &read["fan_out"]),
        (&json!("no_match"), &json!(11), &json!(true))
    );
    let other = id(&api.subscribe(json!({ "event_types": ["invoice.*"] })).await);
    let missed = |reason: &str| {
        let target_url = "https://hooks.example.com/in";
        json!([{ "subscription_id": other, "external_id": null, "target_url": target_url, "reason": reason }])
    };
    assert_eq!(event(&api, &nobody).await["not_delivered"], missed("created_later"));
    let again = publish(&api, "", Some("order.created")).await;
    let read = event(&api, &again).await;
    assert_eq!(read["not_delivered"], missed("event_type"));
    api.ask("PATCH", &format!("/subscriptions/{other}")).json(&json!({ "event_types": [] })).send().await;
    assert_eq!(event(&api, &again).await["not_delivered"][0]["reason"], "not_matched_then");
    let status = api.ask("GET", &format!("/status/{}", read["webhook_id"].as_str().unwrap())).send().await;
    assert_eq!(status.json()["status"], "no_match");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_another_replica_made_old_is_read_again_before_anything_is_written() {
    let api = TestApi::start().await;
    let [one, two] = [json!({}), json!({ "event_types": ["b"] })].map(|fields| api.subscribe(fields));
    let (one, two) = (id(&one.await), id(&two.await));
    assert_eq!(matched(&api, Some("a")).await, 1);
    // Another replica: it writes rows, and this one is not notified.
    let client = api.database.client().await;
    let copy = "insert into subscriptions (tenant_id, id, target_url, secret, event_types, verify_ingest)
        select tenant_id, gen_random_uuid(), target_url, secret, '{a}', false from subscriptions where id = $1::text::uuid";
    client.execute(copy, &[&one]).await.unwrap();
    assert_eq!(matched(&api, Some("a")).await, 2, "one was created");
    let change = async |what: &str, of: &str| {
        let change = format!("update subscriptions set version = version + 1, {what} where id = '{of}'");
        assert_eq!(client.execute(&change, &[]).await.unwrap(), 1);
    };
    change("event_types = '{a}'", &two).await;
    assert_eq!(matched(&api, Some("a")).await, 3, "a filter was changed");
    change("deleted_at = now()", &two).await;
    assert_eq!(matched(&api, Some("a")).await, 2, "one was deleted");
    change("is_active = false", &one).await;
    let held = publish(&api, "", Some("a")).await;
    assert_eq!(held.json()["matched"], 2, "one was disabled");
    let read = event(&api, &held).await;
    assert_eq!(
        read["counts"],
        json!({ "pending": 1, "sending": 0, "held": 1, "succeeded": 0, "failed": 0, "cancelled": 0, "expired": 0, "skipped": 0 })
    );
    let held =
        read["deliveries"].as_array().unwrap().iter().find(|delivery| delivery["subscription_id"] == one.as_str());
    assert_eq!((&held.unwrap()["status"], &held.unwrap()["reason"]), (&json!("held"), &json!("disabled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_addressed_event_is_for_one_subscription_which_has_to_take_it() {
    let api = TestApi::start().await;
    let one = id(&api.subscribe(json!({ "event_types": ["a"], "secret_key": "a good secret" })).await);
    let other = id(&api.subscribe(json!({})).await);
    let off = id(&api.subscribe(json!({ "is_active": false })).await);
    let to = async |subscription: &str, event_type| {
        publish(&api, &format!("?subscription_id={subscription}"), event_type).await
    };
    let accepted = to(&one, Some("a")).await;
    assert_eq!((accepted.status.as_u16(), &accepted.json()["matched"]), (202, &json!(1)), "no signature is asked for");
    let read = event(&api, &accepted).await;
    assert_eq!((&read["fan_out"], &read["counts"]["pending"]), (&json!(false), &json!(1)));
    let reasons: Vec<_> = read["not_delivered"].as_array().unwrap().iter().map(|not| not["reason"].clone()).collect();
    assert_eq!(reasons, ["addressed_to_another", "addressed_to_another"]);
    for (subscription, event_type, code) in [
        (MISSING, None, "subscription_not_found"),
        (off.as_str(), None, "subscription_disabled"),
        (&one, None, "event_type_missing"),
        (&one, Some("b"), "event_type_not_wanted"),
    ] {
        assert_eq!(to(subscription, event_type).await.code(), code);
    }
    // What another replica did to it is seen, in both directions.
    let client = api.database.client().await;
    let turned = "update subscriptions set is_active = not is_active, disabled_by = null, version = version + 1";
    client.execute(turned, &[]).await.unwrap();
    assert_eq!(to(&other, None).await.code(), "subscription_disabled");
    assert_eq!(to(&off, None).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_is_the_same_event_and_another_request_with_it_is_refused() {
    let api = TestApi::start().await;
    let one = id(&api.subscribe(json!({})).await);
    let at = in_seconds(3_600).replace('+', "%2B");
    let ask = |query: &str, body: &'static str| {
        api.ask("POST", &format!("/events{query}")).header("idempotency-key", "k1").body(body)
    };
    let first = ask("", "{}").send().await.json();
    assert_eq!((&first["duplicate"], &first["matched"]), (&json!(false), &json!(1)));
    api.subscribe(json!({})).await;
    let second = ask("", "{}").send().await.json();
    assert_eq!(
        (&second["duplicate"], &second["matched"], &second["webhook_id"]),
        (&json!(true), &Value::Null, &first["webhook_id"])
    );
    let others = [
        ("".to_owned(), "{ }"),
        (format!("?subscription_id={one}"), "{}"),
        (format!("?deliver_at={at}"), "{}"),
        (format!("?expires_at={at}"), "{}"),
    ];
    for (query, body) in others {
        assert_eq!(ask(&query, body).send().await.code(), "idempotency_key_reused", "{query}");
    }
    let typed = ask("", "{}").header("x-event-type", "a").send().await;
    assert_eq!(typed.code(), "idempotency_key_reused");
    let ingest = api.ask("POST", &format!("/ingest/{one}")).header("idempotency-key", "k1").body("{}").send().await;
    assert_eq!(ingest.code(), "idempotency_key_reused");
    let stored = api.database.client().await.query("select 1 from events", &[]).await.unwrap();
    assert_eq!(stored.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_has_its_first_answer_when_its_subscription_takes_nothing_any_more() {
    let api = TestApi::start().await;
    let one = id(&api.subscribe(json!({ "external_id": "one" })).await);
    let ask = async |to: &str, key: &str, body: &'static str| {
        let ask = api.ask("POST", &format!("/events?subscription_id={to}")).header("idempotency-key", key);
        ask.header("x-event-type", "a").body(body).send().await
    };
    let first = ask(&one, "k", "{}").await.json();
    let path = format!("/subscriptions/{one}");
    for (fields, code) in [
        (json!({ "event_types": ["b"] }), "event_type_not_wanted"),
        (json!({ "event_types": [], "is_active": false }), "subscription_disabled"),
        (json!(null), "subscription_not_found"),
    ] {
        let change = if fields.is_null() { api.ask("DELETE", &path) } else { api.ask("PATCH", &path).json(&fields) };
        assert_eq!(change.send().await.status, 200);
        let again = ask(&one, "k", "{}").await;
        assert_eq!((again.status.as_u16(), &again.json()["webhook_id"]), (202, &first["webhook_id"]), "{code}");
        assert_eq!((&again.json()["duplicate"], &again.json()["matched"]), (&json!(true), &Value::Null));
        assert_eq!(ask(&one, "k", "{ }").await.code(), code, "another request");
        assert_eq!(ask(&one, "l", "{}").await.code(), code, "another key");
        let by_name = if fields.is_null() { "subscription_not_found" } else { "" };
        assert_eq!(ask("one", "k", "{}").await.json()["code"].as_str().unwrap_or_default(), by_name);
        let event =
            |key: &str| json!({ "event_type": "a", "payload": {}, "subscription_id": one, "idempotency_key": key });
        let batch = json!({ "events": [event("l"), event("k")] });
        let data = api.ask("POST", "/events/batch").json(&batch).send().await.json()["data"].clone();
        assert_eq!((&data[0]["problem"]["code"], &data[1]["webhook_id"]), (&json!(code), &first["webhook_id"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_has_its_first_answer_when_its_time_is_over() {
    let api = TestApi::start().await;
    api.subscribe(json!({})).await;
    let first = api.ask("POST", "/events").header("idempotency-key", "k").body("{}").send().await.json();
    // As if it had been sent while this was in the future.
    let past = OffsetDateTime::now_utc() - Duration::seconds(60);
    let print = Fingerprint::of("publish", None, None, [None, Some(past)], b"{}", None);
    let client = api.database.client().await;
    client.execute("update idempotency_keys set fingerprint = $1", &[&print.as_bytes()]).await.unwrap();
    let text = past.format(&Rfc3339).unwrap();
    let ask = async |key: Option<&str>| {
        let ask = api.ask("POST", &format!("/events?expires_at={}", text.replace('+', "%2B"))).body("{}");
        key.into_iter().fold(ask, |ask, key| ask.header("idempotency-key", key)).send().await
    };
    let again = ask(Some("k")).await;
    assert_eq!((again.status.as_u16(), &again.json()["webhook_id"]), (202, &first["webhook_id"]), "{again:?}");
    for key in [None, Some("l")] {
        let refused = ask(key).await;
        assert_eq!(
            (refused.code().as_str(), &refused.json()["errors"][0]["pointer"]),
            ("validation_failed", &json!("/query/expires_at"))
        );
    }
    let event = |key: Option<&str>| json!({ "payload": {}, "expires_at": text, "idempotency_key": key });
    let batch = json!({ "events": [event(None), event(Some("k")), event(Some("l"))] });
    let data = api.ask("POST", "/events/batch").json(&batch).send().await.json()["data"].clone();
    assert_eq!((&data[1]["webhook_id"], &data[1]["duplicate"]), (&first["webhook_id"], &json!(true)), "{data}");
    for place in [0, 2] {
        let pointer = format!("/events/{place}/expires_at");
        assert_eq!(data[place]["problem"]["errors"][0]["pointer"], pointer, "{data}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_checked_and_a_delivery_has_its_own_end() {
    let api = TestApi::start().await;
    api.subscribe(json!({})).await;
    let (soon, later, past) = (in_seconds(60), in_seconds(120), in_seconds(-60));
    let (too_far, bad) = (in_seconds(97 * 3_600), "tomorrow".to_owned());
    for (query, pointer, code) in [
        (format!("deliver_at={too_far}"), "/query/deliver_at", "too_far_ahead"),
        (format!("expires_at={past}"), "/query/expires_at", "in_the_past"),
        (format!("deliver_at={later}&expires_at={soon}"), "/query/expires_at", "before_delivery"),
        (format!("deliver_at={bad}"), "/query/deliver_at", "invalid_parameter"),
        ("subscription_id=7%207".to_owned(), "/query/subscription_id", "invalid_parameter"),
    ] {
        let refused = publish(&api, &format!("?{query}"), None).await;
        assert_eq!(refused.code(), "validation_failed", "{query}");
        let error = &refused.json()["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{query}");
    }
    let client = api.database.client().await;
    let row = async |accepted: &Answer| {
        let row =
            "select extract(epoch from next_attempt_at - now())::float8, extract(epoch from expires_at - now())::float8
            from deliveries where event_id = $1::text::uuid";
        let row = client.query_one(row, &[&accepted.json()["webhook_id"].as_str().unwrap()]).await.unwrap();
        (row.get::<_, f64>(0), row.get::<_, Option<f64>>(1))
    };
    let now = row(&publish(&api, &format!("?deliver_at={past}"), None).await).await;
    assert!(now.0 <= 0.0 && now.1.is_none(), "{now:?}");
    let scheduled = row(&publish(&api, &format!("?deliver_at={soon}"), None).await).await;
    assert!((30.0..=60.0).contains(&scheduled.0), "{scheduled:?}");
    assert!((345_630.0..=345_660.0).contains(&scheduled.1.unwrap()), "a lifetime from when it is due: {scheduled:?}");
    let ending = row(&publish(&api, &format!("?deliver_at={soon}&expires_at={later}"), None).await).await;
    assert!((90.0..=120.0).contains(&ending.1.unwrap()), "{ending:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_refused_and_leaves_nothing() {
    let api = TestApi::start().await;
    api.subscribe(json!({})).await;
    for (body, status) in [("", 400), ("{", 400), ("null", 422), (&format!("\"{}\"", "x".repeat(1_048_576)), 413)] {
        assert_eq!(api.ask("POST", "/events").body(body.to_owned()).send().await.status, status);
    }
    assert_eq!(api.ask("POST", "/events").bytes("{}").send().await.status, 415);
    assert_eq!(publish(&api, "", Some("a..b")).await.code(), "validation_failed");
    assert_eq!(publish(&api, "?subscription=x", None).await.code(), "validation_failed");
    assert_eq!(api.ask("DELETE", "/events").send().await.status, 405);
    assert_eq!(api.ask("GET", "/events/batch").send().await.status, 405);
    assert_eq!(api.ask("GET", &format!("/events/{MISSING}")).send().await.code(), "webhook_not_found");
    assert_eq!(api.ask("GET", &format!("/events/{MISSING}/deliveries")).send().await.code(), "webhook_not_found");
    let stored = api.database.client().await.query("select 1 from events", &[]).await.unwrap();
    assert!(stored.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vanished_database_is_a_503_for_events_too() {
    let api = TestApi::start().await;
    assert_eq!(publish(&api, "", None).await.status, 202);
    api.database.vanish().await;
    let answer = publish(&api, "", None).await;
    assert_eq!((answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap()), (503, "1"));
    let batch = api.ask("POST", "/events/batch").json(&json!({ "events": [{ "payload": {} }] })).send().await;
    assert_eq!((batch.status.as_u16(), &batch.json()["data"][0]["status"]), (200, &json!(503)));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_with_one_key_wait_for_each_other_only_where_the_subscription_is_ordered() {
    let api = TestApi::start().await;
    let ordered = id(&api.subscribe(json!({ "ordered": true })).await);
    let free = id(&api.subscribe(json!({})).await);
    let keyed = |query: &str| {
        let ask = api.ask("POST", &format!("/events{query}")).body("{}");
        ask.header("x-ordering-key", "customer-7").send()
    };
    let refused = keyed(&format!("?deliver_at={}", in_seconds(60))).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.json()["errors"][0]["pointer"], "/query/deliver_at");
    keyed("").await;
    let second = keyed("").await;
    let read = event(&api, &second).await;
    let reason = |of: &str| {
        let all = read["deliveries"].as_array().unwrap();
        all.iter().find(|delivery| delivery["subscription_id"] == of).unwrap()["reason"].clone()
    };
    assert_eq!((reason(&ordered), reason(&free)), (json!("ordered"), json!(null)));
}

/// Makes so many subscriptions like this one.
async fn copies(client: &Client, one: &str, count: i32) {
    let copy = "insert into subscriptions (tenant_id, id, target_url, secret, verify_ingest)
        select tenant_id, gen_random_uuid(), target_url, secret, false
        from subscriptions, generate_series(1, $2::integer) where id = $1::text::uuid";
    let params: [&(dyn ToSql + Sync); 2] = [&one, &count];
    client.execute(copy, &params).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_shows_a_hundred_deliveries_and_with_its_cursor_the_following() {
    let api = TestApi::start().await;
    let one = id(&api.subscribe(json!({})).await);
    copies(&api.database.client().await, &one, 120).await;
    let event = publish(&api, "", None).await.json()["webhook_id"].as_str().unwrap().to_owned();
    let page = async |query: &str| api.ask("GET", &format!("/status/{event}{query}")).send().await.json();
    let first = page("").await;
    let second = page(&format!("?cursor={}", first["deliveries_next_cursor"].as_str().unwrap())).await;
    assert_eq!(second["deliveries_next_cursor"], json!(null));
    let deliveries = [&first, &second].map(|page| page["deliveries"].as_array().unwrap());
    assert_eq!(deliveries.map(Vec::len), [100, 21]);
    let ids: Vec<_> = deliveries.into_iter().flatten().map(|delivery| delivery["subscription_id"].as_str()).collect();
    assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
    for field in ["status", "attempts", "last_attempt", "next_attempt_at", "is_success", "error_message"] {
        assert_eq!(first[field], second[field], "{field} is about all deliveries");
    }
    assert_eq!(page("?cursor=x").await["errors"][0]["code"], "invalid_cursor");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_goes_to_ten_thousand_subscriptions_and_not_to_one_more() {
    let api = TestApi::start().await;
    let one = id(&api.subscribe(json!({})).await);
    let client = api.database.client().await;
    copies(&client, &one, 9_999).await;
    assert_eq!(matched(&api, None).await, 10_000);
    copies(&client, &one, 1).await;
    assert_eq!(publish(&api, "", None).await.code(), "too_many_recipients");
    let stored = client.query_one("select count(*) from events", &[]).await.unwrap();
    assert_eq!(stored.get::<_, i64>(0), 1);
}
