//! Rate limits and caps: several processes, one pace. Whoever owns it may die.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::Method;
use postrider::domain::breaker::Breaker;
use postrider::domain::id::{LeaseToken, WorkerId};
use postrider::store::{KeepRequest, Notice, TakeAsk, TakeRequest};
use time::OffsetDateTime;
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

/// Sends so many events, in turn to each replica, as a producer that asks again where a replica has no room.
async fn send(replicas: &[Postrider], subscription: &str, events: usize) {
    let https: Vec<_> = replicas.iter().map(Postrider::http).collect();
    let posts = (0..events).map(|n| {
        let (http, path) = (&https[n % https.len()], format!("/ingest/{subscription}"));
        async move {
            let (key, body) = (n.to_string(), Bytes::from(format!("{{\"n\":{n}}}")));
            until("it is accepted", async || {
                let sent = http.send(Method::POST, &path, &[("idempotency-key", &key)], body.clone()).await.unwrap();
                assert!([202, 503].contains(&sent.status.as_u16()), "{}", sent.text());
                (sent.status == 202).then_some(())
            })
            .await;
        }
    });
    join_all(posts).await;
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
async fn of_three_replicas_one_alone_sends_at_the_rate() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let replicas = replicas(&database).await;
    let subscription = subscribe(&replicas[0].http(), &receiver, r#""rate_limit":50"#).await;
    send(&replicas, &subscription, 60).await;
    until("all are recorded", async || (count(&database, "deliveries").await == 0).then_some(())).await;
    assert_eq!((receiver.requests().len(), different(&receiver)), (60, 60));
    // Its bucket is the rate of all of them: no other has one.
    let mut senders = 0;
    for replica in &replicas {
        let metrics = replica.ops().get("/metrics").await.text();
        senders += usize::from(metrics.contains("postrider_attempts_total{outcome=\"delivered\"} 60\n"));
    }
    assert_eq!(senders, 1);
}

async fn count(database: &Database, table: &str) -> i64 {
    database.client().await.query_one(&format!("select count(*) from {table}"), &[]).await.unwrap().get(0)
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
async fn a_worker_that_stops_gives_up_what_it_owns_at_once() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.sql("update subscriptions set max_in_flight = 2").await;
    let working = rig.working();
    rig.accept(&subscription, b"{}").await;
    rig.receiver.arrived(1).await;
    assert_eq!(rig.count("owners").await, 1);
    working.stop().await;
    assert_eq!(rig.count("owners").await, 0);
    rig.accept(&subscription, b"{}").await;
    let _next = rig.working();
    rig.receiver.arrived(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_waits_for_its_pace_says_why() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.accept(&subscription, b"{}").await;
    let seen = async |change: &str| {
        rig.sql(&format!("update subscriptions set {change}")).await;
        let state = "select status, reason, attempts from all_deliveries";
        let row = rig.client.query_one(state, &[]).await.unwrap();
        (row.get::<_, String>(0), row.get::<_, Option<String>>(1), row.get::<_, i32>(2))
    };
    let held = |reason: &str| ("held".to_owned(), Some(reason.to_owned()), 0);
    // What has just fallen due is on its way.
    assert_eq!(seen("max_in_flight = 2").await, ("pending".to_owned(), None, 0));
    rig.sql("update deliveries set next_attempt_at = now() - interval '2 seconds'").await;
    assert_eq!(seen("max_in_flight = 2").await, held("concurrency"));
    assert_eq!(seen("rate_limit = 2").await, held("rate_limit"));
    assert_eq!(seen("is_active = false").await, held("disabled"));
    assert_eq!(seen("is_active = true, rate_limit = null, max_in_flight = null").await.0, "held", "it recovers");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_owner_takes_from_a_paced_subscription() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.sql("update subscriptions set max_in_flight = 2").await;
    rig.accept(&subscription, b"{}").await;
    let take = async |worker: WorkerId| {
        let ask = TakeAsk {
            tenant: subscription.tenant,
            subscription: subscription.id,
            most: 1,
            due_from: OffsetDateTime::UNIX_EPOCH,
            breaker: Breaker::Closed,
        };
        let request = TakeRequest {
            token: LeaseToken::from(Uuid::new_v4()),
            lease: Duration::from_secs(20),
            worker,
            takes_lapsed: false,
            most_bytes: 1_000,
            asks: vec![ask],
        };
        rig.store().take(&request).await.unwrap().deliveries.len()
    };
    let keep = |worker: WorkerId| KeepRequest {
        worker,
        lasting: Duration::from_secs(20),
        owned: Vec::new(),
        wanted: vec![(subscription.tenant, subscription.id)],
        counted: Vec::new(),
    };
    let (owner, other) = (WorkerId::from(Uuid::new_v4()), WorkerId::from(Uuid::new_v4()));
    assert_eq!(rig.store().keep_owned(&keep(owner)).await.unwrap().len(), 1);
    assert_eq!(rig.store().keep_owned(&keep(other)).await.unwrap().len(), 0);
    assert_eq!((take(other).await, take(owner).await), (0, 1));
    // Another breaker than the owner knows: it looks first.
    rig.sql("update deliveries set lease = null, next_attempt_at = now()").await;
    rig.sql("update subscriptions set breaker = 'open'").await;
    assert_eq!(take(owner).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_to_a_subscription_that_turned_out_to_be_paced_is_not_born_leased() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.sql("update subscriptions set max_in_flight = 2").await;
    let (intake, handoff) = rig.intake(true);
    submit(&intake, &subscription, b"{}", None).await.unwrap();
    // Its owner finds it, wherever that is.
    assert!(handoff.unwrap().try_recv().is_err());
    assert_eq!(rig.parts.slots.in_flight(), 0);
    let due = "select count(*) from deliveries where lease is null and attempts = 0";
    assert_eq!(rig.client.query_one(due, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_its_pace_goes_on_when_the_pace_ends_or_the_subscription_does() {
    for (change, expected) in [("max_in_flight = null, rate_limit = null", (5, 0)), ("deleted_at = now()", (0, 5))] {
        let rig = Rig::new().await;
        let subscription = rig.subscription().await;
        rig.receiver.hold();
        rig.sql("update subscriptions set max_in_flight = 1").await;
        for _ in 0..5 {
            rig.accept(&subscription, b"{}").await;
        }
        let _working = rig.working();
        rig.receiver.arrived(1).await;
        rig.sql(&format!("update subscriptions set {change}, version = version + 1")).await;
        rig.store().notify(Notice::Released(subscription.tenant, subscription.id)).await.unwrap();
        if expected.0 > 0 {
            rig.receiver.arrived(5).await;
        }
        rig.receiver.let_go();
        until("nothing is pending", async || (rig.count("deliveries").await == 0).then_some(())).await;
        let cancelled = rig.count("undelivered").await;
        assert!((expected.1 - 1..=expected.1).contains(&cancelled), "{change}: {cancelled} were cancelled");
    }
}
