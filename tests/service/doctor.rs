//! `postrider doctor` says what is wrong and what to do, and is silent about secrets.

use postrider::domain::keyring::Keyring;

use crate::support::database::Database;
use crate::support::process::{Start, program};
use crate::support::redis::RedisServer;

/// What it printed, and whether it was content.
async fn doctor(url: &str, settings: &[(&str, &str)]) -> (String, bool) {
    let asked = program("doctor", url).envs(settings.iter().copied()).output().await.unwrap();
    assert!(asked.stderr.is_empty(), "the report is all it says: {}", String::from_utf8_lossy(&asked.stderr));
    (String::from_utf8(asked.stdout).unwrap(), asked.status.success())
}

fn line<'a>(said: &'a str, about: &str) -> &'a str {
    let found = said.lines().find(|line| line.get(9..).is_some_and(|rest| rest.starts_with(about)));
    found.unwrap_or_else(|| panic!("nothing about {about}:\n{said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_healthy_is_said_in_a_line_and_a_server_without_fsync_is_found() {
    let (database, redis) = (Database::new().await, RedisServer::start().await);
    let (said, content) = doctor(&database.url(), &[("REDIS_URL", &redis.url())]).await;
    // The tests' own server runs without fsync, which is found.
    assert!(!content);
    assert!(said.contains("PROBLEM  database      fsync is off"), "{said}");
    assert!(said.contains("-> set fsync = on"), "{said}");
    assert!(line(&said, "connections").contains("a replica opens up to 15"), "{said}");
    assert!(line(&said, "keys").starts_with("warning"), "{said}");
    for about in [
        "settings",
        "database",
        "connections",
        "clock",
        "schema",
        "partitions",
        "queue",
        "backlog",
        "outbox",
        "publishing",
        "analytics",
        "master keys",
        "redis",
    ] {
        assert!(line(&said, about).starts_with("ok "), "{said}");
    }
    assert!(line(&said, "targets").starts_with("warning"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_must_be_migrated() {
    let database = Database::empty().await;
    let (said, content) = doctor(&database.url(), &[]).await;
    assert!(!content);
    assert!(line(&said, "schema").starts_with("PROBLEM"), "{said}");
    assert!(said.contains("-> run: postrider migrate"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_was_forgotten_is_named() {
    let database = Database::new().await;
    let client = database.client().await;
    client.batch_execute("set application_name = 'forgotten'; begin; select 1").await.unwrap();
    // Its age is moved by asking for younger ones, not by waiting.
    let old = database.store().old_snapshots(0.0).await.unwrap();
    let forgotten = old.iter().find(|held| held.detail.starts_with("forgotten of postgres")).unwrap();
    assert_eq!((forgotten.kind.as_str(), forgotten.seconds.is_some()), ("transaction", true));
    assert!(line(&doctor(&database.url(), &[]).await.0, "transactions").starts_with("ok "));
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_of_a_master_key_that_is_gone_and_names_that_lead_nowhere_are_found() {
    let database = Database::new().await;
    let api = Start::new("api", database.url()).ready().await;
    api.http().subscribe("http://127.0.0.1:9100/secret-path").await;
    api.http().subscribe("https://nowhere.invalid/secret-path").await;
    let other = Keyring::entry("other", [8; 32]);
    let (said, content) = doctor(&database.url(), &[("POSTRIDER_MASTER_KEYS", &other)]).await;
    assert!(!content);
    assert!(line(&said, "master keys").contains("2 with 'test'"), "{said}");
    assert!(line(&said, "names").contains("https://nowhere.invalid/"), "{said}");
    assert!(!said.contains("secret-path") && !said.contains("127.0.0.1:9100"), "{said}");
    let (said, _) = doctor(&database.url(), &[("POSTRIDER_ALLOW_TARGETS", "")]).await;
    assert!(line(&said, "names").contains("http://127.0.0.1:9100/ (blocked_address)"), "{said}");
    assert!(said.contains("add its network to POSTRIDER_ALLOW_TARGETS"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_key_of_the_right_id_and_other_bytes_is_found() {
    let database = Database::new().await;
    let api = Start::new("api", database.url()).ready().await;
    api.http().subscribe("http://127.0.0.1:9100/").await;
    let (said, _) = doctor(&database.url(), &[]).await;
    assert!(line(&said, "master keys").contains("each key opens its secrets; subscriptions: 1 with 'test'"), "{said}");
    let (said, content) = doctor(&database.url(), &[("POSTRIDER_MASTER_KEYS", &Keyring::entry("test", [8; 32]))]).await;
    assert!(!content);
    assert!(line(&said, "master keys").contains("bytes have changed: 1 with 'test'"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_what_to_grant_to_see_transactions_of_others() {
    let database = Database::new().await;
    let admin = database.client().await;
    let role = format!("blind_{}", uuid::Uuid::new_v4().simple());
    admin.batch_execute(&format!("create role {role} login")).await.unwrap();
    let (said, _) = doctor(&database.url().replacen("//postgres@", &format!("//{role}@"), 1), &[]).await;
    admin.batch_execute(&format!("drop role {role}")).await.unwrap();
    assert!(line(&said, "transactions").starts_with("warning"), "{said}");
    assert!(said.contains(&format!("grant pg_read_all_stats to {role}")), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_setting_is_shown_with_the_one_that_was_meant() {
    let (said, _) = doctor("postgres://postgres@%2Fnowhere/nothing", &[("POSTRIDER_MAX_INFLIGHT", "9")]).await;
    assert!(said.contains("POSTRIDER_MAX_INFLIGHT (POSTRIDER_MAX_IN_FLIGHT?)"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reached_or_read_is_a_sentence_and_not_a_crash() {
    let (said, content) =
        doctor("postgres://postgres:hunter2@%2Fnowhere/nothing", &[("REDIS_URL", "unix:///nowhere")]).await;
    assert!(!content);
    assert!(line(&said, "database").starts_with("PROBLEM") && line(&said, "redis").starts_with("warning"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    assert!(line(&said, "names").contains("not looked up: the database did not answer"), "{said}");
    let (said, content) = doctor("hunter2", &[("REDIS_URL", "hunter3")]).await;
    assert!(!content && !said.contains("hunter"), "{said}");
    assert!(line(&said, "database").starts_with("PROBLEM") && line(&said, "redis").starts_with("PROBLEM"), "{said}");
    let (said, content) = doctor("postgres://localhost/x", &[("POSTRIDER_LEASE", "1s")]).await;
    assert!(!content);
    assert!(
        line(&said, "settings").contains(r#"POSTRIDER_LEASE: must be a duration from 6s to 1h, as in 6s (got "1s")"#),
        "{said}"
    );
}
