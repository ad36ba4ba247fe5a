//! Databases, roles and schemas as their owners set them up.

use bytes::Bytes;
use hyper::Method;
use tokio_postgres::NoTls;
use uuid::Uuid;

use crate::support::database::Database;
use crate::support::postgres::Postgres;
use crate::support::process::{Start, program};
use crate::support::receiver::Receiver;
use crate::support::wait::until;

/// What `postrider migrate` says where it fails.
async fn refusal(url: &str) -> String {
    let ran = program("migrate", url).output().await.unwrap();
    assert!(!ran.status.success());
    String::from_utf8(ran.stderr).unwrap()
}

/// Whatever is in the database but not in an empty one.
const MADE: &str = "select coalesce(string_agg(c.relname, ' ' order by c.relname), '') from pg_class as c \
                    where c.relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema', 'pg_toast')";

#[tokio::test(flavor = "multi_thread")]
async fn no_default_of_a_database_changes_what_is_stored_or_costs_an_event() {
    let (database, receiver) = (Database::empty().await, Receiver::new().await);
    let admin = database.client().await;
    let name: String = admin.query_one("select current_database()", &[]).await.unwrap().get(0);
    for default in [
        "standard_conforming_strings = off",
        "datestyle = 'German'",
        "intervalstyle = 'sql_standard'",
        "timezone = 'Asia/Kolkata'",
        "bytea_output = 'escape'",
        "extra_float_digits = -15",
        "client_encoding = 'LATIN1'",
        "statement_timeout = '20ms'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '20ms'",
        "idle_session_timeout = '50ms'",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_deferrable = on",
        "synchronous_commit = off",
        "search_path = nowhere",
        "row_security = off",
        "jit_above_cost = 0",
        "enable_indexscan = off",
        "plan_cache_mode = 'force_custom_plan'",
    ] {
        admin.batch_execute(&format!("alter database {name} set {default}")).await.unwrap();
    }
    let replica = Start::new("serve", database.url()).ready().await;
    let http = replica.http();
    let subscription = http.subscribe(&receiver.url()).await;
    let body = r#"{"path":"C:\\temp\\'x'","name":"Ünïcödé ☃"}"#;
    for key in ["first", "second", "first"] {
        let headers = [("idempotency-key", key)];
        let path = format!("/ingest/{subscription}");
        let answer = http.send(Method::POST, &path, &headers, Bytes::from_static(body.as_bytes())).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let arrived = receiver.arrived(2).await;
    assert!(arrived.iter().all(|request| request.body == body.as_bytes()));
    let id = arrived[0].header("webhook-id").to_owned();
    until("its status says so", async || {
        let status = http.get(&format!("/status/{id}")).await.json();
        (status["status"] == "succeeded").then_some(())
    })
    .await;
    assert_eq!(receiver.count(), 2);
    let logs = http.get(&format!("/status/logs/{subscription}")).await;
    assert_eq!(logs.status, 200, "{}", logs.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_utf8_is_refused_before_anything_is_made() {
    let server = Database::new().await;
    let admin = server.client().await;
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let create =
            format!("create database {name} encoding '{encoding}' template template0 lc_collate 'C' lc_ctype 'C'");
        admin.batch_execute(&create).await.unwrap();
        let url = format!("{}/{name}", server.url().rsplit_once('/').unwrap().0);
        let said = refusal(&url).await;
        let in_a_schema = program("migrate", &url).env("POSTRIDER_SCHEMA", "hooks").output().await.unwrap();
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let made: String = client.query_one(MADE, &[]).await.unwrap().get(0);
        let schema: bool = client.query_one("select to_regnamespace('hooks') is null", &[]).await.unwrap().get(0);
        drop(client);
        admin.batch_execute(&format!("drop database {name} with (force)")).await.unwrap();
        assert!(said.contains(encoding) && said.contains("create the database with encoding UTF8"), "{said}");
        assert!(!in_a_schema.status.success());
        assert_eq!((made.as_str(), schema), ("", true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_another_program_stops_the_migration_and_nothing_is_left_behind() {
    for (taken, made) in [
        ("create table events (id int)", "events"),
        ("create view attempts as select 1 as one", "attempts"),
        ("create type all_deliveries as enum ('a')", ""),
        ("create function readable(bytea) returns int language sql as 'select 1'", ""),
    ] {
        let database = Database::empty().await;
        let client = database.client().await;
        client.batch_execute(taken).await.unwrap();
        let said = refusal(&database.url()).await;
        for word in ["already exists", "search_path", "POSTRIDER_SCHEMA", "Nothing was changed"] {
            assert!(said.contains(word), "{taken}: {said}");
        }
        assert_eq!(client.query_one(MADE, &[]).await.unwrap().get::<_, String>(0), made, "{taken}");
        let elsewhere = program("migrate", &database.url()).env("POSTRIDER_SCHEMA", "hooks").output().await.unwrap();
        assert!(elsewhere.status.success(), "{}", String::from_utf8_lossy(&elsewhere.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_the_database_refuses_costs_no_event() {
    // A full queue of notifications, which takes 8 GiB to fill, fails the same statement.
    let (server, receiver) = (Postgres::start(&[]).await, Receiver::new().await);
    let admin = server.client().await;
    admin.batch_execute("create role hooks login").await.unwrap();
    admin.batch_execute("alter database postrider owner to hooks").await.unwrap();
    admin.batch_execute("revoke execute on function pg_notify(text, text) from public").await.unwrap();
    let url = format!("postgres://hooks@127.0.0.1:{}/postrider", server.port());
    let settings = [("POSTRIDER_SCHEMA", "hooks")];
    let api = Start { settings: &settings, ..Start::new("api", url.clone()) }.ready().await;
    let _worker = Start { settings: &settings, ..Start::new("worker", url) }.ready().await;
    let http = api.http();
    let subscription = http.subscribe(&receiver.url()).await;
    for _ in 0..5 {
        let path = format!("/ingest/{subscription}");
        let answer = http.send(Method::POST, &path, &[], Bytes::from_static(b"{}")).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    receiver.arrived(5).await;
}
