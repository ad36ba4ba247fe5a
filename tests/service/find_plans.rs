//! Searches in large tables of many tenants read by an index, and a bounded number of pages, whatever the filter.

use crate::support::database::Database;

/// Every plan is told as it was run.
const PLANS: &str = "
    set jit = off;
    load 'auto_explain';
    set auto_explain.log_min_duration = 0;
    set auto_explain.log_analyze = on;
    set auto_explain.log_buffers = on;
    set auto_explain.log_timing = off;
    set auto_explain.log_nested_statements = on;
    set client_min_messages = log;
    create function pg_temp.newest() returns uuid[] language plpgsql as
        $$ begin return (select array_agg(e.id) from (select x.id from events as x order by x.id desc limit 9) as e); end $$";

/// 300 tenants with 3 subscriptions each. The first tenant has half of 60,000 events; one event in 50 failed, one in 100
/// found nobody, the newest 3,000 are pending, and the others succeeded.
const FULL: &str = "
    insert into tenants (id, name)
    select ('00000000-0000-7000-8100-' || lpad(n::text, 12, '0'))::uuid, 'n' from generate_series(1, 300) as n;
    insert into subscriptions (tenant_id, id, target_url, secret, verify_ingest)
    select t.id, ('00000000-0000-7000-8101-' || lpad((right(t.id::text, 12)::bigint * 10 + n)::text, 12, '0'))::uuid, 'x', '', false
    from tenants as t, generate_series(0, 2) as n
    where t.name = 'n';
    create table made as
    select
        uuid_v7(now() - make_interval(secs => (60000 - g) * 1.4)) as id,
        ('00000000-0000-7000-8100-' || lpad(n.tenant::text, 12, '0'))::uuid as tenant_id,
        ('00000000-0000-7000-8101-' || lpad((n.tenant * 10 + g % 3)::text, 12, '0'))::uuid as subscription_id,
        now() - make_interval(secs => (60000 - g) * 1.4) as at,
        case when g % 50 = 0 then 'failed' when g % 100 = 1 then 'unmatched' when g > 57000 then 'pending' else 'delivered' end as what
    from generate_series(1, 60000) as g
    cross join lateral (select case when g % 2 = 0 then 1 else 1 + (g / 2) % 300 end as tenant) as n;
    insert into events (tenant_id, id, accepted_at, event_type, payload, is_unmatched, fan_out)
    select m.tenant_id, m.id, m.at, 'order.created', '{\"a\": 1}', case when m.what = 'unmatched' then true end, true from made as m order by m.id;
    insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
    select m.tenant_id, m.id, m.subscription_id, now() + interval '1 hour', 8 from made as m where m.what = 'pending';
    insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
    select m.tenant_id, m.id, m.subscription_id, 'failed', 'exhausted', 1 from made as m where m.what = 'failed';
    insert into attempts (tenant_id, subscription_id, id, event_id, attempt_number, outcome, error_message, created_at, status_code)
    select m.tenant_id, m.subscription_id, uuid_v7(m.at), m.id, 1, case m.what when 'failed' then 'http_5xx' else 'delivered' end,
        case m.what when 'failed' then 'x' end, m.at, case m.what when 'failed' then 500 else 200 end
    from made as m
    where m.what in ('failed', 'delivered')
    order by m.id;
    insert into idempotency_keys (tenant_id, key, event_id, fingerprint)
    select m.tenant_id, m.id::text, m.id, decode(repeat('00', 32), 'hex') from made as m;
    drop table made";

