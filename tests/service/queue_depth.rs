//! How many deliveries waited: counted as they are listed, and never said to be few where nobody counted.

use postrider::domain::api_key::Scope;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::api::TestApi;

/// Two tenants, one of which has a subscription.
struct Scene {
    api: TestApi,
    operator: String,
    client: Client,
    subscription: String,
}

impl Scene {
    async fn new() -> Self {
        let api = TestApi::start().await;
        api.key("other", Scope::Read).await;
        let operator = api.operator(Scope::Read).await;
        let subscription = api.subscribe(json!({ "external_id": "first" })).await["id"].as_str().unwrap().to_owned();
        let client = api.database.client().await;
        Self { api, operator, client, subscription }
    }

    async fn get(&self, path: &str, tenant: &str) -> Value {
        self.api.ask("GET", path).key(&self.operator).header("postrider-tenant", tenant).send().await.json()
    }

    /// Pending and held of the rows where they are known.
    async fn waited(&self, query: &str, tenant: &str) -> Vec<(Value, Value)> {
        let answer = self.get(&format!("/analytics/deliveries?{query}"), tenant).await;
        let rows = answer["data"].as_array().unwrap_or_else(|| panic!("{answer}"));
        let of = |row: &Value| (row["pending"].clone(), row["held"].clone());
        rows.iter().map(of).filter(|(pending, _)| !pending.is_null()).collect()
    }

    /// So many deliveries of the subscription that are scheduled.
    async fn schedule(&self, count: i64) {
        let add = format!(
            "insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
             select s.tenant_id, uuid_v7(), s.id, now() + interval '1 hour', 1
             from subscriptions as s, generate_series(1, {count})
             where s.id = '{}'",
            self.subscription
        );
        self.client.batch_execute(&add).await.unwrap();
    }

    /// The last count was in another minute.
    async fn a_minute_passes(&self) {
        let earlier = "update queue_depth_minutes set at = at - interval '1 minute'";
        self.client.batch_execute(earlier).await.unwrap();
    }

