//! Published events arrive: at all subscriptions that want them, when they are due, after a
//! disabling and after a crash.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use tokio_postgres::Client;

use crate::support::database::Database;
use crate::support::http::Http;
use crate::support::process::{Postrider, Start};
use crate::support::receiver::Receiver;
use crate::support::wait::until;

/// Ends every lease, long enough ago to be taken over.
const LEASES_LAPSED: &str =
    "update deliveries set next_attempt_at = now() - interval '6 seconds' where lease is not null";

async fn start(command: &str, database: &Database) -> Postrider {
    Start::new(command, database.url()).ready().await
}

async fn subscribe(http: &Http, receiver: &Receiver, count: usize, event_type: &str) {
    for chunk in (0..count).collect::<Vec<_>>().chunks(10) {
        let body = json!({ "target_url": receiver.url(), "event_types": [event_type] }).to_string();
        let made = join_all(chunk.iter().map(|_| http.post("/subscriptions/", &body))).await;
        made.iter().for_each(|answer| assert_eq!(answer.status, 201, "{}", answer.text()));
    }
}

async fn publish(http: &Http, query: &str, event_type: &str, body: &'static str) -> Value {
    let (path, headers) = (format!("/events{query}"), [("x-event-type", event_type)]);
    let answer = http.send(Method::POST, &path, &headers, Bytes::from_static(body.as_bytes())).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()
}

/// Waits until no delivery is pending: one whose time is over shows as expired before a worker ends it.
async fn has_ended(client: &Client) {
    until("every delivery ended", async || {
        let left: i64 = client.query_one("select count(*) from deliveries", &[]).await.unwrap().get(0);
        (left == 0).then_some(())
    })
    .await;
}

async fn becomes(http: &Http, accepted: &Value, status: &str) -> Value {
    let path = format!("/events/{}", accepted["webhook_id"].as_str().unwrap());
    until(&format!("the event is {status}"), async || {
        let read = http.get(&path).await.json();
        (read["status"] == status).then_some(read)
    })
    .await
}

