//! Roll-ups count each attempt and each event once, whatever happens to those who fold, and only what is complete.

use tokio_postgres::Client;

use crate::support::database::Database;
use crate::support::postgres::Postgres;
use crate::support::rig::Rig;
use crate::support::wait::until;

/// Three hours of traffic of three tenants that ended a minute ago: 2,000 events, 3,000 attempts, some of them tests,
/// replays and attempts of lost workers, which are dated back.
const TRAFFIC: &str = "
    select setseed(0.5);
    select ensure_partitions((now() at time zone 'UTC')::date - 2, (now() at time zone 'UTC')::date + 1);
    insert into tenants (id, name) select ('00000000-0000-7000-8000-00000000000' || n)::uuid, 'rolled ' || n from generate_series(1, 3) as n;
    insert into events (tenant_id, id, event_type, payload, accepted_at, deliver_at)
    select
        ('00000000-0000-7000-8000-00000000000' || 1 + n % 3)::uuid,
        uuid_v7(t.at),
        nullif('order.' || n % 4, 'order.0'),
        '{}',
        t.at,
        case when n % 10 = 0 then t.at + interval '1 minute' end
    from generate_series(1, 2000) as n
    cross join lateral (select now() - interval '1 minute' - interval '3 hours' * ((n * 7919) % 2000) / 2000 as at) as t;
    insert into attempts (
        tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome, error_message, trigger,
        duration_ms, created_at, written_at
    )
    select
        e.tenant_id,
        ('00000000-0000-7000-9000-00000000000' || (e.number % 3))::uuid,
        uuid_v7(e.began),
        e.id,
        e.event_type,
        n,
        case when e.dice < 0.7 then 'delivered' when e.dice < 0.9 then 'http_5xx' else 'unknown' end,
        case when e.dice >= 0.7 then 'it failed' end,
        (array['test', 'manual', 'replay', 'schedule', null, null, null, null])[1 + (e.number % 8)],
        (e.dice * 100)::integer,
        e.began,
        e.written
    from generate_series(1, 2) as n
    cross join lateral (
        select
            x.tenant_id, x.id, x.event_type, x.number, x.dice,
            x.due_at + n * x.dice * interval '2 seconds' - case when x.dice > 0.95 then interval '2 hours' else '0 s' end as began,
            least(x.due_at + n * interval '3 seconds', now() - interval '20 seconds') as written
        from (
            select
                y.tenant_id, y.id, y.event_type, greatest(y.accepted_at, y.deliver_at) as due_at,
                row_number() over (order by y.id) + n as number, random() as dice
            from events as y
        ) as x
    ) as e
    where n = 1 or e.number % 2 = 0;
    update rollup_progress set folded_until = now() - interval '10 hours', span = '10 minutes'";

/// Differences between a roll-up and a count over the log.
const WRONG_OUTCOMES: &str = "
    with counted as (
        select tenant_id, date_bin('GRAIN', created_at, 'epoch') as at, outcome, count(*) as n
        from attempts where trigger is distinct from 'test' group by 1, 2, 3
        union all
        select tenant_id, date_bin('GRAIN', accepted_at, 'epoch'), '', count(*) from events group by 1, 2
        union all
        select '00000000-0000-0000-0000-000000000000', date_bin('GRAIN', created_at, 'epoch'), outcome, count(*)
        from attempts where trigger is distinct from 'test' group by 2, 3
        union all
        select '00000000-0000-0000-0000-000000000000', date_bin('GRAIN', accepted_at, 'epoch'), '', count(*) from events group by 2
    )
    select count(*) from counted as c full join TABLE as r using (tenant_id, at, outcome)
    where c.n is distinct from r.accepted + r.attempts";
