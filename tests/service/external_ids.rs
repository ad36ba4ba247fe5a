//! A subscription's owner names it, and the name can be used wherever its id can; its
//! metadata is kept as it was given.

use hyper::Method;
use postrider::domain::api_key::Scope;
use serde_json::json;

use crate::support::api::TestApi;
use crate::support::database::Database;
use crate::support::process::Start;
use crate::support::receiver::Receiver;

#[tokio::test(flavor = "multi_thread")]
async fn several_subscriptions_are_found_by_their_names_page_by_page() {
    let api = TestApi::start().await;
    let other = api.key("globex", Scope::Admin).await;
    for name in ["one", "two", "three"] {
        let form = json!({ "external_id": name, "target_url": "https://hooks.example.com/in" });
        for key in [&api.admin, &other] {
            assert_eq!(api.stranger("POST", "/subscriptions/").key(key).json(&form).send().await.status, 201);
        }
    }
    let listed = async |query: &str| {
        let page = api.ask("GET", &format!("/subscriptions/?{query}")).send().await.json();
        let rows = page["data"].as_array().unwrap().iter();
        let names: Vec<_> = rows.map(|row| row["external_id"].as_str().unwrap().to_owned()).collect();
        (names, page["next_cursor"].as_str().map(str::to_owned))
    };
    let query = "external_id=one&external_id=three&external_id=four&external_id=one&limit=1";
    let (first, cursor) = listed(query).await;
    let (second, end) = listed(&format!("{query}&cursor={}", cursor.unwrap())).await;
    assert_eq!((first, second, end), (vec!["three".to_owned()], vec!["one".to_owned()], None));
    for other in ["q=o", "state=disabled"] {
        let refused = api.ask("GET", &format!("/subscriptions/?external_id=one&{other}")).send().await;
        assert_eq!(refused.json()["errors"][0]["pointer"], "/query/external_id", "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_id_works_in_every_path_that_takes_an_id() {
    let api = TestApi::start().await;
    let id = api.subscribe(json!({ "external_id": "crm:orders.v2" })).await["id"].clone();
    let named = "/subscriptions/crm:orders.v2";
    assert_eq!(api.ask("GET", named).send().await.json()["id"], id);
    let changed = api.ask("PATCH", named).json(&json!({ "description": "by name" })).send().await;
    assert_eq!(changed.json()["description"], "by name");
    let replaced = api.ask("PUT", named).json(&json!({ "target_url": "https://hooks.example.com/2" })).send().await;
    assert_eq!((&replaced.json()["id"], &replaced.json()["external_id"]), (&id, &json!("crm:orders.v2")));
    let rotated = api.ask("POST", &format!("{named}/rotate-secret")).send().await;
    assert_eq!((rotated.status.as_u16(), &rotated.json()["id"]), (200, &id));
    assert_eq!(api.ask("POST", "/ingest/crm:orders.v2").body("{}").send().await.status, 202);
    let logs = api.ask("GET", "/status/logs/crm:orders.v2").send().await;
    assert_eq!((logs.status.as_u16(), logs.json()["data"].clone()), (200, json!([])));
    let found = api.ask("GET", "/subscriptions/?external_id=crm:orders.v2").send().await.json();
    assert_eq!((&found["data"][0]["id"], &found["next_cursor"]), (&id, &json!(null)));
    assert_eq!(api.ask("GET", "/subscriptions/?external_id=other").send().await.json()["data"], json!([]));
    assert_eq!(api.ask("DELETE", named).send().await.json()["id"], id);
    for (method, path) in [("GET", named), ("POST", "/ingest/crm:orders.v2"), ("GET", "/status/logs/crm:orders.v2")] {
        assert_eq!(api.ask(method, path).body("{}").send().await.code(), "subscription_not_found", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_id_works_in_every_query_and_body_that_takes_an_id() {
    let api = TestApi::start().await;
    let id = api.subscribe(json!({ "external_id": "crm:orders", "event_types": ["a"] })).await["id"].clone();
    api.subscribe(json!({})).await;
    let publish = async |to: &str| {
        let ask = api.ask("POST", &format!("/events?subscription_id={to}")).header("idempotency-key", "k");
        ask.header("x-event-type", "a").body("{}").send().await
    };
    let first = publish("crm:orders").await.json();
    assert_eq!((&first["matched"], &first["duplicate"]), (&json!(1), &json!(false)));
    let again = publish(id.as_str().unwrap()).await.json();
    assert_eq!((&again["webhook_id"], &again["duplicate"]), (&first["webhook_id"], &json!(true)), "{again}");
    let event = |to: &str, key: &str| json!({ "event_type": "a", "subscription_id": to, "idempotency_key": key, "payload": {} });
    let events = [event("crm:orders", "k"), event("crm:orders", "l"), event("nobody", "m"), event("a b", "n")];
    let batch = api.ask("POST", "/events/batch").json(&json!({ "events": events })).send().await.json();
    let statuses: Vec<_> = batch["data"].as_array().unwrap().iter().map(|result| &result["status"]).collect();
    assert_eq!((json!(statuses), &batch["data"][0]["webhook_id"]), (json!([202, 202, 404, 422]), &first["webhook_id"]));
    let event = format!("/events/{}", first["webhook_id"].as_str().unwrap());
    let cancelled = api.ask("POST", &format!("{event}/cancel?subscription_id=crm:orders")).send().await.json();
    assert_eq!(cancelled["cancelled"], 1, "{cancelled}");
    let retried = api.ask("POST", &format!("{event}/retry?subscription_id=crm:orders")).send().await.json();
    assert_eq!(retried["retried"], 1, "{retried}");
    let body = json!({ "subscription_id": "crm:orders" });
    let replay = api.ask("POST", "/replays").json(&body).send().await.json();
    let listed = api.ask("GET", "/replays?subscription_id=crm:orders").send().await.json();
    assert_eq!((&listed["data"][0]["id"], &listed["data"][0]["subscription_id"]), (&replay["id"], &id));
    for (method, path) in [
        ("POST", "/events?subscription_id=nobody".to_owned()),
        ("POST", format!("{event}/cancel?subscription_id=nobody")),
        ("POST", format!("{event}/retry?subscription_id=nobody")),
        ("GET", "/replays?subscription_id=nobody".to_owned()),
    ] {
        assert_eq!(api.ask(method, &path).body("{}").send().await.code(), "subscription_not_found", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_addressed_by_a_name_goes_to_the_subscription_that_has_it_now() {
    let api = TestApi::start().await;
    let one = api.subscribe(json!({ "external_id": "shop" })).await["id"].as_str().unwrap().to_owned();
    let two = api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned();
    let sent_to = async || {
        let sent = api.ask("POST", "/events?subscription_id=shop").body("{}").send().await.json();
        let read = api.ask("GET", &format!("/events/{}", sent["webhook_id"].as_str().unwrap())).send().await.json();
        read["deliveries"][0]["subscription_id"].as_str().unwrap().to_owned()
    };
    assert_eq!((sent_to().await, sent_to().await), (one.clone(), one.clone()));
    // Another replica gives the name to the other one.
    let client = api.database.client().await;
    for (name, id) in [("null", &one), ("'shop'", &two)] {
        let moved = format!("update subscriptions set external_id = {name}, version = version + 1 where id = '{id}'");
        client.batch_execute(&moved).await.unwrap();
    }
    assert_eq!(sent_to().await, two);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_id_belongs_to_one_living_subscription_of_a_tenant() {
    let api = TestApi::start().await;
    let first = api.subscribe(json!({ "external_id": "shop" })).await;
    let body = json!({ "target_url": "https://hooks.example.com/in", "external_id": "shop" });
    assert_eq!(api.ask("POST", "/subscriptions/").json(&body).send().await.code(), "external_id_taken");
    let second = api.subscribe(json!({})).await;
    let path = format!("/subscriptions/{}", second["id"].as_str().unwrap());
    for method in ["PUT", "PATCH"] {
        assert_eq!(api.ask(method, &path).json(&body).send().await.code(), "external_id_taken", "{method}");
    }

    let other = api.key("other", postrider::domain::api_key::Scope::Admin).await;
    assert_eq!(api.ask("POST", "/subscriptions/").key(&other).json(&body).send().await.status, 201);
    assert_eq!(api.ask("GET", "/subscriptions/shop").send().await.json()["id"], first["id"]);

    api.ask("PATCH", "/subscriptions/shop").json(&json!({ "external_id": null })).send().await;
    assert_eq!(api.ask("GET", "/subscriptions/shop").send().await.code(), "subscription_not_found");
    assert_eq!(api.ask("PATCH", &path).json(&json!({ "external_id": "shop" })).send().await.status, 200);
    assert_eq!(api.ask("DELETE", "/subscriptions/shop").send().await.status, 200);
    assert_eq!(api.ask("POST", "/subscriptions/").json(&body).send().await.status, 201, "a deleted one has let it go");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_alone_opens_no_external_id() {
    let api = TestApi::start().await;
    api.subscribe(json!({ "external_id": "shop", "secret_key": "correct horse", "verify_ingest": true })).await;
    for name in ["shop", "nothing"] {
        let stranger = api.stranger("POST", &format!("/ingest/{name}"));
        let answer = stranger.header("x-hub-signature-256", "sha256=00").body("{}").send().await;
        assert_eq!(answer.code(), "unauthenticated", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_id_that_moved_elsewhere_never_leads_to_where_it_was() {
    let (database, old, new) = (Database::new().await, Receiver::new().await, Receiver::new().await);
    let here = Start::new("serve", database.url()).ready().await;
    let elsewhere = Start::new("api", database.url()).ready().await;
    let (here, elsewhere) = (here.http(), elsewhere.http());
    let ingest = async || assert_eq!(here.post("/ingest/shop", "{}").await.status, 202);
    let patch = async |id: &str, body: &str| {
        let body = body.to_owned().into();
        let answer = elsewhere.send(Method::PATCH, &format!("/subscriptions/{id}"), &[], body).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let (first, second) = (here.subscribe(&old.url()).await, here.subscribe(&new.url()).await);
    patch(&first, r#"{"external_id": "shop"}"#).await;
    ingest().await;
    ingest().await;
    old.arrived(2).await;

    patch(&first, r#"{"external_id": null}"#).await;
    patch(&second, r#"{"external_id": "shop"}"#).await;
    ingest().await;
    new.arrived(1).await;

    let deleted = elsewhere.send(Method::DELETE, "/subscriptions/shop", &[], bytes::Bytes::new()).await.unwrap();
    assert_eq!(deleted.status, 200);
    patch(&first, r#"{"external_id": "shop"}"#).await;
    ingest().await;
    old.arrived(3).await;
    assert_eq!((old.requests().len(), new.requests().len()), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_merged_by_a_patch_and_replaced_by_a_put() {
    let api = TestApi::start().await;
    let made = api.subscribe(json!({ "metadata": { "team": "orders", "owner": "ä\n" } })).await;
    assert_eq!(made["metadata"], json!({ "team": "orders", "owner": "ä\n" }));
    let path = format!("/subscriptions/{}", made["id"].as_str().unwrap());
    let metadata_after = async |method: &str, fields: serde_json::Value| {
        let answer = api.ask(method, &path).json(&fields).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let shown = api.ask("GET", &path).send().await.json()["metadata"].clone();
        assert_eq!(answer.json()["metadata"], shown);
        shown
    };
    let merged = metadata_after("PATCH", json!({ "metadata": { "team": null, "tier": "gold" } })).await;
    assert_eq!(merged, json!({ "owner": "ä\n", "tier": "gold" }));
    assert_eq!(metadata_after("PATCH", json!({ "description": "other" })).await, merged);
    let put = json!({ "target_url": "https://hooks.example.com/in", "metadata": { "only": "this" } });
    assert_eq!(metadata_after("PUT", put).await, json!({ "only": "this" }));
    assert_eq!(metadata_after("PATCH", json!({ "metadata": null })).await, json!({}));
    let many: serde_json::Map<_, _> = (0..50).map(|n| (n.to_string(), json!(""))).collect();
    assert_eq!(metadata_after("PATCH", json!({ "metadata": many })).await.as_object().unwrap().len(), 50);
    let one_more = api.ask("PATCH", &path).json(&json!({ "metadata": { "x": "" } })).send().await;
    assert_eq!(one_more.json()["errors"][0]["code"], "too_many");
    let two_rules = json!({ "metadata": { "x": 1, "": "" } });
    let refused = api.ask("PATCH", &path).json(&two_rules).send().await.json();
    assert_eq!(refused["errors"].as_array().unwrap().len(), 2, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_and_what_was_not_delivered_show_names_beside_ids() {
    let api = TestApi::start().await;
    let url = "https://hooks.example.com/in";
    let wanted = api.subscribe(json!({ "external_id": "shop", "event_types": ["order.*"] })).await["id"].clone();
    let other = api.subscribe(json!({ "external_id": "books", "event_types": ["invoice.*"] })).await["id"].clone();
    let published = api.ask("POST", "/events").header("x-event-type", "order.paid").body("{}").send().await.json();
    let event = published["webhook_id"].as_str().unwrap();
    let read = async |path: String| api.ask("GET", &path).send().await.json();
    let status = read(format!("/status/{event}")).await;
    let answer = read(format!("/events/{event}")).await;
    let page = read(format!("/events/{event}/deliveries")).await;
    for row in [&status["deliveries"][0], &answer["deliveries"][0], &page["data"][0]] {
        let named = [&row["subscription_id"], &row["external_id"], &row["target_url"]];
        assert_eq!(named, [&wanted, &json!("shop"), &json!(url)], "{row}");
    }
    let missed = &answer["not_delivered"][0];
    let expected =
        json!({ "subscription_id": other, "external_id": "books", "target_url": url, "reason": "event_type" });
    assert_eq!(missed, &expected);
    // What is left when the subscription itself is gone.
    let undelivered = "
        with ended as (delete from deliveries returning tenant_id, event_id, subscription_id)
        insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
        select tenant_id, event_id, subscription_id, 'failed', 'exhausted', 6 from ended";
    let client = api.database.client().await;
    client.execute(undelivered, &[]).await.unwrap();
    client.execute("delete from subscriptions where external_id = 'shop'", &[]).await.unwrap();
    let row = read(format!("/status/{event}")).await["deliveries"][0].clone();
    assert_eq!((&row["subscription_id"], &row["target_url"]), (&wanted, &serde_json::Value::Null), "{row}");
}
