//! The real program in several processes: they share nothing but PostgreSQL, and any of
//! them may die.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::Method;
use postrider::domain::keyring::Keyring;

use crate::support::database::Database;
use crate::support::http::Http;
use crate::support::process::{Postrider, Start, program};
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::until;

/// Ends every lease, long enough ago to be taken over.
const LEASES_LAPSED: &str =
    "update deliveries set next_attempt_at = now() - interval '6 seconds' where lease is not null";

/// Sends events `from..to`, 16 at a time; returns the ids of those answered 202.
async fn send(http: &Http, subscription: &str, events: std::ops::Range<usize>) -> Vec<String> {
    let mut accepted = Vec::new();
    for chunk in events.collect::<Vec<_>>().chunks(16) {
        let posts = chunk.iter().map(|n| async move {
            let body = Bytes::from(format!("{{\"n\":{n}}}"));
            let answer = http.send(Method::POST, &format!("/ingest/{subscription}"), &[], body).await.ok()?;
            (answer.status == 202).then(|| answer.json()["webhook_id"].as_str().unwrap().to_owned())
        });
        accepted.extend(join_all(posts).await.into_iter().flatten());
    }
    accepted
}

fn ids(receiver: &Receiver) -> HashSet<String> {
    receiver.requests().iter().map(|request| request.header("webhook-id").to_owned()).collect()
}

async fn all_arrived(receiver: &Receiver, accepted: &[String]) {
    until("every accepted event arrived", async || {
        let ids = ids(receiver);
        accepted.iter().all(|id| ids.contains(id)).then_some(())
    })
    .await;
}

