//! Portal sessions: a customer sees to the webhooks of one tenant; `api_scopes` says what a session opens.

use std::time::{Duration, Instant};

use postrider::api::ApiSettings;
use postrider::domain::actor::Actor;
use postrider::domain::api_key::Scope;
use postrider::store::Revocation;
use serde_json::{Value, json};

use crate::support::api::{Answer, TestApi};

/// Opens a session with the key of the administrator of `acme`.
async fn session(api: &TestApi, capabilities: &[&str]) -> Value {
    let opened = ask(api, &api.admin, json!({ "capabilities": capabilities })).await;
    assert_eq!(opened.status, 201, "{opened:?}");
    opened.json()
}

async fn ask(api: &TestApi, key: &str, body: Value) -> Answer {
    api.stranger("POST", "/portal-sessions").key(key).json(&body).send().await
}

fn token(session: &Value) -> &str {
    session["token"].as_str().unwrap()
}

async fn get(api: &TestApi, path: &str, session: &Value) -> Answer {
    api.stranger("GET", path).key(token(session)).send().await
}

async fn expire(api: &TestApi, session: &Value) {
    let id = session["id"].as_str().unwrap();
    let past = "update api_keys set expires_at = now() - interval '1 second' where id = $1::text::uuid";
    assert_eq!(api.database.client().await.execute(past, &[&id]).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_the_portal_of_one_tenant_until_it_expires() {
    let api = TestApi::start().await;
    let own = api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned();
    let body = json!({ "target_url": "https://hooks.example.com/in" });
    let globex = api.key("globex", Scope::Admin).await;
    let other = api.stranger("POST", "/subscriptions/").key(&globex).json(&body).send().await.json();
    let operator = api.operator(Scope::Admin).await;
    let opened = ask(&api, &operator, json!({ "tenant": "acme", "capabilities": ["read", "manage"] })).await;
    assert_eq!(opened.status, 201, "{opened:?}");
    let session = opened.json();
    assert_eq!(session["url"], format!("http://{}/#token={}", api.address, token(&session)));
    assert!(token(&session).starts_with("prp_"), "{session}");
    assert_eq!(session["capabilities"], json!(["read", "manage"]));
    assert_eq!(get(&api, &format!("/subscriptions/{own}"), &session).await.json()["id"], own);
    let others = get(&api, &format!("/subscriptions/{}", other["id"].as_str().unwrap()), &session).await;
    assert_eq!(others.code(), "subscription_not_found");
    let named = api.stranger("GET", "/subscriptions/").key(token(&session)).header("postrider-tenant", "globex");
    assert_eq!(named.send().await.code(), "tenant_not_found");

    let short = ask(&api, &operator, json!({ "tenant": "acme", "expires_in": 60 })).await.json();
    assert_eq!(short["capabilities"], json!(["read"]), "what looks is enough unless more is asked for");
    expire(&api, &short).await;
    assert_eq!(get(&api, "/subscriptions/", &short).await.code(), "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_url_of_the_settings_begins_the_link() {
    let public = Some("https://hooks.example.com/postrider".to_owned());
    let api = TestApi::start_limited(|settings: &mut ApiSettings| settings.portal.public_url = public).await;
    let session = session(&api, &["read"]).await;
    assert_eq!(session["url"], format!("https://hooks.example.com/postrider/#token={}", token(&session)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lives_as_long_as_it_is_asked_for() {
    let api = TestApi::start_limited(|settings| settings.portal.max_age = Duration::from_secs(7_200)).await;
    let lasts = async |body: Value| {
        let session = ask(&api, &api.admin, body).await.json();
        let left =
            "select extract(epoch from expires_at - created_at)::integer from api_keys where id = $1::text::uuid";
        let id = session["id"].as_str().unwrap();
        api.database.client().await.query_one(left, &[&id]).await.unwrap().get::<_, i32>(0)
    };
    assert_eq!(lasts(json!({})).await, 3_600);
    assert_eq!(lasts(json!({ "expires_in": 60 })).await, 60);
    assert_eq!(lasts(json!({ "expires_in": 7_200 })).await, 7_200);
    let refused = ask(&api, &api.admin, json!({ "expires_in": 7_201 })).await;
    assert_eq!((refused.status.as_u16(), refused.json()["errors"][0]["pointer"].as_str()), (422, Some("/expires_in")));
    assert!(refused.text.contains("60 to 7200 (POSTRIDER_PORTAL_MAX_AGE)"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_breaks_a_rule_is_refused_with_its_place() {
    let api = TestApi::start().await;
    for (body, pointer, code) in [
        (json!({ "capabilities": [] }), "/capabilities", "out_of_range"),
        (json!({ "capabilities": ["admin"] }), "/capabilities/0", "unknown_capability"),
        (json!({ "capabilities": "read" }), "/capabilities", "wrong_type"),
        (json!({ "capabilities": ["read", "manage", "read"] }), "/capabilities", "out_of_range"),
        (json!({ "expires_in": 59 }), "/expires_in", "out_of_range"),
        (json!({ "expires_in": 86_401 }), "/expires_in", "out_of_range"),
        (json!({ "expires_in": "3600" }), "/expires_in", "wrong_type"),
        (json!({ "tenant": 7 }), "/tenant", "wrong_type"),
        (json!({ "scope": "read" }), "/scope", "unknown_field"),
    ] {
        let refused = ask(&api, &api.admin, body.clone()).await;
        let error = &refused.json()["errors"][0];
        let met = (refused.status.as_u16(), error["pointer"].as_str(), error["code"].as_str());
        assert_eq!(met, (422, Some(pointer), Some(code)), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_names_the_tenant_and_a_tenants_admin_opens_sessions_of_its_own() {
    let api = TestApi::start().await;
    let operator = api.operator(Scope::Admin).await;
    api.key("globex", Scope::Read).await;
    let unnamed = ask(&api, &operator, json!({})).await;
    assert_eq!((unnamed.status.as_u16(), unnamed.json()["errors"][0]["pointer"].as_str()), (422, Some("/tenant")));
    assert_eq!(ask(&api, &operator, json!({ "tenant": "nobody" })).await.code(), "tenant_not_found");
    assert_eq!(ask(&api, &api.admin, json!({ "tenant": "acme" })).await.status, 201);
    for other in ["globex", "nobody"] {
        assert_eq!(ask(&api, &api.admin, json!({ "tenant": other })).await.code(), "tenant_not_found");
    }
    let manage = session(&api, &["read", "manage"]).await;
    for key in [api.key("acme", Scope::Read).await, api.operator(Scope::Publish).await, token(&manage).to_owned()] {
        assert_eq!(ask(&api, &key, json!({ "tenant": "acme" })).await.code(), "scope_missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_ended_and_one_of_a_deleted_tenant_open_nothing_a_second_later() {
    let api = TestApi::start().await;
    let operator = api.operator(Scope::Admin).await;
    let is_refused_soon = async |session: &Value| {
        let ended = Instant::now();
        while get(&api, "/subscriptions/", session).await.status != 401 {
            assert!(ended.elapsed() < Duration::from_secs(3), "the session still opens");
            tokio::task::yield_now().await;
        }
    };
    // Another replica ends the first; this one has it in memory.
    let (first, second) = (session(&api, &["read"]).await, session(&api, &["read"]).await);
    for session in [&first, &second] {
        assert_eq!(get(&api, "/subscriptions/", session).await.status, 200);
    }
    let id = first["id"].as_str().unwrap().parse::<uuid::Uuid>().unwrap();
    assert_eq!(api.store.revoke_api_key(id.into(), None, &Actor::COMMAND).await.unwrap(), Revocation::Now);
    is_refused_soon(&first).await;
    assert_eq!(get(&api, "/subscriptions/", &second).await.status, 200, "the other lives on");
    let deleted = api.stranger("DELETE", "/tenants/acme").key(&operator).send().await;
    assert_eq!(deleted.status, 200, "{deleted:?}");
    is_refused_soon(&second).await;
    assert_eq!(ask(&api, &operator, json!({ "tenant": "acme" })).await.code(), "tenant_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_ended_by_its_id_and_is_in_no_list_of_keys() {
    let api = TestApi::start().await;
    let session = session(&api, &["read"]).await;
    for key in [&api.admin, &api.operator(Scope::Admin).await] {
        let listed = api.stranger("GET", "/keys?tenant=acme").key(key).send().await;
        assert_eq!(listed.json()["data"].as_array().map(Vec::len), Some(1), "{listed:?}");
    }
    let path = format!("/keys/{}", session["id"].as_str().unwrap());
    let globex = api.key("globex", Scope::Admin).await;
    assert_eq!(api.stranger("DELETE", &path).key(&globex).send().await.code(), "key_not_found");
    assert_eq!(get(&api, "/subscriptions/", &session).await.status, 200);
    assert_eq!(api.ask("DELETE", &path).send().await.status, 200);
    assert_eq!(get(&api, "/subscriptions/", &session).await.code(), "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_at_most_so_many_live_sessions_however_many_ask_at_once() {
    let api = TestApi::start_limited(|settings| settings.portal.max_sessions = 2).await;
    let asked = (0..6).map(|_| ask(&api, &api.admin, json!({})));
    let (made, refused): (Vec<_>, Vec<_>) =
        futures_util::future::join_all(asked).await.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((made.len(), refused.len()), (2, 4));
    for refused in refused {
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "limit_reached"));
        assert!(refused.text.contains("max_portal_sessions 2"), "{refused:?}");
    }
    let globex = api.key("globex", Scope::Admin).await;
    assert_eq!(ask(&api, &globex, json!({})).await.status, 201, "each tenant has its own");
    expire(&api, &made[0].json()).await;
    let path = format!("/keys/{}", made[1].json()["id"].as_str().unwrap());
    assert_eq!(api.ask("DELETE", &path).send().await.status, 200);
    for status in [201, 201, 409] {
        assert_eq!(ask(&api, &api.admin, json!({})).await.status, status, "what ended counts no more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upkeep_forgets_sessions_that_expired_and_no_key() {
    let api = TestApi::start().await;
    let (expired, live) = (session(&api, &["read"]).await, session(&api, &["read"]).await);
    expire(&api, &expired).await;
    let client = api.database.client().await;
    let key = "update api_keys set expires_at = now() - interval '1 hour' where scope is not null returning 1";
    assert_eq!(client.query(key, &[]).await.unwrap().len(), 1);
    assert_eq!(api.store.forget_portal_sessions(100).await.unwrap(), 1);
    assert_eq!(api.store.forget_portal_sessions(100).await.unwrap(), 0);
    let left = client.query("select id::text from api_keys where capabilities is not null", &[]).await.unwrap();
    assert_eq!(left.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), [live["id"].as_str().unwrap()]);
    let keys = client.query_one("select count(*) from api_keys where scope is not null", &[]).await.unwrap();
    assert_eq!(keys.get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_says_who_opened_a_session_and_what_was_done_in_it() {
    let api = TestApi::start().await;
    let subscription = api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned();
    let session = session(&api, &["read", "manage"]).await;
    let (id, path) = (session["id"].as_str().unwrap(), format!("/subscriptions/{subscription}"));
    let changed = json!({ "description": "mine" });
    let changed = api.stranger("PATCH", &path).key(token(&session)).json(&changed).send().await;
    assert_eq!((changed.status.as_u16(), changed.json()["description"].as_str()), (200, Some("mine")));
    assert_eq!(api.ask("DELETE", &format!("/keys/{id}")).send().await.status, 200);

    let entries = async |query: &str| api.ask("GET", &format!("/audit?{query}")).send().await.json()["data"].clone();
    let of_session = entries(&format!("object_id={id}")).await;
    let told =
        |entry: &Value| (entry["action"].as_str().unwrap().to_owned(), entry["actor"].as_str().unwrap().to_owned());
    let expected = [("portal_session.revoked", "key"), ("portal_session.created", "key")];
    let told_of: Vec<_> = of_session.as_array().unwrap().iter().map(told).collect();
    assert_eq!(told_of, expected.map(|(action, actor)| (action.to_owned(), actor.to_owned())));
    assert_eq!(of_session[1]["after"]["capabilities"], json!(["read", "manage"]));
    assert_eq!(of_session[1]["object_kind"], "portal_session");
    let in_session = entries(&format!("key_id={id}")).await;
    assert_eq!(in_session.as_array().map(Vec::len), Some(1), "{in_session}");
    assert_eq!(told(&in_session[0]), ("subscription.updated".to_owned(), "portal".to_owned()));
    let opened = entries("action=portal_session.created").await;
    assert_eq!(opened.as_array().map(Vec::len), Some(1), "{opened}");
    assert!(!format!("{of_session}{in_session}").contains(token(&session)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_finds_its_events_and_no_request_that_its_producer_got_refused() {
    let api = TestApi::start().await;
    let wanted = json!({ "event_types": ["order.created"] });
    let subscription = api.subscribe(wanted).await["id"].as_str().unwrap().to_owned();
    let publish = async |event_type: &str| {
        let ask = api.ask("POST", &format!("/ingest/{subscription}")).header("x-event-type", event_type);
        ask.json(&json!({ "order": "order-4711" })).send().await
    };
    assert_eq!(publish("order.created").await.status, 202);
    assert_eq!(publish("user.created").await.code(), "event_type_not_wanted");
    let session = session(&api, &["read"]).await;
    let kinds = |found: Answer| {
        let data = found.json()["data"].as_array().unwrap().clone();
        data.iter().map(|row| row["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let producers = kinds(api.ask("GET", "/search?q=order-4711").send().await);
    assert!(producers.contains(&"refusal".to_owned()), "{producers:?}");
    let customers = kinds(get(&api, "/search?q=order-4711", &session).await);
    assert!(customers.contains(&"event".to_owned()), "{customers:?}");
    assert!(!customers.contains(&"refusal".to_owned()), "{customers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_the_token_of_a_portal_still_counts() {
    let api = TestApi::start_with(false).await;
    let opened = api.stranger("POST", "/portal-sessions").json(&json!({})).send().await;
    assert_eq!(opened.status, 201, "{opened:?}");
    let session = opened.json();
    assert_eq!(session["tenant_id"], "00000000-0000-7000-8000-000000000000");
    let me = get(&api, "/me", &session).await.json();
    assert_eq!((&me["kind"], &me["auth"]), (&json!("portal"), &json!("off")));
    assert_eq!(get(&api, "/tenants", &session).await.code(), "scope_missing");
    let wrong = format!("{}A", &token(&session)[..token(&session).len() - 2]);
    assert_eq!(api.stranger("GET", "/subscriptions/").key(&wrong).send().await.code(), "unauthenticated");
    assert_eq!(api.stranger("GET", "/tenants").key("prk_unknown").send().await.status, 200, "keys do not count");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_key_or_a_token_can_ask_what_it_opens() {
    let api = TestApi::start().await;
    let me = async |key: &str| api.stranger("GET", "/me").key(key).send().await.json();
    for scope in Scope::ALL {
        let operator = me(&api.operator(scope).await).await;
        let expected = json!({ "kind": "operator", "tenant_id": null, "tenant_name": null, "tenant_external_id": null,
            "scope": scope.as_str(), "capabilities": [], "expires_at": null, "auth": "on" });
        assert_eq!(operator, expected);
    }
    let made = api.ask("POST", "/keys").json(&json!({ "scope": "read", "expires_at": "2200-01-01T00:00:00Z" }));
    let made = made.send().await.json();
    let tenant = me(made["key"].as_str().unwrap()).await;
    let expected = json!({ "kind": "tenant", "tenant_id": made["tenant_id"], "tenant_name": "acme",
        "tenant_external_id": "acme", "scope": "read", "capabilities": [], "expires_at": "2200-01-01T00:00:00.000000Z",
        "auth": "on" });
    assert_eq!(tenant, expected);
    let session = session(&api, &["manage"]).await;
    let portal = me(token(&session)).await;
    let expected = json!({ "kind": "portal", "tenant_id": made["tenant_id"], "tenant_name": "acme",
        "tenant_external_id": "acme", "scope": null, "capabilities": ["manage"], "expires_at": session["expires_at"],
        "auth": "on" });
    assert_eq!(portal, expected);
    assert_eq!(api.stranger("GET", "/me").send().await.code(), "unauthenticated");
    let off = TestApi::start_with(false).await;
    let anybody = off.stranger("GET", "/me").send().await.json();
    assert_eq!(
        (&anybody["kind"], &anybody["auth"], &anybody["scope"]),
        (&json!("operator"), &json!("off"), &json!("admin"))
    );
}
