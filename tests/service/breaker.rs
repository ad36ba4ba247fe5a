//! Failing receivers: the breaker, the wait that a receiver asks for, the slow start, and
//! what disables a subscription.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;
use postrider::domain::id::SubscriptionId;
use postrider::domain::subscription::Subscription;
use serde_json::json;

use crate::support::api::TestApi;
use crate::support::database::Database;
use crate::support::process::{Postrider, Start};
use crate::support::receiver::{Arrived, Receiver, Reply};
use crate::support::rig::{Rig, submit};
use crate::support::wait::until;

/// A rig whose breakers open at the third failure and ask every 100 ms.
async fn rig() -> Rig {
    let mut rig = Rig::with_slots(64, 8).await;
    (rig.parts.rules.breaker.failures, rig.parts.rules.breaker.after) = (3, Duration::ZERO);
    rig.parts.rules.breaker.probe = Duration::from_millis(100);
    rig.parts.rules.breaker.probe_max = Duration::from_millis(100);
    rig
}

/// The breaker of a subscription; empty while it is closed.
async fn breaker(rig: &Rig, subscription: SubscriptionId) -> String {
    let read = "select coalesce(breaker, '') from subscriptions where id = $1";
    rig.client.query_one(read, &[&subscription.uuid()]).await.unwrap().get(0)
}

async fn turned(rig: &Rig, subscription: SubscriptionId, state: &str) {
    until(&format!("the breaker is '{state}'"), async || (breaker(rig, subscription).await == state).then_some(()))
        .await;
}