fn in_seconds(seconds: i64) -> String {
    (OffsetDateTime::now_utc() + Duration::seconds(seconds)).format(&Rfc3339).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reaches_1_10_100_and_1000_subscribers_with_its_bytes_unchanged() {
    const BODY: &str = "{ \"amount\": 1.10,\n\t\"note\": \"\\u00e9\" }";
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let replica = start("serve", &database).await;
    let http = replica.http();
    for (count, event_type) in [(1, "to.one"), (10, "to.ten"), (100, "to.hundred"), (1_000, "to.thousand")] {
        subscribe(&http, &receiver, count, event_type).await;
        let accepted = publish(&http, "", event_type, BODY).await;
        assert_eq!(accepted["matched"], count);
        let read = becomes(&http, &accepted, "succeeded").await;
        assert_eq!(
            (&read["counts"]["succeeded"], read["deliveries"].as_array().unwrap().len()),
            (&json!(count), count.min(100))
        );
        let id = accepted["webhook_id"].as_str().unwrap();
        let arrived: Vec<_> =
            receiver.requests().into_iter().filter(|request| request.header("webhook-id") == id).collect();
        assert_eq!(arrived.len(), count);
        assert!(arrived.iter().all(|request| request.body == BODY && request.header("x-event-type") == event_type));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_read_by_page_and_by_status() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let api = start("api", &database).await;
    let http = api.http();
    subscribe(&http, &receiver, 25, "a").await;
    let accepted = publish(&http, "", "a", "{}").await;
    let path = format!("/events/{}/deliveries?limit=10", accepted["webhook_id"].as_str().unwrap());
    let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = http.get(&format!("{path}{cursor}")).await.json();
        seen.extend(
            page["data"].as_array().unwrap().iter().map(|row| row["subscription_id"].as_str().unwrap().to_owned()),
        );
        pages += 1;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!((pages, seen.len()), (3, 25));
    assert!(seen.is_sorted() && seen.iter().collect::<HashSet<_>>().len() == 25);
    let none = http.get(&format!("{path}&status=succeeded")).await.json();
    assert_eq!((none["data"].as_array().unwrap().len(), &none["next_cursor"]), (0, &Value::Null));
    assert_eq!(http.get(&format!("{path}&status=pending")).await.json()["data"].as_array().unwrap().len(), 10);
    assert_eq!(http.get(&format!("{path}&cursor=x")).await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_subscription_gets_its_events_when_it_is_enabled() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let replica = start("serve", &database).await;
    let http = replica.http();
    let made =
        http.post("/subscriptions/", &json!({ "target_url": receiver.url(), "is_active": false }).to_string()).await;
    let accepted = publish(&http, "", "a", "{}").await;
    let read = becomes(&http, &accepted, "pending").await;
    assert_eq!((&read["counts"]["held"], &read["deliveries"][0]["reason"]), (&json!(1), &json!("disabled")));
    let path = format!("/subscriptions/{}", made.json()["id"].as_str().unwrap());
    let enabled = http.send(Method::PATCH, &path, &[], Bytes::from_static(b"{\"is_active\":true}")).await.unwrap();
    assert_eq!(enabled.status, 200);
    becomes(&http, &accepted, "succeeded").await;
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_waits_for_its_time_and_then_arrives() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let replica = start("serve", &database).await;
    let http = replica.http();
    subscribe(&http, &receiver, 2, "a").await;
    let due = OffsetDateTime::now_utc() + Duration::seconds(2);
    let query = format!("?deliver_at={}", due.format(&Rfc3339).unwrap());
    let accepted = publish(&http, &query, "a", "{}").await;
    let read = becomes(&http, &accepted, "pending").await;
    assert!(read["deliveries"].as_array().unwrap().iter().all(|delivery| delivery["next_attempt_at"].is_string()));
    for request in receiver.arrived(2).await {
        let sent: i64 = request.header("webhook-timestamp").parse().unwrap();
        assert!(sent >= due.unix_timestamp(), "sent at {sent}, due at {due}");
    }
    becomes(&http, &accepted, "succeeded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_not_sent_whether_it_waits_for_a_retry_or_is_held() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let api = start("api", &database).await;
    let http = api.http();
    let off = json!({ "target_url": receiver.url(), "is_active": false }).to_string();
    assert_eq!(http.post("/subscriptions/", &off).await.status, 201);
    subscribe(&http, &receiver, 1, "a").await;
    let accepted = publish(&http, &format!("?expires_at={}", in_seconds(3_600)), "a", "{}").await;
    let client = database.client().await;
    client.execute("update deliveries set expires_at = now() - interval '1 second'", &[]).await.unwrap();
    let _worker = start("worker", &database).await;
    has_ended(&client).await;
    let read = becomes(&http, &accepted, "failed").await;
    assert_eq!(read["counts"]["expired"], 2);
    assert!(read["deliveries"].as_array().unwrap().iter().all(|delivery| delivery["reason"] == "expires_at"));
    assert!(receiver.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_would_come_too_late_ends_the_delivery_at_its_end() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let settings = [("POSTRIDER_RETRY_SCHEDULE", "1h")];
    let replica = Start { settings: &settings, ..Start::new("serve", database.url()) }.ready().await;
    let http = replica.http();
    subscribe(&http, &receiver, 1, "a").await;
    receiver.script([crate::support::receiver::Reply::Status(500)]);
    let accepted = publish(&http, &format!("?expires_at={}", in_seconds(2)), "a", "{}").await;
    has_ended(&database.client().await).await;
    let read = becomes(&http, &accepted, "failed").await;
    let delivery = &read["deliveries"][0];
    assert_eq!(
        (&delivery["status"], &delivery["reason"], &delivery["attempts"]),
        (&json!("expired"), &json!("expires_at"), &json!(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_killed_while_it_publishes_loses_nothing_that_it_answered() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let doomed = start("serve", &database).await;
    let http = doomed.http();
    subscribe(&http, &receiver, 3, "a").await;
    let sending = {
        let http = http.clone();
        tokio::spawn(async move {
            let mut accepted = Vec::new();
            for _ in 0..200 {
                let posts = (0..8)
                    .map(|_| http.send(Method::POST, "/events", &[("x-event-type", "a")], Bytes::from_static(b"{}")));
                let answers = join_all(posts).await.into_iter().flatten().filter(|answer| answer.status == 202);
                accepted.extend(answers.map(|answer| answer.json()["webhook_id"].as_str().unwrap().to_owned()));
            }
            accepted
        })
    };
    receiver.arrived(100).await;
    doomed.kill().await;
    let accepted = sending.await.unwrap();
    assert!((10..1_600).contains(&accepted.len()), "{} were accepted", accepted.len());
    let client = database.client().await;
    client.execute(LEASES_LAPSED, &[]).await.unwrap();
    let _survivor = start("worker", &database).await;
    until("every accepted event arrived three times", async || {
        let arrived = receiver.requests();
        let count = |id: &str| arrived.iter().filter(|request| request.header("webhook-id") == id).count();
        accepted.iter().all(|id| count(id) >= 3).then_some(())
    })
    .await;
    let half_written =
        "select count(*) from (select event_id from all_deliveries group by event_id having count(*) <> 3) as x";
    assert_eq!(client.query_one(half_written, &[]).await.unwrap().get::<_, i64>(0), 0, "no event is half written");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_has_answered_about_a_subscription_the_next_event_on_another_knows() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let (changing, publishing) = (start("api", &database).await, start("api", &database).await);
    let (changing, publishing) = (changing.http(), publishing.http());
    let mut made = Vec::new();
    for count in 1..=20 {
        made.push(changing.subscribe(&receiver.url()).await);
        assert_eq!(publish(&publishing, "", "a", "{}").await["matched"], count);
    }
    for (left, subscription) in made.iter().enumerate().rev() {
        let path = format!("/subscriptions/{subscription}");
        assert_eq!(changing.send(Method::DELETE, &path, &[], Bytes::new()).await.unwrap().status, 200);
        // Many at once find the list out of date; each is decided anew.
        let published = join_all((0..8).map(|_| publish(&publishing, "", "a", "{}"))).await;
        assert!(published.iter().all(|accepted| accepted["matched"] == left), "{published:?}");
    }
}