/// A statement, its arguments up to those of the page, and the most pages (of 8 KiB) that it may touch: about twice what
/// it does. One that finds nothing examines all that it may, 10,000 rows.
const SEARCHES: [(&str, &str, u64); 27] = [
    ("deliveries/search", "FIRST, null, null, null, null, null, null", 6_500),
    // Of each the newest attempt is found, and not by the log of its subscription, which has thousands since.
    ("deliveries/search", "FIRST, null, null, null, null, null, now() - interval '20 hours'", 6_500),
    ("deliveries/search", "FIRST, null, '{failed}', null, null, null, null", 4_000),
    ("deliveries/search", "FIRST, null, '{pending}', null, null, null, null", 5_000),
    ("deliveries/search", "FIRST, null, null, '{exhausted}', null, null, null", 28_000),
    ("deliveries/search", "FIRST, null, null, null, '{no.such}', null, null", 1_000),
    ("deliveries/search", "FIRST, null, '{succeeded}', null, '{no.such}', now() - interval '1 hour', null", 1_000),
    ("deliveries/search", "FIRST, array[SUBSCRIPTION], null, null, null, null, null", 7_000),
    ("deliveries/search", "null, array[SUBSCRIPTION], '{failed}', null, null, null, null", 7_000),
    ("deliveries/search", "null, null, null, null, null, null, null", 4_000),
    ("deliveries/search", "null, null, '{failed}', null, null, null, null", 4_000),
    ("deliveries/search", "null, null, '{held}', null, null, null, null", 25_000),
    ("events/search", "FIRST, null, null, null, null, null, null, null, null", 4_000),
    ("events/search", "FIRST, null, '{failed}', null, null, null, null, null, null", 28_000),
    ("events/search", "FIRST, null, '{no_match}', null, null, null, null, null, null", 5_000),
    ("events/search", "FIRST, null, null, '{no.such}', null, null, null, null, null", 1_000),
    ("events/search", "FIRST, array[SUBSCRIPTION], null, null, null, null, null, null, null", 7_000),
    ("events/search", "null, null, null, null, null, null, null, null, null", 18_000),
    ("events/search", "null, null, '{no_match}', null, null, null, null, null, null", 20_000),
    ("events/search", "null, null, null, null, '{no.such}', null, null, null, null", 2_000),
    ("attempts/search", "FIRST, null, null, null, null, null, null, null, NIL", 1_100),
    ("attempts/search", "FIRST, null, null, null, '{none}', null, null, null, NIL", 80_000),
    ("attempts/search", "FIRST, array[SUBSCRIPTION], null, null, null, false, null, null, NIL", 1_200),
    ("attempts/search", "FIRST, null, pg_temp.newest(), null, null, null, null, null, NIL", 500),
    // Windows of time read the index of blocks, and not all of the key's.
    ("attempts/search", "null, null, null, null, null, null, null, null, NIL", 1_100),
    ("attempts/search", "null, null, null, null, null, null, '{404}', null, NIL", 90_000),
    ("subscriptions/list", "FIRST", 20),
];

fn execute(name: &str, arguments: &str) -> String {
    let page = match name {
        "deliveries/search" => "TOP, TOP, 51, 10000, 60000",
        "subscriptions/list" => "TOP, 51, 'nothing', '{open}', 20000",
        "events/search" => "TOP, 51, 10000, 60000, 500",
        _ => "TOP, 51, 10000, 60000, false",
    };
    format!("execute {}({arguments}, {page})", name.replace('/', "_"))
        .replace("FIRST", "'00000000-0000-7000-8100-000000000001'")
        .replace("SUBSCRIPTION", "'00000000-0000-7000-8101-000000000011'::uuid")
        .replace("TOP", "'ffffffff-ffff-ffff-ffff-ffffffffffff'")
        .replace("NIL", "'00000000-0000-0000-0000-000000000000'")
}

const FEW_PAGES: u64 = 8;

/// Pages of a statement and all that it ran: the first line of its plan that counts them is the topmost node's.
fn touched_pages(plan: &str) -> u64 {
    let line = plan.lines().find(|line| line.contains("Buffers: shared")).unwrap();
    let counts = line.split_whitespace().filter_map(|word| word.split_once('='));
    counts.filter(|(kind, _)| matches!(*kind, "hit" | "read")).map(|(_, count)| count.parse::<u64>().unwrap()).sum()
}

/// Whether it reads a table or a partition in the order of its pages. One of a few pages, such as that of a day which has
/// just begun, is read so by whatever plan.
fn scans(plan: &str, table: &str) -> bool {
    let nodes = plan.split("->  ").filter(|node| node.starts_with(&format!("Seq Scan on {table}")));
    nodes.into_iter().any(|node| node.contains("Buffers: shared") && touched_pages(node) > FEW_PAGES * loops(node))
}

