//! Publishing from SQL: an event exists when the caller's transaction commits, and goes through the pipeline once.

use std::time::Duration;

use futures_util::future::join_all;
use postrider::intake::{Outbox, OutboxRules};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::support::api::TestApi;
use crate::support::rig::{Rig, submit};

const RULES: OutboxRules = OutboxRules { max_payload_bytes: 1_000, lifetime: Duration::from_secs(96 * 3_600) };

/// What publishes in a replica, over an intake of its own.
fn drainer(rig: &Rig) -> Outbox {
    Outbox::new(rig.intake(false).0, RULES, rig.parts.metrics.clone())
}

/// Publishes what is committed.
async fn drain(rig: &Rig) {
    drainer(rig).publish_all().await.unwrap();
}

/// Calls `publish` with these arguments.
async fn publish(client: &Client, arguments: &str) -> Uuid {
    client.query_one(&format!("select postrider.publish({arguments})"), &[]).await.unwrap().get(0)
}

/// The message of the refusal, after checking that it has a hint.
async fn refused(client: &Client, arguments: &str) -> (SqlState, String) {
    let error = client.query_one(&format!("select postrider.publish({arguments})"), &[]).await.unwrap_err();
    let error = error.as_db_error().unwrap_or_else(|| panic!("{arguments}: {error}"));
    assert!(error.hint().is_some(), "{error:?}");
    (error.code().clone(), error.message().to_owned())
}

