//! Analytics over HTTP: what was sent is counted, by whom and how it is asked, and nobody sees another tenant's numbers.

use postrider::domain::api_key::Scope;
use serde_json::{Value, json};

use crate::support::api::TestApi;
use crate::support::wait::until;

/// An hour of traffic of the tenant `acme`, up to a minute ago: 60 events, each with an attempt of both subscriptions
/// 100 ms later; every third of the second is refused. A test event, a replay and another tenant's beside it.
const TRAFFIC: &str = "
    insert into events (tenant_id, id, event_type, payload, accepted_at)
    select s.tenant_id, uuid_v7(t.at), case when n % 2 = 0 then 'order.created' else 'order.paid' end, '{}', t.at
    from generate_series(1, 60) as n
    cross join lateral (select date_trunc('minute', now()) - n * interval '1 minute' as at) as t
    cross join (select s.tenant_id from subscriptions as s inner join tenants as t on t.id = s.tenant_id where t.external_id = 'acme' limit 1) as s;
    insert into attempts (
        tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome, error_message, trigger, duration_ms, created_at, written_at
    )
    select
        e.tenant_id, s.id, uuid_v7(e.accepted_at + interval '100 ms'), e.id, e.event_type, 1,
        case when s.description = 'second' and e.number % 3 = 0 then 'http_5xx' else 'delivered' end,
        case when s.description = 'second' and e.number % 3 = 0 then 'http_5xx: no' end,
        null, 50, e.accepted_at + interval '100 ms', e.accepted_at + interval '200 ms'
    from (select x.tenant_id, x.id, x.event_type, x.accepted_at, row_number() over (order by x.id) as number from events as x) as e
    inner join subscriptions as s on s.tenant_id = e.tenant_id;
    insert into attempts (tenant_id, subscription_id, id, event_id, attempt_number, outcome, trigger, duration_ms, created_at, written_at)
    select a.tenant_id, a.subscription_id, uuid_v7(a.created_at), a.event_id, 2, 'delivered', w.word, 5, a.created_at, a.written_at
    from (select x.tenant_id, x.subscription_id, x.event_id, x.created_at, x.written_at from attempts as x where x.outcome = 'delivered' limit 1) as a,
        (values ('test'), ('replay')) as w (word);
    insert into attempts (tenant_id, subscription_id, id, event_id, attempt_number, outcome, error_message, created_at, written_at)
    select t.id, t.id, uuid_v7(now() - interval '10 minutes'), t.id, 1, 'timeout', 'timeout', now() - interval '10 minutes', now() - interval '9 minutes'
    from tenants as t where t.external_id = 'other';
    update rollup_progress set folded_until = now() - interval '3 hours', span = '1 hour'";

struct Asked {
    api: TestApi,
    first: String,
    second: String,
}

impl Asked {
    async fn new() -> Self {
        let api = TestApi::start().await;
        api.key("other", Scope::Read).await;
        let id = |made: Value| made["id"].as_str().unwrap().to_owned();
        let first = id(api.subscribe(json!({ "description": "first" })).await);
        let second = id(api.subscribe(json!({ "description": "second", "external_id": "second" })).await);
        let client = api.database.client().await;
        client
            .batch_execute(
                "select ensure_partitions((now() at time zone 'UTC')::date - 1, (now() at time zone 'UTC')::date)",
            )
            .await
            .unwrap();
        client.batch_execute(TRAFFIC).await.unwrap();
        until("all is folded", async || api.store.fold_rollups(1_000).await.unwrap().filter(|folded| !folded.more))
            .await;
        Self { api, first, second }
    }

    async fn rows(&self, query: &str) -> Vec<Value> {
        let answer = self.api.ask("GET", &format!("/analytics/deliveries?{query}")).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["data"].as_array().unwrap().clone()
    }
}

fn sum(rows: &[Value], field: &str) -> i64 {
    rows.iter().map(|row| row[field].as_i64().unwrap()).sum()
}

fn of<'a>(rows: &'a [Value], group: &str) -> Vec<&'a Value> {
    rows.iter().filter(|row| row["group"] == group).collect()
}

