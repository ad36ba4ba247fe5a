//! Who has a key, and for how long it opens; `api_scopes` says what.

use std::time::{Duration, Instant};

use crate::support::api::{TestApi, made_key};
use crate::support::wait::until;
use postrider::domain::actor::Actor;
use postrider::domain::api_key::Scope;
use postrider::store::{MadeKey, Revocation};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn without_a_valid_key_nothing_opens() {
    let api = TestApi::start().await;
    let path = format!("/subscriptions/{}", api.subscribe(json!({})).await["id"].as_str().unwrap());
    let none = api.stranger("GET", &path).send().await;
    assert_eq!((none.status.as_u16(), none.code().as_str()), (401, "unauthenticated"));
    assert_eq!(none.headers["www-authenticate"], "Bearer");
    let almost = format!("{}A", &api.admin[..api.admin.len() - 1]);
    for header in ["Basic x", "Bearer", "Bearer prk_1", &format!("Bearer {almost}x"), "Bearer \u{ff}"] {
        assert_eq!(api.stranger("GET", &path).header("authorization", header).send().await.status, 401, "{header}");
    }
    assert_eq!(api.stranger("GET", &format!("{path}?api_key={}", api.admin)).send().await.status, 401);
    let twice = api.ask("GET", &path).header("authorization", "Bearer x").send().await;
    assert_eq!(twice.code(), "malformed_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_within_its_bound() {
    let api = TestApi::start().await;
    let MadeKey { id, text: key, tenant, .. } = made_key(&api.store, "acme", Scope::Read).await;
    assert_eq!(api.ask("GET", "/subscriptions/").key(&key).send().await.status, 200);
    assert_eq!(api.store.revoke_api_key(id, tenant, &Actor::COMMAND).await.unwrap(), Revocation::Now);
    let revoked = Instant::now();
    while api.ask("GET", "/subscriptions/").key(&key).send().await.status != 401 {
        assert!(revoked.elapsed() < Duration::from_secs(3), "the key still opens");
        tokio::task::yield_now().await;
    }
    assert_eq!(api.ask("GET", "/subscriptions/").send().await.status, 200, "the tenant's other key lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_live_key_of_a_tenant_opens_the_same() {
    let api = TestApi::start().await;
    let id = api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned();
    let path = format!("/subscriptions/{id}");
    for key in [api.key("acme", Scope::Admin).await, api.key("acme", Scope::Read).await] {
        assert_eq!(api.ask("GET", &path).key(&key).send().await.json()["id"], id);
    }
    assert_eq!(api.ask("GET", &path).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_use_of_a_key_is_written_beside_the_requests_and_never_goes_back() {
    let api = TestApi::start().await;
    let MadeKey { id, text: key, tenant, .. } = made_key(&api.store, "acme", Scope::Read).await;
    let last_used = async || {
        let listed = api.store.list_api_keys(tenant, None, 100).await.unwrap();
        listed.into_iter().find(|row| row.id == id).unwrap().last_used_at
    };
    let forged = format!("{}{}", &key[..key.len() - 4], if key.ends_with("AAAA") { "EEEE" } else { "AAAA" });
    assert_eq!(api.ask("GET", "/subscriptions/").key(&forged).send().await.status, 401);
    assert_eq!(last_used().await, None);
    assert_eq!(api.ask("GET", "/subscriptions/").key(&key).send().await.status, 200);
    let used = until("the use is written", last_used).await;
    let minute = Duration::from_secs(60);
    api.store.touch_api_keys(&[(id, used - minute)]).await.unwrap();
    assert_eq!(last_used().await, Some(used));
    api.store.touch_api_keys(&[(id, used + minute)]).await.unwrap();
    assert_eq!(last_used().await, Some(used + minute));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_keys_switched_off_everybody_is_the_default_tenant() {
    let api = TestApi::start_with(false).await;
    let body = json!({ "target_url": "https://hooks.example.com/in" });
    assert_eq!(api.stranger("POST", "/subscriptions").json(&body).send().await.status, 201);
    let row = api.database.client().await.query_one("select tenant_id::text from subscriptions", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "00000000-0000-7000-8000-000000000000");
}