const WRONG_SUBSCRIPTIONS: &str = "
    with counted as (
        select
            tenant_id, date_bin('1 hour', created_at, 'epoch') as at, subscription_id, coalesce(event_type, '') as event_type,
            count(*) as n, count(*) filter (where outcome = 'delivered') as d
        from attempts where trigger is distinct from 'test' group by 1, 2, 3, 4
    )
    select count(*) from counted as c full join rollup_subscriptions as r using (tenant_id, at, subscription_id, event_type)
    where (c.n, c.d) is distinct from (r.attempts, r.delivered)";
const WRONG_TYPES: &str = "
    with counted as (
        select tenant_id, at, event_type, sum(a) as a, sum(n) as n
        from (
            select tenant_id, date_bin('1 hour', created_at, 'epoch') as at, coalesce(event_type, '') as event_type, 0 as a, 1 as n
            from attempts where trigger is distinct from 'test'
            union all
            select tenant_id, date_bin('1 hour', accepted_at, 'epoch'), coalesce(event_type, ''), 1, 0 from events
        ) as both_of_them
        group by 1, 2, 3
    )
    select count(*) from counted as c
    full join (select * from rollup_types where tenant_id <> '00000000-0000-0000-0000-000000000000') as r using (tenant_id, at, event_type)
    where (c.a, c.n) is distinct from (r.accepted::numeric, r.attempts::numeric)";

async fn number(client: &Client, question: &str) -> i64 {
    client.query_one(question, &[]).await.unwrap().get(0)
}

async fn check(client: &Client) {
    for (table, grain) in [("rollup_minutes", "1 minute"), ("rollup_hours", "1 hour")] {
        let wrong = WRONG_OUTCOMES.replace("TABLE", table).replace("GRAIN", grain);
        assert_eq!(number(client, &wrong).await, 0, "{table}");
    }
    assert_eq!(number(client, WRONG_SUBSCRIPTIONS).await, 0);
    assert_eq!(number(client, WRONG_TYPES).await, 0);
}

