//! Deliveries that ended are requeued: one event's at once, many by a replay, step by step.

use std::sync::Arc;

use postrider::domain::actor::Actor;
use postrider::domain::event_type::EventTypeFilter;
use postrider::domain::id::{EventId, ReplayId};
use postrider::domain::replay::{Ending, Selection};
use postrider::domain::subscription::Subscription;
use postrider::store::{Chosen, NewReplay, Replay, Retried};
use serde_json::Value;
use time::OffsetDateTime;

use crate::support::receiver::Reply;
use crate::support::rig::Rig;

/// Ends the delivery that gets it.
fn abort() -> Reply {
    Reply::With(500, "webhook-delivery", "abort-message".to_owned())
}

/// A rig, a subscription, and so many events of it whose deliveries have failed.
async fn failed(events: usize) -> (Rig, Arc<Subscription>, Vec<EventId>) {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.receiver.script((0..events).map(|_| abort()));
    let mut failed = Vec::new();
    for _ in 0..events {
        failed.push(rig.accept(&subscription, b"{}").await);
    }
    rig.settle().await;
    assert_eq!(rig.count("undelivered").await, i64::try_from(events).unwrap());
    (rig, subscription, failed)
}

fn everything(statuses: &[Ending]) -> Selection {
    Selection {
        statuses: statuses.to_vec(),
        event_types: EventTypeFilter::default(),
        after: EventId::lower_bound(OffsetDateTime::UNIX_EPOCH),
        below: EventId::lower_bound(OffsetDateTime::now_utc() + time::Duration::seconds(1)),
    }
}

async fn begin(rig: &Rig, subscription: &Subscription, selection: Selection, rate: u32) -> ReplayId {
    let id = ReplayId::at(OffsetDateTime::now_utc(), uuid::Uuid::new_v4().into_bytes());
    let new = NewReplay { tenant: subscription.tenant, id, subscription: subscription.id, selection, rate };
    rig.store().create_replay(&new, 10, &Actor::COMMAND).await.unwrap().unwrap().id
}

async fn replay(rig: &Rig, subscription: &Subscription, id: ReplayId) -> Replay {
    rig.store().read_replay(subscription.tenant, id).await.unwrap().unwrap()
}

