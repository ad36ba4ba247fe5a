//! Deliveries end because somebody asks for it: waiting ones at once, those under way when
//! their attempt has failed.

use std::sync::Arc;

use postrider::domain::id::EventId;
use postrider::domain::ordering::Line;
use postrider::domain::subscription::Subscription;
use postrider::store::StoreError;
use time::OffsetDateTime;

use crate::support::receiver::Reply;
use crate::support::rig::Rig;
use crate::support::wait::until;

async fn ended(rig: &Rig) -> (String, String, i32) {
    let all = "select status, coalesce(reason, ''), attempts from all_deliveries";
    let row = rig.client.query_one(all, &[]).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

async fn cancel(rig: &Rig, subscription: &Arc<Subscription>, event: EventId) -> (i64, i64) {
    let cancelled = rig.store().cancel(subscription.tenant, event, None, 100).await.unwrap().unwrap();
    (cancelled.cancelled, cancelled.sending)
}

/// Lets the receiver answer while a cancel is under way. The recording waits for the row, and
/// finds it at another place when it is let on.
async fn cancel_while_it_is_recorded(rig: &Rig) {
    let canceller = rig.database.client().await;
    canceller.batch_execute("begin; update deliveries set expires_at = '-infinity'").await.unwrap();
    rig.receiver.let_go();
    until("the recording waits", async || {
        let waiting = "select count(*) from pg_locks where not granted";
        (rig.client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0).then_some(())
    })
    .await;
    canceller.batch_execute("commit").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_delivery_waits_for_it_is_cancelled_at_once() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    for waiting in [
        "next_attempt_at = now()",
        "next_attempt_at = now() + interval '1 hour', attempts = 2",
        "next_attempt_at = 'infinity', held_for = 'paced'",
        "next_attempt_at = 'infinity', held_for = 'disabled'",
    ] {
        let event = rig.accept(&subscription, b"{}").await;
        rig.sql(&format!("update deliveries set {waiting}")).await;
        assert_eq!(cancel(&rig, &subscription, event).await, (1, 0), "{waiting}");
        assert_eq!(cancel(&rig, &subscription, event).await, (0, 0), "{waiting}");
        let (status, reason, _) = ended(&rig).await;
        assert_eq!((status.as_str(), reason.as_str()), ("cancelled", "requested"), "{waiting}");
        rig.sql("delete from undelivered").await;
    }
    assert_eq!(rig.worker().run_once().await.unwrap().claimed, 0);
    let nothing = EventId::at(OffsetDateTime::now_utc());
    assert!(rig.store().cancel(subscription.tenant, nothing, None, 100).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_under_way_is_cancelled_when_its_attempt_has_failed_and_delivered_when_not() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    for (status, expected) in [(500, ("cancelled", "requested", 1)), (200, ("succeeded", "", 1))] {
        let event = rig.accept(&subscription, b"{}").await;
        rig.receiver.script([Reply::Status(status)]);
        rig.receiver.hold();
        let worker = rig.worker();
        let cancelling = async {
            rig.receiver.arrived(if status == 500 { 1 } else { 2 }).await;
            assert_eq!(cancel(&rig, &subscription, event).await, (0, 1));
            assert_eq!(ended(&rig).await.0, "sending");
            rig.receiver.let_go();
        };
        let (round, ()) = tokio::join!(worker.run_once(), cancelling);
        assert_eq!(round.unwrap().recorded, 1);
        assert_eq!(rig.worker().run_once().await.unwrap().claimed, 0);
        let (status, reason, attempts) = ended(&rig).await;
        assert_eq!((status.as_str(), reason.as_str(), attempts), expected);
        rig.sql("delete from undelivered").await;
        rig.sql("delete from attempts").await;
    }
    // Both attempts were made, and nothing after them.
    assert_eq!((rig.receiver.requests().len(), rig.count("deliveries").await), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_worker_was_lost_is_cancelled_with_its_last_attempt_in_the_log() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let lost = "next_attempt_at = now() - interval '6 seconds', lease = gen_random_uuid(), attempts = 1";
    let event = rig.accept(&subscription, b"{}").await;
    rig.sql(&format!("update deliveries set {lost}")).await;
    assert_eq!(cancel(&rig, &subscription, event).await, (0, 1));
    assert_eq!(rig.worker().run_once().await.unwrap().claimed, 0);
    assert_eq!(ended(&rig).await, ("cancelled".to_owned(), "requested".to_owned(), 1));
    assert_eq!(rig.outcomes().await, ["unknown"]);
    // The same where a failed probe was held meanwhile: upkeep ends it.
    let event = rig.accept(&subscription, b"{}").await;
    rig.sql(&format!("update deliveries set {lost}")).await;
    assert_eq!(cancel(&rig, &subscription, event).await, (0, 1));
    rig.sql("update deliveries set next_attempt_at = 'infinity', lease = null, held_for = 'paced'").await;
    let long_ago = EventId::floor(OffsetDateTime::UNIX_EPOCH);
    assert_eq!(rig.store().expire_parked(long_ago, 10).await.unwrap(), 1);
    assert_eq!(rig.count("undelivered where status = 'cancelled' and reason = 'requested'").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_is_recorded_while_its_delivery_is_cancelled_is_not_lost() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let event = rig.accept(&subscription, b"{}").await;
    rig.receiver.hold();
    let worker = rig.worker();
    let cancelling = async {
        rig.receiver.arrived(1).await;
        cancel_while_it_is_recorded(&rig).await;
    };
    let (round, ()) = tokio::join!(worker.run_once(), cancelling);
    // The recorder repeats it at once; a single round leaves that to the next.
    assert!(matches!(round, Err(StoreError::Deadlock)), "{round:?}");
    assert_eq!((rig.count("attempts").await, rig.count("undelivered").await), (0, 0), "nothing is recorded by halves");
    assert_eq!(rig.store().cancel(subscription.tenant, event, None, 100).await.unwrap().unwrap().sending, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_records_what_was_cancelled_under_its_hands() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.hold();
    let _working = rig.working();
    rig.accept(&subscription, b"{}").await;
    rig.receiver.arrived(1).await;
    cancel_while_it_is_recorded(&rig).await;
    until("it is recorded", async || (rig.count("deliveries").await == 0).then_some(())).await;
    assert_eq!(ended(&rig).await, ("succeeded".to_owned(), String::new(), 1));
    assert_eq!(rig.outcomes().await, ["delivered"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_goes_on_without_its_cancelled_head() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.sql("update subscriptions set is_ordered = true").await;
    let (head, next) = (rig.accept(&subscription, b"{}").await, rig.accept(&subscription, b"[]").await);
    for (position, event) in [head, next].iter().enumerate() {
        rig.sql(&format!(
            "update deliveries set ordering_key = 'k', position = {position}, held_for = 'ordered', next_attempt_at = 'infinity'
             where event_id = '{event}'"
        ))
        .await;
    }
    let cancelled = rig.store().cancel(subscription.tenant, head, Some(subscription.id), 100).await.unwrap().unwrap();
    let line = Line { subscription: subscription.id, key: "k".parse().unwrap() };
    assert_eq!((cancelled.cancelled, cancelled.is_known, &cancelled.lines), (1, true, &vec![line]));
    assert_eq!(rig.store().advance(&cancelled.lines).await.unwrap(), 1);
    rig.worker().run_once().await.unwrap();
    assert_eq!(rig.receiver.requests()[0].body, b"[]"[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_for_a_subscription_is_cancelled_a_batch_at_a_time_and_nothing_else() {
    let rig = Rig::new().await;
    let (subscription, other) = (rig.subscription().await, rig.subscription().await);
    for _ in 0..5 {
        rig.accept(&subscription, b"{}").await;
        rig.accept(&other, b"{}").await;
    }
    rig.sql("update deliveries set next_attempt_at = 'infinity', held_for = 'disabled'").await;
    rig.accept(&subscription, b"{}").await;
    let mut cancelled = Vec::new();
    for _ in 0..3 {
        cancelled.push(rig.store().cancel_held(subscription.tenant, subscription.id, 3).await.unwrap().0);
    }
    assert_eq!(cancelled, [3, 2, 0]);
    assert_eq!((rig.count("undelivered").await, rig.count("deliveries").await), (5, 6));
    let stranger = uuid::Uuid::now_v7().into();
    assert_eq!(rig.store().cancel_held(stranger, other.id, 10).await.unwrap().0, 0);
}