async fn ids(rig: &Rig, table: &str) -> Vec<Uuid> {
    let rows = rig.client.query(&format!("select id from {table} order by id"), &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Ids and codes of what could not be published.
async fn unpublished(rig: &Rig) -> Vec<(Uuid, String)> {
    let rows = rig.client.query("select id, code from unpublished order by id", &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_exists_if_its_transaction_commits_and_not_otherwise() {
    let rig = Rig::new().await;
    rig.subscription().await;
    let caller = rig.database.client().await;
    caller.batch_execute("begin").await.unwrap();
    let kept = publish(&caller, "'order.paid', '{\"id\": 1}'::jsonb").await;
    caller.batch_execute("savepoint s").await.unwrap();
    publish(&caller, "'order.paid', '{\"id\": 2}'::jsonb").await;
    caller.batch_execute("rollback to s").await.unwrap();
    drain(&rig).await;
    assert_eq!(rig.count("events").await, 0, "it is not committed yet");
    caller.batch_execute("commit; begin").await.unwrap();
    publish(&caller, "'order.paid', '{\"id\": 3}'::jsonb").await;
    caller.batch_execute("rollback").await.unwrap();
    drain(&rig).await;
    assert_eq!(ids(&rig, "events").await, [kept]);
    assert_eq!((rig.count("outbox").await, rig.count("deliveries").await), (0, 1));
    rig.settle().await;
    let arrived = rig.receiver.requests();
    assert_eq!(arrived.len(), 1);
    assert_eq!(
        (arrived[0].header("webhook-id"), arrived[0].header("x-event-type")),
        (&*kept.to_string(), "order.paid")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_kept_and_jsonb_has_its_own_text() {
    let rig = Rig::new().await;
    let sent = r#"{ "b": 1.10,"a" : [1e400] }"#;
    publish(&rig.client, &format!("'a', convert_to('{sent}', 'UTF8')")).await;
    publish(&rig.client, &format!("'a', '{sent}'::text")).await;
    // Without a type it is text, not an ambiguous call.
    publish(&rig.client, &format!("'a', '{sent}'")).await;
    publish(&rig.client, r#"'a', '{ "b": 1.10,"a" : [1] }'::jsonb"#).await;
    publish(&rig.client, "event_type => null, payload => jsonb_build_array(1)").await;
    drain(&rig).await;
    let stored = rig.client.query("select convert_from(payload, 'UTF8') from events order by id", &[]).await.unwrap();
    let stored: Vec<String> = stored.iter().map(|row| row.get(0)).collect();
    assert_eq!(stored, [sent, sent, sent, r#"{"a": [1], "b": 1.10}"#, "[1]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_break_a_rule_fail_in_the_callers_transaction_and_name_it() {
    let rig = Rig::new().await;
    rig.sql("update outbox_lease set ends_at = now() + interval '1 day', max_payload_bytes = 100, delivery_lifetime = '3 days'").await;
    let long = "x".repeat(129);
    for (arguments, rule) in [
        ("'a..b', '{}'", "event_type: must be"),
        ("'', '{}'", "event_type: must be"),
        (&*format!("'{long}', '{{}}'"), "event_type: must be"),
        ("'a', '7'", "payload: must be a JSON object or array"),
        ("'a', '{\"a\":'", "payload: must be a JSON object or array"),
        ("'a', null::jsonb", "payload: must be a JSON object or array"),
        ("'a', '\\xff'::bytea", "payload: must be a JSON object or array"),
        ("'a', to_jsonb(array[repeat('x', 100)])", "payload: has 104 bytes, and POSTRIDER_MAX_PAYLOAD_BYTES is 100"),
        ("'a', '{}', tenant => 'nobody'", "tenant: there is no tenant with the id or external id 'nobody'"),
        ("'a', '{}', tenant => gen_random_uuid()::text", "tenant: there is no tenant"),
        ("'a', '{}', subscription_id => 'nothing'", "subscription_id: the tenant has no subscription"),
        ("'a', '{}', idempotency_key => 'a b'", "idempotency_key: must be 1 to 255 visible"),
        ("'a', '{}', idempotency_key => ''", "idempotency_key: must be 1 to 255 visible"),
        ("'a', '{}', ordering_key => repeat('x', 256)", "ordering_key: must be 1 to 255 visible"),
        ("'a', '{}', ordering_key => 'k', deliver_at => now()", "deliver_at: must not be given together"),
        ("'a', '{}', deliver_at => 'infinity'", "deliver_at: must be in the years 1 to 9999"),
        ("'a', '{}', expires_at => '-infinity'", "expires_at: must be in the years 1 to 9999"),
        ("'a', '{}', deliver_at => '10000-01-01'", "deliver_at: must be in the years 1 to 9999"),
        ("'a', '{}', deliver_at => '0002-01-01 BC'", "deliver_at: must be in the years 1 to 9999"),
        ("'a', '{}', deliver_at => now() + interval '73 h'", "deliver_at: must be at most 259200 s ahead"),
        ("'a', '{}', expires_at => '294276-12-31'", "expires_at: must be in the years 1 to 9999"),
        ("'a', '{}', expires_at => now() - interval '1 s'", "expires_at: must be in the future"),
        (
            "'a', '{}', deliver_at => now() + interval '2 h', expires_at => now() + interval '1 h'",
            "expires_at: must be after",
        ),
    ] {
        let (_, message) = refused(&rig.client, arguments).await;
        assert!(message.starts_with(rule), "{arguments}: {message}");
    }
    assert_eq!(rig.count("outbox").await, 0);
    // In a transaction that has lasted longer than the lease that it sees, too.
    rig.sql("begin").await;
    let renew = "update outbox_lease set ends_at = clock_timestamp()";
    rig.database.client().await.execute(renew, &[]).await.unwrap();
    let (_, message) = refused(&rig.client, "'a', to_jsonb(array[repeat('x', 100)])").await;
    assert!(message.starts_with("payload: has 104 bytes"), "{message}");
    rig.sql("rollback").await;
    let past_it = "insert into outbox (id, tenant_id, payload, expires_at)
                   select uuid_v7(), t.id, '{}', '10000-01-01Z' from tenants as t";
    let error = rig.client.execute(past_it, &[]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().constraint(), Some("outbox_times_have_four_digits"));
    // Nobody publishes: the settings of who did last say nothing.
    rig.sql("update outbox_lease set ends_at = now() - interval '1 second'").await;
    publish(&rig.client, "'a', to_jsonb(array[repeat('x', 100)]), deliver_at => now() + interval '73 h'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_through_the_pipeline_as_a_request_does() {
    let rig = Rig::new().await;
    let (first, second) = (rig.subscription().await, rig.subscription().await);
    rig.sql("update subscriptions set event_types = '{order.*}', version = version + 1 where id = (select max(id::text)::uuid from subscriptions)").await;
    rig.sql("update tenants set subscriptions_version = subscriptions_version + 1").await;
    rig.sql("insert into tenants (id, external_id, name) values (gen_random_uuid(), 'acme', 'Acme')").await;
    let both = publish(&rig.client, "'order.paid', '{}'").await;
    let one = publish(&rig.client, "'invoice.paid', '{}'").await;
    let addressed = publish(&rig.client, &format!("'order.paid', '{{}}', subscription_id => '{}'", second.id)).await;
    let later = publish(&rig.client, "'order.paid', '{}', deliver_at => now() + interval '1 h'").await;
    let nobody = publish(&rig.client, "'order.paid', '{}', tenant => 'acme'").await;
    drain(&rig).await;
    let counted = "select count(*), count(*) filter (where d.next_attempt_at > now()) \
                   from deliveries as d where d.event_id = $1";
    for (event, deliveries, scheduled) in [(both, 2, 0), (one, 1, 0), (addressed, 1, 0), (later, 2, 2), (nobody, 0, 0)]
    {
        let row = rig.client.query_one(counted, &[&event]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (deliveries, scheduled), "{event}");
    }
    let unmatched = rig.client.query("select id from events where is_unmatched", &[]).await.unwrap();
    assert_eq!(unmatched.iter().map(|row| row.get::<_, Uuid>(0)).collect::<Vec<_>>(), [nobody]);
    assert_ne!(first.id, second.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_publish_at_the_same_time_never_double_an_event_and_keep_the_order_of_a_key() {
    let rig = Rig::new().await;
    rig.subscription().await;
    rig.sql("update subscriptions set is_ordered = true").await;
    let many = "select postrider.publish('a', jsonb_build_object('n', n), ordering_key => 'key-' || n % 3) \
                from generate_series(1, 300) as n";
    rig.client.execute(many, &[]).await.unwrap();
    let plain = "select postrider.publish('a', jsonb_build_object('n', n)) from generate_series(1, 1500) as n";
    rig.client.execute(plain, &[]).await.unwrap();
    let published = ids(&rig, "outbox").await;
    let drainers: Vec<Outbox> = (0..3).map(|_| drainer(&rig)).collect();
    while rig.count("outbox").await > 0 {
        join_all(drainers.iter().map(async |drainer| drainer.publish_all().await.unwrap())).await;
    }
    assert_eq!(ids(&rig, "events").await, published);
    assert_eq!((rig.count("deliveries").await, rig.count("unpublished").await), (1_800, 0));
    let out_of_order = "
        select count(*)
        from (
            select d.event_id > lead(d.event_id) over (partition by d.ordering_key order by d.position) as is_later
            from deliveries as d
            where d.ordering_key is not null
        ) as d
        where d.is_later";
    assert_eq!(rig.client.query_one(out_of_order, &[]).await.unwrap().get::<_, i64>(0), 0);
    assert_eq!(rig.count("deliveries where position is not null").await, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_waits_for_an_earlier_one_of_its_key_that_another_process_has() {
    let rig = Rig::new().await;
    rig.subscription().await;
    let first = publish(&rig.client, "'a', '{}', ordering_key => 'k'").await;
    let second = publish(&rig.client, "'a', '{}', ordering_key => 'k'").await;
    let other = publish(&rig.client, "'a', '{}', ordering_key => 'other'").await;
    let peer = rig.database.client().await;
    peer.batch_execute(&format!("begin; select from outbox where id = '{first}' for update")).await.unwrap();
    drain(&rig).await;
    assert_eq!(ids(&rig, "events").await, [other]);
    assert_eq!(ids(&rig, "outbox").await, [first, second]);
    peer.batch_execute("rollback").await.unwrap();
    drain(&rig).await;
    assert_eq!(ids(&rig, "events").await, [first, second, other]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_delays_nobody() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let another = rig.subscription_of_another_tenant().await;
    let caller = rig.database.client().await;
    caller.batch_execute("begin").await.unwrap();
    let named = "idempotency_key => 'k', ordering_key => 'o'";
    let open = publish(&caller, &format!("'a', '{{}}', {named}, subscription_id => '{}'", subscription.id)).await;
    // A request with its key, of its tenant; of another tenant; a second call with its keys; the rows of others.
    let intake = rig.intake(false).0;
    assert!(submit(&intake, &subscription, b"{}", Some("k")).await.is_ok());
    assert!(submit(&intake, &another, b"{}", Some("k")).await.is_ok());
    let other = publish(&rig.client, "'a', '{}', ordering_key => 'o'").await;
    let twin = publish(&rig.client, "'b', '{}', idempotency_key => 'k2'").await;
    drain(&rig).await;
    assert_eq!(rig.count("outbox").await, 0, "its own row is not visible");
    let events = ids(&rig, "events").await;
    assert!(events.contains(&other) && events.contains(&twin), "{events:?}");
    let locks = "
        select count(*)
        from pg_locks as l
        inner join pg_class as c on c.oid = l.relation
        where l.pid = $1
            and c.relkind = 'r'
            and c.relnamespace = 'public'::regnamespace
            and l.mode not in ('AccessShareLock', 'RowExclusiveLock')";
    let pid: i32 = caller.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    assert_eq!(rig.client.query_one(locks, &[&pid]).await.unwrap().get::<_, i64>(0), 0);
    let written = "
        select array_agg(c.relname::text)
        from pg_locks as l
        inner join pg_class as c on c.oid = l.relation
        where l.pid = $1
            and c.relkind = 'r'
            and l.mode = 'RowExclusiveLock'";
    let written: Vec<String> = rig.client.query_one(written, &[&pid]).await.unwrap().get(0);
    assert_eq!(written, ["outbox"], "it writes nothing else");
    caller.batch_execute("commit").await.unwrap();
    drain(&rig).await;
    assert_eq!(unpublished(&rig).await, [(open, "idempotency_key_reused".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_is_the_first_event() {
    let rig = Rig::new().await;
    rig.subscription().await;
    let (one, two) = (rig.database.client().await, rig.database.client().await);
    let call = "'a', '{\"n\": 1}'::jsonb, idempotency_key => 'k'";
    for caller in [&one, &two] {
        caller.batch_execute("begin").await.unwrap();
    }
    let first = publish(&one, call).await;
    assert_eq!(publish(&one, call).await, first, "in the same transaction");
    let second = publish(&two, call).await;
    assert_ne!(second, first, "nobody waits for the other's commit");
    for caller in [&one, &two] {
        caller.batch_execute("commit").await.unwrap();
    }
    assert_eq!(publish(&rig.client, call).await, first, "committed and not published yet");
    drain(&rig).await;
    assert_eq!(ids(&rig, "events").await, [first]);
    assert_eq!(unpublished(&rig).await, [(second, "duplicate".to_owned())]);
    assert_eq!(publish(&rig.client, call).await, first, "published");
    let (code, message) = refused(&rig.client, "'a', '{\"n\": 2}'::jsonb, idempotency_key => 'k'").await;
    assert_eq!((code, &*message), (SqlState::UNIQUE_VIOLATION, "idempotency_key: 'k' was used for another event"));
    assert_eq!(rig.count("outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_is_one_event_from_sql_and_from_a_request_whatever_its_times() {
    let api = TestApi::start().await;
    let client = api.database.client().await;
    for (key, expires_at) in [
        ("a", "2262-04-12T00:00:00.000001Z"),
        ("b", "2554-07-21T23:34:33.709552Z"),
        ("c", "9999-12-31T23:59:59.999999Z"),
    ] {
        let published = api.ask("POST", &format!("/events?expires_at={expires_at}")).header("idempotency-key", key);
        let published = published.body("{}").send().await.json();
        let call =
            format!("null, '{{}}'::text, tenant => 'acme', idempotency_key => '{key}', expires_at => '{expires_at}'");
        assert_eq!(json!(publish(&client, &call).await), published["webhook_id"], "{expires_at}: {published}");
    }
    // Also before 1970, and before the nanoseconds of a bigint begin.
    for time in
        ["0001-01-01T00:00:00Z", "1677-09-21T00:12:43.145224Z", "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z"]
    {
        let bytes = format!("select encode(fingerprint_time('{time}'), 'hex')");
        let bytes: String = client.query_one(&bytes, &[]).await.unwrap().get(0);
        let nanos = OffsetDateTime::parse(time, &Rfc3339).unwrap().unix_timestamp_nanos();
        assert_eq!(bytes, format!("{nanos:032x}"), "{time}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_be_published_is_kept_with_its_reason() {
    let rig = Rig::new().await;
    let subscription = rig.subscription().await;
    let addressed = |payload: &str| format!("'a', {payload}, subscription_id => '{}'", subscription.id);
    let disabled = publish(&rig.client, &addressed("'{}'")).await;
    rig.sql("update subscriptions set is_active = false, version = version + 1").await;
    drain(&rig).await;
    rig.sql("update subscriptions set is_active = true, event_types = '{b}', version = version + 1").await;
    let unwanted = publish(&rig.client, &addressed("'{}'")).await;
    drain(&rig).await;
    let filter = r#"update subscriptions set event_types = '{}', filter = '{"n":1}', version = version + 1"#;
    rig.sql(filter).await;
    let filtered = publish(&rig.client, &addressed("'{}'")).await;
    drain(&rig).await;
    let deleted = publish(&rig.client, &addressed("'{}'")).await;
    rig.sql("update subscriptions set deleted_at = now(), version = version + 1").await;
    let large = publish(&rig.client, "'a', jsonb_build_array(repeat('x', 1000))").await;
    let deep = publish(&rig.client, "'a', repeat('[', 129) || repeat(']', 129)").await;
    let fine = publish(&rig.client, "'a', '{}'").await;
    drain(&rig).await;
    assert_eq!(ids(&rig, "events").await, [fine]);
    let expected = [
        (disabled, "subscription_disabled"),
        (unwanted, "event_type_not_wanted"),
        (filtered, "filtered_out"),
        (deleted, "subscription_not_found"),
        (large, "body_too_large"),
        (deep, "payload_invalid"),
    ];
    assert_eq!(unpublished(&rig).await, expected.map(|(id, code)| (id, code.to_owned())));
    let kept = "select octet_length(payload), detail from unpublished where id = $1";
    let row = rig.client.query_one(kept, &[&large]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 1_004, "it can be published again");
    assert!(row.get::<_, String>(1).contains("POSTRIDER_MAX_PAYLOAD_BYTES is 1000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_above_its_rate_waits_and_the_others_do_not() {
    let rig = Rig::new().await;
    rig.sql(
        "insert into tenants (id, external_id, name, publish_per_second) values (gen_random_uuid(), 'slow', 'Slow', 1)",
    )
    .await;
    let many = "select postrider.publish('a', jsonb_build_object('n', n), tenant => 'slow', ordering_key => 'k') \
                from generate_series(1, 600) as n";
    rig.client.execute(many, &[]).await.unwrap();
    let other = publish(&rig.client, "'a', '{}'").await;
    drain(&rig).await;
    let published = ids(&rig, "events").await;
    assert!(published.contains(&other) && published.len() < 50, "{}", published.len());
    let (rows, kept) = (ids(&rig, "outbox").await, rig.count("unpublished").await);
    assert_eq!((rows.len() + published.len(), kept), (601, 0), "what waits is neither lost nor refused");
    // Those that went are the first ones.
    let newest = published.iter().filter(|id| **id != other).max();
    assert!(newest < rows.first());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_days_ago_is_published_until_a_lifetime_is_over() {
    let rig = Rig::new().await;
    rig.subscription().await;
    let (days, week) =
        (OffsetDateTime::now_utc() - time::Duration::days(3), OffsetDateTime::now_utc() - time::Duration::days(7));
    let insert = "insert into outbox (id, tenant_id, payload) \
                  select uuid_v7_ordered($1), t.id, '{}' from tenants as t returning id";
    let late: Uuid = rig.client.query_one(insert, &[&days]).await.unwrap().get(0);
    let over: Uuid = rig.client.query_one(insert, &[&week]).await.unwrap().get(0);
    drain(&rig).await;
    assert_eq!(ids(&rig, "events").await, [late]);
    assert_eq!(unpublished(&rig).await, [(over, "expired".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_publisher_role_may_publish_and_nothing_else() {
    let rig = Rig::new().await;
    let stranger = rig.database.client().await;
    stranger.batch_execute("set role postrider_publisher").await.unwrap();
    // A temporary table of the caller is not taken for ours.
    stranger
        .batch_execute("create temporary table outbox (id uuid); create temporary table tenants (id uuid)")
        .await
        .unwrap();
    let published = publish(&stranger, "'a', '{}', idempotency_key => 'k'").await;
    assert_eq!(ids(&rig, "public.outbox").await, [published]);
    let relations = "select c.oid::regclass::text, c.relkind = 'v' from pg_class as c where c.relkind in ('r', 'p', 'v') \
                     and c.relnamespace in ('public'::regnamespace, 'postrider'::regnamespace, 'analytics'::regnamespace)";
    let relations = rig.client.query(relations, &[]).await.unwrap();
    assert!(relations.len() > 30);
    for row in relations {
        let name: String = row.get(0);
        let name = if name.contains('.') { name } else { format!("public.{name}") };
        let reads = vec![format!("select count(*) from {name}")];
        let writes = vec![format!("delete from {name}"), format!("insert into {name} default values")];
        // A view that cannot be written says so first.
        let attempts = if row.get(1) { reads } else { [reads, writes].concat() };
        for attempt in attempts {
            let error = stranger.batch_execute(&attempt).await.unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{attempt}: {error}");
        }
    }
    let functions = "select p.oid::regprocedure::text from pg_proc as p where p.prosecdef \
                     and has_function_privilege('postrider_publisher', p.oid, 'execute')";
    let functions = rig.client.query(functions, &[]).await.unwrap();
    assert!(
        functions.len() == 3 && functions.iter().all(|row| row.get::<_, &str>(0).starts_with("postrider.publish("))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_may_publish() {
    let rig = Rig::new().await;
    let role = format!("stranger_{}", Uuid::new_v4().simple());
    let stranger = rig.database.client().await;
    stranger.batch_execute(&format!("create role {role}; set role {role}")).await.unwrap();
    let denied = stranger.batch_execute("select postrider.publish('a', '{}')").await.unwrap_err();
    assert_eq!(denied.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    stranger.batch_execute(&format!("reset role; drop role {role}")).await.unwrap();
}
