//! A secret is rotated without losing an event: for a while the old and the new one sign and
//! verify, and then the old one ends, wherever a copy of it is.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use hyper::Method;
use postrider::domain::keyring::Keyring;
use postrider::domain::secret::Secret;
use postrider::domain::signature::{sign_hub, sign_v1};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use time::OffsetDateTime;

use crate::support::api::{Answer, TestApi};
use crate::support::database::Database;
use crate::support::http::Http;
use crate::support::process::{Start, program};
use crate::support::receiver::{Arrived, Receiver};
use crate::support::rig::{Rig, SECRET};
use crate::support::wait::until;

const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const THIRD: &str = "a third secret";

/// Ends every older secret, and tells the copies.
const OVERLAP_OVER: &str = "update subscriptions set version = version + 1,
    older_until = array(select now() - interval '1 second' from unnest(older_until))";

/// Whether a Standard Webhooks library with this secret accepts what arrived.
fn accepts(secret: &str, arrived: &Arrived) -> bool {
    Webhook::new(secret).unwrap().verify(&arrived.body, &arrived.headers).is_ok()
}

fn signatures(arrived: &Arrived) -> usize {
    arrived.header("webhook-signature").split(' ').count()
}

fn hub(secret: &str, body: &[u8]) -> String {
    sign_hub(&Secret::parse(secret).unwrap(), body)
}

/// A subscription to this receiver with the secret [`OLD`], over the real program.
async fn subscribe(http: &Http, receiver: &Receiver, verify_ingest: bool) -> String {
    let fields = json!({ "target_url": receiver.url(), "secret_key": OLD, "verify_ingest": verify_ingest });
    http.post("/subscriptions/", &fields.to_string()).await.json()["id"].as_str().unwrap().to_owned()
}

