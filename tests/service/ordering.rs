//! Ordering groups: deliveries of an ordered subscription that share a key go one after the other,
//! whatever becomes of each; other keys do not wait for them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use postrider::domain::audience::Audience;
use postrider::domain::breaker::BreakerRules;
use postrider::domain::hops::Hops;
use postrider::domain::id::EventId;
use postrider::domain::payload::Payload;
use postrider::domain::policy::Policy;
use postrider::domain::subscription::Subscription;
use postrider::domain::timing::Timing;
use postrider::intake::{Intake, Submission};
use postrider::upkeep::GroupWalker;
use serde_json::json;
use time::OffsetDateTime;

use crate::support::api::TestApi;
use crate::support::receiver::Reply;
use crate::support::rig::{Rig, submit};
use crate::support::wait::until;

/// Makes every delivery that waits for its time due.
const DUE_NOW: &str =
    "update deliveries set next_attempt_at = now() where next_attempt_at < 'infinity' and lease is null";
/// Ends every lease, long enough ago to be taken over.
const LEASES_LAPSED: &str =
    "update deliveries set next_attempt_at = now() - interval '6 seconds' where lease is not null";

/// A subscription that keeps order.
async fn ordered(rig: &Rig) -> Arc<Subscription> {
    let plain = rig.subscription().await;
    rig.sql("update subscriptions set is_ordered = true").await;
    Arc::new(Subscription { policy: Policy { is_ordered: true, ..Policy::default() }, ..Subscription::clone(&plain) })
}

/// Publishes an event with an ordering key; its payload is a list of this number.
async fn publish(intake: &Intake, subscription: &Arc<Subscription>, key: &str, number: &str) -> EventId {
    let submission = Submission {
        audience: Audience::one(subscription),
        event_type: None,
        payload: Payload::parse(Bytes::from(format!("[{number}]"))).unwrap(),
        hops: Hops::default(),
        timing: Timing::default(),
        key: None,
        from_outbox: None,
        ordering_key: Some(key.parse().unwrap()),
    };
    intake.accept(submission).await.unwrap().event
}

/// Publishes these numbers with one key, one after the other.
async fn publish_all(rig: &Rig, subscription: &Arc<Subscription>, key: &str, numbers: &[&str]) {
    let intake = rig.intake(false).0;
    for number in numbers {
        publish(&intake, subscription, key, number).await;
    }
    heads_are_due(rig).await;
}

