//! Nobody takes all the memory or all the connections of the API.

use postrider::domain::api_key::Scope;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::api::{Answer, TestApi};
use crate::support::wait::until;

const MIB: usize = 1 << 20;
const SIGNED: &str = "X-Hub-Signature-256: sha256=00\r\n";

/// A request to this path whose body of 1 MiB waits to be asked for.
async fn announce(api: &TestApi, path: &str, header: &str) -> TcpStream {
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {MIB}\r\n\
         Expect: 100-continue\r\n{header}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The beginning of what comes back.
async fn status(stream: &mut TcpStream) -> String {
    let mut line = [0; 12];
    stream.read_exact(&mut line).await.unwrap();
    String::from_utf8_lossy(&line).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_without_a_key_leave_memory_to_producers_with_one() {
    let api = TestApi::start_limited(|settings| settings.max_request_bytes = 8 * MIB).await;
    let of = |made: Value| format!("/ingest/{}", made["id"].as_str().unwrap());
    let path = of(api.subscribe(json!({ "verify_ingest": true })).await);
    let mut slow = announce(&api, &path, SIGNED).await;
    assert_eq!(status(&mut slow).await, "HTTP/1.1 100", "it has half of the quarter for requests without a key");
    let mut refused = announce(&api, &path, SIGNED).await;
    assert_eq!(status(&mut refused).await, "HTTP/1.1 503", "its body was not asked for");
    let mut rest = vec![0; 4_096];
    let length = refused.read(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest[..length]).to_lowercase().contains("\r\nretry-after: 1\r\n"));

    let payload = format!("{{\"a\":\"{}\"}}", "x".repeat(MIB - 8));
    let plain = of(api.subscribe(json!({})).await);
    assert_eq!(api.ask("POST", &plain).body(payload).send().await.status, 202);
    drop(slow);
    let mut next = announce(&api, &path, SIGNED).await;
    assert_eq!(status(&mut next).await, "HTTP/1.1 100", "what the slow one held is free");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_many_slow_bodies_leaves_memory_to_others() {
    let api = TestApi::start_limited(|settings| settings.max_request_bytes = 4 * MIB).await;
    let path = format!("/ingest/{}", api.subscribe(json!({})).await["id"].as_str().unwrap());
    let key = format!("Authorization: Bearer {}\r\n", api.admin);
    let mut slow = [announce(&api, &path, &key).await, announce(&api, &path, &key).await];
    for slow in &mut slow {
        assert_eq!(status(slow).await, "HTTP/1.1 100");
    }
    let other = api.key("other", Scope::Publish).await;
    assert_eq!(api.ask("POST", "/events/").key(&other).body("{}").send().await.status, 202);
    let mut third = announce(&api, &path, &key).await;
    let [first, _second] = slow;
    drop(first);
    assert_eq!(status(&mut third).await, "HTTP/1.1 100", "it waited for room");
}

const ASK: &[u8] = b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n";

/// A connection that has had an answer and is kept.
async fn answered(api: &TestApi) -> TcpStream {
    let mut stream = TcpStream::connect(api.address).await.unwrap();
    stream.write_all(ASK).await.unwrap();
    assert_eq!(status(&mut stream).await, "HTTP/1.1 404");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_idle_connection_is_closed_for_a_new_one() {
    let api = TestApi::start_limited(|settings| settings.max_connections = 3).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(answered(&api).await);
    }
    let began = std::time::Instant::now();
    let _new = answered(&api).await;
    assert!(began.elapsed() < std::time::Duration::from_secs(1), "it waited {:?}", began.elapsed());
    let mut rest = Vec::new();
    idle[0].read_to_end(&mut rest).await.unwrap();
    idle[2].write_all(ASK).await.unwrap();
    let mut buffer = [0; 4_096];
    assert!(idle[2].read(&mut buffer).await.unwrap() > 0, "the youngest is still open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_with_a_request_under_way_is_never_closed_for_another() {
    let api = TestApi::start_limited(|settings| settings.max_connections = 1).await;
    let key = format!("Authorization: Bearer {}\r\n", api.key("acme", Scope::Publish).await);
    let mut busy = announce(&api, "/events/", &key).await;
    assert_eq!(status(&mut busy).await, "HTTP/1.1 100");
    let mut waiting = TcpStream::connect(api.address).await.unwrap();
    waiting.write_all(ASK).await.unwrap();
    let mut early = [0; 1];
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), waiting.peek(&mut early)).await;
    assert!(early.is_err(), "a new connection waits while all are busy");
    busy.write_all(format!("{{\"a\":\"{}\"}}", "x".repeat(MIB - 8)).as_bytes()).await.unwrap();
    let mut rest = vec![0; 13];
    busy.read_exact(&mut rest).await.unwrap();
    assert_eq!(status(&mut busy).await, "HTTP/1.1 202");
    assert_eq!(status(&mut waiting).await, "HTTP/1.1 404");
}

/// Answers of requests that are sent together.
async fn all(asks: impl IntoIterator<Item = impl Future<Output = Answer>>) -> Vec<Answer> {
    futures_util::future::join_all(asks).await
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_reads_of_one_tenant_leave_connections_to_producers_and_to_readers_of_others() {
    let api = TestApi::start().await;
    let id = api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned();
    let mut locker = api.database.client().await;
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute("lock table attempts in access exclusive mode").await.unwrap();

    // More than the pool has connections, each until the time limit of its statement.
    let logs = format!("/status/logs/{id}");
    let slow = all((0..64).map(|_| api.ask("GET", &logs).send()));
    let others = async {
        // None of these keys was used before, so each is looked for.
        let keys: Vec<String> = all_keys(&api, 24).await;
        let published = all(keys.iter().map(|key| api.ask("POST", "/events/").key(key).body("{}").send())).await;
        let reader = api.key("other", Scope::Read).await;
        let read = api.ask("GET", "/subscriptions/").key(&reader).send().await;
        (published, read)
    };
    let (slow, (published, read)) = tokio::join!(slow, others);
    drop(lock);

    assert!(published.iter().all(|answer| answer.status == 202), "{published:?}");
    assert_eq!(read.status, 200);
    let refused: Vec<_> = slow.iter().filter(|answer| answer.status == 429).collect();
    assert!(refused.len() > 24, "{} of 64 were refused", refused.len());
    assert!(refused.iter().all(|answer| answer.code() == "too_many_requests" && answer.headers["retry-after"] == "1"));
    assert!(slow.iter().all(|answer| [429, 503].contains(&answer.status.as_u16())), "the server ends the others");
    assert_eq!(api.ask("GET", &logs).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_key_never_take_the_connections_on_which_keys_are_looked_for() {
    let api = TestApi::start().await;
    let operator = api.operator(Scope::Admin).await;
    let mut locker = api.database.client().await;
    let lock = locker.transaction().await.unwrap();
    lock.batch_execute("lock table subscriptions in access exclusive mode").await.unwrap();
    // Each waits for the table until the time limit of its statement.
    let signed = |_| {
        api.stranger("POST", "/ingest/01a222f3-4067-79b6-95b0-10fe6acd9623")
            .header("x-hub-signature-256", &format!("sha256={:064}", 0))
            .body("{}")
            .send()
    };
    let keyless = all((0..16).map(signed));
    let watcher = api.database.client().await;
    let with_key = async {
        until("a request without a key waits for the table", async || {
            let waiting =
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
            (watcher.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0).then_some(())
        })
        .await;
        let read = api.stranger("GET", "/tenants").key(&operator).send().await;
        drop(lock);
        read
    };
    let (keyless, read) = tokio::join!(keyless, with_key);
    assert_eq!(read.status, 200);
    assert!(keyless.iter().all(|answer| [401, 503].contains(&answer.status.as_u16())));
}

async fn all_keys(api: &TestApi, count: usize) -> Vec<String> {
    let mut keys = Vec::new();
    for _ in 0..count {
        keys.push(api.key("other", Scope::Publish).await);
    }
    keys
}
