//! Tenants and their keys over the API, as a company has them that sends webhooks to its customers.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use postrider::domain::actor::Actor;
use postrider::domain::api_key::Scope;
use postrider::store::NewKey;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::api::{Answer, TestApi, made_key};
use crate::support::database::Database;
use crate::support::process::Start;
use crate::support::wait::until;

/// An API with an operator's admin key.
struct Operator {
    api: TestApi,
    key: String,
}

impl Operator {
    async fn start() -> Self {
        let api = TestApi::start().await;
        let key = api.operator(Scope::Admin).await;
        Self { api, key }
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let ask = self.api.stranger(method, path).key(&self.key);
        body.iter().fold(ask, |ask, body| ask.json(body)).send().await
    }

    async fn create(&self, body: Value) -> Value {
        let created = self.ask("POST", "/tenants", Some(body)).await;
        assert_eq!(created.status, 201, "{created:?}");
        created.json()
    }

    /// The external ids of a page, and its cursor.
    async fn list(&self, query: &str) -> (Vec<String>, Option<String>) {
        let page = self.ask("GET", &format!("/tenants?{query}"), None).await;
        assert_eq!(page.status, 200, "{page:?}");
        let rows = page.json()["data"].as_array().unwrap().clone();
        let ids = rows.iter().map(|row| row["external_id"].as_str().unwrap().to_owned()).collect();
        (ids, page.json()["next_cursor"].as_str().map(str::to_owned))
    }
}

fn pointers(answer: &Answer) -> Vec<String> {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (422, "validation_failed"), "{answer:?}");
    let errors = answer.json()["errors"].as_array().unwrap().clone();
    errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_created_read_changed_and_deleted() {
    let operator = Operator::start().await;
    let limits = json!({ "max_subscriptions": 10, "publish_per_second": null });
    let created = operator
        .create(json!({ "name": "Globex", "external_id": "globex", "metadata": { "plan": "pro" }, "limits": limits }))
        .await;
    assert_eq!(created["limits"], limits);
    assert_eq!(created["metadata"], json!({ "plan": "pro" }));
    let id = created["id"].as_str().unwrap();
    for name in [id, "globex"] {
        assert_eq!(operator.ask("GET", &format!("/tenants/{name}"), None).await.json(), created);
    }

    let change = json!({ "name": "Globex GmbH", "metadata": { "plan": null, "crm": "7" }, "limits": { "publish_per_second": 5 } });
    let changed = operator.ask("PATCH", "/tenants/globex", Some(change.clone())).await.json();
    assert_eq!(changed["name"], "Globex GmbH");
    assert_eq!(changed["metadata"], json!({ "crm": "7" }));
    assert_eq!(changed["limits"], json!({ "max_subscriptions": 10, "publish_per_second": 5 }));
    assert_eq!(changed["created_at"], created["created_at"]);
    assert!(changed["updated_at"].as_str() > created["updated_at"].as_str());
    let again = operator.ask("PATCH", "/tenants/globex", Some(change)).await;
    assert_eq!(again.json(), changed, "what changes nothing is not written");
    let none = json!({ "external_id": null, "limits": null });
    let nameless = operator.ask("PATCH", &format!("/tenants/{id}"), Some(none)).await.json();
    assert_eq!(nameless["external_id"], Value::Null);
    assert_eq!(nameless["limits"], json!({ "max_subscriptions": null, "publish_per_second": null }));

    let deleted = operator.ask("DELETE", &format!("/tenants/{id}"), None).await;
    assert_eq!((deleted.status.as_u16(), &deleted.json()["id"]), (200, &created["id"]));
    assert_eq!(deleted.json()["message"], "tenant deleted");
    for method in ["GET", "DELETE"] {
        assert_eq!(operator.ask(method, &format!("/tenants/{id}"), None).await.code(), "tenant_not_found");
    }
    let kept = operator.ask("DELETE", "/tenants/default", None).await;
    assert_eq!((kept.status.as_u16(), kept.code().as_str()), (409, "default_tenant"));
}

