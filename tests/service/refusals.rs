//! A request that was refused leaves a row that says why, for those whom it concerns; no flood of them costs more than
//! a few rows.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use postrider::domain::actor::Actor;
use postrider::domain::api_key::Scope;
use serde_json::{Value, json};

use crate::support::api::{TestApi, made_key};
use crate::support::rig::Rig;
use crate::support::wait::until;

const ORDER: &str = r#"{"order":"4711"}"#;

/// A page of refusals with this key.
async fn page(api: &TestApi, key: &str, query: &str) -> Value {
    let answer = api.stranger("GET", &format!("/refusals{query}")).key(key).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn rows(api: &TestApi, key: &str, query: &str) -> Vec<Value> {
    page(api, key, query).await["data"].as_array().unwrap().clone()
}

/// The same over all tenants, with an operator key.
async fn all_rows(api: &TestApi) -> Vec<Value> {
    let operator = api.operator(Scope::Read).await;
    let answer = api.stranger("GET", "/refusals").key(&operator).header("postrider-tenant", "*").send().await;
    answer.json()["data"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_is_kept_with_what_it_said_and_why() {
    let api = TestApi::start().await;
    let key = made_key(&api.store, "acme", Scope::Publish).await;
    let id = api.subscribe(json!({ "external_id": "shop", "is_active": false })).await["id"].clone();
    let ask = api.stranger("POST", "/ingest/shop").key(&key.text).header("x-event-type", "order.paid");
    let refused = ask.header("idempotency-key", "order-4711").header("x-request-id", "r-1").body(ORDER).send().await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "subscription_disabled"));
    let [row] = &rows(&api, &api.admin, "").await[..] else { panic!("one row") };
    let expected = json!({
        "id": row["id"], "at": row["at"], "tenant_id": row["tenant_id"], "status": 409,
        "code": "subscription_disabled", "detail": refused.json()["detail"], "route": "/ingest/{subscription_id}",
        "subscription": "shop", "subscription_id": id, "event_type": "order.paid", "idempotency_key": "order-4711",
        "key_id": key.id.to_string(), "remote_address": "127.0.0.1", "request_id": "r-1", "beginning": ORDER,
    });
    assert_eq!(row, &expected);
    assert!(row["tenant_id"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_found_by_its_id_and_an_unknown_one_is_the_operators_without_bytes() {
    let api = TestApi::start().await;
    let revoked = made_key(&api.store, "acme", Scope::Publish).await;
    api.store.revoke_api_key(revoked.id, None, &Actor::COMMAND).await.unwrap();
    let unknown = "prk_0199c5f0000070008000000000000001_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let forged = format!("{}x", &made_key(&api.store, "acme", Scope::Publish).await.text[..60]);
    for key in [&revoked.text, unknown, &forged] {
        let refused = api.stranger("POST", "/events").key(key).body(ORDER).send().await;
        assert_eq!(refused.code(), "unauthenticated", "{key}");
    }
    // The rest of a refused body is read beside the answer.
    let own = until("the beginnings have arrived", async || {
        let own = rows(&api, &api.admin, "?code=unauthenticated").await;
        own.iter().all(|row| row["beginning"] == ORDER).then_some(own)
    })
    .await;
    assert_eq!(own.len(), 2, "{own:?}");
    assert_eq!(own[1]["key_id"], revoked.id.to_string());
    let all = all_rows(&api).await;
    let strange = all.iter().find(|row| row["tenant_id"].is_null()).unwrap();
    assert_eq!((all.len(), &strange["key_id"]), (3, &json!("0199c5f0-0000-7000-8000-000000000001")));
    assert_eq!(strange["beginning"], Value::Null);
    assert!(!format!("{all:?}").contains("AAAAAAAA"), "no secret half of a key is stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_signature_is_told_to_the_owner_alone() {
    let api = TestApi::start().await;
    let made = api.subscribe(json!({ "secret_key": "correct horse battery", "verify_ingest": true })).await;
    let path = format!("/ingest/{}", made["id"].as_str().unwrap());
    let signed = async |signature: &str| {
        api.stranger("POST", &path).header("x-hub-signature-256", signature).body(ORDER).send().await
    };
    let refused = signed(&format!("sha256={}", "0".repeat(64))).await;
    assert_eq!(refused.code(), "unauthenticated");
    assert!(!refused.text.contains("signature"), "{refused:?}");
    let [row] = &rows(&api, &api.admin, "").await[..] else { panic!("one row") };
    assert!(row["detail"].as_str().unwrap().contains("signature"), "{row}");
    assert_eq!((&row["subscription_id"], &row["beginning"]), (&made["id"], &json!(ORDER)));
    assert!(!row.to_string().contains("sha256="), "no header of a signature is stored: {row}");
    assert_eq!(rows(&api, &api.key("globex", Scope::Admin).await, "").await, [] as [Value; 0]);
    let seen = rows(&api, &api.key("acme", Scope::Support).await, "").await;
    assert_eq!((seen.len(), &seen[0]["beginning"]), (1, &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_known_by_what_its_client_sent_anyway() {
    let api = TestApi::start_limited(|settings| settings.max_payload_bytes = 64).await;
    let body = format!(r#"{{"order":"4711","rest":"{}"}}"#, "x".repeat(1_000));
    let refused = api.ask("POST", "/events").body(body.clone()).send().await;
    assert_eq!(refused.code(), "body_too_large");
    let beginning = until("the beginning has arrived", async || {
        let rows = rows(&api, &api.admin, "?code=body_too_large&code=malformed_json").await;
        rows.first().and_then(|row| row["beginning"].as_str()).map(str::to_owned)
    })
    .await;
    assert_eq!(beginning, body[..512]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refused_event_of_a_batch_has_its_row() {
    let api = TestApi::start().await;
    let batch = json!({ "events": [
        { "payload": { "order": 1 } },
        { "payload": { "order": 2 }, "event_type": "order.paid", "subscription_id": "nobody", "idempotency_key": "o-2" },
        { "payload": 3 },
        { "payload": { "order": 4 }, "colour": "red" },
    ] });
    let answer = api.ask("POST", "/events/batch").json(&batch).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let kept = rows(&api, &api.admin, "").await;
    let told: Vec<_> = kept.iter().map(|row| [&row["code"], &row["beginning"]]).collect();
    let of = |code: &str, beginning: &str| [json!(code), json!(beginning)];
    let expected = [
        of("payload_invalid", "3"),
        of("subscription_not_found", r#"{"order":2}"#),
        of("validation_failed", r#"{"colour":"red","payload":{"order":4}}"#),
    ];
    assert_eq!(kept.len(), 3, "{kept:?}");
    for row in &expected {
        assert!(told.contains(&[&row[0], &row[1]]), "{row:?} in {told:?}");
    }
    let named = kept.iter().find(|row| row["code"] == "subscription_not_found").unwrap();
    let names = ["route", "subscription", "event_type", "idempotency_key"].map(|name| &named[name]);
    assert_eq!(names, ["/events/batch", "nobody", "order.paid", "o-2"]);
    let invalid = kept.iter().find(|row| row["code"] == "validation_failed").unwrap();
    assert!(invalid["detail"].as_str().unwrap().contains("/colour"), "{invalid}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_an_operator_published_for_one_tenant_is_not_shown_to_another() {
    let api = TestApi::start().await;
    let (operator, globex) = (api.operator(Scope::Admin).await, api.key("globex", Scope::Admin).await);
    let batch = json!({ "events": [
        { "tenant": "globex", "payload": { "secret": 1 }, "colour": "red" },
        { "tenant": "globex", "payload": 2, "idempotency_key": "theirs" },
        { "tenant": "nobody", "payload": { "secret": 3 } },
        { "payload": 4 },
    ] });
    let ask = api.stranger("POST", "/events/batch").key(&operator).header("postrider-tenant", "acme");
    assert_eq!(ask.json(&batch).send().await.status, 200);
    let seen = rows(&api, &api.admin, "").await;
    assert_eq!(seen.iter().map(|row| &row["beginning"]).collect::<Vec<_>>(), ["4"], "{seen:?}");
    assert!(!json!(rows(&api, &globex, "").await).to_string().contains('4'));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_one_another_and_bad_parameters_are_named() {
    let api = TestApi::start().await;
    for body in ["1", "{", "[", "2"] {
        api.ask("POST", "/events").body(body).send().await;
    }
    let all = rows(&api, &api.admin, "").await;
    let codes: Vec<_> = all.iter().map(|row| row["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["payload_invalid", "malformed_json", "malformed_json", "payload_invalid"]);
    let (mut paged, mut query) = (Vec::new(), "?limit=1&code=malformed_json&code=nothing".to_owned());
    loop {
        let page = page(&api, &api.admin, &query).await;
        paged.extend(page["data"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=1&code=malformed_json&code=nothing&cursor={cursor}");
    }
    assert_eq!(paged, all[1..3]);
    assert!(rows(&api, &api.admin, "?until=2026-01-01T00:00:00Z").await.is_empty());
    assert_eq!(rows(&api, &api.admin, "?since=2026-01-01T00:00:00Z").await.len(), 4);
    // All in one millisecond.
    let moved = "update refusals as r set id = uuid_v7_ordered(n.at), at = n.at
                 from (
                     select x.id, date_trunc('second', now()) + row_number() over (order by x.id) * interval '100 us' as at
                     from refusals as x
                 ) as n
                 where n.id = r.id";
    api.database.client().await.batch_execute(moved).await.unwrap();
    let all = rows(&api, &api.admin, "").await;
    let at = all[1]["at"].as_str().unwrap();
    let since = rows(&api, &api.admin, &format!("?since={at}")).await;
    let until = rows(&api, &api.admin, &format!("?until={at}")).await;
    assert_eq!((&since[..], &until[..]), (&all[..2], &all[2..]), "to the microsecond");
    for wrong in ["code=No!", "since=today", "limit=0", "cursor=x", "who=me"] {
        let refused = api.ask("GET", &format!("/refusals?{wrong}")).send().await;
        assert_eq!(refused.status, 422, "{wrong}");
        refused.code();
    }
    let operator = api.operator(Scope::Read).await;
    assert_eq!(api.stranger("GET", "/refusals").key(&operator).send().await.code(), "tenant_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_garbage_costs_a_few_rows_and_displaces_nobodys() {
    let api = TestApi::start().await;
    api.ask("POST", "/events").body("{").send().await;
    let id = api.subscribe(json!({ "secret_key": "correct horse battery" })).await["id"].as_str().unwrap().to_owned();
    let paths = ["/events".to_owned(), format!("/ingest/{id}")];
    let garbage = stream::iter(0..2_000).map(|number| {
        let ask = api.stranger("POST", &paths[usize::from(number % 5 == 0)]).header("x-hub-signature-256", "sha256=no");
        async move { ask.body("garbage").send().await.status.as_u16() }
    });
    // 503: so many look-ups for requests without a key are not made at a time.
    let refused = garbage.buffer_unordered(64).filter(|status| std::future::ready(matches!(status, 401 | 503))).count();
    assert_eq!(refused.await, 2_000);
    let own = rows(&api, &api.admin, "?code=malformed_json").await;
    assert_eq!(own.len(), 1, "{own:?}");
    // A quarter of what a tenant, and the operator, may have.
    let client = api.database.client().await;
    let most: i64 = client
        .query_one(
            "select max(n) from (select count(*) as n from refusals where not is_own group by tenant_id) as x",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    assert!((1..=250).contains(&most), "{most} rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_so_many_rows_and_the_newest_stay() {
    let api = TestApi::start().await;
    let client = api.database.client().await;
    let full = "
        insert into refusals (tenant_id, id, at, status, is_own, code, detail, route, request_id)
        select t.id, uuid_v7(now() - interval '1 hour' - make_interval(secs => n)), now(), 422, n % 2 = 0, 'x', 'x', 'x', 'x'
        from generate_series(1, 3000) as n
        cross join tenants as t";
    client.execute(full, &[]).await.unwrap();
    api.ask("POST", "/events").body("{").send().await;
    let newest = rows(&api, &api.admin, "?limit=1").await;
    assert_eq!(newest[0]["code"], "malformed_json");
    let counted = "
        select t.external_id, count(*) filter (where r.is_own), count(*) filter (where not r.is_own)
        from refusals as r
        inner join tenants as t on t.id = r.tenant_id
        group by t.external_id
        order by t.external_id";
    let counts: Vec<(String, i64, i64)> =
        client.query(counted, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    assert_eq!(counts, [("acme".to_owned(), 1_000, 1_500), ("default".to_owned(), 1_500, 1_500)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_rows_go_some_at_a_time() {
    let rig = Rig::new().await;
    let old = "
        insert into refusals (tenant_id, id, at, status, is_own, code, detail, route, request_id)
        select '00000000-0000-7000-8000-000000000000', uuid_v7(now() - interval '8 days'), now(), 422, true, 'x', 'x', 'x', 'x'
        from generate_series(1, 5)";
    rig.sql(old).await;
    let week = Duration::from_secs(7 * 86_400);
    let forget = async || rig.store().forget_refusals(week, 3).await.unwrap();
    assert_eq!([forget().await, forget().await, forget().await], [3, 2, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_a_refusal_is_answered_as_fast_and_waits_or_is_lost() {
    let api = TestApi::start_without_database(false).await;
    let garbage = stream::iter(0..3_000).map(|_| {
        let ask = api.stranger("POST", "/events").body("{");
        async move { ask.send().await.status }
    });
    let statuses: Vec<_> = garbage.buffer_unordered(32).collect().await;
    assert!(statuses.iter().all(|status| *status == 400), "{statuses:?}");
}
