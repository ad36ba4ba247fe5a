//! A subscription is written strictly, shown without its secret, and gone when deleted.

use crate::support::api::TestApi;
use postrider::domain::api_key::Scope;
use serde_json::{Value, json};
use tokio_postgres::Client;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// So many deliveries of a subscription that wait.
async fn pending(client: &Client, subscription: &str, count: i32) {
    let insert = "insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
        select tenant_id, uuid_v7(), id, now(), 2 from subscriptions, generate_series(1, $2::integer)
        where id = $1::text::uuid";
    client.execute(insert, &[&subscription, &count]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_shown_once() {
    let api = TestApi::start().await;
    let made = api.subscribe(json!({})).await;
    assert!(made["secret_key"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(made["verify_ingest"], false);
    let path = format!("/subscriptions/{}", made["id"].as_str().unwrap());
    assert_eq!(api.ask("GET", &path).send().await.json()["secret_key"], "********");
    let body = json!({ "target_url": "https://hooks.example.com/in", "secret_key": SECRET });
    assert_eq!(api.ask("PUT", &path).json(&body).send().await.json()["secret_key"], SECRET);
    assert_eq!(api.ask("PATCH", &path).json(&json!({})).send().await.json()["secret_key"], "********");
    let given = api.subscribe(json!({ "secret_key": SECRET })).await;
    assert_eq!((&given["secret_key"], &given["verify_ingest"]), (&json!(SECRET), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn put_keeps_secret_verification_and_activity_and_resets_the_rest() {
    let api = TestApi::start().await;
    let made = api
        .subscribe(json!({ "secret_key": SECRET, "event_types": ["a.b"], "description": "x", "is_active": false }))
        .await;
    let path = format!("/subscriptions/{}", made["id"].as_str().unwrap());
    let put = api.ask("PUT", &path).json(&json!({ "target_url": "https://hooks.example.com/other" })).send().await;
    assert_eq!(put.status, 200, "{put:?}");
    let now = put.json();
    assert_eq!(now["target_url"], "https://hooks.example.com/other");
    assert_eq!((&now["event_types"], &now["description"]), (&json!([]), &json!(null)));
    assert_eq!((&now["is_active"], &now["verify_ingest"]), (&json!(false), &json!(true)));
    assert!(now["updated_at"].as_str() > made["updated_at"].as_str());
    assert_eq!(now["created_at"], made["created_at"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn patch_changes_what_it_names_and_null_clears() {
    let api = TestApi::start().await;
    let made = api.subscribe(json!({ "event_types": ["a.*", "b"], "description": "x" })).await;
    let path = format!("/subscriptions/{}", made["id"].as_str().unwrap());
    let patched = api.ask("PATCH", &path).json(&json!({ "description": null, "is_active": false })).send().await.json();
    assert_eq!(patched["description"], json!(null));
    assert_eq!(patched["event_types"], json!(["a.*", "b"]));
    assert_eq!(patched["is_active"], false);
    let refused = api.ask("PATCH", &path).json(&json!({ "target_url": null })).send().await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "validation_failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn enabling_clears_the_reason_of_a_disabling() {
    let api = TestApi::start().await;
    let made = api.subscribe(json!({})).await;
    let client = api.database.client().await;
    client
        .execute("update subscriptions set is_active = false, disabled_reason = 'gone', version = version + 1", &[])
        .await
        .unwrap();
    let path = format!("/subscriptions/{}", made["id"].as_str().unwrap());
    assert_eq!(api.ask("GET", &path).send().await.json()["disabled_reason"], "gone");
    let enabled = api.ask("PATCH", &path).json(&json!({ "is_active": true })).send().await.json();
    assert_eq!((&enabled["is_active"], &enabled["disabled_reason"]), (&json!(true), &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_rule_is_named_and_no_value_is_repeated() {
    let api = TestApi::start().await;
    let body = r#"{"target_url": "nope", "secret_key": "whsec_CANARY", "event_types": ["ok", "a b"], "CANARY 1": 1, "colour": 2,
        "description": "x", "description": "y", "is_active": "yes"}"#;
    let refused = api.ask("POST", "/subscriptions/").body(body).send().await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "validation_failed"));
    assert!(!refused.text.contains("CANARY") && !refused.text.contains("nope"), "{refused:?}");
    let errors = refused.json()["errors"].clone();
    let mut pointers: Vec<&str> =
        errors.as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["", "/colour", "/description", "/event_types/1", "/is_active", "/secret_key", "/target_url"]);
    let mask = json!({ "target_url": "https://hooks.example.com/in", "secret_key": "********" });
    assert_eq!(api.ask("POST", "/subscriptions/").json(&mask).send().await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_subscription_is_gone_and_its_logs_are_not() {
    let api = TestApi::start().await;
    let made = api.subscribe(json!({})).await;
    let id = made["id"].as_str().unwrap();
    let client = api.database.client().await;
    pending(&client, id, 3).await;
    let deleted = api.ask("DELETE", &format!("/subscriptions/{id}/")).send().await;
    assert_eq!(deleted.status, 200);
    let expected = json!({
        "message": "subscription deleted", "id": id, "cancelled_deliveries": 3, "cancelled_deliveries_more": false,
    });
    assert_eq!(deleted.json(), expected);
    assert_eq!(api.ask("GET", &format!("/subscriptions/{id}")).send().await.code(), "subscription_not_found");
    assert_eq!(api.ask("DELETE", &format!("/subscriptions/{id}")).send().await.status, 404);
    assert_eq!(api.ask("GET", &format!("/status/logs/{id}")).send().await.status, 200);
    assert_eq!(api.ask("GET", "/subscriptions/").send().await.json()["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_counts_up_to_ten_thousand_pending_deliveries_and_says_where_there_are_more() {
    let api = TestApi::start().await;
    let client = api.database.client().await;
    for (count, more) in [(10_000, false), (10_001, true)] {
        let made = api.subscribe(json!({})).await;
        let id = made["id"].as_str().unwrap();
        pending(&client, id, count).await;
        let deleted = api.ask("DELETE", &format!("/subscriptions/{id}")).send().await.json();
        assert_eq!(
            (&deleted["cancelled_deliveries"], &deleted["cancelled_deliveries_more"]),
            (&json!(10_000), &json!(more))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_paged_newest_first_and_knows_its_own_cursors_only() {
    let api = TestApi::start().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned());
    }
    ids.reverse();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.ask("GET", &format!("/subscriptions/?limit=2{cursor}")).send().await.json();
        seen.extend(page["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        let elsewhere = api.ask("GET", &format!("/status/logs/{}?cursor={next}", ids[0])).send().await;
        assert_eq!(elsewhere.status, 422);
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_found_by_a_part_of_its_names_and_by_its_state() {
    let api = TestApi::start().await;
    let client = api.database.client().await;
    for (name, target, description) in [
        ("shop", "https://shop.example.com/in", "orders of the shop"),
        ("depot", "https://Depot.example.com/hooks", "stock"),
        ("crm", "https://crm.example.com/in", "customers"),
        ("erp", "https://erp.example.com/in", "100% of ORDERS"),
        ("mended", "https://mended.example.com/in", "ΟΔΟΣ"),
    ] {
        let form = json!({ "external_id": name, "target_url": target, "description": description });
        api.subscribe(form).await;
    }
    // `mended` waits for its first success.
    let health = "insert into subscription_health (subscription_id, tenant_id, state, failures, probe_at)
                  select s.id, s.tenant_id, v.state, v.failures, case when v.state is not null then now() end
                  from (values ('depot', 'open', 5), ('crm', null, 5), ('mended', null, 0)) as v (name, state, failures)
                  inner join subscriptions as s on s.external_id = v.name";
    client.batch_execute(health).await.unwrap();
    client.batch_execute("update subscriptions set is_active = false where external_id = 'erp'").await.unwrap();
    for (query, found) in [
        ("q=orders", vec!["erp", "shop"]),
        ("q=ORDERS&state=disabled", vec!["erp"]),
        ("q=depot.EXAMPLE.com/hooks", vec!["depot"]),
        ("q=cr", vec!["crm"]),
        ("q=100%25", vec!["erp"]),
        ("q=nothing", vec![]),
        ("q=%CE%9F%CE%94%CE%9F%CE%A3", vec!["mended"]),
        // The end of one field and the beginning of the next are no text.
        ("q=in%20shop", vec![]),
        ("state=open&state=failing", vec!["crm", "depot"]),
        ("state=healthy", vec!["mended", "shop"]),
        ("state=throttled&state=recovering", vec![]),
    ] {
        let page = api.ask("GET", &format!("/subscriptions/?{query}")).send().await.json();
        let names: Vec<_> = page["data"].as_array().unwrap().iter().map(|row| row["external_id"].clone()).collect();
        assert_eq!(
            (names, &page["next_cursor"]),
            (found.iter().map(|name| json!(name)).collect(), &Value::Null),
            "{query}"
        );
    }
    let other = api.key("other", Scope::Admin).await;
    let others = api.ask("GET", "/subscriptions/?q=example.com&state=healthy").key(&other).send().await.json();
    assert_eq!(others["data"], json!([]), "another tenant's");
    let first = api.ask("GET", "/subscriptions/?q=example.com&limit=4").send().await.json();
    let rest = format!("/subscriptions/?q=example.com&limit=4&cursor={}", first["next_cursor"].as_str().unwrap());
    let rest = api.ask("GET", &rest).send().await.json();
    assert_eq!((&rest["data"][0]["external_id"], rest["data"].as_array().unwrap().len()), (&json!("shop"), 1));
    for wrong in ["q=", "state=paused", "q=a&q=b", "external_id=shop&q=shop", "external_id=shop&state=healthy"] {
        assert_eq!(api.ask("GET", &format!("/subscriptions/?{wrong}")).send().await.status, 422, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_subscription_does_not_exist() {
    let api = TestApi::start().await;
    let id = api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned();
    let other = api.key("other", Scope::Admin).await;
    let body = json!({ "target_url": "https://hooks.example.com/in" });
    for (method, path) in [
        ("GET", format!("/subscriptions/{id}")),
        ("PUT", format!("/subscriptions/{id}")),
        ("PATCH", format!("/subscriptions/{id}")),
        ("DELETE", format!("/subscriptions/{id}")),
        ("GET", format!("/status/logs/{id}")),
        ("POST", format!("/ingest/{id}")),
    ] {
        let asked = api.ask(method, &path).key(&other);
        let asked = if matches!(method, "PUT" | "PATCH" | "POST") { asked.json(&body) } else { asked };
        assert_eq!(asked.send().await.code(), "subscription_not_found", "{method} {path}");
    }
    assert_eq!(api.ask("GET", &format!("/subscriptions/{id}")).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_has_the_secret_sealed() {
    let api = TestApi::start().await;
    api.subscribe(json!({ "secret_key": "a plain canary" })).await;
    let row = api.database.client().await.query_one("select secret from subscriptions", &[]).await.unwrap();
    let sealed: Vec<u8> = row.get(0);
    assert!(!String::from_utf8_lossy(&sealed).contains("canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_signature_covers_the_payloads_own_bytes() {
    let api = TestApi::start().await;
    let payload = r#"{"b": 12345678901234567890123 ,"a":1e400}"#;
    let body = format!(r#"{{ "secret_key": "{SECRET}", "payload":   {payload} }}"#);
    let answer = api.ask("POST", "/subscriptions/generate-signature").body(body).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let secret = postrider::domain::secret::Secret::parse(SECRET).unwrap();
    let expected = postrider::domain::signature::sign_hub(&secret, payload.as_bytes());
    assert_eq!(answer.json()["signature"], expected);
    assert_eq!(answer.json()["headers"]["X-Hub-Signature-256"], expected);
    assert_eq!(answer.json()["example_request"]["body"], payload);
}