/// Status and attempts of every delivery, those of older events first.
async fn deliveries(rig: &Rig) -> Vec<(String, i32)> {
    let all = "select status, attempts from all_deliveries order by event_id, subscription_id";
    let rows = rig.client.query(all, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_delivered_again_under_the_next_numbers_and_with_a_whole_schedule() {
    let (rig, subscription, events) = failed(2).await;
    rig.accept(&subscription, b"[]").await;
    rig.settle().await;
    let id = begin(&rig, &subscription, everything(&Ending::UNDELIVERED), 100).await;
    rig.step_replays().await;
    let made = replay(&rig, &subscription, id).await;
    assert_eq!((made.status.as_str(), made.replayed), ("finished", 2));
    // The schedule of the rig has two retries, of which none is used up.
    rig.receiver.usually(Reply::Status(500));
    for attempts in 2..=3_i32 {
        rig.settle().await;
        let pending = "select count(*) from deliveries where attempts = $1 and free_attempts = 1 and lease is null";
        assert_eq!(rig.client.query_one(pending, &[&attempts]).await.unwrap().get::<_, i64>(0), 2);
        rig.sql("update deliveries set next_attempt_at = now()").await;
    }
    rig.receiver.usually(Reply::Status(200));
    rig.settle().await;
    let row = |status: &str, attempts| (status.to_owned(), attempts);
    assert_eq!(deliveries(&rig).await, [row("succeeded", 4), row("succeeded", 4), row("succeeded", 1)]);
    let numbers: Vec<_> = rig.receiver.requests().iter().map(|it| it.header("x-webhook-attempt").to_owned()).collect();
    assert_eq!(numbers, ["1", "1", "1", "2", "2", "3", "3", "4", "4"]);
    assert_eq!(rig.receiver.requests().last().unwrap().header("webhook-id").len(), events[0].to_string().len());
    assert_eq!((rig.count("undelivered").await, rig.count("deliveries").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn successes_and_events_that_it_never_got_are_replayed_where_that_is_asked_for() {
    let rig = Rig::new().await;
    let (old, late) = (rig.subscription().await, rig.subscription().await);
    rig.accept(&old, b"{}").await;
    for (kind, fan_out) in [("order.created", "true"), ("invoice.due", "true"), ("order.lost", "null")] {
        rig.sql(&format!(
            "insert into events (tenant_id, id, event_type, payload, fan_out)
             values ('{}', uuid_v7(), '{kind}', '[]', {fan_out})",
            old.tenant
        ))
        .await;
    }
    rig.sql(&format!(
        "insert into events (tenant_id, id, event_type, payload, fan_out, about)
         values ('{}', uuid_v7(), 'subscription.failing', '[]', true, '{}')",
        old.tenant, old.id
    ))
    .await;
    rig.settle().await;
    // A pattern does not ask for system events.
    rig.sql(&format!("update subscriptions set event_types = '{{order.*,subscription.*}}' where id = '{}'", late.id))
        .await;
    let mut sent = 1;
    for (subscription, ending, replayed) in [
        (&old, Ending::Failed, 0),
        (&old, Ending::Succeeded, 1),
        (&late, Ending::Succeeded, 0),
        (&late, Ending::Missed, 1),
    ] {
        let id = begin(&rig, subscription, everything(&[ending]), 100).await;
        rig.step_replays().await;
        let made = replay(&rig, subscription, id).await;
        assert_eq!((made.status.as_str(), made.replayed), ("finished", replayed), "{ending:?} of {}", subscription.id);
        rig.settle().await;
        sent += replayed;
        assert_eq!(rig.count("attempts").await, sent);
    }
    let bodies: Vec<_> = rig.receiver.requests().iter().map(|request| request.body.clone()).collect();
    assert_eq!(bodies, [&b"{}"[..], b"{}", b"[]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_events_of_the_types_and_times_that_are_asked_for_are_replayed() {
    let (rig, subscription, events) = failed(3).await;
    for (event, kind) in events.iter().zip(["a.b", "a", "b"]) {
        rig.sql(&format!("update events set event_type = '{kind}' where id = '{event}'")).await;
    }
    let wanted = |patterns: &[&str]| {
        let patterns = patterns.iter().map(|text| text.parse().unwrap()).collect();
        Selection { event_types: EventTypeFilter::new(patterns), ..everything(&[Ending::Failed]) }
    };
    let selections = [
        (wanted(&["a.*"]), &events[..1]),
        (wanted(&["b"]), &events[2..]),
        (Selection { after: events[1], ..wanted(&["*"]) }, &events[2..]),
        (Selection { below: events[1], ..wanted(&[]) }, &events[..1]),
    ];
    for (selection, expected) in selections {
        begin(&rig, &subscription, selection, 100).await;
        rig.step_replays().await;
        let rows = rig.client.query("select event_id from deliveries order by event_id", &[]).await.unwrap();
        let pending: Vec<EventId> = rows.iter().map(|row| row.get::<_, uuid::Uuid>(0).into()).collect();
        assert_eq!(pending, expected);
        rig.receiver.script(expected.iter().map(|_| abort()));
        rig.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_adds_so_many_a_second_and_none_while_as_many_are_due_of_its_subscription() {
    let (rig, subscription, _) = failed(7).await;
    let id = begin(&rig, &subscription, everything(&[Ending::Failed]), 3).await;
    rig.step_replays().await;
    // Its second is not over yet.
    assert!(rig.store().running_replays(10).await.unwrap().is_empty());
    let step = rig.store().step_replay((subscription.tenant, id), rig.parts.rules.lifetime, 1_000).await.unwrap();
    assert_eq!((step, rig.count("deliveries").await), (None, 3));
    rig.step_replays().await;
    assert_eq!((rig.count("deliveries").await, replay(&rig, &subscription, id).await.replayed), (3, 3));
    // What is under way or backs off is not in the way of a fresh event.
    rig.sql("update deliveries set next_attempt_at = now() + interval '1 hour'").await;
    rig.sql("update subscriptions set rate_limit = 2").await;
    rig.step_replays().await;
    assert_eq!(rig.count("deliveries").await, 5, "the subscription's rate is less");
    rig.step_replays().await;
    assert_eq!(rig.count("deliveries").await, 5, "two are due");
    rig.sql("delete from deliveries").await;
    rig.step_replays().await;
    let made = replay(&rig, &subscription, id).await;
    assert_eq!((made.status.as_str(), made.replayed), ("finished", 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_that_only_look_go_on_at_once_however_few_each_may_look_at() {
    let (rig, subscription, _) = failed(1).await;
    for _ in 0..9 {
        rig.accept(&subscription, b"[]").await;
    }
    rig.settle().await;
    let id = begin(&rig, &subscription, everything(&[Ending::Failed, Ending::Missed]), 5).await;
    let mut steps = Vec::new();
    loop {
        let lifetime = rig.parts.rules.lifetime;
        let step = rig.store().step_replay((subscription.tenant, id), lifetime, 3).await.unwrap().unwrap();
        steps.push((step.written, step.may_go_on));
        if !step.may_go_on {
            break;
        }
    }
    assert_eq!(steps, [(1, true), (0, true), (0, true), (0, false)]);
    assert_eq!(replay(&rig, &subscription, id).await.status, "finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_past_the_lifetime_is_replayed_and_lives_once_more() {
    let (rig, subscription, _) = failed(1).await;
    // The event becomes one of five days ago.
    rig.sql("select ensure_partitions((now() at time zone 'UTC')::date - 6, (now() at time zone 'UTC')::date)").await;
    let old = EventId::lower_bound(OffsetDateTime::now_utc() - time::Duration::days(5));
    for (table, column) in [("undelivered", "event_id"), ("events", "id"), ("attempts", "event_id")] {
        rig.sql(&format!("update {table} set {column} = '{old}'")).await;
    }
    begin(&rig, &subscription, everything(&[Ending::Failed]), 100).await;
    rig.step_replays().await;
    rig.settle().await;
    assert_eq!(rig.receiver.requests().len(), 2);
    assert_eq!(rig.outcomes().await.last().unwrap(), "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_replay_is_reported_once_and_its_deliveries_wait_for_a_disabled_subscription() {
    let (rig, subscription, _) = failed(2).await;
    let watcher = rig.subscription().await;
    rig.sql(&format!("update subscriptions set event_types = '{{replay.finished}}' where id = '{}'", watcher.id)).await;
    rig.sql(&format!("update subscriptions set is_active = false where id = '{}'", subscription.id)).await;
    let id = begin(&rig, &subscription, everything(&[Ending::Failed]), 100).await;
    rig.step_replays().await;
    rig.step_replays().await;
    assert_eq!(rig.count("all_deliveries where status = 'held' and reason = 'disabled'").await, 2);
    rig.settle().await;
    assert_eq!((rig.receiver.requests().len(), rig.count("deliveries").await), (3, 2));
    let reported = rig.receiver.requests().pop().unwrap();
    let body: Value = serde_json::from_slice(&reported.body).unwrap();
    assert_eq!(reported.header("x-event-type"), "replay.finished");
    assert_eq!((&body["data"]["replay_id"], &body["data"]["replayed"]), (&id.to_string().into(), &2.into()));
    assert_eq!(body["data"]["subscription_id"], subscription.id.to_string());
    assert_eq!(rig.count("events where about is not null").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_ends_with_its_subscription_and_is_forgotten_a_month_later() {
    let (rig, subscription, _) = failed(2).await;
    let id = begin(&rig, &subscription, everything(&[Ending::Failed]), 1).await;
    rig.step_replays().await;
    rig.sql("update subscriptions set deleted_at = now()").await;
    rig.step_replays().await;
    let made = replay(&rig, &subscription, id).await;
    assert_eq!((made.status.as_str(), made.replayed, made.ended_at.is_some()), ("cancelled", 1, true));
    let month = std::time::Duration::from_secs(30 * 86_400);
    assert_eq!(rig.store().forget_replays(month, 10).await.unwrap(), (0, 0));
    rig.sql("update replays set ended_at = now() - interval '31 days'").await;
    assert_eq!(rig.store().forget_replays(month, 10).await.unwrap(), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_never_make_one_delivery_again_twice() {
    let (rig, subscription, _) = failed(40).await;
    let id = begin(&rig, &subscription, everything(&[Ending::Failed]), 1_000).await;
    let (lifetime, replay) = (rig.parts.rules.lifetime, (subscription.tenant, id));
    let stores = [rig.database.store(), rig.database.store()];
    let steps = stores.map(|store| async move { store.step_replay(replay, lifetime, 1_000).await });
    let written: i64 = futures_util::future::join_all(steps)
        .await
        .into_iter()
        .filter_map(|step| step.unwrap().map(|step| step.written))
        .sum();
    assert_eq!((written, rig.count("deliveries").await), (40, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_is_retried_at_once_whatever_it_waits_for() {
    let rig = Rig::new().await;
    let (one, other) = (rig.subscription().await, rig.subscription().await);
    let (event, lifetime) = (rig.accept(&one, b"{}").await, rig.parts.rules.lifetime);
    rig.sql(&format!(
        "insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
         values ('{}', '{event}', '{}', now() + interval '1 hour', 2)",
        one.tenant, other.id
    ))
    .await;
    rig.receiver.script([abort()]);
    rig.settle().await;
    let retry = async |subscription| {
        let retried = rig
            .store()
            .retry(&Chosen { tenant: one.tenant, event, subscription }, lifetime, 100, &Actor::COMMAND)
            .await
            .unwrap();
        retried.map(|Retried { retried, is_known }| (retried, is_known))
    };
    // One failed, one waits; after that both are due, which is soon enough.
    assert_eq!((retry(None).await, retry(None).await), (Some((2, true)), Some((0, true))));
    rig.settle().await;
    assert_eq!(rig.receiver.requests().len(), 3);
    // Successes are repeated only where they are named.
    assert_eq!((retry(None).await, retry(Some(other.id)).await), (Some((0, true)), Some((1, true))));
    rig.settle().await;
    assert_eq!(rig.receiver.requests().len(), 4);
    let unrelated = rig.subscription().await;
    assert_eq!(retry(Some(unrelated.id)).await, Some((0, false)));
    let nothing = EventId::at(OffsetDateTime::now_utc(), uuid::Uuid::new_v4().into_bytes());
    assert_eq!(
        rig.store()
            .retry(&Chosen { tenant: one.tenant, event: nothing, subscription: None }, lifetime, 100, &Actor::COMMAND)
            .await
            .unwrap(),
        None
    );
}
