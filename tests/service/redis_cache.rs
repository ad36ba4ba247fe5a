//! Redis holds copies of subscriptions and nothing else. With it dead, hanging, emptied or
//! lying, no client notices and nothing goes to a wrong target.

use bytes::Bytes;
use hyper::Method;
use redis::cmd;
use serde_json::Value;

use crate::support::database::Database;
use crate::support::http::Http;
use crate::support::process::{Postrider, Start, program};
use crate::support::receiver::Receiver;
use crate::support::redis::RedisServer;
use crate::support::wait::until;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

async fn serve_with(redis: &RedisServer, database: &Database) -> Postrider {
    let url = redis.url();
    let settings = [("REDIS_URL", url.as_str())];
    let replica = Start { settings: &settings, ..Start::new("serve", database.url()) }.ready().await;
    until("Redis is in use", async || (count(&replica, "postrider_cache_available").await == 1).then_some(())).await;
    replica
}

/// One line of the metrics.
async fn count(replica: &Postrider, name: &str) -> u64 {
    let metrics = replica.ops().get("/metrics").await.text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    line.unwrap_or(0)
}

async fn lookups(replica: &Postrider, result: &str) -> u64 {
    count(replica, &format!("postrider_cache_requests_total{{result=\"{result}\"}}")).await
}

