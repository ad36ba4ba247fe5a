//! Rate limits and caps: several processes, one pace. Whoever owns it may die.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::Method;
use postrider::domain::id::WorkerId;
use uuid::Uuid;

use crate::support::database::Database;
use crate::support::http::Http;
use crate::support::process::{Postrider, Start};
use crate::support::receiver::Receiver;
use crate::support::rig::{Rig, submit};
use crate::support::wait::until;

/// A short lease, so that what a lost worker owned is soon another's.
const SETTINGS: [(&str, &str); 2] = [("POSTRIDER_REQUEST_TIMEOUT", "1s"), ("POSTRIDER_LEASE", "6s")];

async fn replicas(database: &Database) -> Vec<Postrider> {
    // One after the other: the first brings the schema up.
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(Start { settings: &SETTINGS, ..Start::new("serve", database.url()) }.ready().await);
    }
    replicas
}

async fn subscribe(http: &Http, receiver: &Receiver, policy: &str) -> String {
    let made = http.post("/subscriptions/", &format!(r#"{{"target_url":"{}",{policy}}}"#, receiver.url())).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["id"].as_str().unwrap().to_owned()
}

/// Sends so many events, in turn to each replica.
async fn send(replicas: &[Postrider], subscription: &str, events: usize) {
    let https: Vec<_> = replicas.iter().map(Postrider::http).collect();
    let posts = (0..events).map(|n| {
        let (http, path) = (&https[n % https.len()], format!("/ingest/{subscription}"));
        async move { http.send(Method::POST, &path, &[], Bytes::from(format!("{{\"n\":{n}}}"))).await.unwrap().status }
    });
    assert!(join_all(posts).await.into_iter().all(|status| status == 202));
}

fn different(receiver: &Receiver) -> usize {
    let requests = receiver.requests();
    let mut ids: Vec<_> = requests.iter().map(|request| request.header("webhook-id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    ids.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_never_send_more_at_a_time_than_the_cap() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let replicas = replicas(&database).await;
    let subscription = subscribe(&replicas[0].http(), &receiver, r#""max_in_flight":5"#).await;
    receiver.takes(Duration::from_millis(20));
    send(&replicas, &subscription, 200).await;
    until("all arrived", async || (different(&receiver) == 200).then_some(())).await;
    assert_eq!((receiver.requests().len(), receiver.most_at_once()), (200, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_never_send_more_a_second_than_the_rate() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let replicas = replicas(&database).await;
    let subscription = subscribe(&replicas[0].http(), &receiver, r#""rate_limit":20"#).await;
    send(&replicas, &subscription, 60).await;
    until("all arrived", async || (different(&receiver) == 60).then_some(())).await;
    let arrived = receiver.requests();
    assert_eq!(arrived.len(), 60);
    // 21 within 950 ms would be more than 20 a second and what the way may vary.
    for (first, last) in arrived.iter().zip(&arrived[20..]) {
        let taken = last.at - first.at;
        assert!(taken >= Duration::from_millis(950), "21 requests in {taken:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pace_outlives_its_owners() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let mut replicas = replicas(&database).await;
    let subscription = subscribe(&replicas[0].http(), &receiver, r#""max_in_flight":3"#).await;
    receiver.takes(Duration::from_millis(50));
    send(&replicas, &subscription, 120).await;
    for seen in [10, 40] {
        receiver.arrived(seen).await;
        replicas.remove(0).kill().await;
    }
    until("all arrived", async || (different(&receiver) == 120).then_some(())).await;
    assert!(receiver.most_at_once() <= 3, "{} at once", receiver.most_at_once());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_stops_hands_its_paces_on_at_once() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.sql("update subscriptions set max_in_flight = 2").await;
    let working = rig.working();
    rig.accept(&subscription, b"{}").await;
    rig.receiver.arrived(1).await;
    assert_eq!(rig.count("paces").await, 1);
    working.stop().await;
    assert_eq!(rig.count("paces").await, 0);
    rig.accept(&subscription, b"{}").await;
    let _next = rig.working();
    rig.receiver.arrived(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_waits_for_its_pace_says_why() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.sql("update subscriptions set max_in_flight = 2").await;
    rig.accept(&subscription, b"{}").await;
    let held = "select status, reason, attempts from all_deliveries";
    let row = rig.client.query_one(held, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), ("held", Some("in_flight"), 0));
    rig.sql("update subscriptions set rate_limit = 2").await;
    let row = rig.client.query_one(held, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("held", Some("rate_limit")));
    // The claim has nothing to do with it, and what was due before is held by it.
    assert_eq!(rig.worker().run_once().await.unwrap().claimed, 0);
    rig.sql("update deliveries set next_attempt_at = now(), held_for = null").await;
    assert_eq!(rig.worker().run_once().await.unwrap().claimed, 0);
    assert_eq!(rig.client.query_one(held, &[]).await.unwrap().get::<_, &str>(0), "held");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_born_leased_is_held_where_its_subscription_turned_out_to_be_paced() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.sql("update subscriptions set max_in_flight = 2").await;
    let (intake, lane) = rig.intake(true);
    submit(&intake, &subscription, b"{}", None).await.unwrap();
    assert!(lane.unwrap().try_recv().is_err());
    assert_eq!(rig.parts.slots.in_flight(), 0);
    let held = "select count(*) from deliveries where held_for = 'paced' and lease is null and attempts = 0";
    assert_eq!(rig.client.query_one(held, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_slot_becomes_its_owners_at_once_when_a_pace_begins() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    for _ in 0..20 {
        rig.accept(&subscription, b"{}").await;
    }
    let wait = "update deliveries set next_attempt_at = 'infinity', held_for = 'in_flight'";
    let held = "select count(*) from deliveries where held_for = 'paced' and next_attempt_at = 'infinity'";
    rig.sql(wait).await;
    assert_eq!(rig.store().release(&[(subscription.id, 3)]).await.unwrap(), [(subscription.id, 3)]);
    rig.sql("update subscriptions set max_in_flight = 2").await;
    assert_eq!(rig.store().release(&[(subscription.id, 3)]).await.unwrap(), [(subscription.id, 17)]);
    assert_eq!(rig.client.query_one(held, &[]).await.unwrap().get::<_, i64>(0), 17);
    // Upkeep does the same, although somebody holds them: the holder may be lost.
    rig.sql(wait).await;
    rig.store().renew_holds(&[subscription.id], WorkerId::from(Uuid::new_v4()), Duration::from_secs(60)).await.unwrap();
    assert_eq!(rig.store().release_ownerless(100).await.unwrap(), 20);
    assert_eq!(rig.client.query_one(held, &[]).await.unwrap().get::<_, i64>(0), 20);
    assert_eq!(rig.store().release_ownerless(100).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn held_deliveries_are_released_when_the_pace_ends_or_the_subscription_does() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.sql("update subscriptions set max_in_flight = 2").await;
    rig.accept(&subscription, b"{}").await;
    assert_eq!(rig.store().release_ownerless(10).await.unwrap(), 0);
    for change in ["max_in_flight = null", "max_in_flight = 2, is_active = false", "deleted_at = now()"] {
        rig.sql(&format!("update subscriptions set {change}")).await;
        let held = "update deliveries set next_attempt_at = 'infinity', lease = null, held_for = 'paced'";
        rig.sql(held).await;
        assert_eq!(rig.store().release_ownerless(10).await.unwrap(), 1, "{change}");
    }
    assert_eq!(rig.worker().run_once().await.unwrap().claimed, 0);
    let ended = "select status, reason from undelivered";
    let row = rig.client.query_one(ended, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("cancelled", "subscription_deleted"));
}