async fn start(command: &str, database: &Database) -> Postrider {
    Start::new(command, database.url()).ready().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_alarm_asks_for_is_counted_from_zero() {
    let database = Database::new().await;
    let api = start("api", &database).await;
    let series = ["202", "503"]
        .map(|status| format!("postrider_requests_total{{operation=\"ingest\",status=\"{status}\"}} 0\n"));
    let latency = "postrider_request_seconds_count{operation=\"ingest\"} 0\n";
    until("every series is there", async || {
        let metrics = api.ops().get("/metrics").await.text();
        (metrics.contains(latency) && series.iter().all(|series| metrics.contains(series))).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_and_two_workers_share_the_work_through_one_database() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let made = program("keys create --tenant acme", &database.url()).output().await.unwrap();
    let printed = String::from_utf8(made.stdout).unwrap();
    let key = printed.lines().last().unwrap();
    let settings = [("POSTRIDER_AUTH", "keys"), ("POSTRIDER_MAX_IN_FLIGHT", "4")];
    let start = |command| Start { settings: &settings, ..Start::new(command, database.url()) };
    let api = start("api").ready().await;
    let workers = [start("worker").ready().await, start("worker").ready().await];

    assert_eq!(api.http().post("/subscriptions/", "{}").await.status, 401);
    let http = api.http_with(key);
    let subscription = http.subscribe(&receiver.url()).await;
    let accepted = send(&http, &subscription, 0..200).await;
    assert_eq!(accepted.len(), 200);
    all_arrived(&receiver, &accepted).await;
    for worker in &workers {
        let metrics = worker.ops().get("/metrics").await.text();
        assert!(!metrics.contains("postrider_attempts_total{outcome=\"delivered\"} 0"), "a worker did nothing");
    }
    let status = until("the last one is recorded", async || {
        let status = http.get(&format!("/status/{}", accepted[199])).await.json();
        (status["status"] == "succeeded").then_some(status)
    })
    .await;
    assert_eq!((&status["attempts"], &status["is_success"]), (&1.into(), &true.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_mid_attempt_loses_nothing_and_the_attempt_is_logged_as_unknown() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let api = start("api", &database).await;
    let doomed = start("worker", &database).await;
    let http = api.http();
    let subscription = http.subscribe(&receiver.url()).await;
    receiver.hold();
    let accepted = send(&http, &subscription, 0..50).await;
    assert_eq!(accepted.len(), 50);
    let in_flight = receiver.arrived(1).await.len();
    let metrics = doomed.ops().get("/metrics").await.text();
    assert!(metrics.contains("postrider_in_flight") && !metrics.contains("postrider_in_flight 0\n"), "{metrics}");
    doomed.kill().await;
    receiver.let_go();

    let client = database.client().await;
    assert!(client.execute(LEASES_LAPSED, &[]).await.unwrap() >= in_flight as u64);
    let _survivor = start("worker", &database).await;
    all_arrived(&receiver, &accepted).await;
    let unknown = "select count(*) from attempts where outcome = 'unknown'";
    // The receiver may have had all of them before the worker was lost: then nobody waits for the next.
    until("an attempt is logged as unknown", async || {
        (client.query_one(unknown, &[]).await.unwrap().get::<_, i64>(0) >= 1).then_some(())
    })
    .await;
    until("every delivery ended", async || {
        let left: i64 = client.query_one("select count(*) from deliveries", &[]).await.unwrap().get(0);
        (left == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_killed_while_it_accepts_loses_nothing_that_it_answered() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let doomed = start("serve", &database).await;
    kill_while_it_accepts(&database, &receiver, doomed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_killed_while_it_accepts_loses_nothing_that_it_answered() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let _worker = start("worker", &database).await;
    let doomed = start("api", &database).await;
    kill_while_it_accepts(&database, &receiver, doomed).await;
}

async fn kill_while_it_accepts(database: &Database, receiver: &Receiver, doomed: Postrider) {
    let http = doomed.http();
    let subscription = http.subscribe(&receiver.url()).await;
    let sending = {
        let (http, subscription) = (http.clone(), subscription.clone());
        tokio::spawn(async move { send(&http, &subscription, 0..2_000).await })
    };
    receiver.arrived(100).await;
    doomed.kill().await;
    let accepted = sending.await.unwrap();
    // Some arrived before their answers did.
    assert!((50..2_000).contains(&accepted.len()), "{} were accepted", accepted.len());

    let client = database.client().await;
    client.execute(LEASES_LAPSED, &[]).await.unwrap();
    let _survivor = start("worker", database).await;
    all_arrived(receiver, &accepted).await;
    let stored: i64 = client.query_one("select count(*) from events", &[]).await.unwrap().get(0);
    assert!(stored >= accepted.len() as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_replica_finishes_what_is_in_flight_and_says_that_it_is_not_ready() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let replica = start("serve", &database).await;
    let http = replica.http();
    let subscription = http.subscribe(&receiver.url()).await;
    receiver.hold();
    let accepted = send(&http, &subscription, 0..20).await;
    receiver.arrived(20).await;
    replica.terminate();
    let ops = replica.ops();
    until("it is not ready", async || (ops.get("/readyz").await.status == 503).then_some(())).await;
    assert_eq!(ops.get("/healthz").await.status, 200);
    receiver.let_go();
    assert!(replica.ended().await.success());

    let client = database.client().await;
    assert_eq!(client.query_one("select count(*) from deliveries", &[]).await.unwrap().get::<_, i64>(0), 0);
    let outcomes = client.query("select outcome from attempts", &[]).await.unwrap();
    assert_eq!(outcomes.len(), accepted.len());
    assert!(outcomes.iter().all(|row| row.get::<_, &str>(0) == "delivered"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_receiver_is_tried_on_schedule_and_the_log_shows_every_attempt() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let replica = start("serve", &database).await;
    let http = replica.http();
    let subscription = http.subscribe(&receiver.url()).await;
    receiver.script([Reply::Status(500), Reply::Status(500)]);
    let accepted = send(&http, &subscription, 0..1).await;
    let status = until("it succeeded", async || {
        let status = http.get(&format!("/status/{}", accepted[0])).await.json();
        (status["status"] == "succeeded").then_some(status)
    })
    .await;
    assert_eq!((&status["attempts"], &status["error_message"]), (&3.into(), &serde_json::Value::Null));
    let log = http.get(&format!("/status/logs/{subscription}")).await.json();
    let rows: Vec<_> = log["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["attempt_number"].as_u64(), row["status_code"].as_u64()))
        .collect();
    assert_eq!(rows, [(Some(3), Some(200)), (Some(2), Some(500)), (Some(1), Some(500))]);
    let times = database.client().await;
    let gaps =
        "select extract(epoch from created_at - lag(created_at) over (order by id))::float8 from attempts offset 1";
    for row in times.query(gaps, &[]).await.unwrap() {
        assert!((0.9..3.0).contains(&row.get::<_, f64>(0)), "a retry after {:?} s", row.get::<_, f64>(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_whose_master_key_is_gone_can_be_seen_changed_and_repaired() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let before = start("api", &database).await;
    let subscription = before.http().subscribe(&receiver.url()).await;
    let other_key = Keyring::entry("other", [8; 32]);
    let settings = [("POSTRIDER_MASTER_KEYS", other_key.as_str())];
    let replica = Start { settings: &settings, ..Start::new("serve", database.url()) }.ready().await;
    let http = replica.http();
    let (path, ingest) = (format!("/subscriptions/{subscription}"), format!("/ingest/{subscription}"));

    assert_eq!(http.get(&path).await.json()["secret_key"], "********");
    assert_eq!(http.get("/subscriptions/").await.json()["data"][0]["id"], subscription.as_str());
    let patch = async |change: &'static str| {
        http.send(Method::PATCH, &path, &[], Bytes::from_static(change.as_bytes())).await.unwrap()
    };
    assert_eq!(patch(r#"{"description":"seen"}"#).await.json()["description"], "seen");
    assert_eq!(http.post(&ingest, "{}").await.status, 500, "what cannot be signed is not accepted");
    let repaired = patch(r#"{"secret_key":"a new secret"}"#).await.json();
    assert_eq!((&repaired["secret_key"], &repaired["description"]), (&"a new secret".into(), &"seen".into()));
    assert_eq!(http.post(&ingest, "{}").await.status, 202);
    receiver.arrived(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stops_gives_notice_and_answers_meanwhile() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let settings = [("POSTRIDER_SHUTDOWN_NOTICE", "60s")];
    let replica = Start { settings: &settings, ..Start::new("serve", database.url()) }.ready().await;
    let http = replica.http();
    let subscription = http.subscribe(&receiver.url()).await;
    let ingest = format!("/ingest/{subscription}");
    assert!(!http.post(&ingest, "{}").await.headers.contains_key("connection"));
    replica.terminate();
    until("it is not ready any more", async || (replica.ops().get("/readyz").await.status == 503).then_some(())).await;
    for _ in 0..3 {
        let answer = http.post(&ingest, "{}").await;
        assert_eq!((answer.status.as_u16(), answer.headers["connection"].to_str().unwrap()), (202, "close"));
    }
    receiver.arrived(4).await;
    // A second signal ends the waiting.
    replica.terminate();
    replica.ended().await;
}