async fn fold_all(database: &Database) {
    let store = database.store();
    until("everything is folded", async || store.fold_rollups(500).await.unwrap().filter(|folded| !folded.more)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_counts_once_although_folding_is_cut_off_and_several_fold() {
    let database = Database::new().await;
    let client = database.client().await;
    client.batch_execute(TRAFFIC).await.unwrap();
    let crash = "begin; select rollups_fold_1(100); rollback";
    let mut folders = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (store, crashing) = (database.store(), database.client().await);
        folders.spawn(async move {
            loop {
                crashing.batch_execute(crash).await.unwrap();
                match store.fold_rollups(100).await.unwrap() {
                    Some(folded) if !folded.more => break,
                    Some(folded) => assert!(folded.attempts.max(folded.events) <= 100, "a step is bounded: {folded:?}"),
                    None => tokio::task::yield_now().await,
                }
            }
        });
    }
    folders.join_all().await;
    let attempts = number(&client, "select count(*) from attempts").await;
    let tests = number(&client, "select count(*) from attempts where trigger = 'test'").await;
    assert!(attempts > 2_900 && tests > 100, "{attempts} {tests}");
    check(&client).await;
    // What is written later, about attempts that began before, counts too.
    client
        .batch_execute(
            "insert into attempts (tenant_id, subscription_id, id, event_id, attempt_number, outcome, error_message, created_at, written_at)
             select e.tenant_id, e.id, uuid_v7(e.accepted_at), e.id, 3, 'unknown', 'lost', e.accepted_at, now() - interval '16 seconds'
             from events as e limit 50;
             update rollup_progress set folded_until = now() - interval '17 seconds'",
        )
        .await
        .unwrap();
    fold_all(&database).await;
    check(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn percentiles_from_merged_histograms_are_within_five_percent() {
    let database = Database::new().await;
    let client = database.client().await;
    client.batch_execute(TRAFFIC).await.unwrap();
    fold_all(&database).await;
    let exact = "
        select
            percentile_disc(array[0.5, 0.9, 0.99]) within group (order by f.ms) filter (where f.is_first),
            percentile_disc(array[0.5, 0.9, 0.99]) within group (order by f.ms + f.took) filter (where f.is_delivered)
        from (
            select
                greatest(1000 * extract(epoch from a.created_at - greatest(e.accepted_at, e.deliver_at)), 1)::double precision as ms,
                a.duration_ms as took, a.attempt_number = 1 as is_first, a.outcome = 'delivered' as is_delivered
            from attempts as a
            inner join events as e on e.tenant_id = a.tenant_id and e.id = a.event_id
            where coalesce(a.trigger, '') not in ('test', 'manual', 'replay')
        ) as f";
    let exact = client.query_one(exact, &[]).await.unwrap();
    let read = "
        select array(select histogram_percentile(h.first_attempt, f) from unnest(array[0.5, 0.9, 0.99]) as f),
            array(select histogram_percentile(h.delivery, f) from unnest(array[0.5, 0.9, 0.99]) as f)
        from (
            select histogram_sum(first_attempt) as first_attempt, histogram_sum(delivery) as delivery
            from rollup_minutes where tenant_id <> '00000000-0000-0000-0000-000000000000'
        ) as h";
    let read = client.query_one(read, &[]).await.unwrap();
    for column in 0..2 {
        let (exact, read): (Vec<f64>, Vec<f64>) = (exact.get(column), read.get(column));
        for (exact, read) in exact.iter().zip(&read) {
            assert!((read / exact - 1.0).abs() < 0.05, "{read} for {exact}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_still_change_is_not_folded() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.accept(&subscription, b"{}").await;
    rig.settle().await;
    assert_eq!(fold_what_may(&rig).await, (0, 0), "a second old");
    // Fifteen seconds later.
    for aged in [
        "update rollup_progress set folded_until = folded_until - interval '20 seconds'",
        "update attempts set written_at = written_at - interval '16 seconds'",
        "update events set accepted_at = accepted_at - interval '16 seconds'",
    ] {
        rig.sql(aged).await;
    }
    assert_eq!(fold_what_may(&rig).await, (1, 1));
}

/// Attempts and events of all steps that are possible now.
async fn fold_what_may(rig: &Rig) -> (i64, i64) {
    let (mut attempts, mut events) = (0, 0);
    loop {
        let folded = rig.store().fold_rollups(100).await.unwrap().unwrap();
        (attempts, events) = (attempts + folded.attempts, events + folded.events);
        if !folded.more {
            return (attempts, events);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mark_waits_for_a_commit_of_ours_and_for_nobody_elses_transaction() {
    let mut server = Postgres::start(&[]).await;
    // A standby that is away: a commit of ours waits, its row is not visible yet.
    server.client().await.batch_execute("alter system set synchronous_standby_names = 'away'").await.unwrap();
    server.stop();
    server.run().await;
    let (foreign, ours, watcher) = (server.client().await, server.client().await, server.client().await);
    watcher.batch_execute("set synchronous_commit = local").await.unwrap();
    let function = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/functions/log/complete_before.sql");
    watcher.batch_execute(&std::fs::read_to_string(function).unwrap()).await.unwrap();
    watcher.batch_execute("create table log (at timestamptz)").await.unwrap();
    foreign.batch_execute("begin; insert into log values (now())").await.unwrap();
    let committing = tokio::spawn(async move { ours.batch_execute("insert into log values (now())").await });
    let seen = "select xact_start::text from pg_stat_activity where wait_event = 'SyncRep' and xact_start < now() - interval '15 seconds'";
    let seen = until("the commit has waited for 15 s", async || {
        watcher.query_opt(seen, &[]).await.unwrap().map(|row| row.get::<_, String>(0))
    })
    .await;
    let mark: String = watcher.query_one("select log_complete_before_1()::text", &[]).await.unwrap().get(0);
    assert_eq!(mark, seen, "it waits for the commit, not for the older transaction of somebody else");
    watcher.batch_execute("alter system set synchronous_standby_names = ''").await.unwrap();
    watcher.batch_execute("select pg_reload_conf()").await.unwrap();
    committing.await.unwrap().unwrap();
    let is_usual = "select log_complete_before_1() = now() - interval '15 seconds'";
    assert!(watcher.query_one(is_usual, &[]).await.unwrap().get::<_, bool>(0), "somebody else's is still open");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_cuts_a_transaction_of_ours_before_the_mark_passes_it() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    rig.accept(&subscription, b"{}").await;
    let (holder, watcher) = (rig.database.client().await, rig.database.client().await);
    holder.batch_execute("begin; lock table attempts in share row exclusive mode").await.unwrap();
    let working = rig.working();
    let oldest =
        "select max(extract(epoch from clock_timestamp() - xact_start))::double precision, min(xact_start)::text
        from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let look = async || {
        let row = watcher.query_one(oldest, &[]).await.unwrap();
        row.get::<_, Option<f64>>(0).zip(row.get::<_, Option<String>>(1))
    };
    let (_, first) = until("a record waits for the lock", look).await;
    until("it is cut off", async || {
        let Some((seconds, now)) = look().await else { return Some(()) };
        assert!(seconds < 10.0, "open for {seconds} s");
        (now != first).then_some(())
    })
    .await;
    holder.batch_execute("rollback").await.unwrap();
    until("it is recorded after all", async || (rig.count("attempts").await == 1).then_some(())).await;
    working.stop().await;
}

#[tokio::test]
async fn of_many_tenants_the_busiest_are_read_and_one_more_that_says_so() {
    let database = Database::new().await;
    let client = database.client().await;
    client
        .execute(
            "insert into rollup_hours (tenant_id, at, outcome, accepted, attempts, started, first_attempt, delivery)
            select
                ('00000000-0000-0000-0000-00000000000' || n)::uuid,
                date_trunc('hour', now()) - make_interval(hours => hour), 'delivered', 1, n, n, '{}', '{}'
            from generate_series(0, 5) as n
            cross join generate_series(0, 2) as hour",
            &[],
        )
        .await
        .unwrap();
    let select = "
        select substring(r.tenant_id::text from 36), array_agg(r.attempts)
        from rollups_read_1('hours', null, null, now() - interval '1 day', now(), 1000, $1) as r
        group by r.tenant_id
        order by r.tenant_id";
    let mut found = Vec::new();
    for most in [2_i64, 9] {
        let rows = client.query(select, &[&most]).await.unwrap();
        found.push(rows.iter().map(|row| (row.get(0), row.get(1))).collect::<Vec<(String, Vec<i64>)>>());
    }
    let tenants = |numbers: &[i64]| numbers.iter().map(|n| (n.to_string(), vec![*n; 3])).collect::<Vec<_>>();
    // The nil id stands for all together.
    assert_eq!(found, [tenants(&[3, 4, 5]), tenants(&[1, 2, 3, 4, 5])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_has_a_bounded_number_of_types() {
    let database = Database::new().await;
    let client = database.client().await;
    let tenant = "00000000-0000-7000-8000-000000000000";
    for batch in 0..3 {
        let add = format!(
            "insert into attempts (tenant_id, subscription_id, id, event_id, event_type, attempt_number, outcome, created_at, written_at)
             select '{tenant}', '{tenant}', uuid_v7(), uuid_v7(), 'type.' || n, 1, 'delivered', '2026-11-28 10:10:00+00', now() - interval '20 seconds'
             from generate_series(1 + {batch} * 100, ({batch} + 1) * 100) as n;
             update rollup_progress set folded_until = now() - interval '21 seconds'"
        );
        client.batch_execute(&add).await.unwrap();
        fold_all(&database).await;
        client.batch_execute("delete from attempts").await.unwrap();
    }
    let rows = "select count(*) from rollup_subscriptions";
    assert_eq!(number(&client, rows).await, 21, "20 types and the others");
    let others = "select attempts from rollup_subscriptions where event_type = '(other)'";
    assert_eq!(number(&client, others).await, 280);
    let of_tenant = format!("select count(*) from rollup_types where tenant_id = '{tenant}'");
    assert_eq!(number(&client, &of_tenant).await, 201);
    assert_eq!(
        number(&client, "select sum(attempts)::bigint from rollup_types").await,
        600,
        "of the tenant and of all"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn old_rollups_are_forgotten() {
    let database = Database::new().await;
    let client = database.client().await;
    client
        .batch_execute(
            "insert into rollup_minutes select uuid_v7(), now() - n * interval '24 hours 10 minutes', '', 1, 0, 0, '{}', '{}' from generate_series(1, 3) as n;
             insert into rollup_hours select uuid_v7(), now() - n * interval '50 days', '', 1, 0, 0, '{}', '{}' from generate_series(1, 3) as n;
             insert into rollup_types select uuid_v7(), now() - n * interval '50 days', '', 1, 0, 0, 0, '{}', '{}' from generate_series(1, 3) as n;
             insert into rollup_subscriptions select uuid_v7(), now() - n * interval '50 days', uuid_v7(), '', 1, 0, 0, '{}', '{}' from generate_series(1, 3) as n;
             insert into queue_depth_minutes select uuid_v7(), now() - n * interval '24 hours 10 minutes', 1, 0, false from generate_series(1, 3) as n;
             insert into queue_depth_hours select uuid_v7(), now() - n * interval '50 days', 1, 0, false from generate_series(1, 3) as n",
        )
        .await
        .unwrap();
    assert_eq!(database.store().forget_rollups(1).await.unwrap(), 6, "so many of each at a time");
    assert_eq!(database.store().forget_rollups(10).await.unwrap(), 6);
    let rollups = ["rollup_minutes", "rollup_hours", "rollup_types", "rollup_subscriptions"];
    for table in rollups.into_iter().chain(["queue_depth_minutes", "queue_depth_hours"]) {
        assert_eq!(number(&client, &format!("select count(*) from {table}")).await, 1, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_ranges_of_the_indexes_by_time_are_summarised_and_the_last_one_is_not() {
    let database = Database::new().await;
    let client = database.client().await;
    client
        .batch_execute(
            "insert into attempts (tenant_id, subscription_id, id, event_id, attempt_number, outcome, created_at)
             select uuid_v7(), uuid_v7(), uuid_v7(), uuid_v7(), 1, 'delivered', now() from generate_series(1, 15000)",
        )
        .await
        .unwrap();
    let pages = "select pg_relation_size(p.partition::regclass) / 8192 from partitions as p
        where p.parent = 'attempts' and p.from_id <= uuid_v7_floor(now()) and p.below_id > uuid_v7_floor(now())";
    let full = number(&client, pages).await / 32;
    assert!(full > 2, "{full}");
    // The first range is summarised from the start, while it is empty. A vacuum may have begun with others.
    let summarised = number(&client, "select log_summarise_1()").await;
    assert!(summarised <= full, "{summarised} of {full}");
    let index = "(select i.inhrelid from pg_inherits as i
        inner join pg_index as x on x.indexrelid = i.inhrelid
        inner join partitions as p on x.indrelid = to_regclass(p.partition)
        where i.inhparent = 'attempts_time'::regclass
            and p.from_id <= uuid_v7_floor(now()) and p.below_id > uuid_v7_floor(now()))";
    let left = format!(
        "select coalesce(sum(brin_summarize_range({index}, n * 32)), 0) from generate_series(0, {full} - 1) as n"
    );
    assert_eq!(number(&client, &left).await, 0);
    let last = format!("select brin_summarize_range({index}, {full} * 32)::bigint");
    assert_eq!(number(&client, &last).await, 1, "the last one");
}
