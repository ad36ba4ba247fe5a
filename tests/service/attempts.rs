//! Every attempt says why it was made, what was sent, what came back, and how long each part took.

use postrider::domain::actor::Actor;
use postrider::domain::api_key::Scope;
use postrider::domain::event_type::EventTypeFilter;
use postrider::domain::id::{EventId, ReplayId};
use postrider::domain::replay::{Ending, Selection};
use postrider::store::{Chosen, NewReplay};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::api::TestApi;
use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::http::Http;
use crate::support::process::Start;
use crate::support::receiver::{Receiver, Reply};
use crate::support::rig::Rig;
use crate::support::wait::until;

const DUE_NOW: &str = "update deliveries set next_attempt_at = now() where lease is null";
const LEASES_LAPSED: &str =
    "update deliveries set next_attempt_at = now() - interval '6 seconds' where lease is not null";

/// Number and trigger of every attempt, oldest first; `-` for null.
async fn triggers(rig: &Rig) -> Vec<(i32, String)> {
    let all = "select attempt_number, coalesce(trigger, '-') from attempts order by event_id, attempt_number, id";
    let rows = rig.client.query(all, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn named(triggers: &[(i32, &str)]) -> Vec<(i32, String)> {
    triggers.iter().map(|(number, word)| (*number, (*word).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_says_whether_schedule_receiver_somebody_or_a_replay_made_it() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let later = || Reply::With(500, "retry-after", "60".to_owned());
    rig.receiver.script([Reply::Status(500), later(), Reply::Status(500), Reply::Status(500)]);
    let event = rig.accept(&subscription, b"{}").await;
    for _ in 0..3 {
        rig.settle().await;
        rig.sql(DUE_NOW).await;
    }
    assert_eq!(rig.count("undelivered").await, 1);
    let chosen = Chosen { tenant: subscription.tenant, event, subscription: None };
    rig.store().retry(&chosen, rig.parts.rules.lifetime, 10, &Actor::COMMAND).await.unwrap().unwrap();
    for _ in 0..2 {
        rig.settle().await;
        rig.sql(DUE_NOW).await;
    }
    let selection = Selection {
        statuses: vec![Ending::Succeeded],
        event_types: EventTypeFilter::default(),
        after: EventId::lower_bound(OffsetDateTime::UNIX_EPOCH),
        below: EventId::lower_bound(OffsetDateTime::now_utc() + time::Duration::seconds(1)),
    };
    let id = ReplayId::at(OffsetDateTime::now_utc(), uuid::Uuid::new_v4().into_bytes());
    let new = NewReplay { tenant: subscription.tenant, id, subscription: subscription.id, selection, rate: 10 };
    rig.store().create_replay(&new, 10, &Actor::COMMAND).await.unwrap().unwrap();
    rig.step_replays().await;
    rig.settle().await;
    let expected = [(1, "-"), (2, "schedule"), (3, "retry_after"), (4, "manual"), (5, "schedule"), (6, "replay")];
    assert_eq!(triggers(&rig).await, named(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_delivery_that_somebody_wants_now_is_manual_and_a_lost_attempt_knows_why_it_was_made() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::Status(500)]);
    let event = rig.accept(&subscription, b"{}").await;
    rig.settle().await;
    let chosen = Chosen { tenant: subscription.tenant, event, subscription: None };
    rig.store().retry(&chosen, rig.parts.rules.lifetime, 10, &Actor::COMMAND).await.unwrap().unwrap();
    // A worker takes it and is lost.
    rig.sql("update deliveries set lease = gen_random_uuid(), attempts = 2").await;
    rig.sql(LEASES_LAPSED).await;
    rig.settle().await;
    assert_eq!(triggers(&rig).await, named(&[(1, "-"), (2, "manual"), (3, "manual")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_through_an_open_breaker_is_a_probe() {
    let mut rig = Rig::new().await;
    (rig.parts.rules.breaker.failures, rig.parts.rules.breaker.after) = (3, std::time::Duration::ZERO);
    rig.parts.rules.breaker.probe = std::time::Duration::from_millis(50);
    rig.parts.rules.retries.schedule = "1h".parse().unwrap();
    let subscription = rig.subscription().await;
    let _working = rig.working();
    rig.receiver.script([Reply::Status(500), Reply::Status(500), Reply::Status(500), Reply::Status(500)]);
    for _ in 0..3 {
        rig.accept(&subscription, b"{}").await;
    }
    until("the breaker is open", async || {
        let open = "select count(*) from subscriptions where breaker = 'open'";
        (rig.client.query_one(open, &[]).await.unwrap().get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    rig.accept(&subscription, b"{}").await;
    // Again and again: an attempt that ended meanwhile is due in an hour.
    until("all were delivered", async || {
        rig.sql(DUE_NOW).await;
        (rig.count("deliveries").await == 0).then_some(())
    })
    .await;
    let triggers = triggers(&rig).await;
    // One that failed, and one that closed the breaker.
    assert_eq!(triggers.iter().filter(|(_, trigger)| trigger == "probe").count(), 2, "{triggers:?}");
    assert!(triggers.iter().all(|(number, trigger)| trigger != "-" || *number == 1), "{triggers:?}");
}

/// Reads one request with the body `{}`.
async fn request(stream: &mut TcpStream) {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n{}") {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_repeat_on_another_connection_was_made_for_the_same_reason() {
    let rig = Rig::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let subscription = rig.subscription_to(&format!("http://{}/", listener.local_addr().unwrap())).await;
    // The first connection closes at its second request, the next one answers it.
    let serving = tokio::spawn(async move {
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        let (mut first, _) = listener.accept().await.unwrap();
        request(&mut first).await;
        first.write_all(ok).await.unwrap();
        request(&mut first).await;
        drop(first);
        let (mut second, _) = listener.accept().await.unwrap();
        request(&mut second).await;
        second.write_all(ok).await.unwrap();
    });
    for _ in 0..2 {
        rig.accept(&subscription, b"{}").await;
        rig.settle().await;
    }
    serving.await.unwrap();
    assert_eq!(rig.outcomes().await, ["delivered", "closed_early", "delivered"]);
    assert_eq!(triggers(&rig).await, named(&[(1, "-"), (1, "-"), (2, "-")]));
}

const CANARY: &str = "canary-77aa01";

/// The attempts of the only subscription, newest first.
async fn log(client: &Http, subscription: &str, rows: usize) -> Vec<Value> {
    until("the attempts are in the log", async || {
        let page = client.get(&format!("/status/logs/{subscription}")).await.json();
        page["data"].as_array().filter(|data| data.len() >= rows).cloned()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_in_full_has_both_heads_timing_and_worker_and_no_secret_is_in_row_or_log() {
    let (database, receiver, folder) = (Database::new().await, Receiver::new().await, Folder::new());
    let path = folder.0.join("log");
    let settings = [("POSTRIDER_LOG", "trace"), ("POSTRIDER_ATTEMPT_DETAIL", "all")];
    let serve = Start { settings: &settings, log: Some(path.clone()), ..Start::new("serve", database.url()) };
    let serve = serve.ready().await;
    let client = serve.http();
    let form = json!({
        "target_url": receiver.url(), "secret_key": CANARY, "verify_ingest": false,
        "headers": { "x-api-key": format!("{CANARY}-header") },
        "auth": { "type": "basic", "username": "shop", "password": format!("{CANARY}-password") },
    });
    let made = client.post("/subscriptions/", &form.to_string()).await.json();
    let id = made["id"].as_str().unwrap();
    receiver.script([Reply::With(500, "x-request-cost", "7".to_owned())]);
    assert_eq!(client.post(&format!("/ingest/{id}"), "{}").await.status, 202);
    let rows = log(&client, id, 2).await;
    let sent = &receiver.arrived(2).await[0];
    assert_eq!((&rows[0]["trigger"], &rows[1]["trigger"]), (&json!("schedule"), &json!("fresh")));
    assert_eq!(rows[1]["remote_address"], "127.0.0.1");

    let full = client.get(&format!("/attempts/{}", rows[1]["id"].as_str().unwrap())).await.json();
    for (name, value) in rows[1].as_object().unwrap() {
        assert_eq!(&full[name], value, "{name}");
    }
    assert_eq!(full["request"]["url"], receiver.url());
    let headers = full["request"]["headers"].as_object().unwrap();
    let names: Vec<&str> = headers.keys().map(String::as_str).collect();
    let mut arrived: Vec<&str> = sent.headers.keys().map(|name| name.as_str()).collect();
    arrived.sort_unstable();
    assert_eq!(names, arrived);
    for same in ["webhook-id", "webhook-timestamp", "x-webhook-attempt", "host", "user-agent", "content-length"] {
        assert_eq!(headers[same], sent.header(same), "{same}");
    }
    for masked in ["x-api-key", "authorization"] {
        assert_eq!(headers[masked], "********", "{masked}");
    }
    assert_eq!(
        (&full["response"]["headers"]["x-request-cost"], &full["response"]["body"]),
        (&json!("7"), &json!("seen"))
    );
    assert_eq!(
        (&full["response"]["body_truncated"], &full["response"]["headers_truncated"]),
        (&json!(false), &json!(false))
    );
    let timing = &full["timing"];
    assert!(timing["connect_ms"].as_f64() > Some(0.0) && timing["dns_ms"].is_null() && timing["tls_ms"].is_null());
    assert!(timing["first_byte_ms"].as_f64() <= timing["total_ms"].as_f64(), "{timing}");
    let sql = database.client().await;
    let worker: String = sql.query_one("select id::text from replicas", &[]).await.unwrap().get(0);
    assert_eq!(full["worker"], worker);

    let rows = sql.query("select a::text from attempts as a", &[]).await.unwrap();
    let mut kept: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    drop(serve);
    kept.push(std::fs::read_to_string(path).unwrap());
    let signatures =
        ["webhook-signature", "x-hub-signature-256", "authorization"].map(|name| sent.header(name).to_owned());
    for text in kept {
        assert!(!text.is_empty() && !text.contains(CANARY), "{text}");
        assert!(signatures.iter().all(|secret| !text.contains(secret.as_str())), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_a_failure_keeps_its_details_and_a_success_does_not() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let serve = Start::new("serve", database.url()).ready().await;
    let client = serve.http();
    let id = client.subscribe(&receiver.url()).await;
    receiver.script([Reply::Status(404)]);
    assert_eq!(client.post(&format!("/ingest/{id}"), "{}").await.status, 202);
    let rows = log(&client, &id, 2).await;
    let full = async |row: &Value| client.get(&format!("/attempts/{}", row["id"].as_str().unwrap())).await.json();
    let (success, failure) = (full(&rows[0]).await, full(&rows[1]).await);
    assert_eq!((&failure["is_success"], &success["is_success"]), (&json!(false), &json!(true)));
    assert!(failure["request"]["headers"].is_object() && failure["response"]["headers"].is_object(), "{failure}");
    for nothing in ["/request/url", "/request/headers", "/response/headers", "/worker", "/timing/connect_ms"] {
        assert_eq!(success.pointer(nothing), Some(&Value::Null), "{nothing}");
    }
    assert_eq!((&success["response"]["body"], &success["response"]["body_truncated"]), (&json!("seen"), &json!(false)));
    let unknown = client.get("/attempts/0199c5f0-0000-7000-8000-00000000dead").await;
    assert_eq!((unknown.status.as_u16(), unknown.json()["code"].as_str()), (404, Some("attempt_not_found")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_support_key_sees_an_attempt_without_its_body_and_another_tenant_sees_none() {
    let api = TestApi::start().await;
    api.subscribe(json!({})).await;
    let sql = api.database.client().await;
    let insert = "insert into attempts (tenant_id, subscription_id, id, event_id, attempt_number, outcome, status_code,
            error_message, response_body, duration_ms, created_at)
        select tenant_id, id, uuid_v7(), uuid_v7(), 1, 'http_5xx', 500, 'http_5xx: no', repeat('x', 16384)::bytea, 7, now()
        from subscriptions returning id::text";
    let path = format!("/attempts/{}", sql.query_one(insert, &[]).await.unwrap().get::<_, &str>(0));
    let with = async |tenant: &str, scope| {
        let key = api.key(tenant, scope).await;
        api.ask("GET", &path).key(&key).send().await
    };
    let read = with("acme", Scope::Read).await.json();
    assert_eq!(
        (read["response"]["body"].as_str().unwrap().len(), &read["response"]["body_truncated"]),
        (16_384, &json!(true))
    );
    assert_eq!(read["timing"]["total_ms"], 7.0);
    let support = with("acme", Scope::Support).await.json();
    assert_eq!((&support["response"]["body"], &support["response_body"]), (&Value::Null, &Value::Null));
    assert_eq!(support["outcome"], "http_5xx");
    assert_eq!(with("globex", Scope::Read).await.code(), "attempt_not_found");
}

/// 200,000 attempts of one tenant, an index of which would hold them all.
const MANY: &str = "
    insert into attempts (tenant_id, subscription_id, id, event_id, attempt_number, outcome, created_at)
    select '00000000-0000-7000-8000-000000000000', uuid_v7_floor(now()), uuid_v7(now() + n * interval '1 microsecond'),
        uuid_v7_floor(now()), 1, 'delivered', now()
    from generate_series(1, 200000) as n";

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_attempts_is_found_by_its_id_alone_in_a_few_pages() {
    let rig = Rig::new().await;
    rig.sql(MANY).await;
    // As autovacuum does.
    rig.client.batch_execute("vacuum attempts").await.unwrap();
    let id: uuid::Uuid =
        rig.client.query_one("select id from attempts offset 100000 limit 1", &[]).await.unwrap().get(0);
    let read = format!("attempts_read_1('00000000-0000-7000-8000-000000000000', '{id}')");
    // Whether it has statistics of the table or none.
    for prepare in ["", "analyze attempts"] {
        rig.client.batch_execute(prepare).await.unwrap();
        let explain = format!("explain (analyze, buffers, format json) select * from {read}");
        let plan: String = rig.client.simple_query(&explain).await.unwrap().iter().find_map(row_text).unwrap();
        let plan: Value = serde_json::from_str(&plan).unwrap();
        let pages = ["Shared Hit Blocks", "Shared Read Blocks"].map(|name| plan[0]["Plan"][name].as_i64().unwrap());
        assert!(pages[0] + pages[1] < 1_000, "{plan:#}");
        assert_eq!(plan[0]["Plan"]["Actual Rows"], 1, "{plan:#}");
    }
}

fn row_text(message: &tokio_postgres::SimpleQueryMessage) -> Option<String> {
    let tokio_postgres::SimpleQueryMessage::Row(row) = message else { return None };
    row.get(0).map(str::to_owned)
}