async fn rotate(http: &Http, subscription: &str, fields: Value) -> Value {
    let answer = http.post(&format!("/subscriptions/{subscription}/rotate-secret"), &fields.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

async fn ingest(http: &Http, subscription: &str) {
    assert_eq!(http.post(&format!("/ingest/{subscription}"), "{}").await.status, 202);
}

/// The status of an event that only its signature lets in.
async fn ingest_signed(http: &Http, subscription: &str, secret: &str) -> u16 {
    let signature = hub(secret, b"{}");
    let headers = [("x-hub-signature-256", signature.as_str())];
    let answer = http.send(Method::POST, &format!("/ingest/{subscription}"), &headers, "{}".into()).await.unwrap();
    answer.status.as_u16()
}

/// What the API says of a subscription and its rotation.
struct SealContext {
    api: TestApi,
    path: String,
}

impl SealContext {
    async fn with(fields: Value) -> Self {
        let api = TestApi::start().await;
        let path = format!("/subscriptions/{}", api.subscribe(fields).await["id"].as_str().unwrap());
        Self { api, path }
    }

    async fn rotate(&self, fields: Value) -> Answer {
        self.api.ask("POST", &format!("{}/rotate-secret", self.path)).json(&fields).send().await
    }

    async fn patch(&self, fields: Value) -> Value {
        self.api.ask("PATCH", &self.path).json(&fields).send().await.json()
    }

    /// When the older secrets end, as a reader sees it.
    async fn ends(&self) -> Vec<Value> {
        let seen = self.api.ask("GET", &self.path).send().await.json();
        seen["previous_secrets_until"].as_array().unwrap().clone()
    }

    /// The status of an event that only its signature lets in, in either form.
    async fn ingest(&self, secret: &str) -> u16 {
        let path = self.path.replace("/subscriptions/", "/ingest/");
        let (now, secret) = (OffsetDateTime::now_utc().unix_timestamp(), Secret::parse(secret).unwrap());
        let hub = self.api.stranger("POST", &path).header("x-hub-signature-256", &sign_hub(&secret, b"{}"));
        let standard = self.api.stranger("POST", &path).header("webhook-id", "m1");
        let standard = standard.header("webhook-timestamp", &now.to_string());
        let standard = standard.header("webhook-signature", &sign_v1(&secret, "m1", now, b"{}"));
        let [hub, standard] = [hub.body("{}").send().await, standard.body("{}").send().await];
        assert_eq!(hub.status, standard.status, "the forms differ: {hub:?} {standard:?}");
        hub.status.as_u16()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn during_the_overlap_a_delivery_carries_both_signatures_and_either_secret_verifies_it() {
    // From memory, and from the queue.
    for commands in [&["serve"][..], &["api", "worker"]] {
        let (database, receiver) = (Database::new().await, Receiver::new().await);
        let mut started = Vec::new();
        for command in commands {
            started.push(Start::new(command, database.url()).ready().await);
        }
        let http = started[0].http();
        let subscription = subscribe(&http, &receiver, false).await;
        ingest(&http, &subscription).await;
        let before = receiver.arrived(1).await;
        assert!(signatures(&before[0]) == 1 && accepts(OLD, &before[0]), "{commands:?}");

        rotate(&http, &subscription, json!({ "secret_key": NEW })).await;
        ingest(&http, &subscription).await;
        let during = &receiver.arrived(2).await[1];
        assert!(accepts(OLD, during) && accepts(NEW, during), "{commands:?}");
        assert_eq!(signatures(during), 2);
        let first = during.header("webhook-signature").split(' ').next().unwrap();
        let timestamp = during.header("webhook-timestamp").parse().unwrap();
        let by_new = sign_v1(&Secret::parse(NEW).unwrap(), during.header("webhook-id"), timestamp, &during.body);
        assert_eq!(first, by_new, "the current one comes first");
        assert_eq!(during.header("x-hub-signature-256"), hub(NEW, &during.body), "the hub form has room for one");

        database.client().await.execute(OVERLAP_OVER, &[]).await.unwrap();
        ingest(&http, &subscription).await;
        let after = &receiver.arrived(3).await[2];
        assert!(signatures(after) == 1 && accepts(NEW, after) && !accepts(OLD, after), "{commands:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotating_under_load_refuses_no_event_and_the_old_secret_verifies_every_delivery() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let start = async || Start::new("serve", database.url()).ready().await;
    let (here, there) = (start().await, start().await);
    let (here, there) = (here.http(), there.http());
    let subscription = subscribe(&here, &receiver, true).await;
    let is_rotated = AtomicBool::new(false);
    let produce = async |http: &Http| {
        let mut answers = Vec::new();
        loop {
            let last = is_rotated.load(Ordering::Relaxed);
            answers.extend(join_all((0..10).map(|_| ingest_signed(http, &subscription, OLD))).await);
            if last {
                return answers;
            }
        }
    };
    let rotations = async {
        for secret in [NEW, THIRD] {
            receiver.arrived(receiver.requests().len() + 10).await;
            rotate(&here, &subscription, json!({ "secret_key": secret })).await;
        }
        is_rotated.store(true, Ordering::Relaxed);
    };
    let (by_here, by_there, ()) = tokio::join!(produce(&here), produce(&there), rotations);
    assert!(by_here.iter().chain(&by_there).all(|status| *status == 202), "{by_here:?} {by_there:?}");
    let arrived = receiver.arrived(by_here.len() + by_there.len()).await;
    assert!(arrived.iter().all(|delivery| accepts(OLD, delivery)));
    assert!(arrived.iter().any(|delivery| signatures(delivery) == 1), "none came before the rotation");
    assert_eq!(arrived.iter().map(signatures).max(), Some(3), "none came after it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_stops_using_an_older_secret_at_its_end() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let replica = Start::new("serve", database.url()).ready().await;
    let http = replica.http();
    let subscription = subscribe(&http, &receiver, false).await;
    rotate(&http, &subscription, json!({ "secret_key": NEW, "overlap_seconds": 1 })).await;
    let mut sent = 0;
    until("an event is signed with the new secret alone", async || {
        ingest(&http, &subscription).await;
        sent += 1;
        let last = receiver.arrived(sent).await.pop().unwrap();
        assert!(accepts(NEW, &last), "the new one always signs");
        (signatures(&last) == 1 && !accepts(OLD, &last)).then_some(())
    })
    .await;
    // Each process judges by the database's clock as it measured it, which may be a few milliseconds off.
    until("it is shown no more", async || {
        let seen = http.get(&format!("/subscriptions/{subscription}")).await.json();
        (seen["previous_secrets_until"] == json!([])).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_secret_that_does_not_open_is_left_out_and_the_current_one_signs() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.sql(r"update subscriptions set older_secrets = array['\x00'::bytea], older_until = array[now() + interval '1 hour']")
        .await;
    rig.accept(&subscription, b"{}").await;
    rig.settle().await;
    let arrived = rig.receiver.requests();
    assert_eq!(arrived.len(), 1);
    assert!(signatures(&arrived[0]) == 1 && accepts(SECRET, &arrived[0]), "{arrived:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_accepts_either_secret_during_the_overlap_and_only_the_new_one_after_it() {
    let place = SealContext::with(json!({ "secret_key": OLD })).await;
    assert_eq!((place.ingest(OLD).await, place.ingest(NEW).await), (202, 401));
    assert_eq!(place.rotate(json!({ "secret_key": NEW })).await.status, 200);
    assert_eq!((place.ingest(OLD).await, place.ingest(NEW).await), (202, 202));
    place.api.database.client().await.execute(OVERLAP_OVER, &[]).await.unwrap();
    assert_eq!((place.ingest(OLD).await, place.ingest(NEW).await), (401, 202));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_on_one_replica_is_known_to_another_with_the_next_event() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let start = async || Start::new("api", database.url()).ready().await;
    let (here, there) = (start().await, start().await);
    let (here, there) = (here.http(), there.http());
    let subscription = subscribe(&here, &receiver, true).await;
    assert_eq!(ingest_signed(&there, &subscription, OLD).await, 202, "now there is a copy there");
    rotate(&here, &subscription, json!({ "secret_key": NEW })).await;
    assert_eq!(ingest_signed(&there, &subscription, NEW).await, 202);
    assert_eq!(ingest_signed(&there, &subscription, OLD).await, 202);
    // All others end at once, though the copy there does not say so.
    rotate(&here, &subscription, json!({ "secret_key": THIRD, "overlap_seconds": 0 })).await;
    assert_eq!(ingest_signed(&there, &subscription, NEW).await, 401);
    assert_eq!(ingest_signed(&there, &subscription, THIRD).await, 202);
    assert_eq!(ingest_signed(&there, &subscription, OLD).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_at_the_same_time_follow_one_another_and_every_secret_that_was_shown_is_live() {
    let place = SealContext::with(json!({ "verify_ingest": true })).await;
    let answers = join_all((0..4).map(|_| place.rotate(json!({})))).await;
    for answer in &answers {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(place.ingest(answer.json()["secret_key"].as_str().unwrap()).await, 202);
    }
    let mut live: Vec<_> = answers.iter().map(|answer| answer.json()["previous_secrets_until"].clone()).collect();
    live.sort_by_key(|ends| ends.as_array().unwrap().len());
    let counts: Vec<_> = live.iter().map(|ends| ends.as_array().unwrap().len()).collect();
    assert_eq!(counts, [1, 2, 3, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_secret_is_shown_once_and_the_end_of_the_old_one_to_every_reader() {
    let place = SealContext::with(json!({})).await;
    assert!(place.ends().await.is_empty());
    let before: OffsetDateTime = place.api.database.client().await.query_one("select now()", &[]).await.unwrap().get(0);
    // Without a body, and so without a content type.
    let path = format!("{}/rotate-secret", place.path);
    let rotated = place.api.ask("POST", &path).send().await;
    assert_eq!(rotated.status, 200, "{rotated:?}");
    let rotated = rotated.json();
    assert!(rotated["secret_key"].as_str().unwrap().starts_with("whsec_"));
    let ends = rotated["previous_secrets_until"].as_array().unwrap();
    let rfc3339 = &time::format_description::well_known::Rfc3339;
    let end = OffsetDateTime::parse(ends[0].as_str().unwrap(), rfc3339).unwrap();
    let overlap = (end - before).as_seconds_f64() - 86_400.0;
    assert!((0.0..60.0).contains(&overlap), "{overlap}");
    assert_eq!(place.ends().await, *ends);
    let listed = place.api.ask("GET", "/subscriptions/").send().await.json();
    assert_eq!(listed["data"][0]["previous_secrets_until"].as_array().unwrap(), ends);
    assert_eq!(listed["data"][0]["secret_key"], "********");
    assert_eq!(rotated["target_url"], listed["data"][0]["target_url"]);

    place.rotate(json!({ "overlap_seconds": 60 })).await;
    let now = place.ends().await;
    assert_eq!((now.len(), &now[1]), (2, &ends[0]), "the newest secret comes first, whenever it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_secrets_may_be_live_and_those_that_have_ended_make_room() {
    let place = SealContext::with(json!({})).await;
    for _ in 0..4 {
        assert_eq!(place.rotate(json!({})).await.status, 200);
    }
    let refused = place.rotate(json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "too_many_secrets"));
    let client = place.api.database.client().await;
    client.execute("update subscriptions set older_until[2] = now()", &[]).await.unwrap();
    assert_eq!(place.ends().await.len(), 3);
    assert_eq!(place.rotate(json!({})).await.status, 200);
    let kept = "select cardinality(older_secrets) from subscriptions";
    assert_eq!(client.query_one(kept, &[]).await.unwrap().get::<_, i32>(0), 4, "the ended one is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_without_overlap_ends_every_other_secret_at_once() {
    let place = SealContext::with(json!({ "secret_key": OLD })).await;
    place.rotate(json!({ "secret_key": NEW })).await;
    assert_eq!((place.ingest(OLD).await, place.ingest(NEW).await), (202, 202));
    let rotated = place.rotate(json!({ "overlap_seconds": 0 })).await.json();
    assert_eq!(rotated["previous_secrets_until"], json!([]));
    assert_eq!((place.ingest(OLD).await, place.ingest(NEW).await), (401, 401));
    assert_eq!(place.ingest(rotated["secret_key"].as_str().unwrap()).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_the_secret_ends_all_others_at_once_and_other_changes_do_not() {
    let place = SealContext::with(json!({ "secret_key": OLD })).await;
    place.rotate(json!({ "secret_key": NEW })).await;
    assert_eq!(place.patch(json!({ "description": "x" })).await["previous_secrets_until"].as_array().unwrap().len(), 1);
    assert_eq!(place.ingest(OLD).await, 202);
    // The current one given again: the overlap ends early.
    assert_eq!(place.patch(json!({ "secret_key": NEW })).await["previous_secrets_until"], json!([]));
    assert_eq!((place.ingest(OLD).await, place.ingest(NEW).await), (401, 202));
    assert!(place.ends().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_rotated_is_refused_by_name_and_changes_nothing() {
    let place = SealContext::with(json!({ "secret_key": OLD })).await;
    for (body, pointer, code) in [
        (r#"{"overlap_seconds": -1}"#, "/overlap_seconds", "out_of_range"),
        (r#"{"overlap_seconds": 604801}"#, "/overlap_seconds", "out_of_range"),
        (r#"{"overlap_seconds": 1.5}"#, "/overlap_seconds", "wrong_type"),
        (r#"{"overlap_seconds": "60"}"#, "/overlap_seconds", "wrong_type"),
        (r#"{"overlap": 60}"#, "/overlap", "unknown_field"),
        (r#"{"secret_key": "short"}"#, "/secret_key", "invalid_secret"),
        (r#"{"secret_key": "********"}"#, "/secret_key", "invalid_secret"),
    ] {
        let ask = place.api.ask("POST", &format!("{}/rotate-secret", place.path));
        let refused = ask.body(body.to_owned()).send().await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "validation_failed"), "{body}");
        let error = refused.json()["errors"][0].clone();
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{body}");
    }
    let ask = place.api.ask("POST", &format!("{}/rotate-secret", place.path));
    assert_eq!(ask.bytes("{}").send().await.code(), "unsupported_media_type");
    // What a request that is sent twice meets the second time.
    let refused = place.rotate(json!({ "secret_key": OLD })).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "secret_unchanged"));
    assert!(place.ends().await.is_empty());
    assert_eq!(place.ingest(OLD).await, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_key_is_needed_until_the_last_secret_that_it_sealed_has_ended() {
    let database = Database::new().await;
    let subscription = {
        let before = Start::new("api", database.url()).ready().await;
        before.http().subscribe("http://127.0.0.1:9100/").await
    };
    let other = Keyring::entry("other", [8; 32]);
    let both = format!("{other},{}", Keyring::entry("test", [7; 32]));
    let settings = [("POSTRIDER_MASTER_KEYS", both.as_str())];
    let api = Start { settings: &settings, ..Start::new("api", database.url()) }.ready().await;
    rotate(&api.http(), &subscription, json!({})).await;
    let doctor = async || {
        let asked = program("doctor", &database.url()).env("POSTRIDER_MASTER_KEYS", &other).output().await.unwrap();
        String::from_utf8(asked.stdout).unwrap()
    };
    let said = doctor().await;
    assert!(said.contains("sealed with keys that are missing from POSTRIDER_MASTER_KEYS: 1 with 'test'"), "{said}");
    database.client().await.execute(OVERLAP_OVER, &[]).await.unwrap();
    let said = doctor().await;
    assert!(said.contains("each key opens its secrets; subscriptions: 1 with 'other'"), "{said}");
}
