//! Every statement under sql/queries is one that the server understands, its parameters
//! and columns are written down, and the hot ones never scan a table.

use std::fs;
use std::path::{Path, PathBuf};

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::support::database::Database;
use crate::support::snapshot::assert_snapshot;

/// The settings of the queue's connections (src/store/mod.rs).
const PINNED: &str = "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_hashjoin = off; \
                      set enable_mergejoin = off; set jit = off";

/// Tables that grow with the traffic.
const LARGE: [&str; 8] = [
    "deliveries",
    "subscriptions",
    "subscription_health",
    "paces",
    "events",
    "attempts",
    "undelivered",
    "idempotency_keys",
];

/// The statements of the hot path, with arguments for a handful of rows, and an index that
/// each has to use.
const HOT: [(&str, &str, &str); 12] = [
    (
        "deliveries/claim",
        "10, 10, gen_random_uuid(), 25, now() - interval '1 minute', true, 6, '00000000-0000-7000-8000-000000000000', '{}', '{}', 32",
        "deliveries_due",
    ),
    ("deliveries/release", "array[gen_random_uuid()], array[10], 'in_flight', 2000", "deliveries_held"),
    (
        "deliveries/draw",
        "'00000000-0000-7000-8002-000000000000', gen_random_uuid(), 25, '00000000-0000-7000-8000-000000000000', \
         array['00000000-0000-7000-8001-000000000001'::uuid], array[10], array[''], array[0]",
        "deliveries_paced",
    ),
    (
        "paces/take",
        "'00000000-0000-7000-8002-000000000000', 25, 10, array['00000000-0000-7000-8001-000000000001'::uuid]",
        "deliveries_paced",
    ),
    (
        "health/note",
        "array['00000000-0000-7000-8001-000000000001'::uuid], array[false], array[1], array[null::float8], 10, 30, 30, array[1]",
        "subscription_health_pkey",
    ),
    ("upkeep/release_ownerless", "1", "deliveries_held"),
    (
        "replays/step",
        "'00000000-0000-7000-8000-000000000000', '00000000-0000-7000-8003-000000000000', 3600, 10",
        "undelivered_subscription",
    ),
    ("upkeep/expire_parked", "'00000000-0000-7000-8000-000000000000', 1", "deliveries_expiring"),
    (
        "deliveries/advance",
        "array['00000000-0000-7000-8001-000000000001'::uuid], array['long'], array[0]",
        "deliveries_ordered",
    ),
    ("upkeep/advance_lines", "gen_random_uuid(), '', 100", "deliveries_ordered"),
    (
        "deliveries/record",
        "array[gen_random_uuid()], array[gen_random_uuid()], array[gen_random_uuid()], array[gen_random_uuid()], array['done'], \
         array[0], array[0], array[0], array[null], array[gen_random_uuid()], array[gen_random_uuid()], array[gen_random_uuid()], \
         array[gen_random_uuid()], array[null], array[1], array['delivered'], array[200], array[null], array[null::bytea], \
         array[null], array[1], array[now()], array[gen_random_uuid()], array[1], array[null]",
        "deliveries_pkey",
    ),
    (
        "events/accept",
        "array[gen_random_uuid()], array[gen_random_uuid()], array[null], array[''::bytea], array[null], array[null::bytea], \
         array[gen_random_uuid()], array[gen_random_uuid()], array[gen_random_uuid()], array[1], array[true], \
         gen_random_uuid(), 25, array[1], array[true], array[null::timestamptz], array[null::timestamptz], array['a'], \
         array[null::timestamptz], array[null::timestamptz], array['a'], array[1]",
        "subscriptions_listed",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_is_understood_and_its_types_are_written_down() {
    let database = Database::new().await;
    let client = database.client().await;
    let mut lines = Vec::new();
    for file in statement_files() {
        let text = fs::read_to_string(&file).unwrap();
        let statement = client.prepare(&text).await.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let params: Vec<_> = statement.params().iter().map(ToString::to_string).collect();
        let columns: Vec<_> =
            statement.columns().iter().map(|column| format!("{} {}", column.name(), column.type_())).collect();
        lines.push(format!("{}({}) -> ({})\n", name_of(&file), params.join(", "), columns.join(", ")));
    }
    assert_snapshot("tests/service/snapshots/statements.txt", &lines.concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn hot_statements_use_their_indexes_on_an_empty_queue_and_on_a_full_one() {
    let database = Database::new().await;
    let client = database.client().await;
    client.batch_execute(PINNED).await.unwrap();
    check_plans(&client).await;
    fill(&client).await;
    check_plans(&client).await;
}

/// Pages that a statement over a handful of rows may touch: far fewer than one for each of
/// the rows that [`fill`] makes. (Releasing touches some of each of 100 subscriptions.)
const FEW_PAGES: u64 = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_made_while_the_tables_were_empty_stays_cheap_when_they_are_full() {
    let database = Database::new().await;
    let client = database.client().await;
    client.batch_execute(PINNED).await.unwrap();
    client.batch_execute("vacuum analyze").await.unwrap();
    for (index, (name, arguments, _)) in HOT.iter().enumerate() {
        let text = fs::read_to_string(queries().join(format!("{name}.sql"))).unwrap();
        client.batch_execute(&format!("prepare hot{index} as {text}")).await.unwrap();
        explain(&client, &format!("execute hot{index}({arguments})")).await;
    }
    fill(&database.client().await).await;
    for (index, (name, arguments, _)) in HOT.iter().enumerate() {
        let plan = explain(&client, &format!("(analyze, buffers) execute hot{index}({arguments})")).await;
        let pages = touched_pages(&plan);
        assert!(pages < FEW_PAGES, "{name} touches {pages} pages:\n{plan}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_for_paces_costs_nothing_while_none_wants_an_owner() {
    let database = Database::new().await;
    let client = database.client().await;
    client.batch_execute(PINNED).await.unwrap();
    let rows = "
        insert into subscriptions (tenant_id, id, target_url, secret, verify_ingest, is_active, rate_limit)
        select '00000000-0000-7000-8000-000000000000', ('00000000-0000-7000-8001-' || lpad(n::text, 12, '0'))::uuid, 'x', '', false,
            n <= 2000, 5
        from generate_series(1, 4000) as n;
        insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, held_for)
        select s.tenant_id, uuid_v7(), s.id, 'infinity', 'disabled'
        from subscriptions as s
        where not s.is_active";
    client.batch_execute(rows).await.unwrap();
    let text = fs::read_to_string(queries().join("paces/take.sql")).unwrap();
    client.batch_execute(&format!("prepare take as {text}")).await.unwrap();
    let plan = explain(&client, "(analyze, buffers) execute take(gen_random_uuid(), 25, 100, '{}')").await;
    assert!(touched_pages(&plan) < 20, "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_line_beside_an_old_transaction_is_entered_at_its_floor() {
    let database = Database::new().await;
    let (client, old) = (database.client().await, database.client().await);
    client.batch_execute(PINNED).await.unwrap();
    fill(&client).await;
    old.batch_execute("begin isolation level repeatable read; select 1 from deliveries limit 1").await.unwrap();
    let finished = "delete from deliveries where ordering_key = 'long' and position < 49990";
    client.batch_execute(finished).await.unwrap();
    let text = fs::read_to_string(queries().join("deliveries/advance.sql")).unwrap();
    client.batch_execute(&format!("prepare advance as {text}")).await.unwrap();
    let mut pages = Vec::new();
    for floor in [0, 49_990] {
        let line = "array['00000000-0000-7000-8001-000000000001'::uuid], array['long']";
        let plan = explain(&client, &format!("(analyze, buffers) execute advance({line}, array[{floor}])")).await;
        pages.push(touched_pages(&plan));
    }
    assert!(pages[0] > 500 && pages[1] < 50, "{pages:?} pages without a floor and with it");
}

/// 200,000 deliveries of 1,000 subscriptions: some due, most in the future, some parked;
/// the oldest have their events. Besides 50,000 in 1,001 lines, half of them in one.
async fn fill(client: &Client) {
    let rows = "
        insert into subscriptions (tenant_id, id, target_url, secret, verify_ingest, is_ordered)
        select '00000000-0000-7000-8000-000000000000', ('00000000-0000-7000-8001-' || lpad(n::text, 12, '0'))::uuid, 'x', '', false, true
        from generate_series(1, 1000) as n;
        insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, held_for)
        select '00000000-0000-7000-8000-000000000000', uuid_v7(), ('00000000-0000-7000-8001-' || lpad((n % 1000 + 1)::text, 12, '0'))::uuid,
            case when n % 10 = 0 then 'infinity' else now() + make_interval(secs => n - 5000) end,
            case when n % 20 = 0 then 'paced' when n % 10 = 0 then 'in_flight' end
        from generate_series(1, 200000) as n;
        insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, held_for, ordering_key, position)
        select '00000000-0000-7000-8000-000000000000', uuid_v7(), '00000000-0000-7000-8001-000000000001',
            'infinity', 'ordered', case when n % 2 = 0 then 'long' else 'key-' || n % 2000 end, n
        from generate_series(1, 50000) as n;
        update subscriptions
        set rate_limit = 5
        where id in (select d.subscription_id from deliveries as d where d.held_for = 'paced');
        insert into paces (tenant_id, subscription_id, owner, until)
        select s.tenant_id, s.id, '00000000-0000-7000-8002-000000000000', now() + interval '1 hour'
        from subscriptions as s
        where s.is_paced
            and s.id < '00000000-0000-7000-8001-000000000500';
        insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
        select d.tenant_id, d.event_id, '00000000-0000-7000-8001-000000000002', 'failed', 'exhausted', 6
        from deliveries as d
        limit 50000;
        insert into replays (tenant_id, id, subscription_id, statuses, after_id, below_id, rate, reached)
        select s.tenant_id, '00000000-0000-7000-8003-000000000000', s.id, '{failed}', uuid_nil.id, uuid_v7(), 100, uuid_nil.id
        from subscriptions as s
        cross join (select '00000000-0000-0000-0000-000000000000'::uuid as id) as uuid_nil
        where s.id = '00000000-0000-7000-8001-000000000002';
        insert into subscription_health (tenant_id, subscription_id, failures, failing_since)
        select s.tenant_id, s.id, 1, now()
        from subscriptions as s;
        insert into events (tenant_id, id, payload)
        select d.tenant_id, d.event_id, '{}'
        from deliveries as d
        limit 50000";
    client.batch_execute(rows).await.unwrap();
}

async fn check_plans(client: &Client) {
    for (name, arguments, index) in HOT {
        let text = fs::read_to_string(queries().join(format!("{name}.sql"))).unwrap();
        client.batch_execute(&format!("deallocate all; prepare hot as {text}")).await.unwrap();
        let plan = explain(client, &format!("execute hot({arguments})")).await;
        for table in LARGE {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{name} scans {table}:\n{plan}");
        }
        assert!(plan.contains(index), "{name} does not use {index}:\n{plan}");
    }
}

async fn explain(client: &Client, statement: &str) -> String {
    let rows = client.simple_query(&format!("explain {statement}")).await.unwrap();
    let lines = rows.iter().filter_map(|row| match row {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Pages of the whole plan: the first line that counts them is the topmost node's.
fn touched_pages(plan: &str) -> u64 {
    let line = plan.lines().find(|line| line.contains("Buffers: shared")).unwrap();
    let counts = line.split_whitespace().filter_map(|word| word.split_once('='));
    counts.filter(|(kind, _)| matches!(*kind, "hit" | "read")).map(|(_, count)| count.parse::<u64>().unwrap()).sum()
}

fn queries() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sql/queries")
}

fn statement_files() -> Vec<PathBuf> {
    let folders = fs::read_dir(queries()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())).collect();
    files.sort();
    files
}

fn name_of(file: &Path) -> String {
    file.strip_prefix(queries()).unwrap().with_extension("").display().to_string()
}
