//! The schema comes up once, whoever tries, and is the one under version control.

use std::process::Command;

use postrider::store::{MigrateError, SchemaPolicy};

use crate::support::database::Database;
use crate::support::psql::program;
use crate::support::snapshot::assert_snapshot;

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
