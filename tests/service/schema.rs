//! The schema comes up once, whoever tries, and is the one under version control.

use std::process::Command;

use hyper::Method;
use postrider::store::{MigrateError, SchemaPolicy};

use crate::support::database::Database;
use crate::support::process::Start;
use crate::support::psql::program;
use crate::support::receiver::Receiver;
use crate::support::snapshot::assert_snapshot;
use crate::support::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn five_replicas_starting_at_once_migrate_once() {
    let database = Database::empty().await;
    let replicas = (0..5).map(|_| {
        let store = database.store();
        tokio::spawn(async move { store.migrate(SchemaPolicy::MigrateOrFollow).await })
    });
    let mut applied = Vec::new();
    for replica in replicas.collect::<Vec<_>>() {
        applied.push(replica.await.unwrap().unwrap());
    }
    assert_eq!(applied.iter().filter(|count| **count > 0).count(), 1, "{applied:?}");
}

/// The step that makes views, which read every table.
const VIEWS: i32 = 7;

/// A database as a version without the views left it.
async fn of_a_version_without_views() -> Database {
    let (old, new) = (Database::empty().await, Database::new().await);
    let (client, known) = (old.client().await, new.client().await);
    let steps = "select version, name, applied_on, checksum from refinery_schema_history order by version";
    let mut steps = known.query(steps, &[]).await.unwrap();
    steps.retain(|step| step.get::<_, i32>(0) < VIEWS);
    let history = "create table refinery_schema_history (
        version int4 primary key, name varchar(255), applied_on varchar(255), checksum varchar(255))";
    client.batch_execute(history).await.unwrap();
    for step in steps {
        let (version, name): (i32, &str) = (step.get(0), step.get(1));
        let file = format!("{}/sql/migrations/V{version}__{name}.sql", env!("CARGO_MANIFEST_DIR"));
        client.batch_execute(&format!("begin;{};commit", std::fs::read_to_string(file).unwrap())).await.unwrap();
        let applied = "insert into refinery_schema_history values ($1, $2, $3, $4)";
        let (on, checksum): (&str, &str) = (step.get(2), step.get(3));
        client.execute(applied, &[&version, &name, &on, &checksum]).await.unwrap();
    }
    old
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_beside_running_replicas_waits_briefly_and_succeeds() {
    let database = of_a_version_without_views().await;
    let (worker, watcher) = (database.client().await, database.client().await);
    worker.batch_execute("begin; lock table undelivered in access exclusive mode").await.unwrap();
    let store = database.store();
    let upgrading = tokio::spawn(async move { store.migrate(SchemaPolicy::Migrate).await });
    let turn = async || {
        let waiting = "select waitstart::text from pg_locks where not granted and relation = 'undelivered'::regclass";
        watcher.query_opt(waiting, &[]).await.unwrap().and_then(|row| row.get::<_, Option<String>>(0))
    };
    // Whoever waits for the lock gives up after a while, and those behind it go on, before it is tried again.
    let first = until("the upgrade waits", turn).await;
    until("the upgrade waits in another turn", async || turn().await.filter(|now| *now != first)).await;
    assert!(!upgrading.is_finished());
    worker.batch_execute("commit").await.unwrap();
    let applied = upgrading.await.unwrap().unwrap();
    assert_eq!(database.store().schema_version().await.unwrap().0, VIEWS - 1 + i32::try_from(applied).unwrap());
    assert_eq!(database.store().migrate(SchemaPolicy::CheckOnly).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_development_version_are_refused_and_the_cure_is_named() {
    let database = Database::empty().await;
    let old = "create table refinery_schema_history (
            version int4 primary key, name varchar(255), applied_on varchar(255), checksum varchar(255));
        insert into refinery_schema_history values (1, 'core', '2026-11-01T00:00:00Z', '1')";
    database.client().await.batch_execute(old).await.unwrap();
    for policy in [SchemaPolicy::Migrate, SchemaPolicy::MigrateOrFollow, SchemaPolicy::CheckOnly] {
        let refused = database.store().migrate(policy).await.unwrap_err();
        assert!(matches!(refused, MigrateError::Foreign(_)));
        let words = refused.to_string();
        assert!(words.contains("new database") && words.contains("POSTRIDER_SCHEMA") && words.contains(".postrider"));
    }
    assert!(database.store().schema_version().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_are_missing_are_made_or_named() {
    let database = Database::new().await;
    let client = database.client().await;
    client.batch_execute("drop function deliveries_take_1, deliveries_record_1").await.unwrap();
    let refused = database.store().migrate(SchemaPolicy::CheckOnly).await;
    assert!(matches!(refused, Err(MigrateError::Functions)));
    assert_eq!(database.store().migrate(SchemaPolicy::MigrateOrFollow).await.unwrap(), 0);
    assert_eq!(database.store().migrate(SchemaPolicy::CheckOnly).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_installations_share_a_database_in_schemas_of_their_own() {
    let (database, receiver) = (Database::empty().await, Receiver::new().await);
    let mut running = Vec::new();
    for schema in ["first", "second"] {
        let settings = [("POSTRIDER_SCHEMA", schema)];
        running.push(Start { settings: &settings, ..Start::new("serve", database.url()) }.ready().await);
    }
    for (events, postrider) in [1, 2].into_iter().zip(&running) {
        let subscription = postrider.http().subscribe(&receiver.url()).await;
        for _ in 0..events {
            let posted =
                postrider.http().send(Method::POST, &format!("/ingest/{subscription}"), &[], "{}".into()).await;
            assert_eq!(posted.unwrap().status, 202);
        }
    }
    let client = database.client().await;
    for (schema, events) in [("first", 1), ("second", 2)] {
        let delivered = format!("select count(*) from {schema}.attempts where outcome = 'delivered'");
        until("they are delivered", async || {
            (client.query_one(&delivered, &[]).await.unwrap().get::<_, i64>(0) == events).then_some(())
        })
        .await;
    }
    let strays = "select count(*) from pg_class where relnamespace = 'public'::regnamespace";
    assert_eq!(client.query_one(strays, &[]).await.unwrap().get::<_, i64>(0), 0);
    assert_eq!(receiver.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_one_step_newer_is_accepted_and_two_rejected() {
    let database = Database::new().await;
    let client = database.client().await;
    let newer = "insert into refinery_schema_history (version, name, applied_on, checksum) \
                 select max(version) + 1, 'later', '2027-01-01T00:00:00Z', '1' from refinery_schema_history";
    client.execute(newer, &[]).await.unwrap();
    assert_eq!(database.store().migrate(SchemaPolicy::MigrateOrFollow).await.unwrap(), 0);
    let refused = database.store().migrate(SchemaPolicy::Migrate).await;
    assert!(matches!(refused, Err(MigrateError::Newer { .. })));
    client.execute(newer, &[]).await.unwrap();
    let refused = database.store().migrate(SchemaPolicy::MigrateOrFollow).await;
    assert!(matches!(refused, Err(MigrateError::Newer { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_must_not_migrate_refuses_an_empty_database() {
    let database = Database::empty().await;
    let refused = database.store().migrate(SchemaPolicy::CheckOnly).await;
    assert!(matches!(refused, Err(MigrateError::Older { found: 0, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_stand_days_ahead_and_are_made_once() {
    let database = Database::new().await;
    let client = database.client().await;
    let ahead = "select count(*) from pg_class where relname = 'events_' || to_char(now() at time zone 'UTC' + interval '3 days', 'YYYYMMDD')";
    assert_eq!(client.query_one(ahead, &[]).await.unwrap().get::<_, i64>(0), 1);
    // The template may be of the day before, at midnight.
    database.store().ensure_partitions().await.unwrap();
    assert_eq!(database.store().ensure_partitions().await.unwrap(), 0);
    let later: i32 =
        client.query_one("select ensure_partitions(current_date + 8, current_date + 31)", &[]).await.unwrap().get(0);
    assert_eq!(later, 48);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_the_one_under_version_control() {
    let database = Database::new().await;
    let arguments = [
        "--schema-only",
        "--no-owner",
        "--no-privileges",
        "-T",
        "events_2*",
        "-T",
        "attempts_2*",
        "-T",
        "refinery_schema_history",
    ];
    let dumped = Command::new(program("pg_dump")).args(arguments).arg(database.url()).output().unwrap();
    assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
    let text = String::from_utf8(dumped.stdout).unwrap();
    // What differs between versions of the dumping program says nothing of the schema.
    let noise = |line: &&str| {
        line.is_empty()
            || line.starts_with("--")
            || line.starts_with("SET ")
            || line.starts_with('\\')
            || line.starts_with("SELECT pg_catalog")
    };
    let lines: Vec<_> = text.lines().filter(|line| !noise(line)).collect();
    assert_snapshot("sql/schema.sql", &(lines.join("\n") + "\n"));
}
