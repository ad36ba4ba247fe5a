//! The ready queries of sql/analytics, run with psql over real deliveries: each says
//! something true, and none reads more days than it asks about.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use postrider::domain::audience::Audience;
use postrider::domain::hops::Hops;
use postrider::domain::id::EventId;
use postrider::domain::payload::Payload;
use postrider::domain::subscription::Subscription;
use postrider::domain::timing::Timing;
use postrider::intake::Submission;

use crate::support::psql::{Row, run_file};
use crate::support::receiver::Reply;
use crate::support::rig::Rig;

/// Every file, and whether it reads single rows by their key, which may be of any day.
const FILES: [(&str, bool); 10] = [
    ("dead_receivers", false),
    ("event_volume", false),
    ("failures", false),
    ("latency", false),
    ("oldest_pending", true),
    ("retries_needed", false),
    ("slowest_receivers", false),
    ("storage_by_day", false),
    ("success_rate", false),
    ("why_not_arrived", true),
];

/// Nobody listens there.
const CLOSED_PORT: &str = "http://127.0.0.1:1/closed";

/// A day of traffic: `good` takes three events, one of them at its second attempt; `dead`
/// takes none: one delivery has failed and one still waits.
struct Day {
    rig: Rig,
    good: Arc<Subscription>,
    dead: Arc<Subscription>,
    retried: EventId,
    failed: EventId,
    waiting: EventId,
}

