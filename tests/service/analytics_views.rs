//! The views for people: what the role `postrider_analytics` reads, that its numbers are right, and that it reads and
//! writes nothing else.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::support::database::Database;
use crate::support::process::program;
use crate::support::rig::Rig;
use crate::support::wait::until;

/// Ten events of the tenant `acme`, each with an attempt that failed and one 3 s later that did not, and a test; an event
/// of another tenant.
const TRAFFIC: &str = "
    select ensure_partitions((now() at time zone 'UTC')::date - 1, (now() at time zone 'UTC')::date);
    insert into tenants (id, external_id, name)
    values ('00000000-0000-7000-8000-000000000001', 'acme', 'Acme'), ('00000000-0000-7000-8000-000000000002', null, 'Other');
    insert into subscriptions (tenant_id, id, external_id, target_url, verify_ingest, secret)
    values (
        '00000000-0000-7000-8000-000000000001', '00000000-0000-7000-9000-000000000001', 'crm', 'http://127.0.0.1:9/crm', false,
        'sealed-secret'
    );
    insert into events (tenant_id, id, event_type, payload, accepted_at)
    select
        case when n <= 10 then '00000000-0000-7000-8000-000000000001'::uuid else '00000000-0000-7000-8000-000000000002' end,
        uuid_v7(t.at), 'order.paid', '{\"secret\": 1}', t.at
    from generate_series(1, 11) as n
    cross join (select now() - interval '10 minutes' as at) as t;
    insert into attempts (
        tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome, error_message, trigger, duration_ms,
        created_at, written_at
    )
    select
        e.tenant_id, '00000000-0000-7000-9000-000000000001', uuid_v7(e.accepted_at + a.later), e.id, e.event_type, a.number,
        a.outcome, case when a.outcome <> 'delivered' then 'it failed' end, a.trigger, 0, e.accepted_at + a.later,
        e.accepted_at + a.later
    from events as e
    cross join (
        values
            (1, interval '0 s', 'http_5xx', null),
            (2, interval '3 s', 'delivered', 'schedule'),
            (1, interval '1 s', 'delivered', 'test')
    ) as a (number, later, outcome, trigger)
    where e.tenant_id = '00000000-0000-7000-8000-000000000001';
    insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
    select e.tenant_id, e.id, '00000000-0000-7000-9000-000000000001', 'failed', 'exhausted', 3
    from events as e
    where e.tenant_id = '00000000-0000-7000-8000-000000000002';
    update rollup_progress set folded_until = now() - interval '3 hours', span = '1 hour'";

async fn analyst(database: &Database) -> Client {
    let analyst = database.client().await;
    analyst.batch_execute("set role postrider_analytics").await.unwrap();
    analyst
}

