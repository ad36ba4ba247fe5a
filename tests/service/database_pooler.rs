//! Behind pgbouncer in transaction mode, where no session belongs to anybody.

use std::path::PathBuf;

use bytes::Bytes;
use hyper::Method;

use crate::support::folder::Folder;
use crate::support::pgbouncer::Pgbouncer;
use crate::support::postgres::Postgres;
use crate::support::process::{Start, program};
use crate::support::receiver::Receiver;
use crate::support::wait::until;

/// A server whose role and database have defaults that would cost events or find no table.
async fn server() -> Postgres {
    let server = Postgres::start(&[]).await;
    let admin = server.client().await;
    admin.batch_execute("create role hooks login").await.unwrap();
    admin.batch_execute("alter database postrider owner to hooks").await.unwrap();
    admin.batch_execute("alter role hooks set synchronous_commit = off").await.unwrap();
    admin.batch_execute("alter role hooks set search_path = nowhere").await.unwrap();
    admin.batch_execute("alter role hooks set default_transaction_isolation = serializable").await.unwrap();
    server
}

fn direct(server: &Postgres) -> String {
    format!("postgres://hooks@127.0.0.1:{}/postrider", server.port())
}

/// Publishes through the pooler, and looks that its sessions are as they were.
async fn works_through(server: &Postgres, pooler: &Pgbouncer, direct: &str) {
    let admin = server.client().await;
    let receiver = Receiver::new().await;
    let settings =
        [("DATABASE_DIRECT_URL", direct), ("POSTRIDER_DB_PREPARE", "false"), ("POSTRIDER_SCHEMA", "webhooks")];
    let folder = Folder::new();
    let log: PathBuf = folder.0.join("log");
    let replica =
        Start { settings: &settings, log: Some(log.clone()), ..Start::new("serve", pooler.url("hooks")) }.ready().await;
    let http = replica.http();
    let subscription = http.subscribe(&receiver.url()).await;
    for _ in 0..20 {
        let path = format!("/ingest/{subscription}");
        let answer = http.send(Method::POST, &path, &[], Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    receiver.arrived(20).await;
    until("every outcome is recorded", async || {
        let delivered = "select count(*) from webhooks.attempts where outcome = 'delivered'";
        (admin.query_one(delivered, &[]).await.unwrap().get::<_, i64>(0) == 20).then_some(())
    })
    .await;

    let asked = program("doctor", &pooler.url("hooks")).envs(settings).output().await.unwrap();
    let said = String::from_utf8(asked.stdout).unwrap();
    assert!(said.contains("ok       session       set in each transaction"), "{said}");
    assert!(!said.contains("synchronous_commit is"), "{said}");

    // A value that a session kept would now be another client's.
    let (client, connection) = tokio_postgres::connect(&pooler.url("hooks"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let mut values = Vec::new();
    for name in ["synchronous_commit", "search_path", "plan_cache_mode", "statement_timeout"] {
        let rows = client.simple_query(&format!("show {name}")).await.unwrap();
        values.extend(rows.iter().find_map(|row| match row {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }));
    }
    assert_eq!(values, ["off", "nowhere", "auto", "0"]);
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.is_empty(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_refuses_connection_options_needs_nothing_but_a_direct_url() {
    let server = server().await;
    let pooler = Pgbouncer::start(&server, "transaction", "default_pool_size = 3").await;
    works_through(&server, &pooler, &direct(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_ignores_connection_options_costs_no_durability() {
    let server = server().await;
    let pooler =
        Pgbouncer::start(&server, "transaction", "default_pool_size = 3\nignore_startup_parameters = options").await;
    works_through(&server, &pooler, &direct(&server)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_session_mode_can_be_the_direct_url() {
    let server = server().await;
    let pooler = Pgbouncer::start(&server, "transaction", "").await;
    let sessions = Pgbouncer::start(&server, "session", "ignore_startup_parameters = options").await;
    works_through(&server, &pooler, &sessions.url("hooks")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_direct_url_the_message_names_it_and_nothing_is_made() {
    let server = server().await;
    let refused_by = async |more: &str, query: &str| {
        let pooler = Pgbouncer::start(&server, "transaction", more).await;
        let url = format!("{}{query}", pooler.url("hooks"));
        let ran = program("migrate", &url).output().await.unwrap();
        assert!(!ran.status.success());
        String::from_utf8(ran.stderr).unwrap()
    };
    for more in ["", "ignore_startup_parameters = options"] {
        let said = refused_by(more, "").await;
        assert!(said.contains("set DATABASE_DIRECT_URL to PostgreSQL itself"), "{said}");
    }
    let said = refused_by("", "?options=-c%20geqo=off").await;
    assert!(said.contains("ignore_startup_parameters"), "{said}");
    let client = server.client().await;
    let tables =
        "select count(*) from pg_class where relkind <> 'v' and relname in ('events', 'refinery_schema_history')";
    assert_eq!(client.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 0);
}
