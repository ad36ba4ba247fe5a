//! One request leads from an order number, or from whatever else somebody has in hand, to the reason why it did not
//! arrive.

use bytes::Bytes;
use hyper::Method;
use postrider::domain::actor::Actor;
use postrider::domain::api_key::Scope;
use serde_json::{Value, json};

use crate::private_ca::{Private, receive};
use crate::support::api::{Answer, TestApi, made_key};
use crate::support::commands::Shell;
use crate::support::database::Database;
use crate::support::http::Http;
use crate::support::process::{Postrider, Start};
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::until;

/// One attempt of a second each, and a breaker that opens at the second failure.
const SETTINGS: [(&str, &str); 6] = [
    ("POSTRIDER_AUTH", "keys"),
    ("POSTRIDER_ALLOW_TARGETS", "127.0.0.0/8,::1/128"),
    ("POSTRIDER_RETRY_SCHEDULE", "none"),
    ("POSTRIDER_REQUEST_TIMEOUT", "1s"),
    ("POSTRIDER_BREAKER_FAILURES", "2"),
    ("POSTRIDER_BREAKER_AFTER", "0s"),
];

/// A whole postrider with a tenant's key.
struct Story {
    database: Database,
    postrider: Postrider,
    key: String,
    http: Http,
}

impl Story {
    async fn begin() -> Self {
        let database = Database::new().await;
        let postrider = Start { settings: &SETTINGS, ..Start::new("serve", database.url()) }.ready().await;
        let key = made_key(&database.store(), "acme", Scope::Admin).await.text;
        let http = postrider.http_with(&key);
        Self { database, postrider, key, http }
    }

    /// A subscription to this target for events of the type with its name.
    async fn subscribe(&self, name: &str, target: &str, fields: Value) -> String {
        let mut body = json!({ "target_url": target, "external_id": name, "event_types": [name] });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let made = self.http.post("/subscriptions/", &body.to_string()).await;
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()["id"].as_str().unwrap().to_owned()
    }

    async fn send(&self, path: &str, event_type: &str, order: &str) -> u16 {
        let body = Bytes::from(json!({ "data": { "order": order } }).to_string());
        let headers = [("x-event-type", event_type)];
        self.http.send(Method::POST, path, &headers, body).await.unwrap().status.as_u16()
    }

    /// Publishes an order to all; its number is that of its type.
    async fn publish(&self, event_type: &str) {
        assert_eq!(self.send("/events", event_type, &format!("order-{event_type}")).await, 202);
    }