/// The places of the events of these requests among all.
fn places(events: &[String], requests: &[Arrived]) -> Vec<usize> {
    let place = |request: &Arrived| events.iter().position(|event| event == request.header("webhook-id"));
    requests.iter().filter_map(place).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_opens_asks_with_one_event_and_lets_the_backlog_through_by_age() {
    let mut rig = rig().await;
    rig.parts.rules.retries.schedule = "1h,1h".parse().unwrap();
    let (sick, well) = (rig.subscription().await, Receiver::new().await);
    let healthy = rig.subscription_to(&well.url()).await;
    let (_one, _other) = (rig.working(), rig.working());
    rig.receiver.usually(Reply::Status(500));
    for _ in 0..3 {
        rig.accept(&sick, b"{}").await;
    }
    turned(&rig, sick.id, "open").await;
    let before = rig.receiver.requests().len();

    let (intake, _) = rig.intake(false);
    let mut backlog = Vec::new();
    for _ in 0..60 {
        backlog.push(submit(&intake, &sick, b"{}", None).await.unwrap().event.to_string());
    }
    // A failed probe is an attempt like any other: the next probe is the next event.
    let probes = rig.receiver.arrived(before + 10).await.split_off(before);
    assert!(probes.iter().all(|probe| probe.at_once == 1));
    assert_eq!(places(&backlog, &probes), (0..probes.len()).collect::<Vec<_>>());
    let reason = "select reason from all_deliveries where event_id = $1";
    let waiting = uuid::Uuid::parse_str(&backlog[30]).unwrap();
    assert_eq!(rig.client.query_one(reason, &[&waiting]).await.unwrap().get::<_, &str>(0), "breaker_open");
    submit(&intake, &healthy, b"{}", None).await.unwrap();
    well.arrived(1).await;

    rig.receiver.usually(Reply::Status(200));
    rig.receiver.takes(Duration::from_millis(5));
    turned(&rig, sick.id, "").await;
    rig.sql("update deliveries set next_attempt_at = now() where lease is null").await;
    until("the backlog is delivered", async || (rig.count("deliveries").await == 0).then_some(())).await;
    assert_eq!((rig.count("subscription_health").await, rig.count("undelivered").await), (0, 0));
    // What had not been a probe came by age.
    let mut firsts = Vec::new();
    for place in places(&backlog, &rig.receiver.requests().split_off(before)) {
        if !firsts.contains(&place) {
            firsts.push(place);
        }
    }
    for (arrived, place) in firsts.iter().enumerate() {
        // Each of the two workers has as many at once as fit, and as many in memory.
        assert!(place.abs_diff(arrived) <= 2 * 2 * 8, "event {place} came as number {arrived}");
    }
    assert_eq!(firsts.len(), backlog.len());
    assert!(rig.receiver.most_at_once() <= 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_its_receiver_never_takes_does_not_keep_the_breaker_open() {
    let rig = rig().await;
    let subscription = rig.subscription().await;
    let _working = rig.working();
    rig.receiver.usually(Reply::Status(500));
    for _ in 0..3 {
        rig.accept(&subscription, b"{}").await;
    }
    turned(&rig, subscription.id, "open").await;
    rig.receiver.never_takes(b"[]");
    rig.accept(&subscription, b"[]").await;
    for _ in 0..20 {
        rig.accept(&subscription, b"{}").await;
    }
    rig.receiver.usually(Reply::Status(200));
    let delivered = "select count(*) from attempts where outcome = 'delivered'";
    until("the others are delivered", async || {
        (rig.client.query_one(delivered, &[]).await.unwrap().get::<_, i64>(0) >= 20).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_while_recovering_opens_the_breaker_again() {
    let rig = rig().await;
    let subscription = rig.subscription().await;
    let _working = rig.working();
    rig.receiver.usually(Reply::Status(500));
    let (intake, _) = rig.intake(false);
    join_all((0..3).map(|_| submit(&intake, &subscription, b"{}", None))).await;
    turned(&rig, subscription.id, "open").await;
    join_all((0..20).map(|_| submit(&intake, &subscription, b"{}", None))).await;
    // So slowly that each transition is written before the next.
    rig.receiver.takes(Duration::from_millis(300));
    rig.receiver.script([Reply::Status(200)]);
    turned(&rig, subscription.id, "recovering").await;
    turned(&rig, subscription.id, "open").await;
    rig.receiver.usually(Reply::Status(200));
    turned(&rig, subscription.id, "").await;
}

/// Sends one event after the other, the next when the receiver has seen the last, for ever.
async fn keep_busy(rig: &Rig, subscription: &Arc<Subscription>) {
    let (intake, _) = rig.intake(false);
    loop {
        let event = submit(&intake, subscription, b"{}", None).await.unwrap().event.to_string();
        until("it arrives", async || {
            rig.receiver.requests().iter().any(|request| request.header("webhook-id") == event).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_back_is_well_again_under_a_steady_load() {
    let rig = rig().await;
    let subscription = rig.subscription().await;
    let _working = rig.working();
    rig.receiver.usually(Reply::Status(500));
    let (intake, _) = rig.intake(false);
    join_all((0..3).map(|_| submit(&intake, &subscription, b"{}", None))).await;
    turned(&rig, subscription.id, "open").await;
    rig.receiver.usually(Reply::Status(200));
    // The next event is there before the last one is answered: something is always under way.
    rig.receiver.takes(Duration::from_millis(200));
    tokio::select! {
        _ = join_all((0..3).map(|_| keep_busy(&rig, &subscription))) => {}
        () = turned(&rig, subscription.id, "") => {}
    }
    assert_eq!(rig.count("subscription_health").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_success_between_keeps_the_breaker_closed() {
    let rig = rig().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([500, 500, 200, 500, 500].map(Reply::Status));
    for _ in 0..5 {
        rig.accept(&subscription, b"{}").await;
        rig.settle().await;
    }
    assert_eq!(breaker(&rig, subscription.id).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_asks_for_time_gets_it_for_the_whole_subscription() {
    let rig = rig().await;
    let (busy, well) = (rig.subscription().await, Receiver::new().await);
    let healthy = rig.subscription_to(&well.url()).await;
    let _working = rig.working();
    rig.receiver.script([Reply::With(429, "retry-after", "2".to_owned())]);
    let (intake, _) = rig.intake(false);
    submit(&intake, &busy, b"{}", None).await.unwrap();
    turned(&rig, busy.id, "throttled").await;
    let waits = "select h.probe_at >= a.created_at + interval '2 s' from subscription_health as h, attempts as a";
    assert!(rig.client.query_one(waits, &[]).await.unwrap().get::<_, bool>(0));
    for _ in 0..10 {
        submit(&intake, &busy, b"{}", None).await.unwrap();
    }
    let reasons = "select count(*) from all_deliveries where reason = 'retry_after'";
    assert_eq!(rig.client.query_one(reasons, &[]).await.unwrap().get::<_, i64>(0), 10);
    submit(&intake, &healthy, b"{}", None).await.unwrap();
    let beside = well.arrived(1).await[0].at;

    assert!(beside < rig.receiver.arrived(11).await[1].at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_target_clears_the_wait() {
    let rig = rig().await;
    let (subscription, elsewhere) = (rig.subscription().await, Receiver::new().await);
    // A rate keeps it paced when nothing else does.
    rig.sql("update subscriptions set rate_limit = 1000").await;
    let _worker = rig.working();
    rig.receiver.usually(Reply::With(429, "retry-after", "3600".to_owned()));
    rig.accept(&subscription, b"{}").await;
    turned(&rig, subscription.id, "throttled").await;
    rig.sql(&format!("update subscriptions set target_url = '{}'", elsewhere.url())).await;
    let (intake, _) = rig.intake(false);
    submit(&intake, &subscription, b"{}", None).await.unwrap();
    elsewhere.arrived(1).await;
    turned(&rig, subscription.id, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_target_answers_says_nothing_of_the_new_one() {
    let rig = rig().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::With(429, "retry-after", "3600".to_owned())]);
    rig.receiver.hold();
    rig.accept(&subscription, b"{}").await;
    let working = rig.working();
    rig.receiver.arrived(1).await;
    rig.sql("update subscriptions set version = version + 1").await;
    rig.receiver.let_go();
    until("it is recorded", async || (rig.count("attempts").await == 1).then_some(())).await;
    working.stop().await;
    assert_eq!(breaker(&rig, subscription.id).await, "");
    assert_eq!(rig.count("subscription_health").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_can_disable_its_subscription_and_keep_what_it_took() {
    let rig = rig().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::With(200, "webhook-delivery", "disable".to_owned())]);
    rig.accept(&subscription, b"{}").await;
    rig.settle().await;
    assert_eq!(rig.outcomes().await, ["delivered"]);
    let row = rig.client.query_one("select is_active, disabled_reason from subscriptions", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (false, Some("receiver")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_can_end_a_delivery_that_it_will_never_take() {
    let rig = rig().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::With(422, "webhook-delivery", "abort-message".to_owned())]);
    rig.accept(&subscription, b"{}").await;
    rig.settle().await;
    let row = rig.client.query_one("select status, reason from undelivered", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("failed", "aborted_by_receiver"));
    assert!(rig.client.query_one("select is_active from subscriptions", &[]).await.unwrap().get::<_, bool>(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_can_ask_for_both_in_one_header_however_it_is_written() {
    let rig = rig().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::With(503, "Webhook-Delivery", "Disable, later,ABORT-MESSAGE".to_owned())]);
    rig.accept(&subscription, b"{}").await;
    rig.settle().await;
    let row = rig.client.query_one("select status, reason from undelivered", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("failed", "aborted_by_receiver"));
    let row = rig.client.query_one("select is_active, disabled_reason from subscriptions", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (false, Some("receiver")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_without_a_success_for_days_is_disabled_and_begins_anew_when_enabled() {
    let rig = rig().await;
    let (subscription, days) = (rig.subscription().await, |days: u64| Duration::from_secs(days * 86_400));
    rig.receiver.usually(Reply::Status(500));
    for _ in 0..3 {
        rig.accept(&subscription, b"{}").await;
    }
    rig.settle().await;
    assert_eq!(breaker(&rig, subscription.id).await, "open");
    assert!(rig.store().disable_failing(days(5)).await.unwrap().is_empty());
    rig.sql("update subscription_health set failing_since = now() - interval '6 days', last_failure_at = now() - interval '2 days'").await;
    assert!(rig.store().disable_failing(days(5)).await.unwrap().is_empty());
    rig.sql("update subscription_health set last_failure_at = now()").await;
    assert_eq!(rig.store().disable_failing(days(5)).await.unwrap(), [subscription.id]);
    let row =
        rig.client.query_one("select is_active, disabled_reason, version > 1 from subscriptions", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), (false, Some("failing"), true));
    let held = "select count(*) from all_deliveries where status = 'held' and reason = 'disabled'";
    assert_eq!(rig.client.query_one(held, &[]).await.unwrap().get::<_, i64>(0), 3);

    rig.receiver.usually(Reply::Status(200));
    rig.sql("update subscriptions set is_active = true, disabled_reason = null").await;
    assert_eq!((rig.count("subscription_health").await, breaker(&rig, subscription.id).await), (0, String::new()));
    rig.sql("update deliveries set next_attempt_at = now()").await;
    rig.settle().await;
    assert_eq!(rig.outcomes().await.iter().filter(|outcome| *outcome == "delivered").count(), 3);
}

/// Kills the only worker while the breaker is in this state, and lets another one go on.
async fn survives_the_loss_of_its_owner(state: &str, first: Reply) {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let settings = [
        ("POSTRIDER_BREAKER_FAILURES", "2"),
        ("POSTRIDER_BREAKER_AFTER", "0s"),
        ("POSTRIDER_BREAKER_PROBE_DELAY", "300ms"),
        ("POSTRIDER_BREAKER_PROBE_MAX", "300ms"),
        ("POSTRIDER_REQUEST_TIMEOUT", "1s"),
        ("POSTRIDER_LEASE", "6s"),
    ];
    let start = |command| Start { settings: &settings, ..Start::new(command, database.url()) };
    let (api, owner) = (start("api").ready().await, start("worker").ready().await);
    let subscription = api.http().subscribe(&receiver.url()).await;
    let client = database.client().await;
    let send = async |api: &Postrider, count| {
        for _ in 0..count {
            let path = format!("/ingest/{subscription}");
            assert_eq!(api.http().send(Method::POST, &path, &[], "{}".into()).await.unwrap().status, 202);
        }
    };
    let turned = async |wanted: &str| {
        until(&format!("the breaker is {wanted}"), async || {
            let read = "select coalesce(breaker, '') from subscriptions";
            (client.query_one(read, &[]).await.unwrap().get::<_, &str>(0) == wanted).then_some(())
        })
        .await;
    };
    receiver.usually(first);
    send(&api, 2).await;
    turned(if state == "recovering" { "open" } else { state }).await;
    send(&api, 20).await;
    if state == "recovering" {
        receiver.usually(Reply::Status(200));
        receiver.takes(Duration::from_millis(300));
        turned(state).await;
    }
    owner.kill().await;
    receiver.usually(Reply::Status(200));
    receiver.takes(Duration::ZERO);
    let _next = start("worker").ready().await;
    until("every event was delivered", async || {
        let left = "select count(*) from deliveries";
        (client.query_one(left, &[]).await.unwrap().get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    let delivered = "select count(distinct event_id) from attempts where outcome = 'delivered'";
    assert_eq!(client.query_one(delivered, &[]).await.unwrap().get::<_, i64>(0), 22);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stranded_when_the_owner_dies_while_the_breaker_is_open() {
    survives_the_loss_of_its_owner("open", Reply::Status(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stranded_when_the_owner_dies_while_the_receiver_waits() {
    survives_the_loss_of_its_owner("throttled", Reply::With(503, "retry-after", "1".to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stranded_when_the_owner_dies_during_the_slow_start() {
    survives_the_loss_of_its_owner("recovering", Reply::Status(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_of_a_subscription_says_how_its_receiver_does() {
    let api = TestApi::start().await;
    let made = api.subscribe(json!({})).await;
    assert_eq!(
        made["health"],
        json!({ "state": "healthy", "failing_since": null, "failures": 0, "next_probe_at": null, "held": 0 })
    );
    let client = api.database.client().await;
    let open = "insert into subscription_health (tenant_id, subscription_id, state, failures, failing_since, probe_at)
        select tenant_id, id, 'open', 12, now(), now() + interval '30 s' from subscriptions";
    client.execute(open, &[]).await.unwrap();
    let path = format!("/subscriptions/{}", made["id"].as_str().unwrap());
    let one = api.ask("GET", &path).send().await.json();
    let all = api.ask("GET", "/subscriptions/").send().await.json();
    for health in [&one["health"], &all["data"][0]["health"]] {
        assert_eq!((&health["state"], &health["failures"]), (&json!("open"), &json!(12)));
        assert!(health["failing_since"].is_string() && health["next_probe_at"].is_string());
    }
}
