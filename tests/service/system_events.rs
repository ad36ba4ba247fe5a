//! System events report to tenants how their subscriptions do: once for each change, through
//! the queue itself. Stories move rows, never clocks.

use std::sync::Arc;
use std::time::Duration;

use postrider::domain::id::EventId;
use postrider::domain::subscription::Subscription;
use postrider::store::Raised;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::support::api::TestApi;
use crate::support::receiver::Reply;
use crate::support::rig::Rig;

const WARN_AFTER: [Duration; 2] = [Duration::from_secs(3_600), Duration::from_secs(86_400)];
const REPORT_INTERVAL: Duration = Duration::from_secs(600);

/// A rig, a subscription that is reported on, and one that asks for system events.
async fn watched() -> (Rig, Arc<Subscription>, Arc<Subscription>) {
    let rig = Rig::new().await;
    let subject = rig.subscription().await;
    let watcher = rig.subscription().await;
    rig.sql(&format!(
        "update subscriptions
         set event_types = '{{subscription.failing,subscription.disabled,subscription.recovered,delivery.failed}}'
         where id = '{}'",
        watcher.id
    ))
    .await;
    (rig, subject, watcher)
}

/// Reports what changed; how many events were raised.
async fn report(rig: &Rig) -> i64 {
    rig.store().report(&WARN_AFTER, REPORT_INTERVAL).await.unwrap().raised
}

/// Deliveries of events that nobody knows, which ended like this.
async fn ended(rig: &Rig, subscription: &Subscription, status: &str, reason: &str, count: i32) {
    let ended = "insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
        select $1, uuid_v7(), $2, $3, $4, 6 from generate_series(1, $5)";
    let (tenant, id) = (subscription.tenant.uuid(), subscription.id.uuid());
    rig.client.execute(ended, &[&tenant, &id, &status, &reason, &count]).await.unwrap();
}

/// What was reported, oldest first: type and data of each.
async fn reported(rig: &Rig) -> Vec<(String, Value)> {
    let all = "select event_type, payload from events where about is not null order by id";
    let rows = rig.client.query(all, &[]).await.unwrap();
    let events = rows.iter().map(|row| {
        let payload: Value = serde_json::from_slice(row.get(1)).unwrap();
        assert_eq!(payload["type"], row.get::<_, &str>(0));
        (row.get(0), payload["data"].clone())
    });
    events.collect()
}

async fn types(rig: &Rig) -> Vec<String> {
    reported(rig).await.into_iter().map(|(kind, _)| kind).collect()
}

