//! The queue: accept, find, take, deliver, record, seen from the tables and from the receiver. Stories move rows,
//! never clocks.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use postrider::domain::address::AddressPolicy;
use postrider::domain::detail::KeepDetail;
use postrider::intake::Refusal;
use postrider::sender::{Sender, SenderConfig};

use crate::support::receiver::Reply;
use crate::support::rig::{Rig, SECRET, submit};
use crate::support::wait::until;

/// Makes every delivery that waits for its time due.
const DUE_NOW: &str =
    "update deliveries set next_attempt_at = now() where next_attempt_at < 'infinity' and lease is null";
/// Ends every lease, long enough ago to be taken over.
const LEASES_LAPSED: &str =
    "update deliveries set next_attempt_at = now() - interval '6 seconds' where lease is not null";
/// How long after the beginning of its last attempt the delivery is due, in seconds.
const DELAY: &str = "
    select extract(epoch from d.next_attempt_at - max(a.created_at))::float8
    from deliveries as d
    inner join attempts as a on a.event_id = d.event_id
    group by d.next_attempt_at";

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_event_arrives_signed_with_its_bytes_and_leaves_the_queue() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let event = rig.accept(&subscription, br#"{ "b":1, "a": 1.10 }"#).await;
    rig.settle().await;

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
    rig.settle().await;
    let first: f64 = rig.client.query_one(DELAY, &[]).await.unwrap().get(0);
    assert_eq!(rig.receiver.count(), 1);
    rig.sql(DUE_NOW).await;
    rig.settle().await;
    let second: f64 = rig.client.query_one(DELAY, &[]).await.unwrap().get(0);
    // The schedule is 10 s, 20 s; the delay counts from the recording, a moment after the attempt began.
    assert!(first >= 10.0 && second >= 20.0 && first < second, "{first}, {second}");
    rig.sql(DUE_NOW).await;
    rig.settle().await;

    let arrived = rig.receiver.requests();
    let numbers: Vec<_> = arrived.iter().map(|request| request.header("x-webhook-attempt").to_owned()).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    assert!(arrived.iter().all(|request| request.header("webhook-id") == arrived[0].header("webhook-id")));
    assert_eq!(rig.outcomes().await, ["http_5xx", "http_5xx", "delivered"]);
    assert_eq!(rig.count("deliveries").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_takes_its_own_retries_when_they_fall_due() {
    let mut rig = Rig::new().await;
    rig.parts.rules.retries.schedule = "10ms,10ms".parse().unwrap();
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::Status(500), Reply::Status(503)]);
    let _working = rig.working();
    rig.accept(&subscription, b"{}").await;
    rig.receiver.arrived(3).await;
    until("it is recorded", async || (rig.count("deliveries").await == 0).then_some(())).await;
    assert_eq!(rig.outcomes().await, ["http_5xx", "http_5xx", "delivered"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_schedule_ended_is_failed_and_stays_visible() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::Status(500), Reply::Status(500), Reply::Status(500)]);
    rig.accept(&subscription, b"{}").await;
    for _ in 0..3 {
        rig.sql(DUE_NOW).await;
        rig.settle().await;
    }
    let row = rig.client.query_one("select status, reason, attempts from undelivered", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), ("failed", "exhausted", 3));
    assert_eq!(rig.count("deliveries").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_raises_the_delay() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::With(503, "retry-after", "120".to_owned())]);
    rig.accept(&subscription, b"{}").await;
    rig.settle().await;
    let delay: f64 = rig.client.query_one(DELAY, &[]).await.unwrap().get(0);
    // The two times come from two clocks, which are compared now and then. The schedule alone would say 10 s.
    assert!(delay > 119.0, "{delay}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_410_ends_its_delivery_disables_the_subscription_and_holds_the_others() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::Status(410)]);
    rig.accept(&subscription, b"{}").await;
    rig.settle().await;
    let row =
        rig.client.query_one("select is_active, disabled_reason, version > 1 from subscriptions", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), (false, Some("gone"), true));
    assert_eq!(rig.client.query_one("select reason from undelivered", &[]).await.unwrap().get::<_, &str>(0), "gone");
    let refused = submit(&rig.intake(false).0, &subscription, b"{}", None).await;
    assert!(matches!(refused, Err(Refusal::Changed)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_of_a_disabled_subscription_are_held_where_they_are_until_it_is_enabled() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.accept(&subscription, b"{}").await;
    rig.sql("update subscriptions set is_active = false").await;
    let row = "select ctid::text, next_attempt_at, lease from deliveries";
    let before = rig.client.query_one(row, &[]).await.unwrap().get::<_, String>(0);
    rig.settle().await;
    let status = "select status, reason from all_deliveries";
    let seen = rig.client.query_one(status, &[]).await.unwrap();
    assert_eq!((seen.get(0), seen.get(1)), ("held", Some("disabled")));
    // Holding it wrote nothing.
    assert_eq!(rig.client.query_one(row, &[]).await.unwrap().get::<_, String>(0), before);
    assert!(rig.receiver.requests().is_empty());

    rig.sql("update subscriptions set is_active = true").await;
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
    rig.settle().await;
    assert_eq!((rig.count("deliveries").await, rig.count("undelivered").await), (1, 1));
    rig.sql(DUE_NOW).await;
    rig.settle().await;
    assert_eq!(rig.count("deliveries").await, 0);
    assert_eq!(rig.client.query_one(cancelled, &[]).await.unwrap().get::<_, i64>(0), 2);
    assert!(rig.receiver.requests().is_empty() && rig.outcomes().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_address_ends_the_delivery_at_its_first_attempt() {
    let rig = Rig::new().await;
    let subscription = rig.subscription_to("http://10.0.0.1/").await;
    rig.accept(&subscription, b"{}").await;
    rig.settle().await;
    assert_eq!(rig.outcomes().await, ["blocked_address"]);
    assert_eq!(
        rig.client.query_one("select reason from undelivered", &[]).await.unwrap().get::<_, &str>(0),
        "blocked_address"
    );
}

/// A name server that is wrong for a minute must not end events.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_a_blocked_address_is_tried_again_until_the_schedule_ends() {
    let mut rig = Rig::new().await;
    let closed = SenderConfig {
        request_timeout: Duration::from_secs(5),
        addresses: Arc::new(AddressPolicy::default()),
        max_idle_per_host: 8,
        keep: KeepDetail::None,
    };
    rig.parts.sender = Sender::new(closed);
    let subscription = rig.subscription_to(&rig.receiver.url().replace("127.0.0.1", "localhost")).await;
    rig.accept(&subscription, b"{}").await;
    for attempts in 1..=3 {
        rig.settle().await;
        assert_eq!(rig.outcomes().await, vec!["blocked_address"; attempts]);
        rig.sql(DUE_NOW).await;
    }
    assert_eq!(
        rig.client.query_one("select reason from undelivered", &[]).await.unwrap().get::<_, &str>(0),
        "exhausted"
    );
    assert!(rig.receiver.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_worker_costs_its_lease_and_leaves_an_unknown_attempt() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let (intake, handoff) = rig.intake(true);
    submit(&intake, &subscription, b"{}", None).await.unwrap();
    // The process that owns the lease dies here: what was handed over is never sent.
    drop(handoff);
    assert_eq!(rig.client.query_one("select count(lease) from deliveries", &[]).await.unwrap().get::<_, i64>(0), 1);
    rig.sql(LEASES_LAPSED).await;
    rig.settle().await;
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
    rig.settle().await;
    assert!(rig.receiver.requests().is_empty());
    let row = rig.client.query_one("select status, reason, attempts from undelivered", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), ("failed", "exhausted", 3));
    assert_eq!(rig.outcomes().await, ["unknown"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_late_report_of_a_worker_that_lost_its_lease_changes_nothing() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.hold();
    rig.accept(&subscription, b"{}").await;
    let late = rig.working();
    rig.receiver.arrived(1).await;
    rig.sql("update deliveries set lease = gen_random_uuid(), attempts = 2").await;
    rig.receiver.let_go();
    until("the report is fenced", async || (rig.parts.metrics.fenced.get() == 1).then_some(())).await;
    late.stop().await;
    assert_eq!(rig.count("deliveries").await, 1);
    assert!(rig.outcomes().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_past_its_lifetime_expires_instead_of_being_sent() {
    let mut rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.accept(&subscription, b"{}").await;
    rig.parts.rules.lifetime = Duration::ZERO;
    rig.settle().await;
    let row = rig.client.query_one("select status, reason from undelivered", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), ("expired", "lifetime"));
    assert!(rig.receiver.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn four_workers_never_take_the_same_delivery_and_seldom_ask_in_vain() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let (intake, _) = rig.intake(false);
    let workers: Vec<_> = (0..4).map(|_| rig.working()).collect();
    join_all((0..400).map(|_| submit(&intake, &subscription, b"{}", None))).await;
    until("all is delivered", async || (rig.count("deliveries").await == 0).then_some(())).await;
    join_all(workers.into_iter().map(|worker| worker.stop())).await;
    let arrived = rig.receiver.requests();
    let mut ids: Vec<_> = arrived.iter().map(|request| request.header("webhook-id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((arrived.len(), ids.len()), (400, 400));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_one_tenant_leaves_room_for_the_next() {
    let rig = Rig::with_slots(40, 4).await;
    let sick: Vec<_> = join_all((0..20).map(|_| rig.subscription())).await;
    let well = rig.subscription_of_another_tenant().await;
    let (intake, _) = rig.intake(false);
    rig.receiver.hold();
    for subscription in &sick {
        join_all((0..10).map(|_| submit(&intake, subscription, b"{}", None))).await;
    }
    let _working = rig.working();
    // Its tenant's share of the slots is taken: four fifths. None of them is answered.
    until("the share is full", async || (rig.parts.slots.in_flight() == 32).then_some(())).await;
    submit(&intake, &well, b"[]", None).await.unwrap();
    until("the other tenant's event is there", async || {
        rig.receiver.requests().iter().any(|request| request.body.as_ref() == b"[]").then_some(())
    })
    .await;
    assert!(rig.parts.slots.in_flight() <= 40);
    rig.receiver.let_go();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_subscription_costs_the_rows_that_wait_nothing() {
    let rig = Rig::with_slots(64, 2).await;
    let (sick, well) = (rig.subscription().await, rig.subscription().await);
    let (intake, _) = rig.intake(false);
    rig.receiver.hold();
    join_all((0..50).map(|_| submit(&intake, &sick, b"{}", None))).await;
    let _working = rig.working();
    // Two requests and as many that wait in memory.
    let leased = "select count(lease) from deliveries";
    until("as many are leased as fit", async || {
        (rig.client.query_one(leased, &[]).await.unwrap().get::<_, i64>(0) == 4).then_some(())
    })
    .await;
    submit(&intake, &well, b"[]", None).await.unwrap();
    until("the well one has its event", async || {
        rig.receiver.requests().iter().any(|request| request.body.as_ref() == b"[]").then_some(())
    })
    .await;
    // Whatever was not leased was written once and never since.
    let untouched = "select count(*) from deliveries where lease is null and attempts = 0 and xmax = 0";
    assert_eq!(rig.client.query_one(untouched, &[]).await.unwrap().get::<_, i64>(0), 46);
    rig.receiver.let_go();
    until("all is delivered", async || (rig.count("deliveries").await == 0).then_some(())).await;
    assert_eq!(rig.receiver.requests().len(), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_410_from_an_old_target_does_not_disable_the_new_one() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.script([Reply::Status(410)]);
    rig.receiver.hold();
    rig.accept(&subscription, b"{}").await;
    let working = rig.working();
    rig.receiver.arrived(1).await;
    rig.sql("update subscriptions set target_url = 'https://new.example.com/', version = version + 1").await;
    rig.receiver.let_go();
    until("it is recorded", async || (rig.count("undelivered").await == 1).then_some(())).await;
    working.stop().await;
    assert!(rig.client.query_one("select is_active from subscriptions", &[]).await.unwrap().get::<_, bool>(0));
    assert_eq!(rig.client.query_one("select reason from undelivered", &[]).await.unwrap().get::<_, &str>(0), "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_arrive_together_share_their_commit() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let (intake, _) = rig.intake(false);
    // The first statement waits for this lock, and all the others for it.
    rig.client.batch_execute("begin; lock table events in share mode").await.unwrap();
    let first = tokio::spawn({
        let (intake, subscription) = (intake.clone(), subscription.clone());
        async move { submit(&intake, &subscription, b"{}", None).await }
    });
    until("it waits for the lock", async || {
        let waiting = "select count(*) from pg_locks where relation = 'events'::regclass and not granted";
        (rig.client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    let others = join_all((0..300).map(|_| submit(&intake, &subscription, b"{}", None)));
    // In this order: all of them wait by the time of the commit.
    let (others, ()) = tokio::join!(others, async { rig.client.batch_execute("commit").await.unwrap() });
    assert!(first.await.unwrap().is_ok() && others.iter().all(Result::is_ok));
    assert_eq!((rig.count("events").await, rig.count("deliveries").await), (301, 301));
    // 1, 256 and 44.
    assert_eq!(rig.parts.metrics.accept_batch.get_sample_count(), 3);
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
    assert!(matches!(submit(&intake, &subscription, b"[]", Some("order-1")).await, Err(Refusal::KeyReused)));
    assert_eq!(rig.count("events").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_out_of_date_is_never_accepted_on() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.sql("update subscriptions set version = version + 1").await;
    let (intake, _) = rig.intake(true);
    assert!(matches!(submit(&intake, &subscription, b"{}", Some("k")).await, Err(Refusal::Changed)));
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
    rig.settle().await;
    rig.sql(DUE_NOW).await;
    rig.settle().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_large_backlog_is_taken_within_the_bytes_that_there_are() {
    let mut rig = Rig::new().await;
    let limits = postrider::domain::slots::SlotLimits { total: 64, bytes: 4 << 20, per_subscription: 64 };
    rig.parts.slots = postrider::domain::slots::Slots::new(limits);
    let subscription = rig.subscription().await;
    let payload = format!("[\"{}\"]", "x".repeat(1 << 20));
    for _ in 0..12 {
        rig.accept(&subscription, payload.as_bytes()).await;
    }
    rig.receiver.hold();
    let _working = rig.working();
    rig.receiver.arrived(2).await;
    let leased = "select coalesce(sum(payload_bytes), 0)::int8 from deliveries where lease is not null";
    let bytes: i64 = rig.client.query_one(leased, &[]).await.unwrap().get(0);
    assert!(bytes <= 5 << 20, "{bytes} bytes are leased");
    rig.receiver.let_go();
    until("all is delivered", async || (rig.count("deliveries").await == 0).then_some(())).await;
    assert_eq!(rig.receiver.requests().len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_overload_each_delivery_is_still_written_twice_and_deleted_once() {
    const EVENTS: usize = 600;
    let rig = Rig::with_slots(64, 4).await;
    let subscription = rig.subscription().await;
    rig.receiver.takes(Duration::from_millis(10));
    let (intake, _) = rig.intake(false);
    let working = rig.working();
    // Much faster than four at a time are answered.
    join_all((0..EVENTS).map(|_| submit(&intake, &subscription, b"{}", None))).await;
    until("all is delivered", async || (rig.count("deliveries").await == 0).then_some(())).await;
    working.stop().await;
    rig.store().close();
    let written = "
        select n_tup_ins, n_tup_upd, n_tup_del
        from pg_stat_user_tables
        where relname = 'deliveries' and least(n_tup_ins, n_tup_upd, n_tup_del) >= $1";
    let row =
        until("the server has counted", async || rig.client.query_opt(written, &[&(EVENTS as i64)]).await.unwrap())
            .await;
    let events = EVENTS as i64;
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, i64>(2)), (events, events, events));
    assert_eq!(rig.receiver.count(), EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_falls_due_while_a_backlog_is_taken_does_not_wait_for_its_end() {
    const SUBSCRIPTIONS: usize = 60;
    const EVENTS: i64 = 100;
    let rig = Rig::with_slots(2_048, 64).await;
    for _ in 0..SUBSCRIPTIONS {
        rig.subscription().await;
    }
    // No subscription and no tenant is ever full: there is always something to take.
    let backlog = "
        with event as (
            insert into events (tenant_id, id, payload)
            select s.tenant_id, uuid_v7(), '[1]'
            from (select x.tenant_id from subscriptions as x limit 1) as s
            cross join generate_series(1, $1::bigint) as n
            returning tenant_id, id
        )
        insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
        select event.tenant_id, event.id, s.id, now(), 3
        from event
        cross join subscriptions as s";
    rig.client.execute(backlog, &[&EVENTS]).await.unwrap();
    let other = rig.subscription_of_another_tenant().await;
    let later = "
        with event as (
            insert into events (tenant_id, id, payload) values ($1, uuid_v7(), '[2]') returning tenant_id, id
        )
        insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
        select event.tenant_id, event.id, $2, now() + interval '300 milliseconds', 3
        from event";
    rig.client.execute(later, &[&other.tenant.uuid(), &other.id.uuid()]).await.unwrap();
    rig.receiver.takes(Duration::from_millis(20));
    let _working = rig.working();
    let all = SUBSCRIPTIONS * usize::try_from(EVENTS).unwrap() + 1;
    let requests = rig.receiver.arrived(all).await;
    let place = requests.iter().position(|request| request.body == b"[2]".as_slice()).unwrap();
    assert!(place < all * 3 / 4, "it came as number {place} of {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_commit_came_late_is_found_however_late_and_without_a_word() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let _working = rig.working();
    for (number, late) in ["1 second", "40 seconds", "1 hour"].into_iter().enumerate() {
        // The worker has looked at everything due until now; then a transaction commits that began so long ago.
        rig.accept(&subscription, b"{}").await;
        rig.receiver.arrived(2 * number + 1).await;
        let event = "
            with event as (
                insert into events (tenant_id, id, payload) values ($1, uuid_v7(), '[]') returning tenant_id, id
            )
            insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
            select event.tenant_id, event.id, $2, now() - $3::text::interval, 2
            from event";
        rig.client.execute(event, &[&subscription.tenant.uuid(), &subscription.id.uuid(), &late]).await.unwrap();
        rig.receiver.arrived(2 * number + 2).await;
    }
}
