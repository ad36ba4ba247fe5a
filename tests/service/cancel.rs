//! Deliveries end because somebody asks for it: waiting ones at once, leased ones when their
//! attempt has failed.

use std::sync::Arc;

use postrider::domain::actor::Actor;
use postrider::domain::id::EventId;
use postrider::domain::ordering::OrderingGroup;
use postrider::domain::subscription::Subscription;
use postrider::store::Chosen;
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
    let cancelled = rig
        .store()
        .cancel(&Chosen { tenant: subscription.tenant, event, subscription: None }, 100, &Actor::COMMAND)
        .await
        .unwrap()
        .unwrap();
    (cancelled.cancelled, cancelled.sending)
}

/// Lets the receiver answer while a cancel is under way. The recording waits for the row, and
/// finds it at another place when it is let on.
async fn cancel_while_it_is_recorded(rig: &Rig) {
    let canceller = rig.database.client().await;
    canceller.batch_execute("begin; update deliveries set expires_at = '-infinity'").await.unwrap();
    rig.receiver.let_go();
    until("the recording waits", async || {
        let waiting =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
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
        "update deliveries set next_attempt_at = now()",
        "update deliveries set next_attempt_at = now() + interval '1 hour', attempts = 2",
        "update deliveries set next_attempt_at = 'infinity', ordering_key = 'k', position = 1",
        "update subscriptions set rate_limit = 1",
        "update subscriptions set is_active = false",
    ] {
        let event = rig.accept(&subscription, b"{}").await;
        rig.sql(waiting).await;
        assert_eq!(cancel(&rig, &subscription, event).await, (1, 0), "{waiting}");
        assert_eq!(cancel(&rig, &subscription, event).await, (0, 0), "{waiting}");
        let (status, reason, _) = ended(&rig).await;
        assert_eq!((status.as_str(), reason.as_str()), ("cancelled", "requested"), "{waiting}");
        rig.sql("delete from undelivered").await;
    }
    rig.sql("update subscriptions set is_active = true").await;
    rig.settle().await;
    assert!(rig.receiver.requests().is_empty(), "nothing is sent after that");
    let nothing = EventId::at(OffsetDateTime::now_utc(), uuid::Uuid::new_v4().into_bytes());
    assert!(
        rig.store()
            .cancel(&Chosen { tenant: subscription.tenant, event: nothing, subscription: None }, 100, &Actor::COMMAND)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leased_delivery_is_cancelled_when_its_attempt_has_failed_and_delivered_when_not() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let answers = [(500, ("cancelled", "requested", 1)), (200, ("succeeded", "", 1))];
    for (place, (status, expected)) in answers.into_iter().enumerate() {
        rig.receiver.script([Reply::Status(status)]);
        rig.receiver.hold();
        let working = rig.working();
        let event = rig.accept(&subscription, b"{}").await;
        rig.receiver.arrived(place + 1).await;
        assert_eq!(cancel(&rig, &subscription, event).await, (0, 1));
        assert_eq!(ended(&rig).await.0, "sending");
        rig.receiver.let_go();
        working.stop().await;
        // With the recording of its attempt, not with the next one.
        assert_eq!(rig.count("deliveries").await, 0, "after {status}");
        let (status, reason, attempts) = ended(&rig).await;
        assert_eq!((status.as_str(), reason.as_str(), attempts), expected);
        rig.sql("delete from undelivered").await;
        rig.sql("delete from attempts").await;
    }
    rig.settle().await;
    assert_eq!(rig.receiver.requests().len(), 2, "nothing is sent after the two attempts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_worker_was_lost_is_cancelled_with_its_last_attempt_in_the_log() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let event = rig.accept(&subscription, b"{}").await;
    rig.sql(
        "update deliveries set next_attempt_at = now() - interval '6 seconds', lease = gen_random_uuid(), attempts = 1",
    )
    .await;
    assert_eq!(cancel(&rig, &subscription, event).await, (0, 1));
    rig.settle().await;
    assert_eq!(ended(&rig).await, ("cancelled".to_owned(), "requested".to_owned(), 1));
    assert_eq!(rig.outcomes().await, ["unknown"]);
    assert!(rig.receiver.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_is_recorded_while_its_delivery_is_cancelled_is_not_lost() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let answers = [(500, ("cancelled", "requested"), "http_5xx"), (200, ("succeeded", ""), "delivered")];
    for (place, (status, expected, outcome)) in answers.into_iter().enumerate() {
        rig.receiver.script([Reply::Status(status)]);
        rig.receiver.hold();
        let working = rig.working();
        rig.accept(&subscription, b"{}").await;
        rig.receiver.arrived(place + 1).await;
        cancel_while_it_is_recorded(&rig).await;
        until("it is recorded", async || (rig.count("deliveries").await == 0).then_some(())).await;
        working.stop().await;
        let (status, reason, attempts) = ended(&rig).await;
        assert_eq!((status.as_str(), reason.as_str(), attempts), (expected.0, expected.1, 1));
        assert_eq!(rig.outcomes().await, [outcome]);
        rig.sql("delete from undelivered").await;
        rig.sql("delete from attempts").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordering_group_goes_on_without_its_cancelled_head() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.sql("update subscriptions set is_ordered = true").await;
    let (head, next) = (rig.accept(&subscription, b"{}").await, rig.accept(&subscription, b"[]").await);
    for (position, event) in [head, next].iter().enumerate() {
        rig.sql(&format!(
            "update deliveries set ordering_key = 'k', position = {position}, next_attempt_at = 'infinity'
             where event_id = '{event}'"
        ))
        .await;
    }
    let cancelled = rig
        .store()
        .cancel(
            &Chosen { tenant: subscription.tenant, event: head, subscription: Some(subscription.id) },
            100,
            &Actor::COMMAND,
        )
        .await
        .unwrap()
        .unwrap();
    let group = OrderingGroup { subscription: subscription.id, key: "k".parse().unwrap() };
    assert_eq!((cancelled.cancelled, cancelled.is_known, &cancelled.groups), (1, true, &vec![group.clone()]));
    assert_eq!(rig.store().advance(&cancelled.groups).await.unwrap(), [group]);
    rig.settle().await;
    let sent: Vec<_> = rig.receiver.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(sent, [&b"[]"[..]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_for_a_subscription_is_cancelled_a_batch_at_a_time_and_nothing_else() {
    let rig = Rig::new().await;
    let (subscription, other) = (rig.subscription().await, rig.subscription().await);
    let leased = rig.accept(&subscription, b"{}").await;
    let backing_off = rig.accept(&subscription, b"{}").await;
    rig.sql(&format!(
        "update deliveries
         set next_attempt_at = now() + interval '1 hour', lease = case when event_id = '{leased}' then gen_random_uuid() end"
    ))
    .await;
    for _ in 0..5 {
        rig.accept(&subscription, b"{}").await;
        rig.accept(&other, b"{}").await;
    }
    rig.sql(
        "insert into subscription_health (subscription_id, tenant_id, state, probe_at)
         select id, tenant_id, 'open', now() + interval '1 hour' from subscriptions",
    )
    .await;
    let cancel_held =
        async || rig.store().cancel_held(subscription.tenant, subscription.id, 3, &Actor::COMMAND).await.unwrap().0;
    assert_eq!([cancel_held().await, cancel_held().await, cancel_held().await], [3, 2, 0]);
    assert_eq!((rig.count("undelivered").await, rig.count("deliveries").await), (5, 7));

    // A disabled one holds also what would be due later.
    rig.sql(&format!("update subscriptions set is_active = false where id = '{}'", subscription.id)).await;
    assert_eq!([cancel_held().await, cancel_held().await], [1, 0]);
    assert_eq!(rig.count(&format!("undelivered where event_id = '{backing_off}'")).await, 1);
    assert_eq!(rig.count(&format!("deliveries where event_id = '{leased}'")).await, 1);
    let other_tenant = uuid::Uuid::now_v7().into();
    assert_eq!(rig.store().cancel_held(other_tenant, other.id, 10, &Actor::COMMAND).await.unwrap().0, 0);
}
