//! Retention: what is past goes, by partition where it can; what is owed stays and arrives.
//! Stories write rows with the ids of past days, never move clocks.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use postrider::domain::subscription::Subscription;
use postrider::store::Retained;
use postrider::supervisor::Supervisor;
use postrider::upkeep::{Retention, SystemEvents, Upkeep};
use postrider::worker::Stopping;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::rig::{Rig, submit};
use crate::support::wait::until;

const DAY: Duration = Duration::from_secs(86_400);
/// The default of both settings.
/// Longer than any of these tests looks back.
const THREE_MONTHS: Duration = Duration::from_secs(90 * 86_400);
const THREE_DAYS: Retention = Retention {
    payloads: Duration::from_secs(3 * 86_400),
    log: Duration::from_secs(3 * 86_400),
    audit: THREE_MONTHS,
    refusals: THREE_MONTHS,
};
/// Partitions of the last nine days, as a service has them that has run for so long.
const NINE_DAYS: &str =
    "select ensure_partitions((now() at time zone 'UTC')::date - 9, (now() at time zone 'UTC')::date)";
/// An event of a day past, at noon, whose first attempt failed a second later.
const EVENT: &str = "
    with at as (
        select (date_trunc('day', now() at time zone 'UTC') - make_interval(days => $1::integer, hours => -12)) at time zone 'UTC' as noon
    ),
    event as (
        insert into events (tenant_id, id, payload)
        select $2::uuid, uuid_v7(at.noon), $4::bytea
        from at
        returning id
    )
    insert into attempts (
        tenant_id, subscription_id, id, event_id, attempt_number, outcome, status_code, error_message, created_at
    )
    select $2::uuid, $3::uuid, uuid_v7(at.noon + interval '1 second'), event.id, 1, 'http_5xx', 500, 'it failed', at.noon
    from at, event
    returning event_id";
const OWED: &str = "
    insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, attempts, payload_bytes)
    values ($1, $2, $3, now(), 1, 2)";
const FAILED: &str = "
    insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
    values ($1, $2, $3, 'failed', 'exhausted', 6)";

/// A rig whose partitions reach nine days back, and one subscription.
async fn aged() -> (Rig, Arc<Subscription>) {
    let mut rig = Rig::new().await;
    rig.parts.rules.lifetime = 30 * DAY;
    rig.client.execute(NINE_DAYS, &[]).await.unwrap();
    let subscription = rig.subscription().await;
    (rig, subscription)
}

async fn event(rig: &Rig, subscription: &Subscription, days_ago: i32, payload: &[u8]) -> Uuid {
    let (tenant, id) = (subscription.tenant.uuid(), subscription.id.uuid());
    rig.client.query_one(EVENT, &[&days_ago, &tenant, &id, &payload]).await.unwrap().get(0)
}

/// Writes a row about an old event and this subscription: [`OWED`] or [`FAILED`].
async fn note(rig: &Rig, what: &str, event: Uuid, subscription: &Subscription) {
    rig.client.execute(what, &[&subscription.tenant.uuid(), &event, &subscription.id.uuid()]).await.unwrap();
}

fn upkeep(rig: &Rig, retention: Retention) -> Upkeep {
    let system_events = SystemEvents { warn_after: Vec::new(), report_interval: Duration::from_secs(600) };
    let (store, clock, metrics) = (rig.parts.store.clone(), rig.parts.clock.clone(), rig.parts.metrics.clone());
    Upkeep { store, clock, metrics, lifetime: 30 * DAY, disable_after: None, system_events, retention }
}

async fn retain(rig: &Rig) -> Retained {
    upkeep(rig, THREE_DAYS).retain_once().await.unwrap()
}

/// Name of the partition of so many days ago.
async fn partition(client: &Client, parent: &str, days_ago: i32) -> String {
    let name = "select $1 || to_char((now() at time zone 'UTC')::date - $2::integer, '\"_\"YYYYMMDD')";
    client.query_one(name, &[&parent, &days_ago]).await.unwrap().get(0)
}

