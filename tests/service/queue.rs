//! The queue: accept, claim, deliver, record, seen from the tables. Stories move rows,
//! never clocks.

use std::time::Duration;

use futures_util::future::join_all;
use postrider::domain::id::EventId;
use postrider::domain::slots::SlotLimits;
use postrider::intake::Refusal;

use crate::support::receiver::Reply;
use crate::support::rig::{Rig, SECRET, submit};

/// Makes every delivery that waits for its time due.
const DUE_NOW: &str =
    "update deliveries set next_attempt_at = now() where next_attempt_at < 'infinity' and lease is null";
/// Ends every lease, long enough ago to be taken over.
const LEASES_LAPSED: &str =
    "update deliveries set next_attempt_at = now() - interval '6 seconds' where lease is not null";

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_event_arrives_signed_with_its_bytes_and_leaves_the_queue() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let event = rig.accept(&subscription, br#"{ "b":1, "a": 1.10 }"#).await;
    assert_eq!(rig.worker().run_once().await.unwrap().recorded, 1);

    let arrived = rig.receiver.requests();
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].body.as_ref(), br#"{ "b":1, "a": 1.10 }"#);
    assert_eq!(arrived[0].header("webhook-id"), event.to_string());
    assert_eq!(arrived[0].header("x-webhook-attempt"), "1");
    let stranger = standardwebhooks::Webhook::new(SECRET).unwrap();
    assert!(stranger.verify(&arrived[0].body, &arrived[0].headers).is_ok());
    assert_eq!(rig.count("deliveries").await, 0);
    assert_eq!(rig.outcomes().await, ["delivered"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_retried_on_schedule_with_the_same_id_and_a_new_number() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::Status(500), Reply::Status(503)]);
    rig.accept(&subscription, b"{}").await;
    rig.worker().run_once().await.unwrap();
    let delay = "select extract(epoch from next_attempt_at - now())::float8 from deliveries";
    let first: f64 = rig.client.query_one(delay, &[]).await.unwrap().get(0);
    assert!((8.0..=10.0).contains(&first), "{first}");
    assert_eq!(rig.worker().run_once().await.unwrap().claimed, 0);

    rig.sql(DUE_NOW).await;
    rig.worker().run_once().await.unwrap();
    let second: f64 = rig.client.query_one(delay, &[]).await.unwrap().get(0);
    assert!((18.0..=20.0).contains(&second), "{second}");
    rig.sql(DUE_NOW).await;
    rig.worker().run_once().await.unwrap();

    let arrived = rig.receiver.requests();
    let numbers: Vec<_> = arrived.iter().map(|request| request.header("x-webhook-attempt").to_owned()).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    assert!(arrived.iter().all(|request| request.header("webhook-id") == arrived[0].header("webhook-id")));
    assert_eq!(rig.outcomes().await, ["http_5xx", "http_5xx", "delivered"]);
    assert_eq!(rig.count("deliveries").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_schedule_ended_is_failed_and_stays_visible() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::Status(500), Reply::Status(500), Reply::Status(500)]);
    rig.accept(&subscription, b"{}").await;
    for _ in 0..3 {
        rig.sql(DUE_NOW).await;
        rig.worker().run_once().await.unwrap();
    }
    let row = rig.client.query_one("select status, reason, attempts from undelivered", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), ("failed", "exhausted", 3_i16));
    assert_eq!(rig.count("deliveries").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_raises_the_delay() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::With(503, "retry-after", "120".to_owned())]);
    rig.accept(&subscription, b"{}").await;
    rig.worker().run_once().await.unwrap();
    let late = "select count(*) from deliveries where next_attempt_at between now() + interval '110 s' and now() + interval '120 s'";
    assert_eq!(rig.client.query_one(late, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_410_ends_its_delivery_disables_the_subscription_and_holds_the_others() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::Status(410)]);
    rig.accept(&subscription, b"{}").await;
    rig.worker().run_once().await.unwrap();
    let row =
        rig.client.query_one("select is_active, disabled_reason, version > 1 from subscriptions", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), (false, Some("gone"), true));
    assert_eq!(rig.client.query_one("select reason from undelivered", &[]).await.unwrap().get::<_, &str>(0), "gone");
    let refused = submit(&rig.intake(false).0, &subscription, b"{}", None).await;
    assert_eq!(refused, Err(Refusal::Changed));
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_of_a_disabled_subscription_are_held_and_released_when_it_is_enabled() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.accept(&subscription, b"{}").await;
    rig.sql("update subscriptions set is_active = false").await;
    assert_eq!(rig.worker().run_once().await.unwrap().claimed, 0);
    let status = "select status, reason from all_deliveries";
    let row = rig.client.query_one(status, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("held", Some("disabled")));

    assert_eq!(rig.store().release_ownerless(10).await.unwrap(), 0);
    rig.sql("update subscriptions set is_active = true").await;
    assert_eq!(rig.store().release_ownerless(10).await.unwrap(), 1);
    let _working = rig.working();
    rig.receiver.arrived(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_of_a_deleted_subscription_are_cancelled_at_once_and_end_when_they_fall_due() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.accept(&subscription, b"{}").await;
    rig.accept(&subscription, b"{}").await;
    rig.sql("update deliveries set next_attempt_at = now() + interval '1 hour' where event_id = (select max(id::text)::uuid from events)").await;
    rig.sql("update subscriptions set deleted_at = now()").await;
    let cancelled =
        "select count(*) from all_deliveries where status = 'cancelled' and reason = 'subscription_deleted'";
    assert_eq!(rig.client.query_one(cancelled, &[]).await.unwrap().get::<_, i64>(0), 2);
    assert_eq!(rig.worker().run_once().await.unwrap().claimed, 0);
    assert_eq!(rig.count("deliveries").await, 1);
    rig.sql(DUE_NOW).await;
    assert_eq!(rig.worker().run_once().await.unwrap().claimed, 0);
    assert_eq!(rig.count("deliveries").await, 0);
    assert_eq!(rig.client.query_one(cancelled, &[]).await.unwrap().get::<_, i64>(0), 2);
    assert!(rig.receiver.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_address_ends_the_delivery_at_its_first_attempt() {
    let rig = Rig::new().await;
    let subscription = rig.subscription_to("http://10.0.0.1/").await;
    rig.accept(&subscription, b"{}").await;
    rig.worker().run_once().await.unwrap();
    assert_eq!(rig.outcomes().await, ["blocked_address"]);
    assert_eq!(
        rig.client.query_one("select reason from undelivered", &[]).await.unwrap().get::<_, &str>(0),
        "blocked_address"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_worker_costs_its_lease_and_leaves_an_unknown_attempt() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let (intake, lane) = rig.intake(true);
    submit(&intake, &subscription, b"{}", None).await.unwrap();
    // The process that owns the lease dies here: what was handed over is never sent.
    drop(lane);
    assert_eq!(rig.worker().run_once().await.unwrap().claimed, 0);
    rig.sql(LEASES_LAPSED).await;
    assert_eq!(rig.worker().run_once().await.unwrap().recorded, 1);
    assert_eq!(rig.outcomes().await, ["unknown", "delivered"]);
    assert_eq!(rig.receiver.requests()[0].header("x-webhook-attempt"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_kills_its_worker_every_time_ends_as_failed() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.accept(&subscription, b"{}").await;
    rig.sql("update deliveries set lease = gen_random_uuid(), attempts = 3").await;
    rig.sql(LEASES_LAPSED).await;
    assert_eq!(rig.worker().run_once().await.unwrap().claimed, 0);
    assert!(rig.receiver.requests().is_empty());
    let row = rig.client.query_one("select status, reason, attempts from undelivered", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), ("failed", "exhausted", 3_i16));
    assert_eq!(rig.outcomes().await, ["unknown"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_late_report_of_a_worker_that_lost_its_lease_changes_nothing() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.hold();
    rig.accept(&subscription, b"{}").await;
    let late = rig.worker();
    let late = tokio::spawn(async move { late.run_once().await.unwrap() });
    rig.receiver.arrived(1).await;
    rig.sql("update deliveries set lease = gen_random_uuid(), attempts = 2").await;
    rig.receiver.let_go();
    let round = late.await.unwrap();
    assert_eq!((round.recorded, round.fenced), (0, 1));
    assert_eq!(rig.count("deliveries").await, 1);
    assert!(rig.outcomes().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_past_its_lifetime_expires_instead_of_being_sent() {
    let mut rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.accept(&subscription, b"{}").await;
    rig.parts.rules.lifetime = Duration::ZERO;
    assert_eq!(rig.worker().run_once().await.unwrap().claimed, 0);
    let row = rig.client.query_one("select status, reason from undelivered", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("expired", "lifetime"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_claimers_never_take_the_same_delivery() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let (intake, _) = rig.intake(false);
    join_all((0..200).map(|_| submit(&intake, &subscription, b"{}", None))).await;
    let workers: Vec<_> = (0..4).map(|_| rig.worker()).collect();
    while rig.count("deliveries").await > 0 {
        rig.sql("update deliveries set next_attempt_at = now(), held_for = null where held_for is not null").await;
        join_all(workers.iter().map(|worker| worker.run_once())).await;
    }
    let arrived = rig.receiver.requests();
    let mut ids: Vec<_> = arrived.iter().map(|request| request.header("webhook-id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((arrived.len(), ids.len()), (200, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_subscription_is_parked_out_of_the_way_of_the_others() {
    let rig = Rig::with_slots(SlotLimits { total: 8, per_subscription: 2 }).await;
    let sick = rig.subscription().await;
    let well = rig.subscription().await;
    let (intake, _) = rig.intake(false);
    join_all((0..50).map(|_| submit(&intake, &sick, b"{}", None))).await;
    submit(&intake, &well, b"[]", None).await.unwrap();
    let parked = "select count(*) from deliveries where held_for = 'in_flight'";
    let mut rounds = 0;
    while !rig.receiver.requests().iter().any(|request| request.body.as_ref() == b"[]") {
        rig.worker().run_once().await.unwrap();
        rounds += 1;
    }
    assert!(rounds <= 8, "the well one waited {rounds} rounds");
    assert!(rig.client.query_one(parked, &[]).await.unwrap().get::<_, i64>(0) > 30);
    let released = rig.store().release(&[(sick.id, 2)]).await.unwrap();
    assert_eq!(released, [(sick.id, 2)]);
    assert_eq!(rig.worker().run_once().await.unwrap().claimed, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partly_busy_subscription_gets_exactly_the_room_it_has() {
    let rig = Rig::with_slots(SlotLimits { total: 64, per_subscription: 8 }).await;
    let subscription = rig.subscription().await;
    let (intake, _) = rig.intake(false);
    join_all((0..20).map(|_| submit(&intake, &subscription, b"{}", None))).await;
    let elsewhere: Vec<_> = (0..5).map(|_| rig.parts.slots.take(subscription.id).unwrap()).collect();
    assert_eq!(rig.worker().run_once().await.unwrap().claimed, 3);
    let parked = "select count(*) from deliveries where held_for = 'in_flight'";
    assert_eq!(rig.client.query_one(parked, &[]).await.unwrap().get::<_, i64>(0), 17);
    drop(elsewhere);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_410_from_an_old_target_does_not_disable_the_new_one() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::Status(410)]);
    rig.receiver.hold();
    rig.accept(&subscription, b"{}").await;
    let worker = rig.worker();
    let round = tokio::spawn(async move { worker.run_once().await.unwrap() });
    rig.receiver.arrived(1).await;
    rig.sql("update subscriptions set target_url = 'https://new.example.com/', version = version + 1").await;
    rig.receiver.let_go();
    assert_eq!(round.await.unwrap().recorded, 1);
    assert!(rig.client.query_one("select is_active from subscriptions", &[]).await.unwrap().get::<_, bool>(0));
    assert_eq!(rig.client.query_one("select reason from undelivered", &[]).await.unwrap().get::<_, &str>(0), "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_delivery_expires_like_any_other() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.accept(&subscription, b"{}").await;
    rig.sql("update subscriptions set is_active = false").await;
    rig.worker().run_once().await.unwrap();
    let soon = EventId::floor(rig.parts.clock.now() + Duration::from_secs(1));
    assert_eq!(rig.store().expire_parked(EventId::floor(time::OffsetDateTime::UNIX_EPOCH), 10).await.unwrap(), 0);
    assert_eq!(rig.store().expire_parked(soon, 10).await.unwrap(), 1);
    let row = rig.client.query_one("select status, reason from undelivered", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("expired", "lifetime"));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_arrive_together_share_their_commit() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let (intake, _) = rig.intake(false);
    let answers = join_all((0..300).map(|_| submit(&intake, &subscription, b"{}", None))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!((rig.count("events").await, rig.count("deliveries").await), (300, 300));
    let batches = rig.parts.metrics.accept_batch.get_sample_count();
    assert!(batches < 100, "{batches} statements for 300 events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_gets_the_first_event_and_another_request_is_refused() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let (intake, _) = rig.intake(false);
    let together = join_all((0..20).map(|_| submit(&intake, &subscription, b"{}", Some("order-1")))).await;
    let together: Vec<_> = together.into_iter().map(Result::unwrap).collect();
    assert_eq!(together.iter().filter(|accepted| !accepted.is_duplicate()).count(), 1);
    assert!(together.iter().all(|accepted| accepted.event == together[0].event));
    assert_eq!((rig.count("events").await, rig.count("deliveries").await), (1, 1));
    assert_eq!(submit(&intake, &subscription, b"[]", Some("order-1")).await, Err(Refusal::KeyReused));
    assert_eq!(rig.count("events").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_out_of_date_is_never_accepted_on() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.sql("update subscriptions set version = version + 1").await;
    let (intake, _) = rig.intake(true);
    assert_eq!(submit(&intake, &subscription, b"{}", Some("k")).await, Err(Refusal::Changed));
    assert_eq!((rig.count("events").await, rig.count("idempotency_keys").await), (0, 0));
    assert_eq!(rig.parts.slots.in_flight(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_without_prepared_statements() {
    let mut rig = Rig::new().await;
    rig.parts.store = rig.database.unprepared_store();
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::Status(500)]);
    let (intake, _) = rig.intake(false);
    submit(&intake, &subscription, b"{}", Some("k")).await.unwrap();
    assert!(submit(&intake, &subscription, b"{}", Some("k")).await.unwrap().is_duplicate());
    rig.worker().run_once().await.unwrap();
    rig.sql(DUE_NOW).await;
    rig.worker().run_once().await.unwrap();
    assert_eq!(rig.outcomes().await, ["http_5xx", "delivered"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accept_that_finds_its_partition_missing_makes_it() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let partitions = "select inhrelid::regclass::text from pg_inherits where inhparent = 'events'::regclass";
    for row in rig.client.query(partitions, &[]).await.unwrap() {
        rig.sql(&format!("drop table {}", row.get::<_, String>(0))).await;
    }
    rig.accept(&subscription, b"{}").await;
    assert_eq!(rig.count("events").await, 1);
}
