//! Every statement under sql/queries is one that the server understands, its parameters and columns are written
//! down, and the hot ones, with all that their functions do, touch as few pages however full the tables are, whatever
//! the server's statistics say.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio_postgres::Client;

use crate::support::database::Database;
use crate::support::snapshot::assert_snapshot;

/// The settings of the queue's connections (src/store/mod.rs), and every plan told as it was run.
const SESSION: &str = "
    set plan_cache_mode = force_generic_plan;
    set enable_seqscan = off;
    set enable_bitmapscan = off;
    set enable_sort = off;
    set enable_hashjoin = off;
    set enable_mergejoin = off;
    set jit = off;
    load 'auto_explain';
    set auto_explain.log_min_duration = 0;
    set auto_explain.log_analyze = on;
    set auto_explain.log_buffers = on;
    set auto_explain.log_timing = off;
    set auto_explain.log_nested_statements = on;
    set client_min_messages = log;
    create function pg_temp.any_event() returns uuid language plpgsql as
        $$ begin return coalesce((select e.id from events as e limit 1), uuid_v7()); end $$;
    create function pg_temp.version_of_the_first() returns bigint language plpgsql as
        $$ begin return (select s.version from subscriptions as s order by s.id limit 1); end $$";

/// Tables that grow with the traffic.
const LARGE: [&str; 11] = [
    "audit",
    "refusals",
    "deliveries",
    "subscriptions",
    "subscription_health",
    "owners",
    "events",
    "attempts",
    "undelivered",
    "idempotency_keys",
    "unreported_failures",
];

/// Pages that a statement over a handful of rows may touch: far fewer than one for each of the rows that [`FULL`]
/// makes.
const FEW_PAGES: u64 = 2_000;

/// Pages for each of the lanes that the look at everything steps along.
const PAGES_OF_A_LANE: u64 = 10;