async fn stands(client: &Client, parent: &str, days_ago: i32) -> bool {
    let name = partition(client, parent, days_ago).await;
    client.query_one("select to_regclass($1) is not null", &[&name]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_past_goes_with_its_partition_and_what_is_younger_stays() {
    let (rig, subscription) = aged().await;
    for days_ago in [8, 5, 2, 1] {
        event(&rig, &subscription, days_ago, b"{}").await;
    }
    let retained = retain(&rig).await;
    assert_eq!((rig.count("events").await, rig.count("attempts").await), (2, 2));
    assert_eq!(retained.dropped.len(), 12, "{retained:?}");
    assert_eq!(retained.dropped[0], partition(&rig.client, "events", 9).await);
    assert_eq!(rig.parts.metrics.partitions_dropped.get(), 12);
    assert_eq!(retain(&rig).await, Retained::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_outstanding_event_stays_with_its_attempts_and_is_delivered() {
    let (rig, subscription) = aged().await;
    for _ in 0..9 {
        event(&rig, &subscription, 5, b"{}").await;
    }
    let owed = event(&rig, &subscription, 5, br#"{ "still":  "owed" }"#).await;
    note(&rig, OWED, owed, &subscription).await;

    let retained = retain(&rig).await;
    let names = [partition(&rig.client, "events", 5).await, partition(&rig.client, "attempts", 5).await];
    assert_eq!(retained.replaced, names);
    let kept = rig.client.query("select id from events union all select event_id from attempts", &[]).await.unwrap();
    assert!(kept.len() == 2 && kept.iter().all(|row| row.get::<_, Uuid>(0) == owed));

    rig.settle().await;
    let arrived = &rig.receiver.requests()[0];
    assert_eq!((arrived.body.as_ref(), arrived.header("x-webhook-attempt")), (&br#"{ "still":  "owed" }"#[..], "2"));
    assert_eq!(retain(&rig).await.dropped, names);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_partition_is_a_partition_like_any_other() {
    let (rig, subscription) = aged().await;
    event(&rig, &subscription, 5, b"{}").await;
    let owed = event(&rig, &subscription, 5, b"{}").await;
    note(&rig, OWED, owed, &subscription).await;
    assert_eq!(retain(&rig).await.replaced.len(), 2);
    let shape = "
        select
            (select count(*) from pg_index as i where i.indrelid = c.oid and i.indisvalid),
            (select count(*) from pg_constraint as k where k.conrelid = c.oid),
            pg_get_expr(c.relpartbound, c.oid) is not null
        from pg_class as c
        where c.oid = to_regclass($1)";
    for parent in ["events", "attempts"] {
        let mut shapes = Vec::new();
        for days_ago in [5, 1] {
            let name = partition(&rig.client, parent, days_ago).await;
            let row = rig.client.query_one(shape, &[&name]).await.unwrap();
            shapes.push((row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, bool>(2)));
        }
        assert_eq!(shapes[0], shapes[1], "{parent}");
    }
    // A second time, beside the names that the first one left.
    event(&rig, &subscription, 5, b"{}").await;
    assert_eq!(retain(&rig).await.replaced.len(), 2);
    assert_eq!(rig.count("events").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_partition_that_is_mostly_outstanding_is_not_rewritten_and_a_small_one_is() {
    let (rig, subscription) = aged().await;
    for (days_ago, owed) in [(4, 2), (5, 101)] {
        event(&rig, &subscription, days_ago, b"{}").await;
        for _ in 0..owed {
            let event = event(&rig, &subscription, days_ago, b"{}").await;
            note(&rig, OWED, event, &subscription).await;
        }
    }
    let retained = retain(&rig).await;
    let small = [partition(&rig.client, "events", 4).await, partition(&rig.client, "attempts", 4).await];
    assert_eq!(retained.replaced, small);
    assert_eq!((rig.count("events").await, rig.count("attempts").await), (2 + 102, 2 + 102));
    assert!(retain(&rig).await.replaced.is_empty(), "what holds only what is owed is left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_never_go_before_their_event() {
    let (rig, subscription) = aged().await;
    event(&rig, &subscription, 5, b"{}").await;
    let brief_log =
        Retention { payloads: 30 * DAY, log: Duration::from_secs(3_600), audit: THREE_MONTHS, refusals: THREE_MONTHS };
    assert_eq!(upkeep(&rig, brief_log).retain_once().await.unwrap(), Retained::default());
    let brief_payloads =
        Retention { payloads: Duration::from_secs(3_600), log: 30 * DAY, audit: THREE_MONTHS, refusals: THREE_MONTHS };
    upkeep(&rig, brief_payloads).retain_once().await.unwrap();
    assert_eq!((rig.count("events").await, rig.count("attempts").await), (0, 1));
    retain(&rig).await;
    assert_eq!(rig.count("attempts").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn today_and_yesterday_stand_whatever_the_setting() {
    let (rig, subscription) = aged().await;
    for days_ago in [0, 1, 2] {
        event(&rig, &subscription, days_ago, b"{}").await;
    }
    rig.store().retain(Duration::ZERO, Duration::ZERO).await.unwrap();
    for parent in ["events", "attempts"] {
        assert_eq!(rig.count(parent).await, 2);
        assert!(stands(&rig.client, parent, 0).await && stands(&rig.client, parent, 1).await);
        assert!(!stands(&rig.client, parent, 2).await);
    }
    rig.store().retain(100 * 365 * DAY, 100 * 365 * DAY).await.unwrap();
    assert_eq!(rig.store().ensure_partitions().await.unwrap(), 0);
    assert_eq!(rig.store().partitions_ahead().await.unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_goes_with_its_event_and_can_be_used_again() {
    let (rig, subscription) = aged().await;
    let intake = rig.intake(false).0;
    let first = submit(&intake, &subscription, b"{}", Some("order-1")).await.unwrap();
    rig.settle().await;
    rig.client
        .batch_execute(
            "update events set id = uuid_v7(now() - interval '5 days');
             update idempotency_keys set event_id = (select id from events)",
        )
        .await
        .unwrap();
    assert!(submit(&intake, &subscription, b"{}", Some("order-1")).await.unwrap().is_duplicate());

    assert_eq!(retain(&rig).await.forgotten, 1);
    let again = submit(&intake, &subscription, b"{}", Some("order-1")).await.unwrap();
    assert!(!again.is_duplicate() && again.event != first.event);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_failed_delivery_is_forgotten_with_its_event() {
    let (rig, subscription) = aged().await;
    let other = rig.subscription().await;
    let failed = event(&rig, &subscription, 5, b"{}").await;
    note(&rig, FAILED, failed, &subscription).await;
    let owed = event(&rig, &subscription, 5, b"{}").await;
    note(&rig, FAILED, owed, &subscription).await;
    note(&rig, OWED, owed, &other).await;
    let young = event(&rig, &subscription, 1, b"{}").await;
    note(&rig, FAILED, young, &subscription).await;

    assert_eq!(retain(&rig).await.forgotten, 1);
    let left = rig.client.query("select event_id from undelivered order by event_id", &[]).await.unwrap();
    let left: Vec<Uuid> = left.iter().map(|row| row.get(0)).collect();
    assert_eq!(left, [owed, young]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_subscription_goes_when_nothing_is_left_of_it() {
    let (rig, gone) = aged().await;
    let (owing, logged) = (rig.subscription().await, rig.subscription().await);
    event(&rig, &gone, 8, b"{}").await;
    event(&rig, &logged, 1, b"{}").await;
    let owed = event(&rig, &owing, 8, b"{}").await;
    note(&rig, OWED, owed, &owing).await;
    rig.sql("update subscriptions set deleted_at = now() - interval '4 days' - interval '1 minute'").await;
    let young = rig.subscription().await;
    rig.sql("update subscriptions set deleted_at = now() - interval '3 days' where deleted_at is null").await;

    retain(&rig).await;
    let left = rig.client.query("select id from subscriptions order by id", &[]).await.unwrap();
    let left: Vec<Uuid> = left.iter().map(|row| row.get(0)).collect();
    assert_eq!(left, [owing.id.uuid(), logged.id.uuid(), young.id.uuid()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_reader_postpones_it_and_events_are_accepted_all_the_while() {
    let (rig, subscription) = aged().await;
    event(&rig, &subscription, 5, b"{}").await;
    let reader = rig.database.client().await;
    reader.batch_execute("begin; select count(*) from events").await.unwrap();

    let intake = rig.intake(false).0;
    let retaining = upkeep(&rig, THREE_DAYS);
    let retaining = tokio::spawn(async move { retaining.retain_once().await.unwrap() });
    let mut accepted = 0;
    while !retaining.is_finished() {
        submit(&intake, &subscription, b"{}", None).await.unwrap();
        accepted += 1;
    }
    let retained = retaining.await.unwrap();
    let held = partition(&rig.client, "events", 5).await;
    assert!(retained.postponed.contains(&held), "{retained:?}");
    assert_eq!(rig.count("events").await, accepted + 1);
    // Its attempts wait for it; those of other days need not.
    assert!(stands(&rig.client, "attempts", 5).await && !stands(&rig.client, "attempts", 6).await);

    reader.batch_execute("commit").await.unwrap();
    assert!(retain(&rig).await.dropped.contains(&held));
    assert_eq!(rig.count("events").await, accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_do_the_work_once() {
    let (rig, _) = aged().await;
    let retainers: Vec<_> = (0..4).map(|_| upkeep(&rig, THREE_DAYS)).collect();
    let retained = join_all(retainers.iter().map(Upkeep::retain_once)).await;
    let mut dropped: Vec<String> = retained.into_iter().flat_map(|retained| retained.unwrap().dropped).collect();
    dropped.extend(retain(&rig).await.dropped);
    let all = dropped.len();
    dropped.sort();
    dropped.dedup();
    assert_eq!((all, dropped.len()), (12, 12));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_sql_does_the_same_as_upkeep() {
    let (rig, subscription) = aged().await;
    event(&rig, &subscription, 5, b"{}").await;
    let file = format!("{}/deploy/pg_cron.sql", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(file).unwrap();
    let job = text.split("$job$").nth(1).unwrap();
    rig.client.batch_execute(&job.replace("%1$I", "public")).await.unwrap();
    assert_eq!(rig.count("events").await, 0);
    assert_eq!(retain(&rig).await, Retained::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_becomes_outstanding_at_the_last_moment_stays() {
    for owed_before in [0, 1] {
        let (rig, subscription) = aged().await;
        for _ in 0..3 {
            event(&rig, &subscription, 9, b"{}").await;
        }
        for _ in 0..owed_before {
            let owed = event(&rig, &subscription, 9, b"{}").await;
            note(&rig, OWED, owed, &subscription).await;
        }
        let replayed = event(&rig, &subscription, 9, b"{}").await;
        // Whoever makes it owed has read it, and has not committed when retention first looks.
        let replaying = rig.database.client().await;
        replaying.batch_execute("begin; select count(*) from events").await.unwrap();
        let row = [subscription.tenant.uuid(), replayed, subscription.id.uuid()];
        replaying.execute(OWED, &[&row[0], &row[1], &row[2]]).await.unwrap();
        let retaining = upkeep(&rig, THREE_DAYS);
        let retaining = tokio::spawn(async move { retaining.retain_once().await.unwrap() });
        let waits = "select 1 from pg_locks where relation = 'events'::regclass and mode = 'AccessExclusiveLock' and not granted";
        until("retention waits for the lock", async || {
            let waiting = !rig.client.query(waits, &[]).await.unwrap().is_empty();
            (waiting || retaining.is_finished()).then_some(())
        })
        .await;
        replaying.batch_execute("commit").await.unwrap();

        let retained = retaining.await.unwrap();
        assert!(retained.postponed.contains(&partition(&rig.client, "events", 9).await), "{retained:?}");
        assert_eq!((rig.count("events").await, rig.count("attempts").await), (4 + owed_before, 4 + owed_before));
        assert_eq!(retain(&rig).await.replaced.len(), 2);
        assert_eq!((rig.count("events").await, rig.count("attempts").await), (1 + owed_before, 1 + owed_before));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_retired_on_a_snapshot_that_may_be_old() {
    let (rig, subscription) = aged().await;
    event(&rig, &subscription, 5, b"{}").await;
    let isolation = "alter database current set default_transaction_isolation = 'repeatable read'";
    let name: String = rig.client.query_one("select current_database()", &[]).await.unwrap().get(0);
    rig.client.batch_execute(&isolation.replace("current", &name)).await.unwrap();
    let retire = format!("select retire_partition('events', '{}')", partition(&rig.client, "events", 5).await);
    let refused = rig.database.client().await.batch_execute(&retire).await;
    let refused = refused.unwrap_err();
    assert!(refused.as_db_error().unwrap().message().starts_with("retention needs read committed"), "{refused}");
    assert_eq!(rig.count("events").await, 1);
    assert_eq!(retain(&rig).await.dropped.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_nothing_is_lost_and_nothing_deadlocks() {
    const PRODUCERS: usize = 4;
    const EVENTS_EACH: usize = 60;
    let (rig, subscription) = aged().await;
    let producers = (0..PRODUCERS).map(|_| {
        let (intake, subscription) = (rig.intake(false).0, Arc::clone(&subscription));
        tokio::spawn(async move {
            for _ in 0..EVENTS_EACH {
                submit(&intake, &subscription, b"{}", None).await.unwrap();
            }
        })
    });
    let producing = tokio::spawn(join_all(producers.collect::<Vec<_>>()));
    let working = rig.working();
    let mut replaced = 0;
    while !producing.is_finished() || replaced == 0 {
        rig.client.execute(NINE_DAYS, &[]).await.unwrap();
        event(&rig, &subscription, 5, b"old").await;
        let owed = event(&rig, &subscription, 5, b"old").await;
        note(&rig, OWED, owed, &subscription).await;
        replaced += retain(&rig).await.replaced.len();
    }
    for produced in producing.await.unwrap() {
        produced.unwrap();
    }
    until("the queue is empty", async || (rig.count("deliveries").await == 0).then_some(())).await;
    working.stop().await;
    assert_eq!(rig.parts.metrics.fenced.get(), 0);
    let arrived = rig.receiver.requests();
    let new = arrived.iter().filter(|request| request.body.as_ref() == b"{}");
    let mut ids: Vec<_> = new.map(|request| request.header("webhook-id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), PRODUCERS * EVENTS_EACH);
    assert_eq!(deadlocks(rig).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_whose_partition_cannot_be_had_costs_its_lease_and_not_the_worker() {
    let (rig, subscription) = aged().await;
    rig.accept(&subscription, b"{}").await;
    // It bears the name of today's partition, so nobody makes another.
    let today = partition(&rig.client, "attempts", 0).await;
    let bound = "select pg_get_expr(relpartbound, oid) from pg_class where relname = $1";
    let bound: String = rig.client.query_one(bound, &[&today]).await.unwrap().get(0);
    rig.client.batch_execute(&format!("alter table attempts detach partition {today}")).await.unwrap();
    let stopping = Stopping { supervisor: Supervisor::default(), grace: Duration::ZERO };
    let working = tokio::spawn(rig.worker().run(None, stopping.clone()));
    rig.receiver.arrived(1).await;
    until("the slot is free again", async || (rig.parts.slots.in_flight() == 0).then_some(())).await;
    stopping.supervisor.stop().cancel();
    working.await.unwrap();

    rig.client.batch_execute(&format!("alter table attempts attach partition {today} {bound}")).await.unwrap();
    rig.sql("update deliveries set next_attempt_at = now() - interval '6 seconds' where lease is not null").await;
    rig.settle().await;
    assert_eq!(rig.outcomes().await, ["unknown", "delivered"]);
}

/// Deadlocks in the rig's database since it was made; sessions report them when they end.
async fn deadlocks(rig: Rig) -> i64 {
    rig.store().close();
    let others = "select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
    until("the other sessions ended", async || rig.client.query(others, &[]).await.unwrap().is_empty().then_some(()))
        .await;
    let counted = "select deadlocks from pg_stat_database where datname = current_database()";
    rig.client.query_one(counted, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_a_dependent_view_stays_and_others_are_dropped() {
    let (rig, subscription) = aged().await;
    event(&rig, &subscription, 5, b"{}").await;
    let oldest = partition(&rig.client, "events", 9).await;
    rig.sql(&format!("create view mine as select count(*) as events from {oldest}")).await;
    let retained = retain(&rig).await;
    assert_eq!((retained.failed.as_slice(), retained.dropped.len()), (&[oldest][..], 11));
    assert_eq!(rig.parts.metrics.partitions_past.get(), 1.0);
    rig.sql("drop view mine").await;
    let retained = retain(&rig).await;
    assert_eq!((retained.failed.len(), retained.dropped.len()), (0, 1));
    assert_eq!(rig.parts.metrics.partitions_past.get(), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_partition_without_a_lower_bound_is_ignored() {
    let (rig, _) = aged().await;
    let bound = "select p.from_id::text from partitions as p where p.parent = 'events' order by p.from_id limit 1";
    let below: String = rig.client.query_one(bound, &[]).await.unwrap().get(0);
    rig.sql(&format!("create table events_before partition of events for values from (minvalue) to ('{below}')")).await;
    retain(&rig).await;
    let stands = "select to_regclass('events_before') is not null";
    assert!(rig.client.query_one(stands, &[]).await.unwrap().get::<_, bool>(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_tenants_does_not_matter() {
    let (rig, subscription) = aged().await;
    let owed = event(&rig, &subscription, 5, b"{}").await;
    note(&rig, OWED, owed, &subscription).await;
    let others = "
        with other as (
            insert into tenants (id, name)
            select uuid_v7(), 'tenant ' || n
            from generate_series(1, 20000) as n
            returning id
        ),
        event as (
            insert into events (tenant_id, id, payload)
            select other.id, uuid_v7(now() - interval '5 days'), '{}'
            from other
            returning tenant_id, id
        )
        insert into attempts (tenant_id, subscription_id, id, event_id, attempt_number, outcome, created_at)
        select event.tenant_id, uuid_v7(), uuid_v7(now() - interval '5 days'), event.id, 1, 'delivered', now()
        from event";
    rig.client.batch_execute(others).await.unwrap();
    let retained = retain(&rig).await;
    assert_eq!((retained.postponed.len(), retained.failed.len()), (0, 0), "{retained:?}");
    assert_eq!((rig.count("events").await, rig.count("attempts").await), (1, 1));
}
