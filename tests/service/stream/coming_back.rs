//! Who comes back with the id of the last event.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

/// The id of an event that happened at this time.
fn cursor_at(time: OffsetDateTime, id: &str) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(id).unwrap();
    let micros = i64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap();
    bytes[6..14].copy_from_slice(&micros.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The same event as the feed of another process names it.
fn elsewhere(id: &str) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(id).unwrap();
    bytes[2] ^= 1;
    URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_replica_has_not_sent_is_not_skipped_because_this_one_has() {
    let api = TestApi::start().await;
    let client = api.database.client().await;
    api.subscribe(json!({})).await;
    let mut watcher = watching(&api, &client, &api.admin, "").await;
    // It commits late, so that only this replica sent it before the last event that the client has.
    let late = attempt(&client, "timeout", "now() - interval '9 seconds'").await;
    let last = attempt(&client, "timeout", "now()").await;
    let seen = watcher.up_to(&last).await;
    let last = seen.iter().find(|event| ids(std::slice::from_ref(event)) == [last.clone()]).unwrap();
    let mut back = Watcher::open(&api, &api.admin, "", Some(&elsewhere(&last.id))).await;
    assert_eq!(ids(&back.up_to(&late).await).last(), Some(&late));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_back_gets_what_came_meanwhile_and_nothing_twice() {
    let api = TestApi::start().await;
    let client = api.database.client().await;
    api.subscribe(json!({})).await;
    let mut watcher = watching(&api, &client, &api.admin, "").await;
    let first = attempt(&client, "timeout", "now()").await;
    let last = watcher.up_to(&first).await.pop().unwrap();
    drop(watcher);
    let mut meanwhile = Vec::new();
    for written in ["now()", "now() - interval '9 seconds'", "now()"] {
        meanwhile.push(attempt(&client, "timeout", written).await);
    }
    let mut back = Watcher::open(&api, &api.admin, "", Some(&last.id)).await;
    let mut seen = Vec::new();
    while seen.len() < meanwhile.len() {
        seen.push(back.next().await.unwrap());
    }
    let live = attempt(&client, "timeout", "now()").await;
    seen.extend(back.up_to(&live).await);
    meanwhile.push(live);
    let mut got = ids(&seen);
    got.sort();
    meanwhile.sort();
    assert_eq!(got, meanwhile);
    // From another replica, even if it has sent the same: all of it, perhaps with what came just before.
    let cursor = elsewhere(&seen[0].id);
    let mut other = Watcher::open(&api, &api.admin, "", Some(&cursor)).await;
    let newest = attempt(&client, "timeout", "now()").await;
    let again: HashSet<String> = ids(&other.up_to(&newest).await).into_iter().collect();
    let later: Vec<String> = ids(&seen[1..]);
    assert!(later.iter().all(|id| again.contains(id)), "{later:?} in {again:?}");
    let bad = api.ask("GET", "/stream").header("last-event-id", "yesterday").send().await;
    assert_eq!(
        (bad.code(), &bad.json()["errors"][0]["code"]),
        ("validation_failed".to_owned(), &json!("invalid_cursor"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_a_day_gets_the_last_day_and_reads_that_something_is_missing() {
    let api = TestApi::start().await;
    let client = api.database.client().await;
    api.subscribe(json!({})).await;
    let mut watcher = watching(&api, &client, &api.admin, "").await;
    let first = attempt(&client, "timeout", "now()").await;
    let id = watcher.up_to(&first).await.pop().unwrap().id;
    attempt(&client, "timeout", "now() - interval '25 hours'").await;
    let day = attempt(&client, "timeout", "now() - interval '23 hours'").await;
    // A page has 1,000, so that this takes several.
    let many = "insert into attempts (tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome, error_message, created_at, written_at)
        select s.tenant_id, s.id, uuid_v7(), uuid_v7(), 'many', 1, 'timeout', 'no', now(), now() - interval '9 hours' + n * interval '3 milliseconds'
        from (select x.tenant_id, x.id from subscriptions as x limit 1) as s, generate_series(1, 3500) as n";
    client.batch_execute(many).await.unwrap();
    let last = attempt(&client, "timeout", "now() - interval '1 minute'").await;
    for time in [OffsetDateTime::UNIX_EPOCH, OffsetDateTime::now_utc() - Duration::from_secs(90_000)] {
        let mut back = Watcher::open(&api, &api.admin, "", Some(&cursor_at(time, &id))).await;
        let missed = back.next().await.unwrap();
        assert_eq!((missed.name.as_str(), &missed.data), ("missed", &json!({ "missed": null })));
        let seen = ids(&back.up_to(&last).await);
        assert_eq!((seen.first(), seen.last()), (Some(&day), Some(&last)));
        assert_eq!(seen.len(), 3_502);
        assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 3_502, "nothing twice");
    }
    let yesterday = OffsetDateTime::now_utc() - Duration::from_secs(80_000);
    let mut back = Watcher::open(&api, &api.admin, "", Some(&cursor_at(yesterday, &id))).await;
    assert_eq!(back.next().await.unwrap().data["event_type"], "many", "nothing is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_retention_may_have_dropped_is_missing() {
    let api = TestApi::start_limited(|settings| settings.log_retention = Duration::from_secs(3_600)).await;
    let client = api.database.client().await;
    api.subscribe(json!({})).await;
    let mut watcher = watching(&api, &client, &api.admin, "").await;
    let first = attempt(&client, "timeout", "now()").await;
    let id = watcher.up_to(&first).await.pop().unwrap().id;
    let last = OffsetDateTime::now_utc() - Duration::from_secs(7_200);
    let mut back = Watcher::open(&api, &api.admin, "", Some(&cursor_at(last, &id))).await;
    assert_eq!(back.next().await.unwrap().data, json!({ "missed": null }));
}