fn of_cloned(rows: &[Value], group: &str) -> Vec<Value> {
    of(rows, group).into_iter().cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_ask_gives_the_same_sums() {
    let asked = Asked::new().await;
    for bucket in ["1m", "5m", "1h", "1d"] {
        let since = time::OffsetDateTime::now_utc() - time::Duration::hours(2);
        let since = since.format(&time::format_description::well_known::Rfc3339).unwrap();
        let rows = asked.rows(&format!("since={since}&bucket={bucket}")).await;
        assert_eq!((sum(&rows, "accepted"), sum(&rows, "attempts")), (60, 121), "{bucket}");
        assert_eq!(
            (sum(&rows, "delivered"), sum(&rows, "failed")),
            (101, 20),
            "{bucket}: with the replay, not the test"
        );
        for group in ["outcome", "tenant", "subscription", "event_type"] {
            let rows = asked.rows(&format!("since={since}&bucket={bucket}&group_by={group}")).await;
            assert_eq!((sum(&rows, "attempts"), sum(&rows, "delivered")), (121, 101), "{bucket} {group}");
        }
        for group in ["", "&group_by=outcome", "&group_by=event_type", "&group_by=subscription"] {
            let one = format!("since={since}&bucket={bucket}&subscription_id={}{group}", asked.second);
            let rows = asked.rows(&one).await;
            assert_eq!(sum(&rows, "failed"), 20, "{bucket} {group}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_complete_and_groups_say_whose_they_are() {
    let asked = Asked::new().await;
    let answer = asked.api.ask("GET", "/analytics/deliveries?bucket=1m").send().await.json();
    let rows = answer["data"].as_array().unwrap();
    assert!(rows.len() == 60 || rows.len() == 61, "an hour, whether or not anything happened: {}", rows.len());
    assert_eq!((answer["truncated"].clone(), answer["bucket"].clone()), (json!(false), json!("1m")));
    assert_eq!(answer["since"], rows[0]["bucket"]);
    assert!(answer["complete_until"].as_str().unwrap() <= answer["until"].as_str().unwrap());
    let with = rows.iter().find(|row| row["attempts"] == 2).unwrap();
    assert_eq!(with["group"], Value::Null);
    let p50 = with["time_to_first_attempt_ms"]["p50"].as_f64().unwrap();
    assert!((95.0..105.0).contains(&p50), "{p50}");
    let p99 = with["time_to_delivery_ms"]["p99"].as_f64().unwrap();
    assert!((142.0..158.0).contains(&p99), "{p99}");
    let without = rows.iter().find(|row| row["attempts"] == 0).unwrap();
    assert_eq!((&without["success_rate"], &without["time_to_delivery_ms"]["p50"]), (&Value::Null, &Value::Null));

    let rows = asked.rows("bucket=1d&since=2026-01-01T00:00:00Z").await;
    assert!(rows.len() > 1, "months of days are no problem");
    let rows = asked.rows("bucket=1h&group_by=outcome").await;
    assert_eq!(sum(&of_cloned(&rows, "http_5xx"), "attempts"), 20);
    assert_eq!(sum(&of_cloned(&rows, "http_5xx"), "accepted"), 20, "deliveries that began so");
    let rows = asked.rows("bucket=1h&group_by=subscription").await;
    assert_eq!(sum(&of_cloned(&rows, &asked.first), "accepted"), 60);
    assert!(of(&rows, &asked.first).iter().all(|row| row["tenant_id"].is_string()));
    let rows = asked.rows("bucket=1h&group_by=event_type").await;
    assert_eq!(sum(&of_cloned(&rows, "order.paid"), "accepted"), 30);
    let by_id = asked.rows(&format!("bucket=1h&subscription_id={}", asked.second)).await;
    assert_eq!(asked.rows("bucket=1h&subscription_id=second").await, by_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_all_tenants_and_a_tenant_itself() {
    let asked = Asked::new().await;
    let operator = asked.api.operator(Scope::Support).await;
    let ask = async |path: &str, tenant: &str| {
        let ask = asked.api.ask("GET", path).key(&operator);
        let answer =
            if tenant.is_empty() { ask.send().await } else { ask.header("postrider-tenant", tenant).send().await };
        (answer.status.as_u16(), answer.json())
    };
    assert_eq!(ask("/analytics/deliveries", "").await.0, 400);
    let (_, all) = ask("/analytics/deliveries?bucket=1h&group_by=tenant", "*").await;
    let rows = all["data"].as_array().unwrap();
    assert_eq!(sum(rows, "attempts"), 122);
    assert!(rows.iter().all(|row| row["tenant_id"] == row["group"]));
    for group in ["", "&group_by=subscription", "&group_by=event_type", "&group_by=outcome"] {
        let (_, all) = ask(&format!("/analytics/deliveries?bucket=1h{group}"), "*").await;
        assert_eq!(sum(all["data"].as_array().unwrap(), "attempts"), 122, "{group}");
    }
    let (_, other) = ask("/analytics/summary", "other").await;
    assert_eq!((&other["attempts"], &other["failed"]), (&json!(1), &json!(1)));
    let stranger = asked.api.key("stranger", Scope::Read).await;
    let of_stranger = |path: String| asked.api.ask("GET", &path).key(&stranger).send();
    for group in ["", "&group_by=subscription", "&group_by=event_type", "&group_by=outcome"] {
        for bucket in ["1m", "1h"] {
            let path = format!("/analytics/deliveries?bucket={bucket}&subscription_id={}{group}", asked.first);
            let rows = of_stranger(path).await.json();
            assert_eq!(sum(rows["data"].as_array().unwrap(), "attempts"), 0, "{bucket} {group}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_says_what_waits_and_since_when() {
    let asked = Asked::new().await;
    let client = asked.api.database.client().await;
    let disabled = asked.api.subscribe(json!({ "description": "third", "is_active": false })).await;
    let add = format!(
        "insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes, attempts, lease)
         select s.tenant_id, uuid_v7(), s.id, now() + w.due, 1, 0, case when w.leased then uuid_v7() end
         from subscriptions as s inner join (values
            ('{0}', interval '-90 seconds', false), ('{0}', interval '1 hour', false), ('{0}', interval '20 seconds', true),
            ('{1}', interval '-1 day', false)
         ) as w (subscription, due, leased) on s.id = w.subscription::uuid;
         insert into subscription_health (subscription_id, tenant_id, failures, failing_since)
         select s.id, s.tenant_id, 3, now() from subscriptions as s where s.id = '{0}'",
        asked.first,
        disabled["id"].as_str().unwrap()
    );
    client.batch_execute(&add).await.unwrap();
    let operator = asked.api.operator(Scope::Read).await;
    for (key, tenant) in [(&asked.api.admin, "acme"), (&operator, "*")] {
        let ask = asked.api.ask("GET", "/analytics/summary").key(key).header("postrider-tenant", tenant);
        let summary = ask.send().await.json();
        assert_eq!((&summary["pending"], &summary["held"]), (&json!(3), &json!(1)), "{tenant}: {summary}");
        assert_eq!(summary["failing_subscriptions"], 1, "{tenant}");
        let oldest = summary["oldest_due_seconds"].as_f64().unwrap();
        assert!((90.0..150.0).contains(&oldest), "{tenant}: {oldest}, not that of the held one");
        assert_eq!(summary["pending_more"], false);
    }
    let summary = asked.api.ask("GET", "/analytics/summary").send().await.json();
    assert_eq!((&summary["accepted"], &summary["attempts"]), (&json!(60), &json!(121)));
    assert_eq!(summary["success_rate"].as_f64().unwrap(), (101.0_f64 / 121.0 * 1e6).round() / 1e6);
    // More than is counted.
    client
        .batch_execute(&format!(
            "insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
             select s.tenant_id, uuid_v7(), s.id, now() + interval '1 hour', 1 from subscriptions as s, generate_series(1, 10001) where s.id = '{}'",
            asked.second
        ))
        .await
        .unwrap();
    let summary = asked.api.ask("GET", "/analytics/summary").send().await.json();
    assert_eq!((&summary["pending"], &summary["pending_more"]), (&json!(10_000), &json!(true)));
    assert_eq!((&summary["held"], &summary["held_more"]), (&json!(1), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_refused_by_its_field() {
    let asked = Asked::new().await;
    for (query, pointer, code) in [
        ("bucket=2m", "/query/bucket", "invalid_parameter"),
        ("group_by=colour", "/query/group_by", "invalid_parameter"),
        ("bucket=1m&since=2020-01-01T00:00:00Z&until=2020-01-01T01:00:00Z", "/query/bucket", "conflict"),
        ("bucket=1h&since=2020-01-01T00:00:00Z", "/query/since", "out_of_range"),
        ("since=2020-01-02T00:00:00Z&until=2020-01-01T00:00:00Z", "/query/since", "not_before_until"),
        ("since=yesterday", "/query/since", "invalid_parameter"),
    ] {
        let answer = asked.api.ask("GET", &format!("/analytics/deliveries?{query}")).send().await;
        assert_eq!(answer.code(), "validation_failed", "{query}");
        let error = &answer.json()["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_groups_are_cut_to_the_largest_and_it_is_said() {
    let asked = Asked::new().await;
    let client = asked.api.database.client().await;
    let add = "insert into rollup_types (tenant_id, at, event_type, accepted, attempts, delivered, started, first_attempt, delivery)
        select s.tenant_id, date_bin('1 hour', now(), 'epoch'), 'type.' || n, n, n, n, n, '{}', '{}'
        from (select x.tenant_id from subscriptions as x limit 1) as s, generate_series(1, 150) as n";
    client.batch_execute(add).await.unwrap();
    let answer = asked.api.ask("GET", "/analytics/deliveries?bucket=1h&group_by=event_type").send().await.json();
    assert_eq!(answer["truncated"], true);
    let rows = answer["data"].as_array().unwrap();
    let names: std::collections::BTreeSet<&str> = rows.iter().filter_map(|row| row["group"].as_str()).collect();
    assert_eq!(names.len(), 100);
    assert!(names.contains("type.150") && !names.contains("type.2"), "the largest");
}