/// An intake advances groups after it has answered.
async fn heads_are_due(rig: &Rig) {
    let waiting = "
        select count(*)
        from (
            select distinct on (d.subscription_id, d.ordering_key) d.next_attempt_at
            from deliveries as d
            where d.ordering_key is not null
            order by d.subscription_id, d.ordering_key, d.position
        ) as head
        where head.next_attempt_at = 'infinity'";
    until("every head is due", async || {
        (rig.client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    at_most_one_of_a_group_is_under_way(rig).await;
}

async fn at_most_one_of_a_group_is_under_way(rig: &Rig) {
    let under_way = "select count(*) from deliveries where next_attempt_at < 'infinity' \
                     and ordering_key is not null group by subscription_id, ordering_key having count(*) > 1";
    assert_eq!(rig.client.query(under_way, &[]).await.unwrap().len(), 0);
}

/// The numbers that arrived, in order.
fn numbers(rig: &Rig) -> Vec<String> {
    let text = |body: &Bytes| String::from_utf8_lossy(body).trim_matches(['[', ']']).to_owned();
    rig.receiver.requests().iter().map(|request| text(&request.body)).collect()
}

/// Status and reason of each delivery, in the order of their events.
async fn states(rig: &Rig) -> Vec<(String, Option<String>)> {
    let rows = rig.client.query("select status, reason from all_deliveries order by event_id", &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_waits_while_its_head_retries_and_other_keys_pass() {
    let rig = Rig::new().await;
    let subscription = ordered(&rig).await;
    rig.receiver.script([Reply::Status(500)]);
    publish_all(&rig, &subscription, "a", &["1", "2", "3"]).await;
    rig.settle().await;
    publish_all(&rig, &subscription, "b", &["4", "5"]).await;
    rig.settle().await;
    assert_eq!(numbers(&rig), ["1", "4", "5"]);
    let waiting = ("held".to_owned(), Some("ordered".to_owned()));
    let head = ("pending".to_owned(), None);
    assert_eq!(states(&rig).await[..3], [head, waiting.clone(), waiting]);

    rig.sql(DUE_NOW).await;
    rig.settle().await;
    assert_eq!(numbers(&rig), ["1", "4", "5", "1", "2", "3"]);
    assert_eq!(rig.count("deliveries").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unordered_events_do_not_wait() {
    let rig = Rig::new().await;
    let (subscription, plain) = (ordered(&rig).await, rig.subscription().await);
    rig.receiver.hold();
    let intake = rig.intake(false).0;
    for _ in 0..3 {
        submit(&intake, &subscription, b"{}", None).await.unwrap();
        publish(&intake, &plain, "a", "7").await;
    }
    let due = "select count(*) from deliveries where next_attempt_at <= now() and position is null";
    assert_eq!(rig.client.query_one(due, &[]).await.unwrap().get::<_, i64>(0), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordered_delivery_is_never_born_leased() {
    let rig = Rig::new().await;
    let subscription = ordered(&rig).await;
    let (intake, _handoff) = rig.intake(true);
    submit(&intake, &subscription, b"{}", None).await.unwrap();
    publish(&intake, &subscription, "a", "7").await;
    let leased = "select lease is not null from deliveries order by event_id";
    let rows = rig.client.query(leased, &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<bool>>(), [true, false]);
    assert_eq!(rig.parts.slots.in_flight(), 1, "the slot is not kept for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_fails_too_often_is_skipped_where_its_owner_said_so() {
    let rig = Rig::new().await;
    let subscription = ordered(&rig).await;
    rig.sql("update subscriptions set skip_after_attempts = 2").await;
    rig.receiver.script([Reply::Status(500), Reply::Status(500)]);
    publish_all(&rig, &subscription, "a", &["1", "2"]).await;
    rig.settle().await;
    rig.sql(DUE_NOW).await;
    rig.settle().await;
    assert_eq!(numbers(&rig), ["1", "1", "2"]);
    let ends = "select status, reason, attempts from undelivered";
    let end = rig.client.query_one(ends, &[]).await.unwrap();
    assert_eq!((end.get(0), end.get(1), end.get(2)), ("skipped", "skip_after_attempts", 2_i32));
    assert_eq!(states(&rig).await[0], ("skipped".to_owned(), Some("skip_after_attempts".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_whose_schedule_ends_has_failed_and_its_key_goes_on() {
    let rig = Rig::new().await;
    let subscription = ordered(&rig).await;
    rig.receiver.script([Reply::Status(500), Reply::Status(500), Reply::Status(500)]);
    publish_all(&rig, &subscription, "a", &["1", "2"]).await;
    for _ in 0..3 {
        rig.sql(DUE_NOW).await;
        rig.settle().await;
    }
    assert_eq!(numbers(&rig), ["1", "1", "1", "2"]);
    assert_eq!(states(&rig).await[0], ("failed".to_owned(), Some("exhausted".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_its_receiver_refuses_is_skipped_even_where_its_attempts_are_probes() {
    let mut rig = Rig::new().await;
    let breaker = BreakerRules {
        failures: 3,
        after: Duration::ZERO,
        probe: Duration::from_millis(50),
        probe_max: Duration::from_millis(50),
    };
    rig.parts.rules.breaker = breaker;
    let subscription = ordered(&rig).await;
    rig.sql("update subscriptions set skip_after_attempts = 5, retry_schedule = '10ms,10ms,10ms,10ms,10ms,10ms'").await;
    rig.receiver.never_takes(b"[1]");
    publish_all(&rig, &subscription, "k", &["1", "2"]).await;
    let _working = rig.working();
    // The breaker opens at the third failure: the fourth and the fifth attempt are probes.
    until("the second is delivered", async || (rig.outcomes().await.last()? == "delivered").then_some(())).await;
    let row = rig.client.query_one("select status, attempts from undelivered", &[]).await.unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, i32>(1)), ("skipped", 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_expires_lets_its_key_go_on() {
    let rig = Rig::new().await;
    let subscription = ordered(&rig).await;
    rig.receiver.script([Reply::Status(500)]);
    publish_all(&rig, &subscription, "a", &["1", "2"]).await;
    rig.settle().await;
    let over = "update deliveries set expires_at = now(), next_attempt_at = now() where next_attempt_at < 'infinity'";
    assert_eq!(rig.sql(over).await, 1);
    rig.settle().await;
    assert_eq!(numbers(&rig), ["1", "2"]);
    assert_eq!(states(&rig).await[0].0, "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_cut_off_in_its_last_attempt_lets_its_key_go_on() {
    let mut rig = Rig::new().await;
    let subscription = ordered(&rig).await;
    publish_all(&rig, &subscription, "a", &["1", "2"]).await;
    rig.sql("update deliveries set lease = gen_random_uuid(), attempts = 3 where next_attempt_at < 'infinity'").await;
    rig.sql(LEASES_LAPSED).await;
    rig.parts.rules.retries.schedule = "10s,20s".parse().unwrap();
    rig.settle().await;
    assert_eq!(numbers(&rig), ["2"]);
    assert_eq!(states(&rig).await[0], ("failed".to_owned(), Some("exhausted".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_410_the_rest_of_the_group_waits_for_the_subscription_in_order() {
    let rig = Rig::new().await;
    let subscription = ordered(&rig).await;
    rig.receiver.script([Reply::Status(410)]);
    publish_all(&rig, &subscription, "a", &["1", "2", "3"]).await;
    rig.settle().await;
    assert_eq!(numbers(&rig), ["1"]);
    let disabled = ("held".to_owned(), Some("disabled".to_owned()));
    assert_eq!(states(&rig).await[1..], [disabled.clone(), disabled]);

    rig.sql("update subscriptions set is_active = true, disabled_reason = null").await;
    rig.settle().await;
    assert_eq!(numbers(&rig), ["1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_a_group_is_released_when_order_is_switched_off() {
    let rig = Rig::new().await;
    let subscription = ordered(&rig).await;
    rig.receiver.script([Reply::Status(500)]);
    publish_all(&rig, &subscription, "a", &["1", "2", "3"]).await;
    rig.settle().await;
    assert_eq!(rig.store().advance_groups(None, 10).await.unwrap().unwrap().released, 0);
    rig.sql("update subscriptions set is_ordered = false").await;
    assert_eq!(rig.store().advance_groups(None, 10).await.unwrap().unwrap().released, 2);
    rig.settle().await;
    // Nobody cares for their order any more.
    let mut arrived = numbers(&rig);
    arrived.sort();
    assert_eq!(arrived, ["1", "2", "3"]);
    rig.sql(DUE_NOW).await;
    rig.settle().await;
    assert_eq!(rig.count("deliveries").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_subscription_leaves_no_group_behind() {
    let rig = Rig::new().await;
    let subscription = ordered(&rig).await;
    publish_all(&rig, &subscription, "a", &["1", "2", "3"]).await;
    rig.sql("update subscriptions set deleted_at = now(), is_active = false").await;
    assert_eq!(rig.store().advance_groups(None, 10).await.unwrap().unwrap().released, 2);
    rig.settle().await;
    assert_eq!(rig.count("deliveries").await, 0);
    assert!(states(&rig).await.iter().all(|(status, _)| status == "cancelled"));
    assert_eq!(numbers(&rig).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn upkeep_advances_groups_that_a_lost_process_left_standing() {
    let rig = Rig::new().await;
    let subscription = ordered(&rig).await;
    for key in ["a", "b", "c", "d", "e"] {
        publish_all(&rig, &subscription, key, &["1", "2"]).await;
    }
    // As if a worker had recorded the heads and died before it advanced the groups.
    assert_eq!(rig.sql("delete from deliveries where next_attempt_at < 'infinity'").await, 5);
    let mut walker = GroupWalker::default();
    assert_eq!(walker.advance(rig.store(), 2).await.unwrap(), (2, true));
    assert_eq!(walker.advance(rig.store(), 2).await.unwrap(), (2, true));
    // The last intake may have advanced the last group itself, after it had answered.
    let (advanced, has_more) = walker.advance(rig.store(), 2).await.unwrap();
    assert!(advanced <= 1 && !has_more, "{advanced} {has_more}");
    assert_eq!(walker.advance(rig.store(), 9).await.unwrap(), (0, false), "it begins anew and finds all under way");
    rig.settle().await;
    assert_eq!(numbers(&rig), ["2", "2", "2", "2", "2"]);
    assert_eq!(rig.count("deliveries").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_producers_of_one_key_over_two_connections_keep_each_its_order() {
    let rig = Rig::new().await;
    let subscription = ordered(&rig).await;
    let intakes = [rig.intake(false).0, rig.intake(false).0];
    let publishing = join_all((0..16).map(|producer| {
        let (rig, subscription, intake) = (&rig, &subscription, &intakes[producer % 2]);
        async move {
            for n in 0..10 {
                publish(intake, subscription, "a", &(producer * 100 + n).to_string()).await;
                at_most_one_of_a_group_is_under_way(rig).await;
            }
        }
    }));
    let working = rig.working();
    publishing.await;
    rig.receiver.arrived(160).await;
    working.stop().await;
    let arrived: Vec<usize> = numbers(&rig).iter().map(|number| number.parse().unwrap()).collect();
    for producer in 0..16 {
        let own: Vec<_> = arrived.iter().copied().filter(|number| number / 100 == producer).collect();
        assert_eq!(own, (0..10).map(|n| producer * 100 + n).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_ordered_events_of_one_tenant_wait_for_each_other() {
    let rig = Rig::new().await;
    let subscription = ordered(&rig).await;
    let plain = rig.subscription_of_another_tenant().await;
    rig.sql("update subscriptions set is_ordered = true").await;
    let policy = Policy { is_ordered: true, ..Policy::default() };
    let other = Arc::new(Subscription { policy, ..Subscription::clone(&plain) });
    let intake = rig.intake(false).0;
    accept_without_committing(&rig, &subscription, "a", "[1]").await;

    let second = publish(&intake, &subscription, "a", "2");
    tokio::pin!(second);
    let watching = rig.database.client().await;
    let waits = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    tokio::select! {
        _ = &mut second => panic!("accepted before the one that was first is committed"),
        () = until("it waits", async || watching.query_opt(waits, &[]).await.unwrap().map(drop)) => {}
    }
    // Events without a key and those of other tenants do not wait for it.
    submit(&intake, &subscription, b"[3]", None).await.unwrap();
    publish(&intake, &other, "a", "4").await;
    rig.client.batch_execute("commit").await.unwrap();
    second.await;
    heads_are_due(&rig).await;
    rig.settle().await;
    let arrived = numbers(&rig);
    let of_a: Vec<_> = arrived.iter().map(String::as_str).filter(|number| ["1", "2"].contains(number)).collect();
    assert_eq!((arrived.len(), of_a), (4, vec!["1", "2"]));
}

/// The accepting statement, in a transaction of the rig's client that stays open.
async fn accept_without_committing(rig: &Rig, subscription: &Subscription, key: &str, payload: &str) {
    let (event, tenant) =
        (EventId::at(OffsetDateTime::now_utc(), uuid::Uuid::new_v4().into_bytes()), subscription.tenant);
    let accept = format!(
        "begin; select * from events_accept_1(
            array['{event}'::uuid], array['{tenant}'::uuid], array[null], array['{payload}'::bytea], array[null::text],
            array[3], array[null], array[null::bytea], array[null::bigint], array['{key}'], array[null::timestamptz],
            array[null::timestamptz], array[null::smallint], array[1], array['{}'::uuid], array[1::bigint], array[false], null, 25)",
        subscription.id
    );
    rig.client.batch_execute(&accept).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ordering_key_is_visible_characters_and_part_of_the_idempotent_request() {
    let api = TestApi::start().await;
    let subscription = api.subscribe(json!({ "ordered": true, "skip_after_attempts": 3 })).await;
    let path = format!("/ingest/{}", subscription["id"].as_str().unwrap());
    let post = async |key: &str, idempotency: &str| {
        let ask = api.ask("POST", &path).header("x-ordering-key", key).header("idempotency-key", idempotency);
        ask.body("{}").send().await
    };
    for bad in ["", "a b", "ä", &"k".repeat(256)] {
        let refused = post(bad, "0").await;
        assert_eq!((refused.status.as_u16(), refused.code()), (422, "validation_failed".to_owned()), "{bad}");
        let error = &refused.json()["errors"][0];
        assert_eq!(
            (&error["pointer"], &error["code"]),
            (&"/headers/x-ordering-key".into(), &"invalid_ordering_key".into())
        );
    }
    let twice =
        api.ask("POST", &path).header("x-ordering-key", "a").header("x-ordering-key", "b").body("{}").send().await;
    assert_eq!(twice.status, 400);
    assert_eq!(post(&"k".repeat(255), "1").await.status, 202);
    assert_eq!(post("a", "2").await.status, 202);
    assert_eq!(post("a", "2").await.json()["duplicate"], true);
    assert_eq!(post("b", "2").await.code(), "idempotency_key_reused");

    let client = api.database.client().await;
    let keys = "select ordering_key from deliveries order by position";
    let rows = client.query(keys, &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>(), ["k".repeat(255), "a".to_owned()]);
}