    async fn search(&self, text: &str) -> Vec<Value> {
        let answer = self.http.get(&format!("/search?q={text}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["data"].as_array().unwrap().clone()
    }

    /// Waits until one search for this text finds a row with this kind and status and a reason that begins so.
    async fn leads_to(&self, text: &str, [kind, status, reason]: [&str; 3]) -> Value {
        until(&format!("{text} leads to {kind} {status} {reason}"), async || {
            let rows = self.search(text).await;
            rows.into_iter().find(|row| {
                let told = row["reason"].as_str().unwrap_or_default();
                row["kind"] == kind && row["status"] == status && told.starts_with(reason)
            })
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_number_leads_to_why_its_delivery_fails_or_waits() {
    let story = Story::begin().await;
    let (failing, slow, well) = (Receiver::new().await, Receiver::new().await, Receiver::new().await);
    failing.usually(Reply::Status(500));
    slow.hold();
    let private = Private::new();
    let untrusted = format!("https://localhost:{}/hook", receive(&private).await.port());
    let targets = [
        ("error", failing.url()),
        ("slow", slow.url()),
        ("dns", "http://no-such-host.invalid/hook".to_owned()),
        ("tls", untrusted),
        ("blocked", well.url()),
        ("breaker", failing.url()),
    ];
    for (name, target) in &targets {
        story.subscribe(name, target, json!({})).await;
    }
    story.subscribe("disabled", &well.url(), json!({ "is_active": false })).await;
    let rich = json!({ "event_types": [], "filter": { "data": { "order": "order-of-the-rich" } } });
    story.subscribe("filtered", &well.url(), rich).await;
    story.subscribe("ordered", &failing.url(), json!({ "ordered": true, "retry_schedule": "1h" })).await;
    // The API takes no such target; a name may lead there later.
    let client = story.database.client().await;
    let inside = "update subscriptions set target_url = 'http://10.1.2.3/', version = version + 1, updated_at = now() \
                  where external_id = 'blocked'";
    client.execute(inside, &[]).await.unwrap();

    for name in ["error", "slow", "dns", "tls", "blocked", "disabled", "nobody.wants"] {
        story.publish(name).await;
    }
    let failed = ["delivery", "failed"];
    for (name, reason) in [
        ("error", "http_5xx: the receiver answered 500"),
        ("slow", "timeout: "),
        ("dns", "dns_failed: "),
        ("tls", "tls_untrusted: "),
        ("blocked", "blocked_address: "),
    ] {
        let row = story.leads_to(&format!("order-{name}"), [failed[0], failed[1], reason]).await;
        assert_eq!((&row["external_id"], &row["title"], &row["attempts"]), (&json!(name), &json!(name), &json!(1)));
    }
    story.leads_to("order-disabled", ["delivery", "held", "disabled"]).await;
    let row = story.leads_to("order-error", ["delivery", "not_delivered", "filter"]).await;
    assert_eq!(row["external_id"], "filtered");
    let unwanted = story.search("order-nobody.wants").await;
    assert_eq!(
        [&unwanted[0]["kind"], &unwanted[0]["status"], &unwanted[0]["reason"]],
        ["event", "no_match", "no_match"]
    );
    let mut reasons: Vec<_> = unwanted[1..].iter().map(|row| row["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, [["event_type"; 8].as_slice(), &["filter"]].concat());
    assert!(unwanted[1..].iter().all(|row| row["status"] == "not_delivered"), "{unwanted:?}");

    // The third order waits for the breaker that two failures have opened.
    for order in ["breaker-1", "breaker-2"] {
        assert_eq!(story.send("/events", "breaker", order).await, 202);
        story.leads_to(order, ["delivery", "failed", "http_5xx"]).await;
    }
    assert_eq!(story.send("/events", "breaker", "breaker-3").await, 202);
    story.leads_to("breaker-3", ["delivery", "held", "breaker_open"]).await;

    // The second order of a customer waits for the first, which is retried.
    for order in ["ordered-1", "ordered-2"] {
        let headers = [("x-event-type", "ordered"), ("x-ordering-key", "customer-7")];
        let sent = story.http.send(Method::POST, "/events", &headers, Bytes::from(format!("[\"{order}\"]"))).await;
        assert_eq!(sent.unwrap().status, 202);
    }
    story.leads_to("ordered-1", ["delivery", "pending", "http_5xx"]).await;
    story.leads_to("ordered-2", ["delivery", "held", "ordered"]).await;
    assert_eq!(story.search("customer-7").await.iter().filter(|row| row["kind"] == "event").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_number_leads_to_why_it_was_refused() {
    let story = Story::begin().await;
    let well = Receiver::new().await;
    let open = story.subscribe("open", &well.url(), json!({ "event_types": ["order.*"] })).await;
    let off = story.subscribe("off", &well.url(), json!({ "is_active": false })).await;
    let checked = story.subscribe("checked", &well.url(), json!({ "secret_key": "correct horse battery" })).await;
    let refusal = ["refusal", "refused"];
    let leads = async |text: &str, reason: &str| story.leads_to(text, [refusal[0], refusal[1], reason]).await;

    assert_eq!(story.send(&format!("/ingest/{off}"), "off", "4711-off").await, 409);
    leads("4711-off", "subscription_disabled: ").await;
    assert_eq!(story.send(&format!("/ingest/{open}"), "invoice.paid", "4711-type").await, 422);
    leads("4711-type", "event_type_not_wanted: ").await;

    let large = format!(r#"{{"order":"4711-large","rest":"{}"}}"#, "x".repeat(2 << 20));
    let sent = story.http.send(Method::POST, "/events", &[("idempotency-key", "key-4711")], large.into()).await;
    assert_eq!(sent.unwrap().status, 413);
    leads("4711-large", "body_too_large: ").await;
    leads("key-4711", "body_too_large: ").await;

    let rich = json!({ "event_types": [], "filter": { "data": { "order": "of-the-rich" } } });
    story.subscribe("filtered", &well.url(), rich).await;
    assert_eq!(story.send("/ingest/filtered", "order.paid", "4711-filter").await, 422);
    leads("4711-filter", "filtered_out: ").await;

    // Published from SQL to a subscription that does not want it.
    let call = "select postrider.publish('invoice.paid', '{\"order\": \"4711-sql\"}'::jsonb, tenant => 'acme', subscription_id => $1)::text";
    let called: String = story.database.client().await.query_one(call, &[&open]).await.unwrap().get(0);
    let row = leads("4711-sql", "event_type_not_wanted: ").await;
    assert_eq!((&row["id"], &row["webhook_id"]), (&json!(called), &json!(called)));
    assert_eq!(leads(&called, "event_type_not_wanted: ").await, row);

    let stranger = Http::new(format!("http://{}", story.postrider.address()), None);
    let signature = format!("sha256={}", "0".repeat(64));
    let path = format!("/ingest/{checked}");
    let body = Bytes::from_static(b"{\"order\":\"4711-signature\"}");
    let sent = stranger.send(Method::POST, &path, &[("x-hub-signature-256", &signature)], body).await;
    assert_eq!(sent.unwrap().status, 401);
    let row = leads("4711-signature", "unauthenticated: ").await;
    assert!(row["reason"].as_str().unwrap().contains("signature"), "{row}");

    let revoked = made_key(&story.database.store(), "acme", Scope::Publish).await;
    story.database.store().revoke_api_key(revoked.id, None, &Actor::COMMAND).await.unwrap();
    let wrong = story.postrider.http_with(&revoked.text);
    assert_eq!(wrong.post("/events", r#"{"order":"4711-key"}"#).await.status, 401);
    let by_order = leads("4711-key", "unauthenticated: ").await;
    let as_shown = format!("prk_{}", revoked.id.uuid().simple());
    for id in [revoked.id.to_string(), as_shown] {
        let by_key = leads(&id, "unauthenticated: ").await;
        assert_eq!([&by_order["id"], &by_order["key_id"]], [&by_key["id"], &json!(revoked.id.to_string())]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_tells_the_story_and_what_to_do() {
    let story = Story::begin().await;
    let (failing, well) = (Receiver::new().await, Receiver::new().await);
    failing.usually(Reply::Status(500));
    for (name, target) in [("error", &failing), ("other", &well)] {
        story.subscribe(name, &target.url(), json!({})).await;
    }
    story.publish("error").await;
    let row = story.leads_to("order-error", ["delivery", "failed", "http_5xx"]).await;
    let shell = Shell::of(&format!("http://{}", story.postrider.address())).with("POSTRIDER_KEY", &story.key);
    let told = shell.run("why order-error").await.done().out;
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines[0], format!("event {} (error): failed", row["webhook_id"].as_str().unwrap()));
    assert!(lines[1].starts_with("  accepted 20"), "{told}");
    let expected = [
        "  error: failed: http_5xx: the receiver answered 500".to_owned(),
        format!("    to {}", failing.url()),
        "    -> the receiver failed: look for the event's id in its log".to_owned(),
        "  other: not delivered: event_type".to_owned(),
        "    -> its event_types do not match this type: change them, then replay (docs/replays.md)".to_owned(),
    ];
    for line in &expected {
        assert!(lines.contains(&line.as_str()), "{line:?} in\n{told}");
    }

    assert_eq!(story.send("/ingest/nobody", "error", "4711-lost").await, 404);
    story.leads_to("4711-lost", ["refusal", "refused", "subscription_not_found"]).await;
    let refused = shell.run("why 4711-lost").await.done().out;
    assert!(refused.starts_with("refused 20") && refused.contains("/ingest/{subscription_id} 404\n  sub"), "{refused}");
    assert!(refused.contains("\n  -> the tenant has no such subscription"), "{refused}");

    let rows = shell.run("why order-error --json").await.done().json_lines();
    assert_eq!(rows, story.search("order-error").await);
    let nothing = shell.run("why nothing-of-the-kind").await;
    assert_eq!((nothing.code, nothing.out.as_str()), (Some(1), ""), "{nothing:?}");
    assert!(nothing.err.starts_with("postrider: nothing found for \"nothing-of-the-kind\""), "{nothing:?}");
    assert_eq!(shell.run("why").await.code, Some(2));
    assert_eq!(shell.with("POSTRIDER_SERVER", "http://127.0.0.1:1").run("why x").await.code, Some(3));
}

async fn found(api: &TestApi, key: &str, query: &str) -> Answer {
    api.stranger("GET", &format!("/search?{query}")).key(key).send().await
}

/// Kinds and ids of a page.
fn kinds(answer: &Answer) -> Vec<(String, String)> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let rows = answer.json()["data"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(&row["kind"]), text(&row["id"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_id_and_name_is_found_by_its_tenant_and_by_an_operator_of_all() {
    let api = TestApi::start().await;
    let subscription = api.subscribe(json!({ "external_id": "crm:orders" })).await["id"].as_str().unwrap().to_owned();
    let sent = api.ask("POST", "/events").header("idempotency-key", "k-1").header("x-ordering-key", "o-1").body("[7]");
    let event = sent.send().await.json()["webhook_id"].as_str().unwrap().to_owned();
    let replay = api.ask("POST", "/replays").json(&json!({ "subscription_id": subscription })).send().await;
    let replay = replay.json()["id"].as_str().unwrap().to_owned();
    let by_filter = api.ask("POST", "/replays").json(&json!({ "only": {} })).send().await;
    let by_filter = by_filter.json()["id"].as_str().unwrap().to_owned();
    let key = "7d9f4f0e-0d0b-4b5e-9a51-4f2d5b8d1c11";
    let keyed = api.ask("POST", "/events").header("idempotency-key", key).body("[8]").send().await;
    let keyed = keyed.json()["webhook_id"].as_str().unwrap().to_owned();
    api.ask("POST", "/events").header("x-request-id", "r-9").body("{").send().await;
    let refusal = api.ask("GET", "/refusals").send().await.json()["data"][0]["id"].as_str().unwrap().to_owned();
    let client = api.database.client().await;
    let logged = "
        insert into attempts (tenant_id, subscription_id, id, event_id, attempt_number, outcome, error_message, created_at)
        select d.tenant_id, d.subscription_id, uuid_v7(), d.event_id, 1, 'http_5xx', 'http_5xx: the receiver answered 500', now()
        from deliveries as d
        order by d.event_id
        limit 1
        returning id::text, tenant_id::text";
    let row = client.query_one(logged, &[]).await.unwrap();
    let (attempt, tenant): (String, String) = (row.get(0), row.get(1));

    let about_event = [("event", event.as_str()), ("delivery", &event)];
    let cases: [(&str, Vec<(&str, &str)>); 13] = [
        (key, vec![("event", &keyed), ("delivery", &keyed)]),
        (&by_filter, vec![("subscription", &by_filter)]),
        (&event, about_event.to_vec()),
        ("k-1", about_event.to_vec()),
        ("o-1", about_event.to_vec()),
        (&attempt, vec![("attempt", &attempt), ("event", &event), ("delivery", &event)]),
        (&subscription, vec![("subscription", &subscription)]),
        ("crm:orders", vec![("subscription", &subscription)]),
        (&replay, vec![("subscription", &subscription)]),
        (&tenant, vec![("tenant", &tenant)]),
        ("acme", vec![("tenant", &tenant)]),
        (&refusal, vec![("refusal", &refusal)]),
        ("r-9", vec![("refusal", &refusal)]),
    ];
    let operator = api.operator(Scope::Read).await;
    let globex = api.key("globex", Scope::Admin).await;
    for (text, expected) in &cases {
        let expected: Vec<_> = expected.iter().map(|(kind, id)| ((*kind).to_owned(), (*id).to_owned())).collect();
        let query = format!("q={text}");
        assert_eq!(kinds(&found(&api, &api.admin, &query).await), expected, "{text}");
        let asked = api.stranger("GET", &format!("/search?{query}")).key(&operator).header("postrider-tenant", "*");
        assert_eq!(kinds(&asked.send().await), expected, "{text} over all tenants");
        assert_eq!(kinds(&found(&api, &globex, &query).await), [], "{text} of another tenant");
    }
    let told = found(&api, &api.admin, &format!("q={attempt}")).await.json();
    assert_eq!(told["data"][0]["reason"], "http_5xx: the receiver answered 500");
    assert_eq!(told["data"][2]["reason"], "http_5xx: the receiver answered 500");
}

#[tokio::test(flavor = "multi_thread")]
async fn support_finds_by_ids_and_keys_but_not_by_what_payloads_say() {
    let api = TestApi::start().await;
    let sent = api.ask("POST", "/events").header("idempotency-key", "k-1").body(r#"{"order":"4711"}"#).send().await;
    let event = sent.json()["webhook_id"].as_str().unwrap().to_owned();
    api.ask("POST", "/events").body(r#"{"order":"4711"#).send().await;
    let support = api.key("acme", Scope::Support).await;
    assert_eq!(kinds(&found(&api, &api.admin, "q=4711").await).len(), 2);
    let hidden = found(&api, &support, "q=4711").await;
    assert_eq!((kinds(&hidden), hidden.json()["searched_payloads"].clone()), (vec![], json!(false)));
    assert_eq!(kinds(&found(&api, &support, "q=k-1").await)[0].1, event);
    for wrong in ["", "q=", "q=a&q=b", "q=x&cursor=y", "q=x&limit=0", "q=x&limit=101"] {
        let refused = found(&api, &api.admin, wrong).await;
        assert_eq!(refused.status, 422, "{wrong}");
        refused.code();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_in_many_payloads_is_told_newest_first_page_by_page() {
    let api = TestApi::start().await;
    let client = api.database.client().await;
    let many = "
        insert into events (tenant_id, id, accepted_at, payload)
        select t.id, uuid_v7(now() - make_interval(secs => n)), now() - make_interval(secs => n),
            convert_to(format('{\"order\":\"%s\"}', case when n % 100 = 0 then 'needle' else 'hay' end), 'UTF8')
        from generate_series(1, 3000) as n
        cross join tenants as t
        where t.external_id = 'acme' or n > 1000";
    client.execute(many, &[]).await.unwrap();
    let operator = api.operator(Scope::Read).await;
    for (key, tenant, expected) in [(&api.admin, "acme", 30), (&operator, "*", 50)] {
        let (mut ids, mut query) = (Vec::new(), "q=needle".to_owned());
        loop {
            let ask = api.stranger("GET", &format!("/search?{query}")).key(key).header("postrider-tenant", tenant);
            let page = ask.send().await;
            ids.extend(kinds(&page).into_iter().map(|(_, id)| id));
            let Some(cursor) = page.json()["next_cursor"].as_str().map(str::to_owned) else { break };
            assert!(page.json()["examined_to"].is_string(), "{page:?}");
            query = format!("q=needle&cursor={cursor}");
        }
        assert_eq!(ids.len(), expected, "{tenant}");
        assert!(ids.is_sorted_by(|newer, older| newer > older), "{ids:?}");
    }
}