impl Day {
    async fn new() -> Self {
        let rig = Rig::new().await;
        let good = rig.subscription().await;
        let dead = rig.subscription_to(CLOSED_PORT).await;
        rig.receiver.script([Reply::Status(503)]);
        let retried = submit(&rig, &good, "order.created", br#"{"order":1}"#).await;
        deliver(&rig).await;
        submit(&rig, &good, "order.created", br#"{"order":2}"#).await;
        submit(&rig, &good, "invoice.paid", br#"{"invoice":"a"}"#).await;
        let failed = submit(&rig, &dead, "order.created", br#"{"order":3}"#).await;
        for _ in 0..3 {
            deliver(&rig).await;
        }
        let waiting = submit(&rig, &dead, "order.created", br#"{"order":4}"#).await;
        deliver(&rig).await;
        Self { rig, good, dead, retried, failed, waiting }
    }

    fn run(&self, name: &str) -> Vec<Row> {
        run_file(&self.rig.database, &path(name), &[], None)
    }

    fn run_for(&self, name: &str, event: EventId) -> Vec<Row> {
        run_file(&self.rig.database, &path(name), &[("webhook_id", &event.to_string())], None)
    }
}

fn path(name: &str) -> String {
    format!("sql/analytics/{name}.sql")
}

async fn submit(rig: &Rig, subscription: &Arc<Subscription>, event_type: &str, payload: &'static [u8]) -> EventId {
    let submission = Submission {
        audience: Audience::one(subscription),
        event_type: Some(event_type.parse().unwrap()),
        payload: Payload::parse(Bytes::from_static(payload)).unwrap(),
        hops: Hops::default(),
        timing: Timing::default(),
        ordering_key: None,
        key: None,
        from_outbox: None,
    };
    rig.intake(false).0.accept(submission).await.unwrap().event
}

/// Makes what waits due, and one attempt of each.
async fn deliver(rig: &Rig) {
    rig.sql("update deliveries set next_attempt_at = now() where lease is null").await;
    rig.settle().await;
}

/// The row whose column has this text.
fn row<'a>(rows: &'a [Row], column: &str, text: &str) -> &'a Row {
    rows.iter().find(|row| row.text(column) == text).unwrap_or_else(|| panic!("no {column} {text} in {rows:?}"))
}

/// The sum of a column over the rows whose other column has this text.
fn sum(rows: &[Row], column: &str, text: &str, summed: &str) -> f64 {
    rows.iter().filter(|row| row.text(column) == text).map(|row| row.number(summed)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_success_rate_counts_a_delivery_once_and_puts_the_worst_first() {
    let day = Day::new().await;
    let rows = day.run("success_rate");
    assert_eq!(rows[0].text("subscription_id"), day.dead.id.to_string());
    assert_eq!((rows[0].number("ended"), rows[0].number("succeeded_percent")), (1.0, 0.0));
    assert_eq!(rows[0].number("attempts"), 4.0);
    assert_eq!(rows[1].text("target_url"), day.rig.receiver.url());
    assert_eq!((rows[1].number("ended"), rows[1].number("succeeded_percent")), (3.0, 100.0));
    assert_eq!((rows[1].number("attempts"), rows[1].number("attempts_percent")), (4.0, 75.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_by_what_they_met() {
    let day = Day::new().await;
    let rows = day.run("failures");
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].text("outcome"), rows[0].text("status_code")), ("connect_refused", ""));
    assert_eq!((rows[0].number("attempts"), rows[0].number("subscriptions")), (4.0, 1.0));
    assert_eq!((rows[1].text("outcome"), rows[1].text("status_code")), ("http_5xx", "503"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slowest_receiver_comes_first_with_its_percentiles() {
    let day = Day::new().await;
    day.rig.sql("update attempts set duration_ms = 5 where outcome = 'connect_refused'").await;
    let hundreds = "update attempts as a set duration_ms = n.place * 100 from (select id, row_number() over (order by id) as place \
                    from attempts where outcome <> 'connect_refused') as n where n.id = a.id";
    assert_eq!(day.rig.sql(hundreds).await, 4);
    let rows = day.run("slowest_receivers");
    assert_eq!(rows[0].text("subscription_id"), day.good.id.to_string());
    assert_eq!((rows[0].number("attempts"), rows[0].number("p50_ms")), (4.0, 200.0));
    assert_eq!((rows[0].number("p95_ms"), rows[0].number("max_ms")), (400.0, 400.0));
    assert_eq!(rows[1].number("p99_ms"), 5.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_an_event_tells_why_it_did_not_arrive() {
    let day = Day::new().await;
    let history = |rows: &[Row]| rows.iter().map(|row| row.text("what").to_owned()).collect::<Vec<_>>();

    let failed = day.run_for("why_not_arrived", day.failed);
    assert_eq!(history(&failed), ["accepted", "attempt 1", "attempt 2", "attempt 3", "failed"]);
    assert_eq!(failed[0].text("detail"), "order.created, 11 bytes");
    assert!(failed[1].text("detail").starts_with("connect_refused: the receiver refused the connection ("));
    assert_eq!(failed[4].text("detail"), "exhausted");

    let retried = day.run_for("why_not_arrived", day.retried);
    assert_eq!(history(&retried), ["accepted", "attempt 1", "attempt 2", "succeeded"]);
    assert!(retried[2].text("detail").starts_with("delivered: the receiver answered 200 ("));

    let waiting = day.run_for("why_not_arrived", day.waiting);
    assert_eq!(history(&waiting), ["accepted", "attempt 1", "pending"]);
    assert!(!waiting[2].text("at").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_pending_delivery_is_shown_with_its_age() {
    let day = Day::new().await;
    day.rig.sql("update events set accepted_at = accepted_at - interval '2 hours'").await;
    let rows = day.run("oldest_pending");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].text("webhook_id"), day.waiting.to_string());
    assert!(rows[0].text("age").starts_with("02:00:"), "{rows:?}");
    assert_eq!((rows[0].text("status"), rows[0].number("attempts")), ("pending", 1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_counted_by_type_and_hour() {
    let day = Day::new().await;
    let rows = day.run("event_volume");
    assert_eq!(sum(&rows, "event_type", "order.created", "events"), 4.0);
    assert_eq!(sum(&rows, "event_type", "order.created", "bytes"), 44.0);
    assert_eq!(sum(&rows, "event_type", "invoice.paid", "bytes"), 15.0);
    assert!(rows[0].text("hour").contains(":00:00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_needed_says_how_much_each_further_attempt_brings() {
    let day = Day::new().await;
    let rows = day.run("retries_needed");
    let first = row(&rows, "attempt_number", "1");
    assert_eq!((first.number("deliveries"), first.number("percent")), (2.0, 66.7));
    let second = row(&rows, "attempt_number", "2");
    assert_eq!((second.number("deliveries"), second.number("up_to_percent")), (1.0, 100.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_runs_from_accepted_to_the_answer() {
    let day = Day::new().await;
    day.rig.sql("update attempts set duration_ms = 30").await;
    let apart = "update attempts as a set created_at = e.accepted_at + a.attempt_number * interval '1 second' from events as e where e.id = a.event_id";
    assert_eq!(day.rig.sql(apart).await, 8);
    let rows = day.run("latency");
    let deliveries: f64 = rows.iter().map(|row| row.number("deliveries")).sum();
    assert_eq!(deliveries, 3.0);
    let slowest = rows.iter().map(|row| row.number("max_ms")).fold(0.0, f64::max);
    assert_eq!(slowest, 2030.0);
    let fastest = rows.iter().map(|row| row.number("p50_ms")).fold(f64::MAX, f64::min);
    assert_eq!(fastest, 1030.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_took_nothing_is_called_dead_and_one_that_recovered_is_not() {
    let day = Day::new().await;
    let rows = day.run("dead_receivers");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].text("target_url"), CLOSED_PORT);
    assert_eq!((rows[0].text("is_active"), rows[0].number("attempts")), ("t", 4.0));
    assert_eq!(rows[0].text("last_error"), "connect_refused: the receiver refused the connection");
    assert_eq!(rows[0].number("pending"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_is_shown_for_each_day_that_has_begun() {
    let day = Day::new().await;
    day.rig.client.batch_execute("analyze events; analyze attempts").await.unwrap();
    let today = "select (now() at time zone 'UTC')::date::text";
    let today: String = day.rig.client.query_one(today, &[]).await.unwrap().get(0);
    let rows = day.run("storage_by_day");
    assert!(rows.iter().all(|row| row.text("day") <= today.as_str()), "{rows:?}");
    let events: f64 = rows.iter().map(|row| row.number("events")).sum();
    let attempts: f64 = rows.iter().map(|row| row.number("attempts")).sum();
    assert_eq!((events, attempts), (5.0, 8.0));
    assert!(rows[0].number("events_bytes") > 0.0 && rows[0].text("total").ends_with("kB"), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ready_query_reads_days_that_it_does_not_ask_about() {
    let rig = Rig::new().await;
    rig.client.batch_execute("select ensure_partitions('2020-01-01', '2020-01-02')").await.unwrap();
    for (name, by_key) in FILES {
        let file = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path(name))).unwrap();
        let text = file.replace(":'webhook_id'", "'01a20a49-94b3-7892-85dc-c4d90c5312e9'");
        let plan = rig.client.query(&format!("explain (costs off) {text}"), &[]).await.unwrap();
        let old: Vec<String> =
            plan.iter().map(|line| line.get(0)).filter(|line: &String| line.contains("_2020")).collect();
        let walked = old.iter().filter(|line| !by_key || line.contains("Seq Scan"));
        assert_eq!(walked.count(), 0, "{name} reads the year 2020: {old:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_ready_query_names_the_tenant_and_can_be_asked_for_one() {
    let day = Day::new().await;
    let other = day.rig.subscription_of_another_tenant().await;
    day.rig
        .sql(
            "update tenants set external_id = 'other', updated_at = now() where external_id is distinct from 'default'",
        )
        .await;
    day.rig.receiver.script([Reply::Status(503)]);
    submit(&day.rig, &other, "order.created", br#"{"order":5}"#).await;
    deliver(&day.rig).await;
    let waiting = submit(&day.rig, &day.dead, "order.created", br#"{"order":6}"#).await.to_string();
    for (name, _) in FILES {
        let of = |tenant: Option<&str>| {
            let rows = run_file(&day.rig.database, &path(name), &[("webhook_id", &waiting)], tenant);
            rows.iter().map(|row| row.text("tenant").to_owned()).collect::<BTreeSet<_>>()
        };
        if name == "storage_by_day" {
            continue;
        }
        assert!(of(None).contains("default"), "{name}");
        // An event has one tenant: that query needs no other choice.
        if name != "why_not_arrived" {
            assert_eq!(of(Some("default")), BTreeSet::from(["default".to_owned()]), "{name}");
            assert!(of(Some("nobody")).is_empty(), "{name}");
        }
        if ["failures", "event_volume", "dead_receivers"].contains(&name) {
            assert_eq!(of(None).len(), 2, "{name}");
            assert_eq!(of(Some("other")), BTreeSet::from(["other".to_owned()]), "{name}");
        }
    }
}

#[test]
fn every_ready_query_has_its_story() {
    let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/analytics")).unwrap();
    let found: BTreeSet<String> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let listed: BTreeSet<String> = FILES.iter().map(|(name, _)| format!("{name}.sql")).collect();
    assert_eq!(found, listed);
    let stories = include_str!("analytics.rs");
    for (name, _) in FILES {
        let run = [format!("run(\"{name}\")"), format!("run_for(\"{name}\"")];
        assert!(run.iter().any(|run| stories.contains(run)), "no story runs {name}.sql");
    }
}
