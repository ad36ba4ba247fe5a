//! A batch: each event is accepted or refused by itself, and a thousand of them are no overload.

use serde_json::{Value, json};

use crate::support::api::TestApi;

async fn post(api: &TestApi, events: Value) -> Vec<Value> {
    let answer = api.ask("POST", "/events/batch").json(&json!({ "events": events })).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_event_does_not_spoil_its_neighbours() {
    let api = TestApi::start().await;
    let all = api.subscribe(json!({})).await["id"].clone();
    let off = api.subscribe(json!({ "is_active": false, "event_types": ["never"] })).await["id"].clone();
    let data = post(
        &api,
        json!([
            { "event_type": "a", "payload": { "n": 1 } },
            { "event_type": "a..b", "payload": { "n": 2 } },
            { "payload": [], "subscription_id": all },
            { "payload": [], "subscription_id": off },
            { "payload": [], "subscription_id": "0199c5f0-0000-7000-8000-000000000001" },
            { "payload": 7 },
            { "payload": {}, "expires_at": "2020-01-01T00:00:00Z" },
            { "payload": {}, "more": true },
            "no event",
            { "payload": { "n": 9 }, "idempotency_key": "k" },
            { "payload": { "n": 9 }, "idempotency_key": "k" },
            { "payload": { "n": 10 }, "idempotency_key": "k" },
        ]),
    )
    .await;
    let statuses: Vec<_> = data.iter().map(|result| result["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [202, 422, 202, 409, 404, 422, 422, 422, 422, 202, 202, 409]);
    let codes: Vec<_> = data.iter().filter_map(|result| result["problem"]["code"].as_str()).collect();
    assert_eq!(
        codes,
        [
            "validation_failed",
            "subscription_disabled",
            "subscription_not_found",
            "payload_invalid",
            "validation_failed",
            "validation_failed",
            "validation_failed",
            "idempotency_key_reused",
        ]
    );
    assert_eq!(data[1]["problem"]["errors"][0]["pointer"], "/events/1/event_type");
    assert_eq!(data[8]["problem"]["errors"][0]["pointer"], "/events/8");
    assert!(data[1]["problem"]["request_id"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!((&data[0]["duplicate"], &data[0]["matched"]), (&json!(false), &json!(1)));
    let twins = [&data[9], &data[10]];
    assert_eq!(twins[0]["webhook_id"], twins[1]["webhook_id"]);
    assert!(twins.iter().any(|twin| twin["duplicate"] == true && twin["matched"].is_null()));
    let stored = api.database.client().await.query("select 1 from events", &[]).await.unwrap();
    assert_eq!(stored.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_are_kept_byte_for_byte() {
    let api = TestApi::start().await;
    let body = "{\"events\": [ {\"payload\" : {\"b\" : 1.10,\n\t\"a\":\"\\ud800\"} } ,{\"payload\":[ 1e400 ]}]}";
    let answer = api.ask("POST", "/events/batch").body(body).send().await.json();
    let client = api.database.client().await;
    let kept = async |place: usize| {
        let kept = "select payload from events where id = $1::text::uuid";
        let row = client.query_one(kept, &[&answer["data"][place]["webhook_id"].as_str().unwrap()]).await.unwrap();
        row.get::<_, Vec<u8>>(0)
    };
    assert_eq!(kept(0).await, b"{\"b\" : 1.10,\n\t\"a\":\"\\ud800\"}");
    assert_eq!(kept(1).await, b"[ 1e400 ]");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_batches_of_a_thousand_at_once_are_all_accepted_in_few_statements() {
    let api = TestApi::start().await;
    api.subscribe(json!({})).await;
    let events: Vec<Value> = (0..1_000).map(|n| json!({ "payload": { "n": n } })).collect();
    let client = api.database.client().await;
    let posts = (0..10).map(|_| post(&api, json!(events)));
    let answers = futures_util::future::join_all(posts).await;
    assert!(answers.iter().all(|data| data.len() == 1_000 && data.iter().all(|result| result["status"] == 202)));
    let counted = "select (select count(*) from events), (select count(*) from deliveries), (select count(distinct xmin::text) from events)";
    let row = client.query_one(counted, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (10_000, 10_000));
    assert!(row.get::<_, i64>(2) <= 100, "{} commits", row.get::<_, i64>(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_batch_is_refused_as_a_whole() {
    let api = TestApi::start().await;
    let many = format!("{{\"events\":[{}]}}", vec!["{\"payload\":{}}"; 1_001].join(","));
    for (body, status) in [
        ("", 400),
        ("{\"events\":[", 400),
        ("[]", 422),
        ("{}", 422),
        ("{\"events\":[]}", 422),
        ("{\"events\":{}}", 422),
        ("{\"events\":[{\"payload\":{}}],\"more\":1}", 422),
        (&many, 422),
        (&format!("{{\"events\":[{{\"payload\":[\"{}\"]}}]}}", "x".repeat(8 << 20)), 413),
    ] {
        let answer = api.ask("POST", "/events/batch").body(body.to_owned()).send().await;
        assert_eq!(answer.status, status, "{}", &body[..body.len().min(40)]);
    }
    let stored = api.database.client().await.query("select 1 from events", &[]).await.unwrap();
    assert!(stored.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_a_single_event_are_refused_where_there_are_many() {
    let api = TestApi::start().await;
    for (header, field) in
        [("idempotency-key", "idempotency_key"), ("x-event-type", "event_type"), ("x-ordering-key", "ordering_key")]
    {
        let ask = api.ask("POST", "/events/batch").header(header, "one.for.all");
        let refused = ask.json(&json!({ "events": [{ "payload": {} }] })).send().await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "validation_failed"));
        let error = &refused.json()["errors"][0];
        assert_eq!(
            (&error["pointer"], &error["code"]),
            (&json!(format!("/headers/{header}")), &json!("not_for_a_batch"))
        );
        assert!(error["detail"].as_str().unwrap().ends_with(field), "{error}");
    }
    assert!(api.database.client().await.query("select 1 from events", &[]).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_decided_anew_is_not_overtaken_by_the_next_of_its_key() {
    let api = TestApi::start().await;
    let made = api.subscribe(json!({ "event_types": ["a"], "ordered": true })).await["id"].clone();
    let event = |event_type: &str, key: Option<&str>| json!({ "event_type": event_type, "subscription_id": made, "ordering_key": key, "payload": {} });
    post(&api, json!([event("a", None)])).await;
    // Another replica: the copy that is near does not know of it, and does not want `b`.
    let client = api.database.client().await;
    let change = "update subscriptions set event_types = '{a,b}', version = version + 1";
    client.execute(change, &[]).await.unwrap();
    // The first is decided on the copy; for the second the row is read, which the third finds.
    let data = post(&api, json!([event("a", Some("k")), event("b", None), event("a", Some("k"))])).await;
    assert!(data.iter().all(|result| result["status"] == 202), "{data:?}");
    let group = "select event_id::text from deliveries where ordering_key = 'k' order by position";
    let rows = client.query(group, &[]).await.unwrap();
    let group: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(group, [&data[0], &data[2]].map(|result| result["webhook_id"].as_str().unwrap().to_owned()));
}
