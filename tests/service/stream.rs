//! The stream shows what happens once, to those whom it concerns, whatever commits late, breaks off or reads slowly.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use postrider::domain::actor::Actor;
use postrider::domain::api_key::Scope;
use postrider::store::Revocation;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_postgres::Client;

use crate::support::api::{TestApi, made_key};

mod coming_back;
mod limits;

const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

/// Reads a stream as it comes.
struct Watcher {
    stream: TcpStream,
    text: String,
}

impl Watcher {
    async fn open(api: &TestApi, key: &str, query: &str, last: Option<&str>) -> Self {
        Self::open_at(api.address, key, query, last).await
    }

    async fn open_at(address: SocketAddr, key: &str, query: &str, last: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let last = last.map_or_else(String::new, |id| format!("last-event-id: {id}\r\n"));
        let request = format!("GET /stream?{query} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut watcher = Self { stream, text: String::new() };
        let head = watcher.until("\r\n\r\n").await.expect("it answers");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
        watcher
    }

    /// What comes up to this text; `None` if the connection ends before.
    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(at) = self.text.find(end) {
                let rest = self.text.split_off(at + end.len());
                return Some(std::mem::replace(&mut self.text, rest));
            }
            // The last chunk: the connection stays open.
            if self.text.ends_with("0\r\n\r\n") {
                return None;
            }
            let mut bytes = vec![0; 65_536];
            let read = tokio::time::timeout(LIMIT, self.stream.read(&mut bytes)).await.expect("something comes");
            let read = read.unwrap_or(0);
            if read == 0 {
                return None;
            }
            self.text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        }
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let frame = self.until("\n\n").await?;
            let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let Some(data) = field("data: ") {
                let (id, name) = (field("id: ").unwrap_or_default(), field("event: ").unwrap());
                return Some(Event { id, name, data: serde_json::from_str(&data).unwrap() });
            }
        }
    }

    /// Events up to the one whose attempt or event this is.
    async fn up_to(&mut self, id: &str) -> Vec<Event> {
        let mut seen = Vec::new();
        loop {
            let event = self.next().await.expect("the stream goes on");
            let is_last = event.data["id"] == id || (event.name != "attempt" && event.data["webhook_id"] == id);
            seen.push(event);
            if is_last {
                return seen;
            }
        }
    }
}

/// An attempt of the first subscription, as a worker writes it; its id.
async fn attempt(client: &Client, outcome: &str, written: &str) -> String {
    attempt_of("uuid_v7()", client, outcome, written).await
}

async fn attempt_of(event: &str, client: &Client, outcome: &str, written: &str) -> String {
    let insert = format!(
        "insert into attempts (tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome, error_message, created_at, written_at)
         select s.tenant_id, s.id, uuid_v7(), {event}, 'order.created', 1, '{outcome}',
            case when '{outcome}' <> 'delivered' then 'no' end, now(), {written}
         from (select x.tenant_id, x.id from subscriptions as x order by x.id limit 1) as s
         returning id::text"
    );
    client.query_one(&insert, &[]).await.unwrap().get(0)
}

fn ids(events: &[Event]) -> Vec<String> {
    let id = |event: &Event| event.data["id"].as_str().unwrap_or_default().to_owned();
    events.iter().filter(|event| event.name == "attempt").map(id).collect()
}