/// The statements of the hot path and of upkeep, with arguments for a handful of rows, and an index that each has to
/// use.
const HOT: [(&str, &str, &str); 29] = [
    ("deliveries/find", "now() - interval '1 hour', null, 100", "deliveries_free"),
    (
        "deliveries/take",
        "gen_random_uuid(), 25, '00000000-0000-7000-8002-000000000000', true, 1000000, \
         array['00000000-0000-7000-8001-000000000002', '00000000-0000-7000-8001-000000000900']::uuid[], \
         array_fill('00000000-0000-7000-8000-000000000000'::uuid, array[2]), array[10, 10], \
         array_fill('-infinity'::timestamptz, array[2]), array['', '']",
        "deliveries_lane",
    ),
    (
        "deliveries/record",
        "array['00000000-0000-7000-8000-000000000000'::uuid], array[gen_random_uuid()], \
         array['00000000-0000-7000-8001-000000000002'::uuid], array[gen_random_uuid()], array['give_up'], array[0], array[0], \
         array[0], array['failed'], array['exhausted'], array[1], array['gone'], array[1], array[gen_random_uuid()], \
         array[null], array[1], array['http_4xx'], array[410], array['gone'], array[null::bytea], array[null], array[1], \
         array[now()], array['schedule'], array['{\"url\": \"http://a/\"}'], array['retry_after']",
        "deliveries_pkey",
    ),
    (
        "events/accept",
        "array[uuid_v7()], array['00000000-0000-7000-8000-000000000000'::uuid], array[null], array['{}'::bytea], array[null::text], \
         array[2], array['key'], array[decode(repeat('00', 32), 'hex')], array[null::bigint], array['long'], array[null::timestamptz], \
         array[null::timestamptz], array[null::smallint], array[1], array['00000000-0000-7000-8001-000000000001'::uuid], \
         array[pg_temp.version_of_the_first()], array[true], gen_random_uuid(), 25",
        "subscriptions_id_unique",
    ),
    (
        "owners/keep",
        "'00000000-0000-7000-8002-000000000000', 25, array['00000000-0000-7000-8001-000000000100'::uuid], \
         array['00000000-0000-7000-8001-000000000101'::uuid], array['00000000-0000-7000-8000-000000000000'::uuid], \
         array['00000000-0000-7000-8001-000000000100'::uuid]",
        "owners_pkey",
    ),
    (
        "health/record",
        "array['00000000-0000-7000-8001-000000000001'::uuid], array[false], array[1], array[null::float8], array[1], 10, 30, 30",
        "subscription_health_pkey",
    ),
    (
        "replays/look",
        "'00000000-0000-7000-8000-000000000000', '00000000-0000-7000-8003-000000000000', 10",
        "undelivered_subscription",
    ),
    (
        "deliveries/advance",
        "array['00000000-0000-7000-8001-000000000001'::uuid], array['long'], array[0]",
        "deliveries_ordered",
    ),
    ("upkeep/advance_groups", "'00000000-0000-0000-0000-000000000000', '', 20, 20", "deliveries_ordered"),
    (
        "deliveries/expire",
        "'00000000-0000-7000-8000-000000000000', '00000000-0000-0000-0000-000000000000', 100",
        "deliveries_expiring",
    ),
    (
        "subscriptions/changed",
        "'00000000-0000-7000-8000-000000000000', 9223372036854775807, '{}'",
        "subscriptions_listed",
    ),
    (
        "deliveries/cancel_held",
        "'00000000-0000-7000-8000-000000000000', '00000000-0000-7000-8001-000000000150', 10, '{}'",
        "deliveries_lane",
    ),
    (
        "deliveries/cancel",
        "'00000000-0000-7000-8000-000000000000', pg_temp.any_event(), null, 10, '{}'",
        "deliveries_pkey",
    ),
    (
        "deliveries/retry",
        "'00000000-0000-7000-8000-000000000000', pg_temp.any_event(), \
         '00000000-0000-7000-8001-000000000002', 3600, 10, '{}'",
        "deliveries_pkey",
    ),
    ("upkeep/report", "array[3600.0], 60.0", "subscription_health_"),
    (
        "health/change",
        "'00000000-0000-7000-8002-000000000000', array['00000000-0000-7000-8001-000000000100'::uuid], array['open'], \
         array['recovering'], array[2], array[0], array[null::float8]",
        "subscription_health_pkey",
    ),
    (
        "health/close",
        "'00000000-0000-7000-8002-000000000000', array['00000000-0000-7000-8001-000000000100'::uuid]",
        "subscription_health_pkey",
    ),
    ("upkeep/disable_failing", "864000, 1", "subscription_health"),
    (
        "audit/list",
        "'00000000-0000-7000-8000-000000000000', null, null, null, '00000000-0000-0000-0000-000000000000', uuid_v7(), 51, 51",
        "audit_tenant",
    ),
    (
        "audit/list",
        "null, '00000000-0000-7000-8001-000000000001', null, null, '00000000-0000-0000-0000-000000000000', uuid_v7(), 51, 51",
        "audit_object",
    ),
    (
        "audit/list",
        "null, null, '00000000-0000-7000-8001-000000000001', null, '00000000-0000-0000-0000-000000000000', uuid_v7(), 51, 51",
        "audit_key",
    ),
    ("audit/list", "null, null, null, null, '00000000-0000-0000-0000-000000000000', uuid_v7(), 51, 51", "audit_pkey"),
    (
        "refusals/list",
        "'00000000-0000-7000-8000-000000000000', null, '00000000-0000-0000-0000-000000000000', uuid_v7(), 51, 51",
        "refusals_tenant",
    ),
    ("refusals/list", "null, '{x}', '00000000-0000-0000-0000-000000000000', uuid_v7(), 51, 51", "refusals_pkey"),
    ("refusals/search", "'00000000-0000-7000-8000-000000000000', 'y', null, '\\x78', 20, 100", "refusals_tenant"),
    ("refusals/forget", "7776000, 100", "refusals_pkey"),
    ("search/exact", "null, 'x', pg_temp.any_event()", "tenants_pkey"),
    ("audit/forget", "7776000, 100", "audit_pkey"),
    ("replicas/beat", "gen_random_uuid(), 'worker', '1', 20, 0, 10", "replicas"),
];

const FIND_ALL: (&str, &str, &str) = ("deliveries/find_all", "", "deliveries_lane");

