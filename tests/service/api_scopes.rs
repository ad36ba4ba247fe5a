//! What each key opens: every operation of the OpenAPI document with every scope.

use std::time::Duration;

use postrider::domain::actor::Actor;
use postrider::domain::api_key::Scope;
use postrider::domain::grant::Capability;
use postrider::store::{NewKey, Revocation};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::support::api::{Answer, Ask, TestApi, made_key};

const SCOPES: [Scope; 4] = Scope::ALL;

/// Which portal sessions open an operation.
#[derive(Debug, Clone, Copy)]
enum Portal {
    Always,
    With(Capability),
    Never,
}

const LOOKS: Portal = Portal::With(Capability::Read);
const MANAGES: Portal = Portal::With(Capability::Manage);
const NEVER: Portal = Portal::Never;

/// Which scopes open an operation, and which portal sessions. One that is missing here fails the tests.
const OPENED_BY: &[(&str, &[Scope], Portal)] = &[
    ("POST /subscriptions/", &[Scope::Admin], MANAGES),
    ("GET /subscriptions/", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("GET /subscriptions/{subscription_id}", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("PUT /subscriptions/{subscription_id}", &[Scope::Admin], MANAGES),
    ("PATCH /subscriptions/{subscription_id}", &[Scope::Admin], MANAGES),
    ("POST /subscriptions/{subscription_id}/rotate-secret", &[Scope::Admin], MANAGES),
    ("POST /subscriptions/{subscription_id}/cancel-held", &[Scope::Admin], MANAGES),
    ("POST /subscriptions/{subscription_id}/test", &[Scope::Admin], MANAGES),
    ("DELETE /subscriptions/{subscription_id}", &[Scope::Admin], MANAGES),
    ("POST /subscriptions/generate-signature", &[Scope::Admin], MANAGES),
    ("POST /subscriptions/filter-test", &[Scope::Admin, Scope::Read], LOOKS),
    ("POST /ingest/{subscription_id}", &[Scope::Admin, Scope::Publish], NEVER),
    ("GET /event-types", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("GET /event-types/{name}", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("PUT /event-types/{name}", &[Scope::Admin], NEVER),
    ("DELETE /event-types/{name}", &[Scope::Admin], NEVER),
    ("POST /events", &[Scope::Admin, Scope::Publish], NEVER),
    ("POST /events/batch", &[Scope::Admin, Scope::Publish], NEVER),
    ("GET /events/{webhook_id}", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("GET /events/{webhook_id}/deliveries", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("POST /events/{webhook_id}/retry", &[Scope::Admin, Scope::Publish], MANAGES),
    ("POST /events/{webhook_id}/cancel", &[Scope::Admin, Scope::Publish], MANAGES),
    ("POST /replays", &[Scope::Admin], MANAGES),
    ("GET /replays", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("GET /replays/{replay_id}", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("POST /replays/{replay_id}/cancel", &[Scope::Admin], MANAGES),
    ("GET /events", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("GET /events/{webhook_id}/payload", &[Scope::Admin, Scope::Read], LOOKS),
    ("GET /attempts", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("GET /events/{webhook_id}/attempts", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("POST /deliveries/retry", &[Scope::Admin], MANAGES),
    ("POST /deliveries/cancel", &[Scope::Admin], MANAGES),
    ("GET /deliveries", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("GET /audit", &[Scope::Admin], NEVER),
    ("GET /analytics/deliveries", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("GET /analytics/summary", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("GET /stream", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("GET /search", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("GET /refusals", &[Scope::Admin, Scope::Read, Scope::Support], NEVER),
    ("GET /status/{webhook_id}", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("GET /status/logs/{subscription_id}", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("GET /attempts/{attempt_id}", &[Scope::Admin, Scope::Read, Scope::Support], LOOKS),
    ("POST /tenants", &[Scope::Admin], NEVER),
    ("GET /tenants", &[Scope::Admin], NEVER),
    ("GET /tenants/{tenant}", &[Scope::Admin], NEVER),
    ("PUT /tenants/{tenant}", &[Scope::Admin], NEVER),
    ("PATCH /tenants/{tenant}", &[Scope::Admin], NEVER),
    ("DELETE /tenants/{tenant}", &[Scope::Admin], NEVER),
    ("POST /keys", &[Scope::Admin], NEVER),
    ("GET /keys", &[Scope::Admin], NEVER),
    ("DELETE /keys/{key_id}", &[Scope::Admin], NEVER),
    ("GET /operations", &[Scope::Admin, Scope::Read, Scope::Support], NEVER),
    ("GET /me", &SCOPES, Portal::Always),
    ("POST /portal-sessions", &[Scope::Admin], NEVER),
];

/// An operation of the document, with a body that it accepts.
struct Operation {
    method: String,
    path: String,
    body: Option<Value>,
    /// The scope that the document says it needs; `None` for any.
    scope: Option<Scope>,
    /// The capability of a portal session that the document says it needs.
    capability: Option<String>,
    /// Whether it is about objects of one tenant, as the document says by its header.
    of_tenant: bool,
    /// Whether it may be about all tenants, by `*`.
    of_all: bool,
}

/// What a tenant has.
struct Belongings {
    subscription: String,
    event: String,
    replay: String,
    key: String,
    attempt: String,
    event_type: String,
    /// The external id of a tenant, which operators see.
    tenant: String,
}

impl Operation {
    fn all() -> Vec<Self> {
        let document: Value = serde_json::from_str(&postrider::api::openapi_document()).unwrap();
        let paths = document["paths"].as_object().unwrap().iter();
        let of_path = |(path, methods): (&String, &Value)| {
            let operation = |(method, described): (&String, &Value)| Self {
                method: method.to_uppercase(),
                path: path.clone(),
                body: body(described),
                scope: described["x-scope"].as_str().map(|scope| scope.parse().unwrap()),
                capability: described["x-portal-capability"].as_str().map(str::to_owned),
                of_tenant: described["parameters"].to_string().contains("Postrider-Tenant"),
                of_all: described["parameters"].to_string().contains("where `*` means all tenants"),
            };
            methods.as_object().unwrap().iter().map(operation).collect::<Vec<_>>()
        };
        paths.flat_map(of_path).collect()
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether no key of a tenant opens it.
    fn is_for_operators(&self) -> bool {
        self.path.starts_with("/tenants") || self.path == "/operations"
    }

    /// Whether it makes what its path names, so that another tenant's name is as good as a new one.
    fn makes_what_it_names(&self) -> bool {
        self.name() == "PUT /event-types/{name}"
    }

    fn is_opened_by(&self, scope: Scope) -> bool {
        let name = self.name();
        let row = OPENED_BY.iter().find(|(known, ..)| *known == name);
        row.unwrap_or_else(|| panic!("{name} has no row")).1.contains(&scope)
    }

    fn is_opened_in_a_portal_with(&self, capabilities: &[Capability]) -> bool {
        let name = self.name();
        let row = OPENED_BY.iter().find(|(known, ..)| *known == name);
        match row.unwrap_or_else(|| panic!("{name} has no row")).2 {
            Portal::Always => true,
            Portal::With(capability) => capabilities.contains(&capability),
            Portal::Never => false,
        }
    }

    /// Asks it of what this tenant has, with this key or none.
    async fn ask(&self, api: &TestApi, of: &Belongings, key: Option<&str>) -> Answer {
        self.ask_for(api, of, key, &[]).await
    }

    /// The same with headers that name tenants.
    async fn ask_for(&self, api: &TestApi, of: &Belongings, key: Option<&str>, tenants: &[&str]) -> Answer {
        let path = self.path.replace("{subscription_id}", &of.subscription).replace("{webhook_id}", &of.event);
        let path =
            path.replace("{replay_id}", &of.replay).replace("{key_id}", &of.key).replace("{attempt_id}", &of.attempt);
        let path = path.replace("{name}", &of.event_type);
        let query = if path == "/search" { "?q=x" } else { "" };
        let ask = api.stranger(&self.method, &format!("{}{query}", path.replace("{tenant}", &of.tenant)));
        let ask = key.into_iter().fold(ask, Ask::key);
        let mut body = self.body.clone();
        if let Some(subscription) = body.as_mut().and_then(|body| body.get_mut("subscription_id")) {
            *subscription = json!(of.subscription);
        }
        if let Some(external_id) = body.as_mut().and_then(|body| body.get_mut("external_id")) {
            *external_id = if self.method == "PUT" { json!(of.tenant) } else { json!(fresh_external_id()) };
        }
        let ask = tenants.iter().fold(ask, |ask, tenant| ask.header("postrider-tenant", tenant));
        body.iter().fold(ask, Ask::json).send().await
    }
}

/// The example of the body; an empty object where it may be left out.
fn body(operation: &Value) -> Option<Value> {
    let content = &operation.get("requestBody")?["content"]["application/json"];
    Some(content.get("example").cloned().unwrap_or_else(|| json!({})))
}

fn fresh_external_id() -> String {
    format!("t-{}", uuid::Uuid::new_v4().simple())
}

/// A row of the log for the only delivery of an event.
const ATTEMPT: &str = "
    insert into attempts (tenant_id, subscription_id, id, event_id, attempt_number, outcome, created_at)
    select d.tenant_id, d.subscription_id, uuid_v7(), d.event_id, 1, 'delivered', now()
    from deliveries as d
    where d.event_id = $1::text::uuid
    returning id::text";

/// A subscription, an event with an attempt, a replay that has ended and a key, made with this key; and another tenant.
async fn belongings(api: &TestApi, key: &str) -> Belongings {
    let with = key.to_owned();
    let made =
        api.stranger("POST", "/subscriptions/").key(key).json(&json!({ "target_url": "https://hooks.example.com/" }));
    let subscription = made.send().await.json()["id"].as_str().unwrap().to_owned();
    let accepted = api.stranger("POST", &format!("/ingest/{subscription}")).key(key).body("{}").send().await;
    let event = accepted.json()["webhook_id"].as_str().unwrap().to_owned();
    let begun =
        api.stranger("POST", "/replays").key(key).json(&json!({ "subscription_id": subscription })).send().await;
    let replay = begun.json()["id"].as_str().unwrap().to_owned();
    api.stranger("POST", &format!("/replays/{replay}/cancel")).key(key).send().await;
    let made = api.stranger("POST", "/keys").key(key).json(&json!({ "scope": "read" })).send().await;
    let key = made.json()["id"].as_str().unwrap().to_owned();
    let event_type = fresh_external_id();
    let described = api.stranger("PUT", &format!("/event-types/{event_type}")).key(&with).json(&json!({})).send().await;
    assert_eq!(described.status, 201, "{described:?}");
    let tenant = fresh_external_id();
    made_key(&api.store, &tenant, Scope::Read).await;
    let attempt = api.database.client().await.query_one(ATTEMPT, &[&event]).await.unwrap().get(0);
    Belongings { subscription, event, replay, key, attempt, event_type, tenant }
}

#[test]
fn the_table_names_every_operation_once() {
    let mut documented: Vec<_> = Operation::all().iter().map(Operation::name).collect();
    let mut named: Vec<_> = OPENED_BY.iter().map(|(name, ..)| (*name).to_owned()).collect();
    documented.sort();
    named.sort();
    assert_eq!(named, documented);
}

#[test]
fn the_document_says_which_scope_an_operation_needs() {
    for operation in Operation::all() {
        let name = operation.name();
        let opened = SCOPES.map(|scope| operation.scope.is_none_or(|needed| scope.allows(needed)));
        assert_eq!(opened, SCOPES.map(|scope| operation.is_opened_by(scope)), "{name}");
        for capability in Capability::ALL {
            let is_named = operation.capability.as_deref() == Some(capability.as_str());
            let is_opened = operation.is_opened_in_a_portal_with(&[capability]);
            assert_eq!(is_named || operation.scope.is_none(), is_opened, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_what_its_scope_covers_and_nothing_of_another_tenant() {
    let api = TestApi::start().await;
    let other = belongings(&api, &api.key("globex", Scope::Admin).await).await;
    let own_again = belongings(&api, &api.admin).await;
    for scope in SCOPES {
        let key = api.key("acme", scope).await;
        for operation in Operation::all() {
            let what = format!("{} with {}", operation.name(), scope.as_str());
            // A fresh one each time: some operations end what they are asked about.
            let own = operation.ask(&api, &belongings(&api, &api.admin).await, Some(&key)).await;
            let of_others = if operation.makes_what_it_names() { &own_again } else { &other };
            let others = operation.ask(&api, of_others, Some(&key)).await;
            if operation.is_opened_by(scope) && !operation.is_for_operators() {
                assert!(own.status.is_success(), "{what}: {own:?}");
                if operation.path.contains('{') && !operation.makes_what_it_names() {
                    assert_eq!(others.status, 404, "{what}");
                    assert!(others.code().ends_with("_not_found"), "{what}: {others:?}");
                }
            } else {
                for refused in [own, others] {
                    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "scope_missing"), "{what}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_portal_session_opens_what_its_capabilities_cover_of_its_tenant_and_nothing_else() {
    let api = TestApi::start().await;
    let other = belongings(&api, &api.key("globex", Scope::Admin).await).await;
    for capabilities in [&[Capability::Read][..], &[Capability::Manage], &Capability::ALL] {
        let words: Vec<_> = capabilities.iter().map(|capability| capability.as_str()).collect();
        let opened = api.ask("POST", "/portal-sessions").json(&json!({ "capabilities": words })).send().await;
        let token = opened.json()["token"].as_str().unwrap().to_owned();
        for operation in Operation::all() {
            let what = format!("{} with {words:?}", operation.name());
            let own = operation.ask(&api, &belongings(&api, &api.admin).await, Some(&token)).await;
            let others = operation.ask(&api, &other, Some(&token)).await;
            if operation.is_opened_in_a_portal_with(capabilities) {
                assert!(own.status.is_success(), "{what}: {own:?}");
                if operation.path.contains('{') {
                    assert_eq!(others.status, 404, "{what}");
                    assert!(others.code().ends_with("_not_found"), "{what}: {others:?}");
                }
            } else {
                for refused in [own, others] {
                    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "scope_missing"), "{what}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_or_with_a_revoked_one_nothing_opens() {
    let api = TestApi::start().await;
    let own = belongings(&api, &api.admin).await;
    let revoked = made_key(&api.store, "acme", Scope::Admin).await;
    let revocation = api.store.revoke_api_key(revoked.id, None, &Actor::COMMAND).await.unwrap();
    assert_eq!(revocation, Revocation::Now);
    let past = Some(OffsetDateTime::now_utc() - Duration::from_secs(1));
    let expired = NewKey { expires_at: past, ..NewKey::of("acme", Scope::Admin) };
    let expired = api.store.create_api_key(&expired, &Actor::COMMAND).await.unwrap().unwrap();
    for operation in Operation::all() {
        for key in [None, Some(revoked.text.as_str()), Some(expired.text.as_str())] {
            let refused = operation.ask(&api, &own, key).await;
            assert_eq!(
                (refused.status.as_u16(), refused.code().as_str()),
                (401, "unauthenticated"),
                "{}",
                operation.name()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_names_the_tenant_and_others_may_name_their_own_only() {
    let api = TestApi::start().await;
    let other = belongings(&api, &api.key("globex", Scope::Admin).await).await;
    let operator = api.operator(Scope::Admin).await;
    let (with, own) = (Some(operator.as_str()), Some(api.admin.as_str()));
    for operation in Operation::all().into_iter().filter(|operation| operation.of_tenant && operation.path != "/audit")
    {
        let name = operation.name();
        let mine = belongings(&api, &api.admin).await;
        let code = async |key, of: &Belongings, tenants: &[&str]| {
            let answer = operation.ask_for(&api, of, key, tenants).await;
            (answer.status.as_u16(), answer.code())
        };
        let refused = |status, code: &str| (status, code.to_owned());
        // The events of a batch may name their tenants.
        if operation.path != "/events/batch" {
            assert_eq!(code(with, &mine, &[]).await, refused(400, "tenant_required"), "{name}");
        }
        if operation.of_all {
            assert_eq!(operation.ask_for(&api, &mine, with, &["*"]).await.status, 200, "{name}");
        } else {
            assert_eq!(code(with, &mine, &["*"]).await, refused(400, "tenant_required"), "{name}");
        }
        assert_eq!(code(with, &mine, &["acme", "acme"]).await, refused(400, "malformed_request"), "{name}");
        for unknown in ["nobody", "0199c5f0-0000-7000-8000-00000000dead", "not a name"] {
            assert_eq!(code(with, &mine, &[unknown]).await, refused(404, "tenant_not_found"), "{name}");
        }
        for not_its_own in ["globex", "nobody", "*"] {
            assert_eq!(code(own, &mine, &[not_its_own]).await, refused(404, "tenant_not_found"), "{name}");
        }
        if operation.path.contains('{') && !operation.makes_what_it_names() {
            let (status, code) = code(with, &other, &["acme"]).await;
            assert!(status == 404 && code.ends_with("_not_found"), "{name}: {code}");
        }
        let named = operation.ask_for(&api, &mine, with, &["acme"]).await;
        assert!(named.status.is_success(), "{name}: {named:?}");
        let own = operation.ask_for(&api, &belongings(&api, &api.admin).await, own, &["acme"]).await;
        assert!(own.status.is_success(), "{name}: {own:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_key_opens_what_is_of_no_tenant_with_its_scope() {
    let api = TestApi::start().await;
    for scope in SCOPES {
        let key = api.operator(scope).await;
        for operation in Operation::all().into_iter().filter(|operation| !operation.of_tenant) {
            let answer = operation.ask(&api, &belongings(&api, &api.admin).await, Some(&key)).await;
            let what = format!("{} with {scope}: {answer:?}", operation.name());
            if operation.is_opened_by(scope) {
                assert!(answer.status.is_success(), "{what}");
            } else {
                assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "scope_missing"), "{what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_keys_switched_off_everything_is_open() {
    let api = TestApi::start_with(false).await;
    for operation in Operation::all() {
        let answer = operation.ask(&api, &belongings(&api, "none is needed").await, None).await;
        assert!(answer.status.is_success(), "{}: {answer:?}", operation.name());
    }
}
