//! Order over several processes, of which some are killed, with a receiver that fails at
//! random: per key, the first successes come in the order of acceptance.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::http::Http;
use crate::support::process::{Postrider, Start};
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::until;

const KEYS: usize = 1_000;
const EVENTS_PER_KEY: usize = 4;
/// Producers at work at the same time; each has its own keys.
const PRODUCERS: usize = 64;
/// One answer in so many is a failure.
const FAILING: u64 = 20;
/// Answers decided beforehand; there are more than requests.
const ANSWERS: usize = 40_000;
/// Ends every lease, long enough ago to be taken over.
const LEASES_LAPSED: &str =
    "update deliveries set next_attempt_at = now() - interval '6 seconds' where lease is not null";

/// Which answers are failures, as this seed decides.
fn failures(seed: u64) -> Vec<bool> {
    let mut state = seed | 1;
    let next = || {
        // xorshift64: enough to look random, and the same for everybody who has the seed.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.is_multiple_of(FAILING)
    };
    std::iter::repeat_with(next).take(ANSWERS).collect()
}

async fn start(command: &str, database: &Database) -> Postrider {
    Start::new(command, database.url()).ready().await
}

/// Publishes the events of each of its keys one after the other, each through the API that
/// did not take the one before.
async fn produce(apis: &[Http], subscription: &str, producer: usize) {
    for n in 0..EVENTS_PER_KEY {
        for key in (producer..KEYS).step_by(PRODUCERS) {
            let (path, name) = (format!("/ingest/{subscription}"), format!("key-{key}"));
            let body = Bytes::from(json!({ "key": key, "n": n }).to_string());
            let headers = [("x-ordering-key", name.as_str())];
            let answer = apis[(n + key) % 2].send(Method::POST, &path, &headers, body).await.unwrap();
            assert_eq!(answer.status, 202, "{}", answer.text());
        }
    }
}

/// Kills one worker after the other while deliveries are under way, and replaces each.
async fn kill_workers(database: &Database, receiver: &Receiver) -> Vec<Postrider> {
    let mut workers =
        vec![start("worker", database).await, start("worker", database).await, start("worker", database).await];
    let client = database.client().await;
    for killed in 1..=3 {
        let arrived = killed * KEYS * EVENTS_PER_KEY / 4;
        until("deliveries are under way", async || (receiver.count() >= arrived).then_some(())).await;
        workers.remove(0).kill().await;
        client.execute(LEASES_LAPSED, &[]).await.unwrap();
        workers.push(start("worker", database).await);
    }
    workers
}

#[tokio::test(flavor = "multi_thread")]
async fn first_successes_of_a_key_keep_their_order_through_random_failures_and_killed_workers() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let failures = failures(seed);
    receiver.script(failures.iter().map(|fails| Reply::Status(if *fails { 500 } else { 200 })));
    let replicas = [start("api", &database).await, start("api", &database).await];
    let apis = [replicas[0].http(), replicas[1].http()];
    let wanted = json!({ "target_url": receiver.url(), "verify_ingest": false, "ordered": true });
    let made = apis[0].post("/subscriptions/", &wanted.to_string()).await;
    let subscription = made.json()["id"].as_str().unwrap().to_owned();

    let producing = join_all((0..PRODUCERS).map(|producer| produce(&apis, &subscription, producer)));
    let (_, _workers) = tokio::join!(producing, kill_workers(&database, &receiver));
    let client = database.client().await;
    until("every delivery ended", async || {
        let left: i64 = client.query_one("select count(*) from deliveries", &[]).await.unwrap().get(0);
        (left == 0).then_some(())
    })
    .await;

    let ended = client.query_one("select count(*) from undelivered", &[]).await.unwrap().get::<_, i64>(0);
    let mut reached: HashMap<u64, u64> = HashMap::new();
    for (request, fails) in receiver.requests().iter().zip(&failures) {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let (key, n) = (body["key"].as_u64().unwrap(), body["n"].as_u64().unwrap());
        let next = reached.entry(key).or_default();
        // What was delivered already may come again after a crash, nothing may come too soon.
        assert!(n <= *next, "seed {seed}: event {n} of key {key} came before event {next}");
        *next += u64::from(n == *next && !fails);
    }
    assert_eq!((ended, reached.len()), (0, KEYS));
    assert!(reached.values().all(|next| *next == EVENTS_PER_KEY as u64), "seed {seed}: events are missing");
}