/// 200,000 deliveries of 1,000 subscriptions, a fifth of them paced: some due, most in the future; 50,000 of one, all
/// due; 50,000 in 1,001 ordering groups, half of them in one; and what has become of 50,000 others.
const FULL: &str = "
    insert into subscriptions (tenant_id, id, target_url, secret, verify_ingest, is_ordered, rate_limit)
    select '00000000-0000-7000-8000-000000000000', ('00000000-0000-7000-8001-' || lpad(n::text, 12, '0'))::uuid, 'x', '', false,
        n = 1, case when n between 100 and 299 then 5 end
    from generate_series(1, 1000) as n;
    insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes, expires_at)
    select '00000000-0000-7000-8000-000000000000', uuid_v7(), ('00000000-0000-7000-8001-' || lpad((n % 1000 + 1)::text, 12, '0'))::uuid,
        now() + make_interval(secs => n - 5000), 2, case when n % 10 = 0 then now() + interval '1 day' end
    from generate_series(1, 200000) as n;
    insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
    select '00000000-0000-7000-8000-000000000000', uuid_v7(), '00000000-0000-7000-8001-000000000900',
        now() - make_interval(secs => n), 2
    from generate_series(1, 50000) as n;
    insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes, ordering_key, position)
    select '00000000-0000-7000-8000-000000000000', uuid_v7(), '00000000-0000-7000-8001-000000000001',
        'infinity', 2, case when n % 2 = 0 then 'long' else 'key-' || n % 2000 end, n
    from generate_series(1, 50000) as n;
    insert into owners (tenant_id, subscription_id, owner, until)
    select s.tenant_id, s.id, '00000000-0000-7000-8002-000000000000', now() + interval '1 hour'
    from subscriptions as s
    where s.is_paced;
    insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
    select d.tenant_id, d.event_id, '00000000-0000-7000-8001-000000000002', 'failed', 'exhausted', 6
    from deliveries as d
    limit 50000;
    insert into attempts (tenant_id, subscription_id, id, event_id, attempt_number, outcome, error_message, created_at)
    select u.tenant_id, u.subscription_id, uuid_v7(), u.event_id, 1, 'http_5xx', 'x', now()
    from undelivered as u;
    insert into replays (tenant_id, id, subscription_id, statuses, after_id, below_id, rate, reached)
    select s.tenant_id, '00000000-0000-7000-8003-000000000000', s.id, '{failed}', nil.id, uuid_v7(), 100, nil.id
    from subscriptions as s
    cross join (select '00000000-0000-0000-0000-000000000000'::uuid as id) as nil
    where s.id = '00000000-0000-7000-8001-000000000002';
    insert into subscription_health (tenant_id, subscription_id, failures, failing_since)
    select s.tenant_id, s.id, 1, now()
    from subscriptions as s;
    insert into events (tenant_id, id, payload)
    select d.tenant_id, d.event_id, '{}'
    from deliveries as d
    limit 100000;
    insert into audit (tenant_id, id, actor_kind, actor_key, action, object_kind, object_id)
    select s.tenant_id, uuid_v7(), 'key', s.id, 'subscription.updated', 'subscription', s.id
    from subscriptions as s
    cross join generate_series(1, 20);
    insert into idempotency_keys (tenant_id, key, event_id, fingerprint)
    select e.tenant_id, e.id::text, e.id, decode(repeat('00', 32), 'hex')
    from events as e
    limit 50000;
    insert into refusals (tenant_id, id, at, status, is_own, code, detail, route, request_id)
    select '00000000-0000-7000-8000-000000000000', uuid_v7(), now(), 422, true, 'x', 'x', 'x', 'x'
    from generate_series(1, 50000)";

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_can_be_prepared_and_its_types_are_recorded() {
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
async fn plans_made_while_the_tables_were_empty_stay_cheap_when_they_are_full() {
    let database = Database::new().await;
    let mut session = Session::new(&database).await;
    session.client.batch_execute("vacuum analyze").await.unwrap();
    for hot in HOT {
        session.run(hot).await;
    }
    database.client().await.batch_execute(FULL).await.unwrap();
    for hot in HOT {
        session.check(hot).await;
    }
    // And those that another session makes now.
    let mut fresh = Session::new(&database).await;
    for hot in HOT {
        fresh.check(hot).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_everything_costs_some_pages_for_each_lane_however_long_it_is() {
    let database = Database::new().await;
    let mut session = Session::new(&database).await;
    session.client.batch_execute("vacuum analyze").await.unwrap();
    session.run(FIND_ALL).await;
    database.client().await.batch_execute(FULL).await.unwrap();
    let plans = session.run(FIND_ALL).await;
    let pages = touched_pages(&plans);
    assert!(pages < 1_000 * PAGES_OF_A_LANE, "{pages} pages:\n{}", plans.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_cheap_whatever_the_statistics_of_each_table_say() {
    let database = Database::new().await;
    let client = database.client().await;
    client.batch_execute(FULL).await.unwrap();
    client.batch_execute("vacuum analyze").await.unwrap();
    for table in LARGE {
        for rows in [0, 100, 1_000] {
            // As if it had been looked at when it had so many rows; the others as they are.
            let old = format!(
                "update pg_class set reltuples = {rows}, relpages = 1
                 where oid = '{table}'::regclass or oid in (select inhrelid from pg_inherits where inhparent = '{table}'::regclass)"
            );
            let known = "select reltuples, relpages from pg_class where oid = ($1::text)::regclass";
            let before = client.query_one(known, &[&table]).await.unwrap();
            client.batch_execute(&old).await.unwrap();
            let mut session = Session::new(&database).await;
            for hot in HOT {
                session.check(hot).await;
            }
            let (tuples, pages): (f32, i32) = (before.get(0), before.get(1));
            let put_back =
                format!("update pg_class set reltuples = {tuples}, relpages = {pages} where oid = '{table}'::regclass");
            client.batch_execute(&put_back).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_group_beside_an_old_transaction_is_entered_at_its_lowest_position() {
    let database = Database::new().await;
    let mut session = Session::new(&database).await;
    session.client.batch_execute(FULL).await.unwrap();
    let old = database.client().await;
    old.batch_execute("begin isolation level repeatable read; select 1 from deliveries limit 1").await.unwrap();
    let finished = "delete from deliveries where ordering_key = 'long' and position < 49990";
    session.client.batch_execute(finished).await.unwrap();
    let mut pages = Vec::new();
    for lowest in [0, 49_990] {
        let group = "array['00000000-0000-7000-8001-000000000001'::uuid], array['long']";
        let arguments = format!("{group}, array[{lowest}]");
        let plans = session.run(("deliveries/advance", &arguments, "")).await;
        pages.push(touched_pages(&plans));
    }
    assert!(pages[0] > 500 && pages[1] < 50, "{pages:?} pages without a lowest position and with it");
}

/// A session of the queue, with its plans.
struct Session {
    client: Client,
    notices: UnboundedReceiver<String>,
    prepared: Vec<String>,
}

impl Session {
    async fn new(database: &Database) -> Self {
        let (client, notices) = database.client_with_notices().await;
        client.batch_execute(SESSION).await.unwrap();
        Self { client, notices, prepared: Vec::new() }
    }

    /// Runs a statement without a trace, and returns the plans of it and of all that it ran, itself last.
    async fn run(&mut self, (name, arguments, _): (&str, &str, &str)) -> Vec<String> {
        let hot = name.replace('/', "_");
        if !self.prepared.contains(&hot) {
            let text = fs::read_to_string(queries().join(format!("{name}.sql"))).unwrap();
            self.client.batch_execute(&format!("prepare {hot} as {text}")).await.unwrap();
            self.prepared.push(hot.clone());
        }
        let execute =
            if arguments.is_empty() { format!("execute {hot}") } else { format!("execute {hot}({arguments})") };
        self.client.batch_execute("begin").await.unwrap();
        while self.notices.try_recv().is_ok() {}
        let ran = self.client.batch_execute(&execute).await;
        ran.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        self.client.batch_execute("rollback").await.unwrap();
        std::iter::from_fn(|| self.notices.try_recv().ok()).filter(|notice| notice.contains("Query Text")).collect()
    }

    async fn check(&mut self, hot: (&str, &str, &str)) {
        let (name, _, index) = hot;
        let plans = self.run(hot).await;
        for table in LARGE {
            let scan = format!("Seq Scan on {table}");
            let scans = plans.iter().find(|plan| plan.contains(&scan));
            assert!(scans.is_none(), "{name} scans {table}:\n{}", scans.unwrap());
        }
        assert!(plans.iter().any(|plan| plan.contains(index)), "{name} does not use {index}:\n{}", plans.concat());
        // Much that other databases of the server create makes a session read all catalogs anew, which counts.
        let pages = touched_pages(&plans).min(touched_pages(&self.run(hot).await));
        assert!(pages < FEW_PAGES, "{name} touches {pages} pages:\n{}", plans.join("\n"));
    }
}

/// Pages of a statement and all that it ran: the first line of its plan that counts them is the topmost node's.
fn touched_pages(plans: &[String]) -> u64 {
    let line = plans.last().unwrap().lines().find(|line| line.contains("Buffers: shared")).unwrap();
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
