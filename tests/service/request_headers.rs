//! Requests carry the headers and the authorization that a subscription's owner chose. Their
//! values come in and go out to the target, and are seen nowhere in between.

use hyper::Method;
use postrider::domain::keyring::{Keyring, SealContext};
use postrider::domain::secret::Secret;
use serde_json::{Value, json};

use crate::support::api::TestApi;
use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::process::{Start, program};
use crate::support::receiver::{Receiver, Reply};
use crate::support::rig::Rig;

const CANARY: &str = "canary-5db1c0";

/// A subscription, and its path.
async fn subscribed(api: &TestApi, fields: Value) -> (Value, String) {
    let made = api.subscribe(fields).await;
    let path = format!("/subscriptions/{}", made["id"].as_str().unwrap());
    (made, path)
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_authorization_go_with_every_attempt_and_no_value_is_logged() {
    let (database, receiver, folder) = (Database::new().await, Receiver::new().await, Folder::new());
    let log = folder.0.join("log");
    let settings = [("POSTRIDER_LOG", "trace")];
    let start = Start { settings: &settings, log: Some(log.clone()), ..Start::new("serve", database.url()) };
    let http = start.ready().await;
    let client = http.http();
    let id = client.subscribe(&receiver.url()).await;
    let fields = json!({
        "headers": { "X-Api-Key": CANARY, "x-tab": "a\tb" },
        "auth": { "type": "basic", "username": "shop", "password": CANARY },
    });
    let patch = async |fields: &Value| {
        let path = format!("/subscriptions/{id}");
        client.send(Method::PATCH, &path, &[], fields.to_string().into()).await.unwrap()
    };
    let changed = patch(&fields).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert!(!changed.text().contains(CANARY));
    receiver.script([Reply::Status(500)]);
    assert_eq!(client.post(&format!("/ingest/{id}"), "{}").await.status, 202);
    for arrived in receiver.arrived(2).await {
        assert_eq!((arrived.header("x-api-key"), arrived.header("x-tab")), (CANARY, "a\tb"));
        assert_eq!(arrived.header("authorization"), "Basic c2hvcDpjYW5hcnktNWRiMWMw");
        assert_eq!((arrived.header("content-type"), arrived.header("webhook-id").len()), ("application/json", 36));
    }

    patch(&json!({ "auth": { "type": "bearer", "token": CANARY } })).await;
    assert_eq!(client.post(&format!("/ingest/{id}"), "{}").await.status, 202);
    let last = receiver.arrived(3).await.pop().unwrap();
    assert_eq!((last.header("authorization"), last.header("x-api-key")), ("Bearer canary-5db1c0", CANARY));
    drop(http);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(!log.is_empty() && !log.contains(CANARY) && !log.contains("c2hvcDpjYW5hcnktNWRiMWMw"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_can_be_sent_back_and_keeps_what_is_stored() {
    let api = TestApi::start().await;
    let auth = json!({ "type": "bearer", "token": CANARY });
    let (made, path) = subscribed(&api, json!({ "headers": { "X-A": CANARY, "x-b": "2" }, "auth": auth })).await;
    assert_eq!(made["headers"], json!({ "x-a": "********", "x-b": "********" }));
    assert_eq!(made["auth"], json!({ "type": "bearer" }));
    let shown = api.ask("GET", &path).send().await;
    assert!(!shown.text.contains(CANARY));
    let shown = shown.json();
    assert_eq!((&shown["headers"], &shown["auth"]), (&made["headers"], &made["auth"]));

    let names_after = async |method: &str, fields: Value| {
        let answer = api.ask(method, &path).json(&fields).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.json()["headers"].clone(), answer.json()["auth"].clone())
    };
    let back = json!({ "headers": shown["headers"], "auth": shown["auth"] });
    assert_eq!(names_after("PATCH", back.clone()).await, (made["headers"].clone(), made["auth"].clone()));
    let target = json!({ "target_url": "https://hooks.example.com/in", "headers": { "x-a": "********" } });
    assert_eq!(names_after("PUT", target).await, (json!({ "x-a": "********" }), Value::Null));
    assert_eq!(names_after("PATCH", json!({ "headers": null })).await, (json!({}), Value::Null));
    let none_left = "select sealed_headers is null and cardinality(header_names) = 0 from subscriptions";
    assert!(api.database.client().await.query_one(none_left, &[]).await.unwrap().get::<_, bool>(0));
    let refused = api.ask("PATCH", &path).json(&back).send().await.json();
    assert_eq!(refused["code"], "validation_failed", "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_taken_and_values_that_end_their_line_are_refused_without_repeating_them() {
    let api = TestApi::start().await;
    let cases = [
        (json!({ "headers": { "Host": CANARY } }), "/headers/Host"),
        (json!({ "headers": { "webhook-signature": CANARY } }), "/headers/webhook-signature"),
        (json!({ "headers": { "Authorization": CANARY } }), "/headers/Authorization"),
        (json!({ "headers": { "x-a": format!("{CANARY}\r\nX-Evil: 1") } }), "/headers/x-a"),
        (json!({ "headers": { (format!("x-a: {CANARY}")): "1" } }), "/headers"),
        (json!({ "headers": { "x-a": CANARY, "X-A": "2" } }), "/headers/x-a"),
        (json!({ "headers": { "x-a": null } }), "/headers/x-a"),
        (json!({ "headers": { "x-a": "********" } }), "/headers/x-a"),
        (json!({ "auth": { "type": "digest", "token": CANARY } }), "/auth/type"),
        (json!({ "auth": { "type": "bearer", "token": format!("{CANARY}\n") } }), "/auth"),
        (json!({ "auth": { "type": "basic", "username": "a:b", "password": CANARY } }), "/auth"),
        (json!({ "auth": { "type": "basic", "username": CANARY } }), "/auth"),
        (json!({ "auth": { "type": "bearer", "token": "t", "password": CANARY } }), "/auth/password"),
        (json!({ "auth": { "type": "bearer" } }), "/auth"),
    ];
    for (mut fields, pointer) in cases {
        fields["target_url"] = json!("https://hooks.example.com/in");
        let answer = api.ask("POST", "/subscriptions/").json(&fields).send().await;
        assert_eq!(answer.code(), "validation_failed", "{fields}");
        let pointers: Vec<_> =
            answer.json()["errors"].as_array().unwrap().iter().map(|e| e["pointer"].clone()).collect();
        assert!(pointers.iter().any(|found| found == pointer), "{pointers:?} for {fields}");
        assert!(!answer.text.contains(CANARY), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_do_not_open_are_still_listed_and_can_be_given_anew() {
    let api = TestApi::start().await;
    let (_, path) = subscribed(&api, json!({ "headers": { "x-a": CANARY } })).await;
    let client = api.database.client().await;
    let sealed: Vec<u8> = client.query_one("select sealed_headers from subscriptions", &[]).await.unwrap().get(0);
    assert!(!String::from_utf8_lossy(&sealed).contains(CANARY), "sealed at rest");
    // A secret moved to where headers stand does not open there.
    client.execute("update subscriptions set sealed_headers = secret", &[]).await.unwrap();

    assert_eq!(api.ask("GET", &path).send().await.json()["headers"], json!({ "x-a": "********" }));
    assert_eq!(api.ask("GET", "/subscriptions/").send().await.status, 200);
    assert_eq!(api.ask("PATCH", &path).json(&json!({ "description": "other" })).send().await.status, 200);
    let kept = api.ask("PATCH", &path).json(&json!({ "headers": { "x-a": "********" } })).send().await;
    assert_eq!(kept.code(), "headers_unreadable");
    assert_eq!(api.ask("PATCH", &path).json(&json!({ "headers": { "x-a": "anew" } })).send().await.status, 200);
    let id = path.rsplit('/').next().unwrap();
    assert_eq!(api.ask("POST", &format!("/ingest/{id}")).body("{}").send().await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_headers_do_not_open_waits_and_uses_up_nothing() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.accept(&subscription, b"{}").await;
    rig.sql("update subscriptions set header_names = '{x-a}', sealed_headers = secret").await;
    rig.settle().await;
    assert!(rig.receiver.requests().is_empty(), "nothing goes out without its headers");
    let waits = "select count(*) from deliveries where lease is null and next_attempt_at > now() + interval '30 s'";
    assert_eq!(rig.client.query_one(waits, &[]).await.unwrap().get::<_, i64>(0), 1);

    rig.sql("update subscriptions set header_names = '{}', sealed_headers = null").await;
    rig.sql("update deliveries set next_attempt_at = now()").await;
    rig.settle().await;
    assert_eq!(rig.receiver.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_counts_headers_with_the_master_key_that_sealed_them() {
    let database = Database::new().await;
    let old = Keyring::entry("old", [9; 32]);
    let keys = format!("{old},{}", Keyring::entry("test", [7; 32]));
    let settings = [("POSTRIDER_MASTER_KEYS", keys.as_str())];
    let postrider = Start { settings: &settings, ..Start::new("api", database.url()) }.ready().await;
    let fields = json!({ "target_url": "https://example.com/", "headers": { "x-a": "1" } });
    let made = postrider.http().post("/subscriptions/", &fields.to_string()).await.json();
    // The secret is sealed with the other key by now, as after a rotation.
    let place = SealContext {
        tenant: "00000000-0000-7000-8000-000000000000".parse().unwrap(),
        subscription: made["id"].as_str().unwrap().parse().unwrap(),
    };
    let ring = Keyring::parse(&Keyring::entry("test", [7; 32])).unwrap();
    let sealed = ring.seal(&Secret::parse("correct horse").unwrap(), place, [1; 32]);
    let client = database.client().await;
    client.execute("update subscriptions set secret = $1", &[&sealed]).await.unwrap();
    let asked = program("doctor", &database.url()).output().await.unwrap();
    let said = String::from_utf8(asked.stdout).unwrap();
    assert!(said.contains("sealed with keys that are missing from POSTRIDER_MASTER_KEYS: 1 with 'old'"), "{said}");
}