    async fn measure(&self, most: i64, most_tenants: i64, least_pause: f64) -> Option<i64> {
        self.api.store.measure_queue_depth(most, most_tenants, least_pause).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_counted_as_the_summary_counts_it() {
    let scene = Scene::new().await;
    let subscribe = async |fields: Value| scene.api.subscribe(fields).await["id"].as_str().unwrap().to_owned();
    let disabled = subscribe(json!({ "is_active": false })).await;
    let limited = subscribe(json!({ "rate_limit": 1 })).await;
    let add = format!(
        "insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes, ordering_key, position, lease)
         select
            s.tenant_id, uuid_v7(), s.id, case when w.key is null then now() + w.due else 'infinity' end, 1, w.key,
            case when w.key is not null then 1 end, case when w.is_leased then uuid_v7() end
         from subscriptions as s
         inner join (values
            ('{0}', interval '-90 seconds', null, false), ('{0}', '1 hour', null, false), ('{0}', '1 hour', null, true),
            ('{0}', null, 'order-7', false),
            ('{1}', '-1 day', null, false), ('{1}', '1 day', null, false), ('{1}', '1 hour', null, true),
            ('{2}', '-1 hour', null, false), ('{2}', '1 hour', null, false)
         ) as w (subscription, due, key, is_leased) on s.id = w.subscription::uuid",
        scene.subscription, disabled, limited
    );
    scene.client.batch_execute(&add).await.unwrap();
    assert_eq!(scene.measure(1_000, 10, 0.0).await, Some(9));
    let counted = [(json!(5), json!(4))];
    for tenant in ["acme", "*"] {
        let summary = scene.get("/analytics/summary", tenant).await;
        assert_eq!([(summary["pending"].clone(), summary["held"].clone())], counted, "{tenant}");
        for bucket in ["1m", "5m", "1h", "1d"] {
            assert_eq!(scene.waited(&format!("bucket={bucket}"), tenant).await, counted, "{tenant} {bucket}");
        }
    }
    let idle = scene.waited("bucket=1m", "other").await;
    assert_eq!(idle, [(json!(0), json!(0))], "nothing of this tenant waits, and that is known");
    for query in ["group_by=outcome", "group_by=tenant", "subscription_id=first"] {
        assert!(scene.waited(&format!("bucket=1h&{query}"), "acme").await.is_empty(), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_shows_the_most_that_waited_at_one_time() {
    let scene = Scene::new().await;
    scene.schedule(3).await;
    assert_eq!(scene.measure(1_000, 10, 0.0).await, Some(3));
    scene.a_minute_passes().await;
    scene.client.batch_execute("delete from deliveries").await.unwrap();
    assert_eq!(scene.measure(1_000, 10, 0.0).await, Some(0));
    for tenant in ["acme", "*"] {
        let days = scene.waited("bucket=1d", tenant).await;
        assert_eq!(days.iter().map(|(pending, _)| pending.as_i64()).max(), Some(Some(3)), "{tenant}: {days:?}");
        let minutes = scene.waited("bucket=1m", tenant).await;
        assert_eq!(minutes, [(json!(3), json!(0)), (json!(0), json!(0))], "{tenant}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_too_long_to_count_is_estimated_and_no_tenant_is_said_to_have_a_short_one() {
    let scene = Scene::new().await;
    scene.schedule(3).await;
    let disable = format!("update subscriptions set is_active = false where id = '{}'", scene.subscription);
    scene.client.batch_execute(&disable).await.unwrap();
    assert_eq!(scene.measure(2, 10, 0.0).await, Some(3));
    assert!(scene.waited("bucket=1m", "acme").await.is_empty() && scene.waited("bucket=1m", "other").await.is_empty());
    let together = scene.waited("bucket=1m", "*").await;
    assert_eq!(together.len(), 1);
    assert_eq!(together[0].0, 0, "all that were looked at are held");
    assert!(together[0].1.as_i64() >= Some(3), "{together:?}");
    // The next minute somebody waits who has no row.
    scene.a_minute_passes().await;
    assert_eq!(scene.measure(10, 0, 0.0).await, Some(3));
    assert!(scene.waited("bucket=1m", "acme").await.is_empty() && scene.waited("bucket=1m", "other").await.is_empty());
    assert_eq!(scene.waited("bucket=1m", "*").await.last(), Some(&(json!(0), json!(3))));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_hour_and_of_five_minutes_a_tenant_sees_only_what_is_known() {
    let scene = Scene::new().await;
    // In the first hour nobody is left out. In the second one a minute is cut: one tenant has a row then, the other has none.
    let fill = "
        insert into queue_depth_minutes (tenant_id, at, pending, held, is_cut)
        select coalesce(t.id, '00000000-0000-0000-0000-000000000000'), date_trunc('hour', now()) + m.at, m.pending, 1, m.is_cut
        from (values
            (null, interval '-2 hours', 9, false), (null, '-2 hours +1 minute', 12, false), (null, '-1 hour', 9, false),
            (null, '-1 hour +1 minute', 99, true),
            ('acme', '-2 hours', 7, false), ('acme', '-2 hours +1 minute', 2, false), ('acme', '-1 hour', 4, false),
            ('other', '-2 hours', 1, false), ('other', '-1 hour', 2, false), ('other', '-1 hour +1 minute', 60, true)
        ) as m (tenant, at, pending, is_cut)
        left join tenants as t on t.external_id = m.tenant";
    scene.client.batch_execute(fill).await.unwrap();
    let since: String = scene
        .client
        .query_one(
            "select to_char(date_trunc('hour', now(), 'UTC') - interval '2 hours', 'YYYY-MM-DD\"T\"HH24:MI:SSZ')",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    let expected = [("*", [json!(12), json!(99)]), ("acme", [json!(7), Value::Null]), ("other", [json!(1), json!(60)])];
    let check = async |when: &str| {
        for (tenant, pending) in &expected {
            let path = format!("/analytics/deliveries?bucket=1h&since={since}");
            let hours = scene.get(&path, tenant).await;
            let of = |place: usize| hours["data"][place]["pending"].clone();
            assert_eq!([of(0), of(1)], *pending, "{tenant} {when}: {hours}");
        }
    };
    check("from the minutes").await;
    assert_eq!(scene.measure(10, 10, 0.0).await, Some(0));
    scene.client.batch_execute("delete from queue_depth_minutes where at < date_trunc('hour', now())").await.unwrap();
    check("from the hours").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_counts_at_a_time_once_a_minute_and_rarely_if_it_takes_long() {
    let scene = Scene::new().await;
    let mut elsewhere = scene.api.database.client().await;
    let other = elsewhere.transaction().await.unwrap();
    let counted: Option<i64> = other.query_one("select queue_depth_measure_1(10, 10, 0)", &[]).await.unwrap().get(0);
    let again: Option<i64> = other.query_one("select queue_depth_measure_1(10, 10, 0)", &[]).await.unwrap().get(0);
    assert_eq!((counted, again), (Some(0), None), "once a minute");
    assert_eq!(scene.measure(10, 10, 0.0).await, None, "another counts");
    other.commit().await.unwrap();
    let slow = "update queue_depth_minutes set at = at - interval '5 minutes', took = interval '4 seconds'";
    scene.client.batch_execute(slow).await.unwrap();
    assert_eq!(scene.measure(10, 10, 100.0).await, None, "400 s have not passed");
    assert_eq!(scene.measure(10, 10, 50.0).await, Some(0), "200 s have");
}