async fn subscribe(http: &Http, target: &str) -> String {
    let body = format!("{{\"target_url\":\"{target}\",\"secret_key\":\"{SECRET}\",\"verify_ingest\":false}}");
    let answer = http.post("/subscriptions/", &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn patch(http: &Http, subscription: &str, change: &'static str) -> Value {
    let path = format!("/subscriptions/{subscription}");
    let answer = http.send(Method::PATCH, &path, &[], Bytes::from_static(change.as_bytes())).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn delete(http: &Http, subscription: &str) {
    let path = format!("/subscriptions/{subscription}");
    assert_eq!(http.send(Method::DELETE, &path, &[], Bytes::new()).await.unwrap().status, 200);
}

async fn ingest(http: &Http, subscription: &str) -> u16 {
    http.post(&format!("/ingest/{subscription}"), "{}").await.status.as_u16()
}

/// The copy of a subscription in Redis, once there is one.
async fn copy_in(redis: &RedisServer, subscription: &str) -> Vec<u8> {
    until("a copy is in Redis", async || redis.ask(cmd("GET").arg(key(subscription))).await).await
}

fn key(subscription: &str) -> String {
    format!("postrider:subscription:5:{subscription}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_one_replica_left_in_redis_spares_another_the_database() {
    let (database, redis, receiver) = (Database::new().await, RedisServer::start().await, Receiver::new().await);
    let writer = Start::new("api", database.url()).ready().await;
    let subscription = subscribe(&writer.http(), &receiver.url()).await;
    let first = serve_with(&redis, &database).await;
    assert_eq!(ingest(&first.http(), &subscription).await, 202);
    assert_eq!(lookups(&first, "miss").await, 1);

    let lifetime: i64 = until("the copy is in Redis", async || {
        Some(redis.ask(cmd("TTL").arg(key(&subscription))).await).filter(|lifetime| *lifetime > 0)
    })
    .await;
    assert!((1..=30).contains(&lifetime), "{lifetime}");
    let second = serve_with(&redis, &database).await;
    assert_eq!(ingest(&second.http(), &subscription).await, 202);
    assert_eq!(ingest(&second.http(), &subscription).await, 202);
    assert_eq!(lookups(&second, "hit").await, 1, "after the first the copy is in the process");
    receiver.arrived(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_redis_has_the_older_secrets_too() {
    let (database, redis, receiver) = (Database::new().await, RedisServer::start().await, Receiver::new().await);
    let first = serve_with(&redis, &database).await;
    let subscription = subscribe(&first.http(), &receiver.url()).await;
    let rotate = format!("/subscriptions/{subscription}/rotate-secret");
    // Written elsewhere, so that the first replica reads the row and leaves a copy.
    let writer = Start::new("api", database.url()).ready().await;
    assert_eq!(writer.http().post(&rotate, "{}").await.status, 200);
    assert_eq!(ingest(&first.http(), &subscription).await, 202);
    copy_in(&redis, &subscription).await;
    let second = serve_with(&redis, &database).await;
    assert_eq!(ingest(&second.http(), &subscription).await, 202);
    assert_eq!(lookups(&second, "hit").await, 1);
    for arrived in receiver.arrived(2).await {
        assert_eq!(arrived.header("webhook-signature").split(' ').count(), 2, "{arrived:?}");
        let old = standardwebhooks::Webhook::new(SECRET).unwrap();
        assert!(old.verify(&arrived.body, &arrived.headers).is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_redis_shows_neither_secret_nor_target() {
    let (database, redis, receiver) = (Database::new().await, RedisServer::start().await, Receiver::new().await);
    let replica = serve_with(&redis, &database).await;
    let writer = Start::new("api", database.url()).ready().await;
    let subscription = subscribe(&writer.http(), &format!("{}/token-in-path", receiver.url())).await;
    assert_eq!(ingest(&replica.http(), &subscription).await, 202);
    let value = copy_in(&redis, &subscription).await;
    assert!(value.len() > 100);
    let text = String::from_utf8_lossy(&value);
    for private in [SECRET, &SECRET[6..], "token-in-path", "127.0.0.1"] {
        assert!(!text.contains(private), "{private} can be read in Redis");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_takes_the_copy_out_of_redis() {
    let (database, redis, receiver) = (Database::new().await, RedisServer::start().await, Receiver::new().await);
    let writer = serve_with(&redis, &database).await;
    let (reader, subscription) =
        (serve_with(&redis, &database).await, subscribe(&writer.http(), &receiver.url()).await);
    let is_there = async || -> bool { redis.ask(cmd("EXISTS").arg(key(&subscription))).await };
    assert_eq!(ingest(&reader.http(), &subscription).await, 202);
    copy_in(&redis, &subscription).await;
    patch(&writer.http(), &subscription, r#"{"description":"changed"}"#).await;
    assert!(!is_there().await, "a change leaves the old copy");
    assert_eq!(ingest(&reader.http(), &subscription).await, 202, "the change elsewhere is found out and read");
    copy_in(&redis, &subscription).await;
    delete(&writer.http(), &subscription).await;
    assert!(!is_there().await, "a deletion leaves the old copy");
    assert_eq!(ingest(&reader.http(), &subscription).await, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_in_redis_change_nothing() {
    let (database, redis) = (Database::new().await, RedisServer::start().await);
    let (old_target, new_target, stranger) = (Receiver::new().await, Receiver::new().await, Receiver::new().await);
    let writer = serve_with(&redis, &database).await;
    let http = writer.http();
    let subscription = subscribe(&http, &old_target.url()).await;
    let other = subscribe(&http, &stranger.url()).await;
    // What an old version and a neighbour's copy look like is learned from a replica.
    let learner = serve_with(&redis, &database).await;
    for id in [&subscription, &other] {
        assert_eq!(ingest(&learner.http(), id).await, 202);
    }
    old_target.arrived(1).await;
    stranger.arrived(1).await;
    let old_version = copy_in(&redis, &subscription).await;
    let neighbour = copy_in(&redis, &other).await;
    let change = format!("{{\"target_url\":\"{}\"}}", new_target.url());
    let path = format!("/subscriptions/{subscription}");
    assert_eq!(http.send(Method::PATCH, &path, &[], Bytes::from(change)).await.unwrap().status, 200);

    let mut altered = old_version.clone();
    *altered.last_mut().unwrap() ^= 1;
    let lies: [&[u8]; 6] =
        [b"garbage", b"{\"is_active\":true}", &neighbour, &altered, &vec![b'x'; 2 << 20], &old_version];
    for (place, lie) in lies.iter().enumerate() {
        // Each replica is new, so it has to ask Redis.
        let replica = serve_with(&redis, &database).await;
        let _: () = redis.ask(cmd("SET").arg(key(&subscription)).arg(*lie)).await;
        assert_eq!(ingest(&replica.http(), &subscription).await, 202, "lie {place}");
        new_target.arrived(place + 1).await;
        let believed = *lie == old_version.as_slice();
        assert_eq!(lookups(&replica, "refused").await, u64::from(!believed), "lie {place}");
    }
    // A value of another kind is an answer to nothing, and no outage.
    let replica = serve_with(&redis, &database).await;
    let _: () = redis.ask(cmd("DEL").arg(key(&subscription))).await;
    let _: () = redis.ask(cmd("RPUSH").arg(key(&subscription)).arg("x")).await;
    assert_eq!(ingest(&replica.http(), &subscription).await, 202);
    assert_eq!(count(&replica, "postrider_cache_available").await, 1);
    new_target.arrived(lies.len() + 1).await;
    assert_eq!((old_target.requests().len(), stranger.requests().len()), (1, 1), "something went to a wrong target");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_histories_of_one_subscription_do_not_take_each_others_copies() {
    let (production, redis, original) = (Database::new().await, RedisServer::start().await, Receiver::new().await);
    let writer = Start::new("api", production.url()).ready().await;
    let subscription = subscribe(&writer.http(), &original.url()).await;
    writer.kill().await;
    // As a restored backup would: the same rows and master keys, the same Redis, another life.
    let staging = production.copy().await;
    let path = format!("/subscriptions/{subscription}");
    let mut receivers = Vec::new();
    for database in [&production, &staging] {
        let (writer, receiver) = (Start::new("api", database.url()).ready().await, Receiver::new().await);
        let change = Bytes::from(format!("{{\"target_url\":\"{}\"}}", receiver.url()));
        assert_eq!(writer.http().send(Method::PATCH, &path, &[], change).await.unwrap().status, 200);
        receivers.push(receiver);
    }
    for (database, receiver) in [&production, &staging].into_iter().zip(&receivers) {
        let replica = serve_with(&redis, database).await;
        assert_eq!(ingest(&replica.http(), &subscription).await, 202);
        receiver.arrived(1).await;
        copy_in(&redis, &subscription).await;
    }
    assert_eq!(receivers.iter().map(|receiver| receiver.requests().len()).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_subscription_that_was_disabled_or_deleted_meanwhile_delivers_nothing() {
    let (database, mut redis, receiver) = (Database::new().await, RedisServer::start().await, Receiver::new().await);
    let writer = serve_with(&redis, &database).await;
    let http = writer.http();
    let reader = serve_with(&redis, &database).await;
    let [disabled, deleted] = [subscribe(&http, &receiver.url()).await, subscribe(&http, &receiver.url()).await];
    for id in [&disabled, &deleted] {
        assert_eq!(ingest(&reader.http(), id).await, 202);
    }
    receiver.arrived(2).await;
    // Redis is cut off, so no replica is notified; the reader keeps its copies, and a liar
    // could bring back those of Redis.
    redis.kill();
    patch(&http, &disabled, r#"{"is_active":false}"#).await;
    delete(&http, &deleted).await;
    assert_eq!(ingest(&reader.http(), &disabled).await, 409);
    assert_eq!(ingest(&reader.http(), &deleted).await, 404);
    assert_eq!(receiver.requests().len(), 2);
}

/// Sends one event to each of these subscriptions, which the replica has not seen before;
/// all are accepted.
async fn all_are_accepted(http: &Http, subscriptions: &[String], moment: &str) {
    let posts = subscriptions.iter().map(|id| ingest(http, id));
    let answers = futures_util::future::join_all(posts).await;
    assert!(answers.iter().all(|status| *status == 202), "{moment}: {answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_dies_hangs_is_emptied_and_comes_back_and_no_client_notices() {
    const EACH: usize = 20;
    let (database, mut redis, receiver) = (Database::new().await, RedisServer::start().await, Receiver::new().await);
    let writer = Start::new("api", database.url()).ready().await;
    let mut subscriptions = Vec::new();
    for _ in 0..6 * EACH {
        subscriptions.push(subscribe(&writer.http(), &receiver.url()).await);
    }
    let mut unseen = subscriptions.chunks(EACH);
    let mut next = || unseen.next().unwrap();
    let replica = serve_with(&redis, &database).await;
    let http = replica.http();
    let back = async || {
        until("Redis is in use again", async || {
            (count(&replica, "postrider_cache_available").await == 1).then_some(())
        })
        .await;
    };

    all_are_accepted(&http, next(), "with Redis").await;
    redis.kill();
    all_are_accepted(&http, next(), "Redis is dead").await;
    let bypassed = lookups(&replica, "bypassed").await;
    all_are_accepted(&http, next(), "Redis is still dead").await;
    assert!(lookups(&replica, "bypassed").await >= bypassed + 20, "a dead Redis is asked all the same");
    redis.start_again().await;
    back().await;
    redis.hang();
    all_are_accepted(&http, next(), "Redis hangs").await;
    assert_eq!(count(&replica, "postrider_cache_available").await, 0);
    redis.go_on();
    back().await;
    let _: () = redis.ask(&cmd("FLUSHALL")).await;
    all_are_accepted(&http, next(), "Redis is empty").await;
    all_are_accepted(&http, next(), "Redis is well").await;
    receiver.arrived(6 * EACH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_full_stays_in_use_for_what_it_has() {
    let (database, redis, receiver) = (Database::new().await, RedisServer::start().await, Receiver::new().await);
    let writer = Start::new("api", database.url()).ready().await;
    let [kept, late] =
        [subscribe(&writer.http(), &receiver.url()).await, subscribe(&writer.http(), &receiver.url()).await];
    let first = serve_with(&redis, &database).await;
    assert_eq!(ingest(&first.http(), &kept).await, 202);
    copy_in(&redis, &kept).await;
    let _: () = redis.ask(cmd("CONFIG").arg("SET").arg("maxmemory").arg("1")).await;
    let second = serve_with(&redis, &database).await;
    assert_eq!(ingest(&second.http(), &late).await, 202, "a copy that cannot be put there is nobody's concern");
    until("the refusal was counted", async || (lookups(&second, "failed").await == 1).then_some(())).await;
    assert_eq!(ingest(&second.http(), &kept).await, 202);
    assert_eq!((lookups(&second, "hit").await, count(&second, "postrider_cache_available").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_starts_without_its_redis_and_uses_it_once_it_is_there() {
    let (database, mut redis) = (Database::new().await, RedisServer::start().await);
    redis.kill();
    let url = redis.url();
    let settings = [("REDIS_URL", url.as_str())];
    let replica = Start { settings: &settings, ..Start::new("serve", database.url()) }.ready().await;
    assert_eq!(count(&replica, "postrider_cache_available").await, 0);
    redis.start_again().await;
    until("Redis is in use", async || (count(&replica, "postrider_cache_available").await == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_url_that_is_none_stops_the_start_and_is_not_repeated() {
    let database = Database::new().await;
    let started = program("serve", &database.url()).env("REDIS_URL", "http://:hunter2@nowhere").output().await.unwrap();
    assert!(!started.status.success());
    let said = String::from_utf8(started.stderr).unwrap();
    assert!(said.contains("REDIS_URL: must be redis://"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}
