//! The schema comes up once, whoever tries, and is the one under version control.

use std::process::Command;

use postrider::store::{MigrateError, SchemaPolicy};

use crate::support::database::Database;
use crate::support::psql::program;
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

/// A database as the version before the newest step left it.
async fn of_the_step_before() -> Database {
    let (old, new) = (Database::empty().await, Database::new().await);
    let (client, known) = (old.client().await, new.client().await);
    let steps = "select version, name, applied_on, checksum from refinery_schema_history order by version";
    let mut steps = known.query(steps, &[]).await.unwrap();
    steps.pop();
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
async fn an_upgrade_beside_those_who_work_waits_in_short_turns_and_then_goes_through() {
    let database = of_the_step_before().await;
    let (worker, other, watcher) = (database.client().await, database.client().await, database.client().await);
    worker.batch_execute("begin; select count(*) from subscriptions").await.unwrap();
    let store = database.store();
    let upgrading = tokio::spawn(async move { store.migrate(SchemaPolicy::Migrate).await });
    until("the upgrade waits for the worker", async || {
        let waiting = "select count(*) from pg_locks where not granted and mode = 'AccessExclusiveLock'";
        (watcher.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0).then_some(())
    })
    .await;
    // Whoever comes now waits behind it, for the length of a turn.
    other.batch_execute("select count(*) from subscriptions").await.unwrap();
    assert!(!upgrading.is_finished());
    worker.batch_execute("commit").await.unwrap();
    assert_eq!(upgrading.await.unwrap().unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_a_newer_postrider_is_followed_one_step_and_refused_beyond() {
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