/// Watches once the reader has learnt what is there already.
async fn watching(api: &TestApi, client: &Client, key: &str, query: &str) -> Watcher {
    let mut watcher = Watcher::open(api, key, query, None).await;
    // What was written before the reader knew does not come; so write until something does.
    loop {
        attempt(client, "timeout", "now()").await;
        let next = tokio::time::timeout(Duration::from_millis(300), watcher.next());
        if let Ok(event) = next.await {
            event.expect("the stream goes on");
            let last = attempt(client, "timeout", "now()").await;
            watcher.up_to(&last).await;
            return watcher;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn those_whom_it_concerns_see_what_happens() {
    let api = TestApi::start().await;
    let client = api.database.client().await;
    let subscription = api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned();
    let stranger = api.key("stranger", Scope::Support).await;
    let mut all = watching(&api, &client, &api.admin, "").await;
    let mut failed = Watcher::open(&api, &api.admin, "status=failed&status=succeeded", None).await;
    let mut theirs = Watcher::open(&api, &stranger, "", None).await;
    let published = api.ask("POST", "/events").header("x-event-type", "order.created").json(&json!({})).send().await;
    let event = published.json()["webhook_id"].as_str().unwrap().to_owned();
    let seen = all.up_to(&event).await;
    let accepted = seen.last().unwrap();
    assert_eq!((accepted.name.as_str(), &accepted.data["event_type"]), ("accepted", &json!("order.created")));
    assert_eq!(accepted.data["payload_bytes"], 2);
    let ended = format!(
        "insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
         select tenant_id, '{event}', id, 'failed', 'exhausted', 6 from subscriptions where id = '{subscription}'"
    );
    client.batch_execute(&ended).await.unwrap();
    let seen = all.up_to(&event).await;
    let of_failed = failed.next().await.unwrap();
    for ended in [seen.last().unwrap(), &of_failed] {
        assert_eq!((ended.name.as_str(), &ended.data["reason"]), ("ended", &json!("exhausted")));
        assert_eq!(ended.data["event_type"], "order.created");
    }
    let success = attempt(&client, "delivered", "now()").await;
    assert_eq!(ids(&all.up_to(&success).await).last(), Some(&success));
    let ended = all.next().await.unwrap();
    assert_eq!((ended.name.as_str(), &ended.data["status"]), ("ended", &json!("succeeded")), "its delivery ended");
    let add = "insert into events (tenant_id, id, payload) select id, uuid_v7(), '[]' from tenants where external_id = 'stranger' returning id::text";
    let own: String = client.query_one(add, &[]).await.unwrap().get(0);
    assert_eq!(theirs.up_to(&own).await.len(), 1, "nothing of another tenant");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_the_filters_of_the_list_of_deliveries() {
    let api = TestApi::start().await;
    let client = api.database.client().await;
    api.subscribe(json!({ "external_id": "orders" })).await;
    let _all = watching(&api, &client, &api.admin, "").await;
    let hour_ago = OffsetDateTime::now_utc() - Duration::from_secs(3_600);
    let hour_ago = hour_ago.format(&Rfc3339).unwrap();
    let mut young = Watcher::open(&api, &api.admin, &format!("since={hour_ago}&subscription_id=orders"), None).await;
    let mut old = Watcher::open(&api, &api.admin, &format!("until={hour_ago}"), None).await;
    // The time of an event stands in its id.
    let event_of_long_ago =
        "overlay(uuid_v7()::text placing left(uuid_v7_floor(now() - interval '2 hours')::text, 13) from 1)::uuid";
    let first = attempt_of(event_of_long_ago, &client, "timeout", "now()").await;
    let second = attempt(&client, "timeout", "now()").await;
    let third = attempt_of(event_of_long_ago, &client, "timeout", "now()").await;
    let add = "insert into events (tenant_id, id, event_type, payload) select tenant_id, uuid_v7(), 'order.created', '[]' from subscriptions limit 1";
    client.batch_execute(add).await.unwrap();
    let fourth = attempt(&client, "timeout", "now()").await;
    assert_eq!(ids(&old.up_to(&third).await), [first, third], "of events accepted before");
    assert_eq!(ids(&young.up_to(&fourth).await), [second, fourth], "of events accepted since");
    for (query, code) in [("reason=tired", "invalid_parameter"), ("since=2h", "invalid_parameter")] {
        let refused = api.ask("GET", &format!("/stream?{query}")).send().await;
        assert_eq!(
            (refused.code().as_str(), &refused.json()["errors"][0]["code"]),
            ("validation_failed", &json!(code))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_commits_late_appears_once() {
    let api = TestApi::start().await;
    let (client, held) = (api.database.client().await, api.database.client().await);
    api.subscribe(json!({})).await;
    let mut watcher = watching(&api, &client, &api.admin, "").await;
    held.batch_execute("begin").await.unwrap();
    let late = attempt(&held, "timeout", "now() - interval '9 seconds'").await;
    let before = attempt(&client, "timeout", "now()").await;
    let mut seen = watcher.up_to(&before).await;
    assert!(!ids(&seen).contains(&late));
    held.batch_execute("commit").await.unwrap();
    seen.extend(watcher.up_to(&late).await);
    // Two whole looks back later.
    for _ in 0..10 {
        let next = attempt(&client, "timeout", "now()").await;
        seen.extend(watcher.up_to(&next).await);
    }
    let once: HashSet<String> = ids(&seen).into_iter().collect();
    assert_eq!(once.len(), ids(&seen).len(), "nothing twice");
    assert!(once.contains(&late));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_told_how_much_it_missed() {
    let api = TestApi::start().await;
    let client = api.database.client().await;
    api.subscribe(json!({})).await;
    let mut slow = watching(&api, &client, &api.admin, "").await;
    let mut quick = Watcher::open(&api, &api.admin, "event_type=last.one", None).await;
    let many = "insert into attempts (tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome, error_message, created_at)
        select s.tenant_id, s.id, uuid_v7(), uuid_v7(), repeat('x', 100), 1, 'timeout', repeat('long ', 400), now()
        from (select x.tenant_id, x.id from subscriptions as x order by x.id limit 1) as s, generate_series(1, 12000)";
    client.batch_execute(many).await.unwrap();
    let add = "insert into events (tenant_id, id, event_type, payload) select tenant_id, uuid_v7(), 'last.one', '[]' from subscriptions limit 1";
    client.batch_execute(add).await.unwrap();
    assert_eq!(quick.next().await.unwrap().data["event_type"], "last.one", "everything before it was handed out");
    let (mut got, mut missed) = (0, 0);
    while got + missed < 12_000 {
        let event = slow.next().await.unwrap();
        match event.name.as_str() {
            "attempt" => got += 1,
            "missed" => missed += event.data["missed"].as_i64().unwrap(),
            // It came after all that was missed, or was missed itself.
            _ => {}
        }
    }
    assert!(missed > 0 && got >= 1_000, "{got} {missed}");
    assert!(got + missed <= 12_001, "{got} {missed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_key_and_in_order_with_the_server() {
    let api = TestApi::start().await;
    let client = api.database.client().await;
    api.subscribe(json!({})).await;
    let key = made_key(&api.store, "acme", Scope::Read).await;
    let mut revoked = Watcher::open(&api, &key.text, "", None).await;
    let mut other = watching(&api, &client, &api.admin, "").await;
    let revocation = api.store.revoke_api_key(key.id, None, &Actor::COMMAND).await.unwrap();
    assert!(matches!(revocation, Revocation::Now));
    while revoked.next().await.is_some() {}
    let next = attempt(&client, "timeout", "now()").await;
    other.up_to(&next).await;
    api.shutdown.cancel();
    while other.next().await.is_some() {}
    assert!(other.text.ends_with("0\r\n\r\n"), "whole: {:?}", other.text);
}