async fn has_failed_for(rig: &Rig, subscription: &Subscription, hours: i32) {
    let failing = "
        insert into subscription_health (subscription_id, tenant_id, failures, failing_since, last_failure_at)
        values ($1, $2, 12, now() - make_interval(hours => $3), now())
        on conflict (subscription_id) do update set failing_since = excluded.failing_since";
    rig.client.execute(failing, &[&subscription.id.uuid(), &subscription.tenant.uuid(), &hours]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_fails_is_reported_once_for_each_of_the_times_and_again_when_it_is_well() {
    let (rig, subject, _watcher) = watched().await;
    has_failed_for(&rig, &subject, 0).await;
    assert_eq!(report(&rig).await, 0);
    has_failed_for(&rig, &subject, 2).await;
    assert_eq!((report(&rig).await, report(&rig).await), (1, 0));
    has_failed_for(&rig, &subject, 30).await;
    assert_eq!((report(&rig).await, report(&rig).await), (1, 0));
    rig.sql("delete from subscription_health").await;
    assert_eq!((report(&rig).await, report(&rig).await), (1, 0));

    let events = reported(&rig).await;
    let kinds: Vec<_> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["subscription.failing", "subscription.failing", "subscription.recovered"]);
    assert!(events.iter().all(|(_, data)| data["subscription_id"] == subject.id.to_string()));
    assert_eq!(
        (&events[0].1["warning"], &events[1].1["warning"], &events[0].1["failures"]),
        (&1.into(), &2.into(), &12.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_410_is_reported_to_others_and_delivered_like_any_event() {
    let (rig, subject, watcher) = watched().await;
    rig.receiver.script([Reply::Status(410)]);
    rig.accept(&subject, b"{}").await;
    rig.settle().await;
    // The delivery that the 410 ended has failed, and its subscription is disabled.
    assert_eq!(report(&rig).await, 2);
    assert_eq!(types(&rig).await, ["subscription.disabled", "delivery.failed"]);
    assert_eq!(reported(&rig).await[0].1["reason"], "gone");
    rig.settle().await;
    let arrived = rig.receiver.requests();
    let mut types_sent: Vec<_> = arrived.iter().skip(1).map(|request| request.header("x-event-type")).collect();
    types_sent.sort_unstable();
    assert_eq!(types_sent, ["delivery.failed", "subscription.disabled"]);
    let to = "select distinct subscription_id from attempts where event_type <> 'x'";
    let rows = rig.client.query(to, &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, uuid::Uuid>(0)).collect::<Vec<_>>(), [watcher.id.uuid()]);

    rig.sql(&format!("update subscriptions set is_active = true, disabled_reason = null where id = '{}'", subject.id))
        .await;
    // Enabled is not yet well: its first success is what says so.
    assert_eq!(report(&rig).await, 0);
    let version = format!("select version from subscriptions where id = '{}'", subject.id);
    let version = rig.client.query_one(&version, &[]).await.unwrap().get(0);
    let enabled = Arc::new(Subscription { version, ..Subscription::clone(&subject) });
    rig.accept(&enabled, b"{}").await;
    rig.settle().await;
    assert_eq!((report(&rig).await, report(&rig).await), (1, 0));
    assert_eq!(types(&rig).await[2], "subscription.recovered");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_deliveries_are_reported_together_and_not_more_often_than_asked() {
    let (rig, subject, _watcher) = watched().await;
    ended(&rig, &subject, "failed", "exhausted", 3).await;
    assert_eq!(report(&rig).await, 1);
    ended(&rig, &subject, "failed", "exhausted", 4).await;
    assert_eq!(report(&rig).await, 0);
    rig.sql("update unreported_failures set reported_at = now() - interval '11 minutes'").await;
    assert_eq!((report(&rig).await, report(&rig).await), (1, 0));
    let events = reported(&rig).await;
    assert_eq!((&events[0].1["failed"], &events[1].1["failed"]), (&3.into(), &4.into()));
    assert_eq!(events[1].1["last_reason"], "exhausted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_event_that_cannot_be_delivered_is_not_reported() {
    let (rig, subject, watcher) = watched().await;
    // Both ask for system events: without the rule they would report each other for ever.
    rig.sql(&format!("update subscriptions set event_types = '{{delivery.failed}}' where id = '{}'", subject.id)).await;
    ended(&rig, &subject, "failed", "exhausted", 1).await;
    assert_eq!(report(&rig).await, 1);
    rig.receiver.script([Reply::With(500, "webhook-delivery", "abort-message".to_owned())]);
    rig.settle().await;
    let failed = format!("select count(*) from undelivered where subscription_id = '{}'", watcher.id);
    assert_eq!(rig.client.query_one(&failed, &[]).await.unwrap().get::<_, i64>(0), 1);
    rig.sql("update unreported_failures set reported_at = null").await;
    assert_eq!(report(&rig).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_subscriptions_that_name_a_system_event_get_it_and_not_the_one_that_it_is_about() {
    let (rig, subject, watcher) = watched().await;
    for asks in ["{}", "{*}", "{subscription}", "{subscription.*}", "{subscription.recovered}"] {
        let other = rig.subscription().await;
        rig.sql(&format!("update subscriptions set event_types = '{asks}' where id = '{}'", other.id)).await;
    }
    rig.sql(&format!("update subscriptions set event_types = '{{subscription.failing}}' where id = '{}'", subject.id))
        .await;
    has_failed_for(&rig, &subject, 2).await;
    assert_eq!(report(&rig).await, 1);
    let rows = rig.client.query("select subscription_id from deliveries", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<_, uuid::Uuid>(0)).collect::<Vec<_>>(), [watcher.id.uuid()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_reported_about_a_deleted_subscription_or_to_one() {
    let (rig, subject, watcher) = watched().await;
    let set = async |of: &Subscription, what: &str| {
        rig.sql(&format!("update subscriptions set {what} where id = '{}'", of.id)).await;
    };
    set(&subject, "deleted_at = now()").await;
    // What was under way fails after that; what was still to be reported is dropped.
    has_failed_for(&rig, &subject, 2).await;
    assert_eq!(report(&rig).await, 0);
    rig.sql("delete from subscription_health").await;
    set(&subject, "notified = 'failing'").await;
    assert_eq!(report(&rig).await, 0);
    set(&subject, "notified = null, is_active = false, disabled_reason = 'gone'").await;
    assert_eq!(report(&rig).await, 0);
    ended(&rig, &subject, "failed", "gone", 1).await;
    assert_eq!(report(&rig).await, 0);
    assert_eq!(rig.count("unreported_failures").await, 0);

    let other = rig.subscription().await;
    set(&watcher, "deleted_at = now()").await;
    has_failed_for(&rig, &other, 2).await;
    assert_eq!((report(&rig).await, rig.count("events").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_says_who_does_not_get_it_because_it_did_not_ask_for_it() {
    let api = TestApi::start().await;
    let mut made = Vec::new();
    for types in [json!(["subscription.*"]), json!([]), json!(["*"]), json!(["subscription.failing"])] {
        made.push(api.subscribe(json!({ "event_types": types })).await["id"].as_str().unwrap().to_owned());
    }
    let client = api.database.client().await;
    let disable = "update subscriptions set is_active = false, disabled_reason = 'gone' where id = $1::text::uuid";
    client.execute(disable, &[&made[0]]).await.unwrap();
    let asking = api.subscribe(json!({ "event_types": ["subscription.disabled"] })).await["id"].clone();
    api.store.report(&WARN_AFTER, REPORT_INTERVAL).await.unwrap();
    let event = client.query_one("select id::text from events", &[]).await.unwrap().get::<_, String>(0);
    let read = api.ask("GET", &format!("/events/{event}")).send().await.json();
    assert_eq!(read["deliveries"][0]["subscription_id"], asking);
    let reason = "system_event_not_asked_for";
    let expected: Vec<_> = made.iter().map(|id| (json!(id), json!(reason))).collect();
    let missed = read["not_delivered"].as_array().unwrap().iter();
    let missed: Vec<_> = missed.map(|not| (not["subscription_id"].clone(), not["reason"].clone())).collect();
    assert_eq!(missed, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_expired_or_were_skipped_are_reported_and_cancelled_ones_are_not() {
    let (rig, subject, watcher) = watched().await;
    ended(&rig, &subject, "failed", "exhausted", 2).await;
    ended(&rig, &subject, "skipped", "skip_after_attempts", 3).await;
    ended(&rig, &subject, "cancelled", "requested", 7).await;
    // The subscription is disabled: its deliveries expire, and so does a system event about another one.
    for _ in 0..4 {
        rig.accept(&subject, b"{}").await;
    }
    let system_event = format!(
        "insert into events (tenant_id, id, event_type, payload, about)
         values ('{0}', uuid_v7(), 'delivery.failed', '{{\"type\":\"delivery.failed\"}}', '{1}');
         insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
         select e.tenant_id, e.id, '{2}', now(), octet_length(e.payload) from events as e where e.about is not null",
        watcher.tenant, watcher.id, subject.id
    );
    rig.client.batch_execute(&system_event).await.unwrap();
    rig.sql(&format!("update subscriptions set is_active = false where id = '{}'", subject.id)).await;
    rig.sql("update deliveries set expires_at = now()").await;
    let nothing_older = EventId::lower_bound(OffsetDateTime::UNIX_EPOCH);
    assert_eq!(rig.store().expire(nothing_older, None, 100).await.unwrap().unwrap().ended, 5);
    assert_eq!(report(&rig).await, 1);
    let event = &reported(&rig).await[1].1;
    assert_eq!(event["failed"], 9);
    assert_eq!(event["statuses"], json!({"failed": 2, "expired": 4, "skipped": 3}));
    assert_eq!(event["last_reason"], "expires_at");

    rig.sql("update unreported_failures set reported_at = null").await;
    ended(&rig, &subject, "expired", "lifetime", 1).await;
    assert_eq!(report(&rig).await, 1);
    assert_eq!(reported(&rig).await[2].1["statuses"], json!({"expired": 1}));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_without_recipients_are_marked_and_delay_nothing() {
    let (rig, _, _) = watched().await;
    let silent = "
        insert into tenants (id, name) values ('00000000-0000-7000-8003-000000000000', 'silent');
        insert into subscriptions (tenant_id, id, target_url, secret, verify_ingest, is_active, disabled_reason)
        select '00000000-0000-7000-8003-000000000000', ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'x', '',
            false, false, 'gone'
        from generate_series(1, 60) as n";
    rig.client.batch_execute(silent).await.unwrap();
    for _ in 0..30 {
        let loud = rig.subscription().await;
        rig.sql(&format!(
            "update subscriptions set is_active = false, disabled_reason = 'gone' where id = '{}'",
            loud.id
        ))
        .await;
    }
    let call = async || rig.store().report(&WARN_AFTER, REPORT_INTERVAL).await.unwrap();
    assert_eq!(call().await, Raised { checked: 80, raised: 20 });
    assert_eq!(call().await, Raised { checked: 10, raised: 10 });
    assert_eq!(call().await, Raised { checked: 0, raised: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_in_utc_whatever_the_time_zone_of_the_server() {
    let (rig, subject, _watcher) = watched().await;
    has_failed_for(&rig, &subject, 2).await;
    rig.client.batch_execute("set timezone = 'Asia/Kathmandu'; select upkeep_report_1('{3600}', 600)").await.unwrap();
    let since = "select to_char(failing_since at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') from subscription_health";
    let since: String = rig.client.query_one(since, &[]).await.unwrap().get(0);
    assert_eq!(reported(&rig).await[0].1["failing_since"], since);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_reported_long_ago_and_the_ownerships_of_lost_workers_are_forgotten() {
    let (rig, subject, watcher) = watched().await;
    for subscription in [&subject, &watcher] {
        ended(&rig, subscription, "failed", "exhausted", 1).await;
    }
    report(&rig).await;
    ended(&rig, &watcher, "failed", "exhausted", 1).await;
    rig.sql("update unreported_failures set reported_at = now() - interval '25 hours'").await;
    rig.sql(
        "insert into owners (tenant_id, subscription_id, owner, until)
         select s.tenant_id, s.id, gen_random_uuid(), now() - make_interval(mins => case when s.event_types = '{}' then 61 else 59 end)
         from subscriptions as s",
    )
    .await;
    assert_eq!(rig.store().forget_stale().await.unwrap(), 2);
    let left = "select subscription_id from unreported_failures union all select subscription_id from owners";
    let left: Vec<uuid::Uuid> = rig.client.query(left, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(left, [watcher.id.uuid(); 2]);
    assert_eq!(rig.store().forget_stale().await.unwrap(), 0);
}