#[tokio::test(flavor = "multi_thread")]
async fn put_creates_a_tenant_and_then_replaces_it() {
    let operator = Operator::start().await;
    let form = json!({ "name": "Globex", "external_id": "globex", "metadata": { "plan": "pro" }, "limits": { "max_subscriptions": 3 } });
    let made = operator.ask("PUT", "/tenants/globex", Some(form.clone())).await;
    assert_eq!(made.status, 201, "{made:?}");
    let again = operator.ask("PUT", "/tenants/globex", Some(form)).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, made.json()), "the same again changes nothing");
    let replaced = operator.ask("PUT", "/tenants/globex", Some(json!({ "name": "Globex 2" }))).await;
    assert_eq!((replaced.status.as_u16(), &replaced.json()["id"]), (200, &made.json()["id"]));
    assert_eq!(replaced.json()["metadata"], json!({}), "what is left out takes its default");
    assert_eq!(replaced.json()["limits"]["max_subscriptions"], Value::Null);

    let other = operator.ask("PUT", "/tenants/globex", Some(json!({ "name": "x", "external_id": "initech" }))).await;
    assert_eq!(pointers(&other), ["/external_id"]);
    let by_id = format!("/tenants/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(pointers(&operator.ask("PUT", &by_id, Some(json!({ "name": "x" }))).await), ["/path/tenant"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_id_belongs_to_one_tenant_at_a_time() {
    let operator = Operator::start().await;
    let first = operator.create(json!({ "name": "Globex", "external_id": "globex" })).await;
    operator.create(json!({ "name": "Globex", "external_id": "initech" })).await;
    let taken = [
        operator.ask("POST", "/tenants", Some(json!({ "name": "Again", "external_id": "globex" }))).await,
        operator.ask("PATCH", "/tenants/initech", Some(json!({ "external_id": "globex" }))).await,
    ];
    for taken in taken {
        assert_eq!((taken.status.as_u16(), taken.code().as_str()), (409, "external_id_taken"));
    }
    operator.ask("DELETE", "/tenants/globex", None).await;
    let second = operator.create(json!({ "name": "Globex", "external_id": "globex" })).await;
    assert_ne!(second["id"], first["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_listed_newest_first_and_found_by_text() {
    let operator = Operator::start().await;
    for name in ["one", "two", "three"] {
        operator.create(json!({ "name": format!("Customer {name}"), "external_id": format!("c-{name}") })).await;
    }
    assert_eq!(
        operator.list("").await,
        (["c-three", "c-two", "c-one", "acme", "default"].map(str::to_owned).into(), None)
    );
    let (first, cursor) = operator.list("limit=2").await;
    assert_eq!(first, ["c-three", "c-two"]);
    let (second, _) = operator.list(&format!("limit=2&cursor={}", cursor.unwrap())).await;
    assert_eq!(second, ["c-one", "acme"]);
    assert_eq!(operator.list("q=CUSTOMER").await.0, ["c-three", "c-two", "c-one"]);
    assert_eq!(operator.list("q=c-t").await.0, ["c-three", "c-two"]);
    assert_eq!(operator.list("q=nobody").await.0, [""; 0]);
    assert_eq!(operator.list("external_id=c-one").await.0, ["c-one"]);
    assert_eq!(operator.list("external_id=c-four").await.0, [""; 0]);
    let several = "external_id=c-one&external_id=c-three&external_id=c-four&external_id=c-one&limit=1";
    let (first, cursor) = operator.list(several).await;
    let (second, end) = operator.list(&format!("{several}&cursor={}", cursor.unwrap())).await;
    assert_eq!((first, second, end), (vec!["c-three".to_owned()], vec!["c-one".to_owned()], None));
    let both = operator.ask("GET", "/tenants?external_id=c-one&q=x", None).await;
    assert_eq!(pointers(&both), ["/query/external_id"]);
    assert_eq!(pointers(&operator.ask("GET", "/tenants?q=%00", None).await), ["/query/q"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_rule_of_a_tenant_is_named() {
    let operator = Operator::start().await;
    let bad = json!({
        "name": " \u{3000}", "external_id": "0199c5f0-0000-7000-8000-000000000001", "metadata": { "a": 1 },
        "limits": { "max_subscriptions": 0, "publish_per_second": 1.5, "x": 1 }, "id": "mine",
    });
    let refused = operator.ask("POST", "/tenants", Some(bad)).await;
    let expected = [
        "/name",
        "/external_id",
        "/metadata/a",
        "/limits/max_subscriptions",
        "/limits/publish_per_second",
        "/limits/x",
        "/id",
    ];
    assert_eq!(pointers(&refused), expected);
    assert_eq!(pointers(&operator.ask("POST", "/tenants", Some(json!({}))).await), ["/name"]);
    assert_eq!(pointers(&operator.ask("PATCH", "/tenants/acme", Some(json!({ "name": null }))).await), ["/name"]);
    assert_eq!(operator.ask("PATCH", "/tenants/nobody", Some(json!({}))).await.code(), "tenant_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_admin_manages_the_keys_of_its_tenant_only() {
    let operator = Operator::start().await;
    let api = &operator.api;
    operator.create(json!({ "name": "Globex", "external_id": "globex" })).await;
    let made =
        api.ask("POST", "/keys").json(&json!({ "name": "ci", "tenant": "acme", "scope": "publish" })).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    let (made, id) = (made.json(), made.json()["id"].as_str().unwrap().to_owned());
    let key = made["key"].as_str().unwrap();
    assert_eq!(api.stranger("POST", "/events").key(key).body("{}").send().await.status, 202);
    assert_eq!(api.stranger("GET", "/subscriptions/").key(key).send().await.code(), "scope_missing");

    let listed = api.ask("GET", "/keys").send().await.json()["data"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 2, "its own two, not the operator's: {listed}");
    assert_eq!((&listed[0]["id"], &listed[0]["name"]), (&made["id"], &json!("ci")));
    assert_eq!(listed[0]["created_at"], made["created_at"]);
    assert_eq!(listed[0].get("key"), None);

    let refused = async |body: Value| {
        let answer = api.ask("POST", "/keys").json(&body).send().await;
        (answer.status.as_u16(), answer.code())
    };
    assert_eq!(refused(json!({ "tenant": null })).await, (403, "scope_missing".to_owned()));
    assert_eq!(refused(json!({ "tenant": "globex" })).await, (404, "tenant_not_found".to_owned()));
    let globex = operator.ask("POST", "/keys", Some(json!({ "tenant": "globex" }))).await.json();
    let path = format!("/keys/{}", globex["id"].as_str().unwrap());
    assert_eq!(api.ask("DELETE", &path).send().await.code(), "key_not_found");

    let revoked = api.ask("DELETE", &format!("/keys/{id}")).send().await;
    assert_eq!((revoked.status.as_u16(), revoked.json()["message"].as_str().unwrap()), (200, "key revoked"));
    assert_eq!(api.stranger("POST", "/events").key(key).body("{}").send().await.status, 401);
    let listed = api.ask("GET", "/keys").send().await.json()["data"].clone();
    assert!(listed[0]["revoked_at"].is_string() && listed[0]["last_used_at"].is_null(), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_manages_all_keys() {
    let operator = Operator::start().await;
    let read = operator.ask("POST", "/keys", Some(json!({ "tenant": null, "scope": "read" }))).await.json();
    assert_eq!(read["tenant_id"], Value::Null);
    let found = operator.api.stranger("GET", "/subscriptions/").key(read["key"].as_str().unwrap());
    assert_eq!(found.header("postrider-tenant", "acme").send().await.status, 200);
    let unsaid = operator.ask("POST", "/keys", Some(json!({}))).await.json();
    assert_eq!((&unsaid["tenant_id"], &unsaid["scope"]), (&Value::Null, &json!("admin")));
    let count = async |query: &str| {
        let page = operator.ask("GET", &format!("/keys{query}"), None).await.json();
        page["data"].as_array().unwrap().len()
    };
    assert_eq!((count("").await, count("?tenant=acme").await, count("?limit=3").await), (4, 1, 3));

    let bad = json!({ "name": "", "tenant": "a b", "scope": "root", "expires_at": "soon" });
    assert_eq!(
        pointers(&operator.ask("POST", "/keys", Some(bad)).await),
        ["/name", "/tenant", "/scope", "/expires_at"]
    );
    let past = json!({ "expires_at": "2020-01-01T00:00:00Z" });
    assert_eq!(pointers(&operator.ask("POST", "/keys", Some(past)).await), ["/expires_at"]);
    let unknown = operator.ask("POST", "/keys", Some(json!({ "tenant": "nobody" }))).await;
    assert_eq!(unknown.code(), "tenant_not_found", "only the command line creates a tenant with its first key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_is_gone_on_every_replica() {
    let database = Database::new().await;
    let settings = [("POSTRIDER_AUTH", "keys")];
    let start = || Start { settings: &settings, ..Start::new("serve", database.url()) }.ready();
    let replicas = [start().await, start().await];
    let wanted = NewKey { tenant: None, name: None, scope: Scope::Admin, expires_at: None };
    let store = database.store();
    let operator = store.create_api_key(&wanted, &Actor::COMMAND).await.unwrap().unwrap().text;
    let key = made_key(&store, "acme", Scope::Admin).await.text;
    let [first, second] = [replicas[0].http_with(&operator), replicas[1].http_with(&operator)];
    let customers = [replicas[0].http_with(&key), replicas[1].http_with(&key)];
    let id = customers[1].subscribe("https://hooks.example.com/in").await;
    let later = (OffsetDateTime::now_utc() + Duration::from_secs(3_600)).format(&Rfc3339).unwrap();
    for customer in &customers {
        assert_eq!(customer.post(&format!("/events?deliver_at={later}"), "{}").await.status, 202);
    }
    let deleted = first.send(Method::DELETE, "/tenants/acme", &[], Bytes::new()).await.unwrap();
    assert_eq!((deleted.status.as_u16(), &deleted.json()["cancelled_deliveries"]), (200, &json!(2)));
    for customer in &customers {
        let path = format!("/subscriptions/{id}");
        until("the key is revoked", async || (customer.get(&path).await.status == 401).then_some(())).await;
    }
    for operator in [&first, &second] {
        let named = [("postrider-tenant", "acme")];
        until("the name is gone", async || {
            let answer = operator.send(Method::GET, "/subscriptions/", &named, Bytes::new()).await.unwrap();
            (answer.status == 404 && answer.json()["code"] == "tenant_not_found").then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upkeep_ends_the_subscriptions_that_the_request_did_not_end() {
    let database = Database::new().await;
    let store = database.store();
    let serve = Start::new("serve", database.url()).ready().await;
    let tenant = made_key(&store, "acme", Scope::Admin).await.tenant.unwrap();
    let named = [("postrider-tenant", "acme")];
    let body =
        Bytes::from_static(br#"{"target_url":"https://hooks.example.com/in","secret_key":"a secret of its own"}"#);
    let made = serve.http().send(Method::POST, "/subscriptions/", &named, body).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(store.delete_tenant(tenant, &Actor::COMMAND).await.unwrap());
    let id = made.json()["id"].as_str().unwrap().parse().unwrap();
    assert!(store.find_subscription(id).await.unwrap().is_none(), "ingest does not find it any more");
    until("upkeep has ended it", async || store.tenants_to_end(10).await.unwrap().is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_of_a_batch_may_name_its_tenant_and_reaches_no_other() {
    let operator = Operator::start().await;
    let mut ids = Vec::new();
    for name in ["alice", "bob"] {
        ids.push(operator.create(json!({ "name": name, "external_id": name })).await["id"].clone());
        let subscribing = operator.api.stranger("POST", "/subscriptions/").key(&operator.key);
        let subscription = json!({ "target_url": "https://hooks.example.com/in", "external_id": name });
        let made = subscribing.header("postrider-tenant", name).json(&subscription).send().await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let events = json!({ "events": [
        { "tenant": "alice", "payload": {} },
        { "tenant": ids[1], "payload": {} },
        { "tenant": "carol", "payload": {} },
        { "payload": {} },
        { "tenant": "bob", "subscription_id": "alice", "payload": {} },
    ] });
    let results = |answer: Answer| -> Vec<(u64, Value)> {
        assert_eq!(answer.status, 200, "{answer:?}");
        let data = answer.json()["data"].as_array().unwrap().clone();
        data.into_iter().map(|item| (item["status"].as_u64().unwrap(), item)).collect()
    };
    let published = results(operator.ask("POST", "/events/batch", Some(events.clone())).await);
    let statuses: Vec<u64> = published.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [202, 202, 404, 400, 404], "{published:?}");
    let codes = [2, 3, 4].map(|item: usize| published[item].1["problem"]["code"].clone());
    assert_eq!(codes, [json!("tenant_not_found"), json!("tenant_required"), json!("subscription_not_found")]);
    for (item, (own, other)) in [("alice", "bob"), ("bob", "alice")].into_iter().enumerate() {
        let path = format!("/events/{}", published[item].1["webhook_id"].as_str().unwrap());
        let read = async |tenant| {
            let reading = operator.api.stranger("GET", &path).key(&operator.key);
            reading.header("postrider-tenant", tenant).send().await
        };
        assert_eq!(read(own).await.json()["deliveries"].as_array().unwrap().len(), 1);
        assert_eq!(read(other).await.status, 404);
    }
    // The header is for those that name none.
    let batch = operator.api.stranger("POST", "/events/batch").key(&operator.key).header("postrider-tenant", "bob");
    assert_eq!(results(batch.json(&events).send().await)[3].0, 202);
    // A key of a tenant is for its own.
    let batch = operator.api.ask("POST", "/events/batch");
    let own = json!({ "events": [{ "tenant": "acme", "payload": {} }, { "tenant": "bob", "payload": {} }] });
    let statuses: Vec<u64> = results(batch.json(&own).send().await).into_iter().map(|(status, _)| status).collect();
    assert_eq!(statuses, [202, 404]);
}
