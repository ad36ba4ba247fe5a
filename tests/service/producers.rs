//! Known producers post to `/ingest` as they are: their signatures, types, ids and content types.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use postrider::domain::secret::Secret;
use postrider::domain::signature::{sign_hub, sign_v1};
use ring::hmac;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::support::api::{Answer, TestApi};
use crate::support::database::Database;
use crate::support::process::Start;
use crate::support::receiver::{Receiver, Reply};

const SECRET: &str = "a-shared-secret-0123456789";
const STRIPE: &str = "whsec_4bQp9Zt7LmXc2VdRk8NwYsHf6JgTeUa1";
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn mac(key: &[u8], content: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), content).as_ref().to_vec()
}

fn hex(key: &[u8], content: &[u8]) -> String {
    mac(key, content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(key: &[u8], content: &[u8]) -> String {
    STANDARD.encode(mac(key, content))
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

type Headers = Vec<(&'static str, String)>;

/// The signature headers of a provider.
fn signed(provider: &str, secret: &str, body: &str) -> Headers {
    let (at, key, body) = (now().to_string(), secret.as_bytes(), body.as_bytes());
    let stamped = |before: &str| [before.as_bytes(), body].concat();
    match provider {
        "github" => vec![("x-hub-signature-256", format!("sha256={}", hex(key, body)))],
        "stripe" => vec![("stripe-signature", format!("t={at},v1={}", hex(key, &stamped(&format!("{at}.")))))],
        "shopify" => vec![("x-shopify-hmac-sha256", base64(key, body))],
        "slack" => vec![
            ("x-slack-signature", format!("v0={}", hex(key, &stamped(&format!("v0:{at}:"))))),
            ("x-slack-request-timestamp", at),
        ],
        "svix" => vec![
            ("svix-signature", format!("v1,{}", base64(key, &stamped(&format!("m1.{at}."))))),
            ("svix-id", "m1".to_owned()),
            ("svix-timestamp", at),
        ],
        "gitlab" => vec![("x-gitlab-token", secret.to_owned())],
        "standard" => vec![
            ("webhook-signature", sign_v1(&Secret::parse(secret).unwrap(), "m1", now(), body)),
            ("webhook-id", "m1".to_owned()),
            ("webhook-timestamp", at),
        ],
        "hmac" => vec![("x-acme-signature", format!("mac={}", base64(key, body)))],
        _ => vec![("x-hub-signature-256", sign_hub(&Secret::parse(secret).unwrap(), body))],
    }
}

/// A producer's request: no key, only what it sends.
async fn post(api: &TestApi, id: &str, content_type: &str, body: &str, headers: &[(&'static str, String)]) -> Answer {
    let ask = api.stranger("POST", &format!("/ingest/{id}")).bytes(body.to_owned());
    let ask = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
    ask.header("content-type", content_type).send().await
}

async fn subscribe(api: &TestApi, fields: Value) -> String {
    api.subscribe(fields).await["id"].as_str().unwrap().to_owned()
}

async fn event_type(api: &TestApi, accepted: &Answer) -> Value {
    let id = accepted.json()["webhook_id"].as_str().unwrap().to_owned();
    api.ask("GET", &format!("/status/{id}")).send().await.json()["event_type"].clone()
}

/// Provider, further headers, content type, body, and the event type that this makes.
type Request<'a> = (&'a str, Headers, &'a str, &'a str, &'a str);

fn requests() -> Vec<Request<'static>> {
    let text = str::to_owned;
    let pull_request = r#"{"action":"opened","number":7}"#;
    let form = "payload=%7B%22action%22%3A%22opened%22%7D";
    let github = || vec![("x-github-event", text("pull_request")), ("x-github-delivery", text("72d3162e-cc78"))];
    let message = r#"{"type":"event_callback","event_id":"Ev1","event":{"type":"app_mention"}}"#;
    let shopify = vec![("x-shopify-topic", text("orders/create")), ("x-shopify-webhook-id", text("b54557e4"))];
    let gitlab = vec![("x-gitlab-event", text("Push Hook")), ("idempotency-key", text("k-1"))];
    let cloud = "application/cloudevents+json; charset=utf-8";
    let event = r#"{"specversion":"1.0","id":"1","source":"/x","type":"com.example.made"}"#;
    vec![
        ("github", github(), JSON, pull_request, "pull_request.opened"),
        ("github", github(), FORM, form, "pull_request.opened"),
        (
            "stripe",
            vec![],
            "application/json; charset=utf-8",
            r#"{"id":"evt_1","type":"invoice.paid"}"#,
            "invoice.paid",
        ),
        ("shopify", shopify, JSON, r#"{"id":1}"#, "orders.create"),
        ("slack", vec![], JSON, message, "app_mention"),
        ("svix", vec![], JSON, r#"{"type":"user.created"}"#, "user.created"),
        ("gitlab", gitlab, JSON, r#"{"object_kind":"push"}"#, "push_hook"),
        ("standard", vec![], JSON, r#"{"type":"order.created"}"#, "order.created"),
        ("cloudevents", vec![], cloud, event, "com.example.made"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_provider_is_taken_as_it_is_once_and_repeats_are_duplicates() {
    let api = TestApi::start().await;
    for (provider, headers, content_type, body, expected) in requests() {
        let secret = if provider == "stripe" { STRIPE } else { SECRET };
        let ingest = json!({ "provider": provider, "secret": secret });
        let [one, two] = [
            subscribe(&api, json!({ "ingest": ingest, "event_types": [expected] })).await,
            subscribe(&api, json!({ "ingest": ingest })).await,
        ];
        let all: Headers = [headers, signed(provider, secret, body)].concat();
        let first = post(&api, &one, content_type, body, &all).await;
        assert_eq!(first.status, 202, "{provider}: {first:?}");
        assert_eq!(first.json()["duplicate"], false, "{provider}");
        assert_eq!(event_type(&api, &first).await, expected, "{provider}");
        let again = post(&api, &one, content_type, body, &all).await;
        assert_eq!(
            again.json(),
            json!({ "duplicate": true, "message": "webhook accepted", "webhook_id": first.json()["webhook_id"] })
        );
        let other = post(&api, &two, content_type, body, &all).await;
        assert_eq!(other.json()["duplicate"], false, "{provider}: an id is known within its subscription");
        let wrong: Headers = all.iter().map(|(name, value)| (*name, value.replace(secret, "x"))).collect();
        let altered = if provider == "gitlab" { body.to_owned() } else { body.replace('1', "2") + " " };
        assert_eq!(post(&api, &one, content_type, &altered, &wrong).await.status, 401, "{provider}");
        let unsigned: Headers = all
            .into_iter()
            .filter(|(name, _)| !name.contains("sig") && !name.contains("token") && !name.contains("hmac"))
            .collect();
        assert_eq!(post(&api, &one, content_type, body, &unsigned).await.status, 401, "{provider}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_ingest_any_known_signature_is_verified_with_the_subscriptions_secret() {
    let api = TestApi::start().await;
    let plain = subscribe(&api, json!({ "secret_key": SECRET })).await;
    for (provider, headers, content_type, body, _) in requests() {
        let all: Headers = [headers, signed(provider, SECRET, body)].concat();
        let taken = post(&api, &plain, content_type, body, &all).await;
        assert_eq!(taken.status, 202, "{provider}: {taken:?}");
        assert_eq!(
            post(&api, &plain, content_type, &format!("{body} "), &all).await.status == 401,
            provider != "gitlab"
        );
    }
    let stripe = subscribe(&api, json!({ "secret_key": STRIPE })).await;
    let taken = post(&api, &stripe, JSON, "{}", &signed("stripe", STRIPE, "{}")).await;
    assert_eq!(taken.status, 202, "the text of a secret of Stripe is its key: {taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_of_two_kinds_are_refused_unless_ingest_says_which() {
    let api = TestApi::start().await;
    let plain = subscribe(&api, json!({ "secret_key": SECRET })).await;
    let named = subscribe(&api, json!({ "ingest": { "provider": "svix", "secret": SECRET } })).await;
    for other in ["github", "stripe", "gitlab", "standard"] {
        let two: Headers = [signed("svix", SECRET, "{}"), signed(other, SECRET, "{}")].concat();
        for id in [&plain, "0199c5f0-0000-7000-8000-000000000001"] {
            let refused = post(&api, id, JSON, "{}", &two).await;
            assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "malformed_request"), "{other}");
            assert!(refused.text.contains("two kinds"), "{refused:?}");
        }
        let path = format!("/ingest/{plain}");
        let with_key = two.iter().fold(api.ask("POST", &path).body("{}"), |ask, (name, value)| ask.header(name, value));
        assert_eq!(with_key.send().await.status, 400);
        assert_eq!(post(&api, &named, JSON, "{}", &two).await.status, 202, "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_of_ones_own_is_described_by_header_encoding_and_prefix() {
    let api = TestApi::start().await;
    let ingest = json!({
        "provider": "hmac", "secret": SECRET, "header": "X-Acme-Signature", "encoding": "base64", "prefix": "mac=",
        "content_types": ["text/xml", "Text/XML"],
    });
    let made = api.subscribe(json!({ "ingest": ingest })).await;
    let expected = json!({
        "provider": "hmac", "secret": "********", "header": "x-acme-signature", "encoding": "base64", "prefix": "mac=",
        "content_types": ["text/xml"],
    });
    assert_eq!((&made["ingest"], &made["verify_ingest"]), (&expected, &json!(true)));
    assert!(made["notice"].as_str().unwrap().contains("names a provider"), "{made}");
    let id = made["id"].as_str().unwrap();
    let xml = "<order id=\"7\"/>";
    assert_eq!(post(&api, id, "text/xml; charset=latin1", xml, &signed("hmac", SECRET, xml)).await.status, 202);
    assert_eq!(post(&api, id, "text/xml", xml, &signed("hmac", "another secret", xml)).await.code(), "unauthenticated");
    assert_eq!(post(&api, id, "text/xml", xml, &signed("github", SECRET, xml)).await.status, 401, "of another kind");
    let twice: Headers = [signed("hmac", SECRET, xml), signed("hmac", SECRET, xml)].concat();
    assert_eq!(post(&api, id, "text/xml", xml, &twice).await.status, 401, "of two, a proxy might read the other");
    assert_eq!(post(&api, id, "text/csv", xml, &signed("hmac", SECRET, xml)).await.code(), "unsupported_media_type");
    assert_eq!(post(&api, id, "text/xml", "", &signed("hmac", SECRET, "")).await.code(), "payload_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_json_needs_a_name_or_a_signature_of_its_provider() {
    let api = TestApi::start().await;
    let open = subscribe(&api, json!({})).await;
    let listed = subscribe(&api, json!({ "ingest": { "content_types": [FORM, "text/plain"] } })).await;
    let github = subscribe(&api, json!({ "ingest": { "provider": "github" }, "secret_key": SECRET })).await;
    let stripe = subscribe(&api, json!({ "ingest": { "provider": "stripe", "secret": STRIPE } })).await;
    let keyed = async |id: &str, content_type: &str| {
        let ask = api.ask("POST", &format!("/ingest/{id}")).bytes("a=1").header("content-type", content_type);
        ask.header("x-hub-signature-256", "sha256=00").send().await.status.as_u16()
    };
    assert_eq!(
        (keyed(&open, FORM).await, keyed(&open, "text/plain").await),
        (415, 415),
        "a signature that nobody checks"
    );
    assert_eq!((keyed(&listed, FORM).await, keyed(&listed, "text/plain; charset=utf-8").await), (202, 202));
    assert_eq!(post(&api, &github, FORM, "a=1", &signed("github", SECRET, "a=1")).await.status, 202);
    assert_eq!(post(&api, &github, "text/plain", "a=1", &signed("github", SECRET, "a=1")).await.status, 415);
    assert_eq!(post(&api, &stripe, FORM, "a=1", &signed("stripe", STRIPE, "a=1")).await.status, 415);
    let json = |content_type: &'static str| {
        api.ask("POST", &format!("/ingest/{open}")).bytes("{}").header("content-type", content_type).send()
    };
    for (content_type, status) in [
        ("application/vnd.api+json", 202),
        ("application/json; charset=UTF-8", 202),
        ("application/json; charset=utf-16", 415),
        ("application/vnd.api+json; charset=latin1", 415),
        ("application/cloudevents-batch+json", 415),
    ] {
        assert_eq!(json(content_type).await.status, status, "{content_type}");
    }
    assert!(json("application/cloudevents-batch+json").await.text.contains("batch of CloudEvents"));
    let ask =
        api.ask("POST", &format!("/ingest/{open}")).bytes("a=1").header("content-type", "application/vnd.api+json");
    assert_eq!(ask.send().await.code(), "malformed_json");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_request_says_itself_wins_and_a_cloud_event_speaks_by_its_headers() {
    let api = TestApi::start().await;
    let id = subscribe(&api, json!({ "secret_key": SECRET, "verify_ingest": false })).await;
    let path = format!("/ingest/{id}");
    let event = |ce_id: &str, source: &str| {
        let ask = api.ask("POST", &path).body("{}").header("ce-specversion", "1.0").header("ce-id", ce_id);
        ask.header("ce-source", source).header("ce-type", "com.github.pull_request.opened")
    };
    let first = event("1", "/a").send().await;
    assert_eq!(event_type(&api, &first).await, "com.github.pull_request.opened");
    assert_eq!(event("1", "/a").send().await.json()["duplicate"], true);
    assert_eq!(event("1", "/b").send().await.json()["duplicate"], false, "an id counts within its source");
    let named = event("1", "/a").header("x-event-type", "mine").header("idempotency-key", "k").send().await;
    assert_eq!((event_type(&api, &named).await, &named.json()["duplicate"]), (json!("mine"), &json!(false)));
    let other = api.ask("POST", &path).body("[]").header("idempotency-key", "k").send().await;
    assert_eq!(other.code(), "idempotency_key_reused", "a key of the caller means the whole request");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_again_with_another_body_is_a_duplicate_and_never_a_conflict() {
    let api = TestApi::start().await;
    let id = subscribe(&api, json!({ "ingest": { "provider": "stripe", "secret": STRIPE } })).await;
    let send = async |pending: u8| {
        let body = format!(r#"{{"id":"evt_1","pending_webhooks":{pending},"type":"invoice.paid"}}"#);
        post(&api, &id, JSON, &body, &signed("stripe", STRIPE, &body)).await
    };
    let first = send(2).await;
    let again = send(1).await;
    assert_eq!((again.status.as_u16(), &again.json()["duplicate"]), (202, &json!(true)), "{again:?}");
    assert_eq!(again.json()["webhook_id"], first.json()["webhook_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_webhooks_without_ingest_repeat_as_they_always_did() {
    let api = TestApi::start().await;
    let id = subscribe(&api, json!({ "secret_key": SECRET })).await;
    let body = r#"{"type":"order.created"}"#;
    let send = || async { post(&api, &id, JSON, body, &signed("standard", SECRET, body)).await };
    let (first, second) = (send().await, send().await);
    assert_ne!(first.json()["webhook_id"], second.json()["webhook_id"]);
    assert_eq!(event_type(&api, &first).await, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn slack_gets_its_challenge_back_after_its_signature_was_verified() {
    let api = TestApi::start().await;
    let id =
        subscribe(&api, json!({ "ingest": { "provider": "slack", "secret": SECRET }, "event_types": ["message"] }))
            .await;
    let body = r#"{"token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV","type":"url_verification"}"#;
    let answer = post(&api, &id, JSON, body, &signed("slack", SECRET, body)).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "challenge": "3eZbrw1aBm2rZgRNFdxV" })));
    assert_eq!(post(&api, &id, JSON, body, &signed("slack", "another secret", body)).await.status, 401);
    let client = api.database.client().await;
    let stored: i64 = client.query_one("select count(*) from events", &[]).await.unwrap().get(0);
    assert_eq!(stored, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_of_signatures_is_refused_before_anything_is_looked_up() {
    let api = TestApi::start().await;
    let id = subscribe(&api, json!({ "secret_key": SECRET })).await;
    let body = "{}";
    let good = signed("standard", SECRET, body);
    let long = |count: usize| {
        let mut headers = good.clone();
        headers[0].1 = format!("{}{}", "v1,AAAA ".repeat(count - 1), headers[0].1);
        headers
    };
    assert_eq!(post(&api, &id, JSON, body, &long(16)).await.status, 202);
    for id in [id.as_str(), "0199c5f0-0000-7000-8000-000000000001"] {
        let refused = post(&api, id, JSON, body, &long(17)).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "signature_invalid"));
        assert!(refused.text.contains("more than 16 signatures"), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_of_ingest_is_never_shown_and_stays_until_it_is_changed() {
    let api = TestApi::start().await;
    let made = api.subscribe(json!({ "ingest": { "provider": "stripe", "secret": STRIPE } })).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("/subscriptions/{id}");
    let write = async |method: &str, fields: Value| api.ask(method, &path).json(&fields).send().await;
    let works = async |secret: &str| post(&api, &id, JSON, "{}", &signed("stripe", secret, "{}")).await.status == 202;
    assert!(works(STRIPE).await);
    let url = "https://hooks.example.com/in";
    assert_eq!(write("PUT", json!({ "target_url": url })).await.json()["ingest"]["secret"], "********");
    let kept =
        write("PUT", json!({ "target_url": url, "ingest": { "provider": "stripe", "content_types": ["text/csv"] } }))
            .await;
    assert_eq!((&kept.json()["ingest"]["secret"], works(STRIPE).await), (&json!("********"), true), "{kept:?}");
    let refused = write("PATCH", json!({ "ingest": { "provider": "github" } })).await;
    assert_eq!(
        (refused.code().as_str(), &refused.json()["errors"][0]["pointer"]),
        ("validation_failed", &json!("/ingest/secret"))
    );
    let masked = write("PATCH", json!({ "ingest": { "provider": "stripe", "secret": "********" } })).await;
    assert_eq!(masked.json()["errors"][0]["code"], "invalid_secret");
    let other = "whsec_another.secret.of.stripe";
    let changed = write("PATCH", json!({ "ingest": { "provider": "stripe", "secret": other } })).await;
    assert_eq!((changed.status.as_u16(), works(STRIPE).await, works(other).await), (200, false, true));
    let same = write("PATCH", json!({ "ingest": { "provider": "stripe", "secret": other } })).await;
    assert_eq!(same.json()["updated_at"], changed.json()["updated_at"], "nothing was written");
    let own = write("PATCH", json!({ "ingest": { "provider": "stripe", "secret": null }, "secret_key": SECRET })).await;
    assert_eq!((&own.json()["ingest"]["secret"], works(SECRET).await), (&Value::Null, true));
    assert_eq!(write("PATCH", json!({ "ingest": null })).await.json()["ingest"], Value::Null);
    let trail = api.ask("GET", &format!("/audit?object_id={id}")).send().await.text;
    assert!(trail.contains("\"provider\"") && trail.contains("******** (another)"), "{trail}");
    for secret in [STRIPE, other] {
        assert!(!trail.contains(secret) && !made.to_string().contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_provider_makes_a_subscription_verify_unless_the_request_says_otherwise() {
    let api = TestApi::start().await;
    let verifies = async |fields: Value, change: Value| {
        let id = subscribe(&api, fields).await;
        let answer = api.ask("PATCH", &format!("/subscriptions/{id}")).json(&change).send().await;
        answer.json()["verify_ingest"].clone()
    };
    let stripe = json!({ "provider": "stripe", "secret": STRIPE });
    assert_eq!(verifies(json!({}), json!({ "ingest": stripe })).await, true);
    assert_eq!(verifies(json!({}), json!({ "ingest": stripe, "verify_ingest": false })).await, false);
    assert_eq!(verifies(json!({}), json!({ "ingest": { "content_types": ["text/csv"] } })).await, false);
    let off = json!({ "ingest": stripe, "verify_ingest": false });
    assert_eq!(verifies(off, json!({ "ingest": { "provider": "stripe", "secret": "another secret" } })).await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_in_ingest_is_named() {
    let api = TestApi::start().await;
    for (ingest, pointer, code) in [
        (json!({ "provider": "strype" }), "/ingest/provider", "unknown_provider"),
        (json!({ "secret": SECRET }), "/ingest/secret", "conflict"),
        (json!({ "provider": "stripe", "secret": "short" }), "/ingest/secret", "invalid_secret"),
        (json!({ "provider": "svix", "secret": "whsec_no-base64-at-all" }), "/ingest/secret", "invalid_secret"),
        (json!({ "provider": "stripe", "header": "x-a" }), "/ingest/header", "conflict"),
        (json!({ "provider": "github", "prefix": "a" }), "/ingest/prefix", "conflict"),
        (json!({ "provider": "hmac", "secret": SECRET }), "/ingest/header", "required"),
        (json!({ "provider": "hmac", "header": "a b" }), "/ingest/header", "invalid_ingest"),
        (json!({ "provider": "hmac", "header": "Authorization" }), "/ingest/header", "invalid_ingest"),
        (json!({ "provider": "hmac", "header": "x-a", "prefix": "é" }), "/ingest/prefix", "invalid_ingest"),
        (
            json!({ "provider": "hmac", "header": "x-a", "encoding": "secret_itself" }),
            "/ingest/encoding",
            "invalid_parameter",
        ),
        (json!({ "content_types": ["json"] }), "/ingest/content_types/0", "invalid_ingest"),
        (
            json!({ "content_types": ["text/xml", "text/csv; charset=utf-8"] }),
            "/ingest/content_types/1",
            "invalid_ingest",
        ),
        (json!({ "content_types": vec!["text/xml"; 11] }), "/ingest/content_types", "too_many"),
        (json!({ "producer": "stripe" }), "/ingest/producer", "unknown_field"),
        (json!("stripe"), "/ingest", "wrong_type"),
    ] {
        let body = json!({ "target_url": "https://hooks.example.com/in", "ingest": ingest });
        let refused = api.ask("POST", "/subscriptions/").json(&body).send().await;
        assert_eq!(refused.status, 422, "{ingest}: {refused:?}");
        let error = refused.json()["errors"][0].clone();
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{ingest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_and_content_type_reach_the_receiver_as_they_came_at_once_and_from_the_queue() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let postrider = Start::new("serve", database.url()).ready().await;
    let http = postrider.http();
    let fields = json!({ "target_url": receiver.url(), "ingest": { "content_types": [FORM] }, "retry_schedule": "1s" });
    let made = http.post("/subscriptions/", &fields.to_string()).await.json();
    let path = format!("/ingest/{}", made["id"].as_str().unwrap());
    // The second attempt of the first one reads it from the database.
    receiver.script([Reply::Status(500)]);
    let sent = [
        (FORM, "payload=%7B%7D"),
        ("application/json; charset=utf-8", " {\"a\" : 1}"),
        ("application/cloudevents+json", "{\"specversion\":\"1.0\"}"),
        (JSON, "[]"),
    ];
    for (content_type, body) in sent {
        let taken = http.send(Method::POST, &path, &[("content-type", content_type)], body.into()).await.unwrap();
        assert_eq!(taken.status, 202, "{content_type}: {}", taken.text());
    }
    let arrived = receiver.arrived(5).await;
    let mut came: Vec<_> = arrived
        .iter()
        .map(|one| (one.header("x-webhook-attempt"), one.header("content-type"), &one.body[..]))
        .collect();
    let retried: Vec<_> = came.extract_if(.., |(attempt, ..)| *attempt == "2").collect();
    assert_eq!((came.len(), retried.len()), (4, 1), "one is sent again, from the database");
    for (_, content_type, body) in came.into_iter().chain(retried) {
        assert!(sent.iter().any(|(sent, text)| *sent == content_type && text.as_bytes() == body), "{content_type}");
    }
}