fn loops(node: &str) -> u64 {
    let after = node.split("loops=").nth(1).unwrap();
    after.split(|letter: char| !letter.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_search_scans_a_table_and_each_reads_a_bounded_number_of_pages() {
    let database = Database::new().await;
    database.client().await.batch_execute(FULL).await.unwrap();
    database.client().await.batch_execute("vacuum analyze").await.unwrap();
    let (client, mut notices) = database.client_with_notices().await;
    client.batch_execute(PLANS).await.unwrap();
    for name in ["deliveries/search", "events/search", "attempts/search", "subscriptions/list"] {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("sql/queries/{name}.sql"));
        let text = std::fs::read_to_string(file).unwrap();
        client.batch_execute(&format!("prepare {} as {text}", name.replace('/', "_"))).await.unwrap();
    }
    for (name, arguments, most) in SEARCHES {
        let mut fewest = u64::MAX;
        // Much that other databases of the server create makes a session read all catalogs anew, which counts: 1,700 pages.
        for _ in 0..2 {
            while notices.try_recv().is_ok() {}
            client
                .batch_execute(&execute(name, arguments))
                .await
                .unwrap_or_else(|error| panic!("{name}({arguments}): {error:?}"));
            let told: Vec<_> =
                std::iter::from_fn(|| notices.try_recv().ok()).filter(|told| told.contains("Query Text")).collect();
            for table in ["events", "attempts", "deliveries", "undelivered", "idempotency_keys", "subscriptions"] {
                let scan = told.iter().find(|plan| scans(plan, table));
                assert!(scan.is_none(), "{name}({arguments}) scans {table}:\n{}", scan.unwrap());
            }
            fewest = fewest.min(touched_pages(told.last().unwrap()));
        }
        assert!(fewest < most, "{name}({arguments}) touches {fewest} pages");
    }
}

/// A tenant with 20,000 subscriptions, of which every other one is deleted, and every hundredth one fails.
const MANY: &str = "
    insert into tenants (id, name) values ('00000000-0000-7000-8100-000000000001', 'n');
    insert into subscriptions (tenant_id, id, target_url, description, secret, verify_ingest, deleted_at)
    select '00000000-0000-7000-8100-000000000001', ('00000000-0000-7000-8101-' || lpad(n::text, 12, '0'))::uuid,
        'https://receiver-' || n || '.example.com/hooks', repeat('x', 200), '', false, case when n % 2 = 1 then now() end
    from generate_series(1, 20000) as n;
    insert into subscription_health (subscription_id, tenant_id, failures)
    select s.id, s.tenant_id, 3 from subscriptions as s where right(s.id::text, 2) = '00'";

#[tokio::test]
async fn a_search_of_subscriptions_examines_as_many_as_it_may_and_goes_on() {
    let database = Database::new().await;
    database.client().await.batch_execute(MANY).await.unwrap();
    database.client().await.batch_execute("vacuum analyze").await.unwrap();
    let (client, mut notices) = database.client_with_notices().await;
    client.batch_execute(PLANS).await.unwrap();
    let text = include_str!("../../sql/queries/subscriptions/list.sql");
    let settings = "set enable_seqscan = off; set plan_cache_mode = force_generic_plan";
    client.batch_execute(&format!("{settings}; prepare list as {text}")).await.unwrap();
    let page = async |below: &str, words: &str, most: u32| {
        let tenant = "'00000000-0000-7000-8100-000000000001'";
        let rows =
            client.simple_query(&format!("execute list({tenant}, '{below}', 51, {words}, {most})")).await.unwrap();
        let rows: Vec<_> = rows
            .into_iter()
            .filter_map(|row| match row {
                tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .collect();
        let examined_to = rows.first().and_then(|row| row.get("examined_to")).map(str::to_owned);
        (rows.iter().filter_map(|row| row.get("id").map(str::to_owned)).collect::<Vec<_>>(), examined_to)
    };
    let top = "ffffffff-ffff-ffff-ffff-ffffffffffff";
    for (words, most_pages) in [("'nothing', null", 5_500), ("null, '{open}'", 16_000), ("null, null", 5_500)] {
        page(top, words, 5_000).await;
        while notices.try_recv().is_ok() {}
        page(top, words, 5_000).await;
        let told: Vec<_> =
            std::iter::from_fn(|| notices.try_recv().ok()).filter(|told| told.contains("Query Text")).collect();
        let plan = told.last().unwrap();
        assert!(!scans(plan, "subscriptions"), "{plan}");
        assert!(touched_pages(plan) < most_pages, "{words} touches {} pages", touched_pages(plan));
    }
    let (mut found, mut pages, mut below) = (Vec::new(), 0, top.to_owned());
    loop {
        let (rows, examined_to) = page(&below, "'RECEIVER-1', '{failing}'", 400).await;
        found.extend(rows);
        pages += 1;
        let Some(next) = examined_to else { break };
        below = next;
    }
    let of_hundreds = |n: &u32| n.to_string().starts_with('1');
    let expected: Vec<_> = (1..=200)
        .map(|n| n * 100)
        .filter(of_hundreds)
        .rev()
        .map(|n| format!("00000000-0000-7000-8101-{n:012}"))
        .collect();
    assert_eq!((found, pages), (expected, 10_000 / 400 + 1));
}