/// Whether it holds.
async fn holds(client: &Client, question: &str) -> bool {
    client.query_one(question, &[]).await.unwrap_or_else(|error| panic!("{question}: {error:?}")).get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_count_what_happened_for_each_tenant() {
    let database = Database::new().await;
    database.client().await.batch_execute(TRAFFIC).await.unwrap();
    let store = database.store();
    until("all is folded", async || store.fold_rollups(1_000).await.unwrap().filter(|folded| !folded.more)).await;
    let client = analyst(&database).await;
    for unit in ["minute", "hour"] {
        // Of all tenants together there is no row: it would count twice.
        let all = format!("select sum(accepted) = 11 and sum(attempts) = 20 from analytics.deliveries_per_{unit}");
        assert!(holds(&client, &all).await, "{unit}");
        let acme = format!(
            "select sum(accepted) = 10 and sum(attempts) = 20 and sum(delivered) = 10 and sum(failed) = 10 and sum(started) = 10 \
             from analytics.deliveries_per_{unit} where tenant = 'acme' and {unit} > now() - interval '2 hours'"
        );
        assert!(holds(&client, &acme).await, "{unit}");
        let totals = format!(
            "select sum(accepted) = 11 and sum(attempts) = 20 and sum(failed) = 10 and max(delivery_p99_ms) between 2850 and 3150 \
             from analytics.totals_per_{unit}"
        );
        assert!(holds(&client, &totals).await, "{unit}");
        let merged = format!(
            "select public.histogram_percentile(public.histogram_sum(delivery_histogram), 0.99) between 2850 and 3150 \
             and bool_and(delivery_p50_ms is null or delivery_p50_ms between 2850 and 3150) and count(delivery_p90_ms) = 1 \
             and count(first_attempt_p99_ms) = 1 from analytics.deliveries_per_{unit}"
        );
        assert!(holds(&client, &merged).await, "{unit}");
    }
    for right in [
        "select sum(accepted) = 11 and sum(attempts) = 20 and sum(failed) = 10 and min(event_type) = 'order.paid' \
         and max(delivery_p95_ms) between 2850 and 3150 from analytics.event_types_per_hour",
        "select sum(attempts) = 20 and sum(delivered) = 10 and min(tenant) = 'acme' and min(subscription) = 'crm' \
         from analytics.subscriptions_per_hour",
        "select count(*) = 10 and sum(payload_bytes) = 130 from analytics.events where tenant = 'acme'",
        "select count(*) = 20 and count(*) filter (where is_success) = 10 and count(distinct trigger) = 2 \
         from analytics.attempts where tenant = 'acme' and subscription = 'crm'",
        "select count(*) = 10 and bool_and(attempts = 2) from analytics.deliveries where tenant = 'acme' and status = 'succeeded'",
        "select count(*) = 1 and bool_and(tenant is null) from analytics.deliveries where status = 'failed'",
        "select count(*) = 1 and min(target_url) = 'http://127.0.0.1:9/crm' from analytics.subscriptions where tenant = 'acme'",
        "select count(*) = 3 from analytics.tenants",
    ] {
        assert!(holds(&client, right).await, "{right}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_analytics_role_reads_the_views_and_nothing_else() {
    let rig = Rig::new().await;
    let client = analyst(&rig.database).await;
    let relations = "select c.oid::regclass::text, c.relnamespace = 'analytics'::regnamespace from pg_class as c \
                     where c.relkind in ('r', 'p', 'v', 'm', 'S') and c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'";
    let relations = rig.client.query(relations, &[]).await.unwrap();
    assert_eq!(relations.iter().filter(|row| row.get(1)).count(), 15);
    assert!(relations.len() > 40);
    for row in relations {
        let (name, is_ours): (String, bool) = (row.get(0), row.get(1));
        let read = client.batch_execute(&format!("select * from {name} limit 1")).await;
        assert_eq!(read.is_ok(), is_ours, "{name}: {read:?}");
        for privilege in ["insert", "update", "delete", "truncate", "references", "trigger"] {
            let may = format!("select has_table_privilege('postrider_analytics', '{name}', '{privilege}')");
            assert!(!holds(&rig.client, &may).await, "{name}: {privilege}");
        }
        if !is_ours {
            assert_eq!(read.unwrap_err().code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{name}");
        }
    }
    // What a view shows has none of these.
    let secret = "select count(*) = 0 from pg_attribute as a inner join pg_class as c on c.oid = a.attrelid \
                  where c.relnamespace = 'analytics'::regnamespace and (a.atttypid = 'bytea'::regtype \
                  or a.attname in ('payload', 'response_body', 'detail', 'secret', 'older_secrets', 'sealed_headers', 'ingest_secret'))";
    assert!(holds(&rig.client, secret).await);
    // Functions of ours run with its rights, and none with those of their owner.
    let functions = "select count(*) = 0 from pg_proc as p where p.prosecdef and has_function_privilege('postrider_analytics', p.oid, 'execute')";
    assert!(holds(&rig.client, functions).await);
    for write in ["create table analytics.mine (x integer)", "create view analytics.mine as select 1 as one"] {
        let denied = client.batch_execute(write).await.unwrap_err();
        assert_eq!(denied.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{write}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queries_on_the_page_run_with_that_role() {
    let database = Database::new().await;
    database.client().await.batch_execute(TRAFFIC).await.unwrap();
    let client = analyst(&database).await;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/analytics.md")).unwrap();
    let queries: Vec<&str> = page.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(queries.len(), 5);
    for query in queries {
        // What Grafana and Metabase make of their words.
        let mut query = query.replace("${tenant:singlequote}", "'acme'").replace("{{tenant}}", "'acme'");
        for column in ["minute", "written_at"] {
            let between = format!("{column} between '2026-01-01T00:00:00Z' and '2126-01-01T00:00:00Z'");
            query = query.replace(&format!("$__timeFilter({column})"), &between);
        }
        let query = query.replace("[[", "").replace("]]", "");
        client
            .query(query.trim().trim_end_matches(';'), &[])
            .await
            .unwrap_or_else(|error| panic!("{query}: {error:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_installation_and_one_beside_a_schema_analytics_keep_their_views() {
    let database = Database::new().await;
    let migrate = async |database: &Database, schema: &str| {
        let migrated = program("migrate", &database.url()).env("POSTRIDER_SCHEMA", schema).output().await.unwrap();
        assert!(migrated.status.success(), "{migrated:?}");
        let said = program("doctor", &database.url()).env("POSTRIDER_SCHEMA", schema).output().await.unwrap();
        String::from_utf8(said.stdout).unwrap()
    };
    let said = migrate(&database, "hooks").await;
    assert!(said.contains("by the views hooks.analytics_…, for members of postrider_analytics"), "{said}");
    let client = analyst(&database).await;
    assert!(holds(&client, "select count(*) = 1 from hooks.analytics_tenants").await);
    assert!(holds(&client, "select count(*) = 1 from analytics.tenants").await);
    // Somebody else's schema of that name is left alone.
    let shared = Database::empty().await;
    let client = shared.client().await;
    client.batch_execute("create schema analytics; create table analytics.visits (id integer)").await.unwrap();
    let said = migrate(&shared, "hooks").await;
    assert!(said.contains("by the views hooks.analytics_…, for members of postrider_analytics"), "{said}");
    let visits = "select not has_table_privilege('postrider_analytics', 'analytics.visits', 'select') \
                  and not has_schema_privilege('postrider_analytics', 'analytics', 'usage')";
    assert!(holds(&client, visits).await);
    // Alone, it has the schema, wherever its tables are.
    let alone = Database::empty().await;
    let said = migrate(&alone, "hooks").await;
    assert!(said.contains("by the views analytics.…, for members of postrider_analytics"), "{said}");
    let client = analyst(&alone).await;
    let percentiles = "select count(delivery_p99_ms) = 0 from analytics.deliveries_per_hour";
    assert!(holds(&client, percentiles).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_may_make_no_schema_is_told_how_the_views_get_theirs() {
    let database = Database::empty().await;
    let superuser = database.client().await;
    let owner = format!("owner_{}", Uuid::new_v4().simple());
    superuser
        .batch_execute(&format!("create role {owner} login; grant create on schema public to {owner}"))
        .await
        .unwrap();
    let url = database.url().replace("postgres@", &format!("{owner}@"));
    let migrated = program("migrate", &url).output().await.unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    let said = async || String::from_utf8(program("doctor", &url).output().await.unwrap().stdout).unwrap();
    let before = said().await;
    let advice =
        format!("create schema if not exists analytics authorization {owner}; select public.place_analytics();");
    assert!(before.contains("by the views public.analytics_…") && before.contains(&advice), "{before}");
    superuser.batch_execute(&advice).await.unwrap();
    let after = said().await;
    assert!(after.contains("by the views analytics.…, for members of postrider_analytics"), "{after}");
    assert!(holds(&analyst(&database).await, "select count(*) = 1 from analytics.tenants").await);
    superuser.batch_execute(&format!("drop owned by {owner} cascade; drop role {owner}")).await.unwrap();
}
