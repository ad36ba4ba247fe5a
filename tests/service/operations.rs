//! `/operations`: an operator sees how the service itself does.

use std::collections::BTreeSet;
use std::time::Duration;

use postrider::domain::api_key::Scope;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::support::api::TestApi;
use crate::support::database::Database;
use crate::support::process::Start;
use crate::support::wait::until;

async fn operations(api: &TestApi) -> Value {
    let key = api.operator(Scope::Support).await;
    let answer = api.stranger("GET", "/operations").key(&key).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn roles(operations: &Value) -> Vec<(String, bool)> {
    let replicas = operations["replicas"].as_array().unwrap().iter();
    let mut roles: Vec<_> = replicas
        .map(|replica| (replica["role"].as_str().unwrap().to_owned(), replica["is_lost"].as_bool().unwrap()))
        .collect();
    roles.sort();
    roles
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_is_there_with_what_it_runs_until_it_stops_and_a_killed_one_is_lost() {
    let database = Database::new().await;
    let settings = [("POSTRIDER_PAYLOAD_RETENTION", "48h")];
    let start = |command| Start { settings: &settings, ..Start::new(command, database.url()) };
    let serve = start("serve").ready().await;
    let (api, worker) = (start("api").ready().await, start("worker").ready().await);
    let http = serve.http();
    let seen = async |expected: &[(&str, bool)]| {
        let expected: Vec<_> = expected.iter().map(|(role, is_lost)| ((*role).to_owned(), *is_lost)).collect();
        until("the replicas are as expected", async || {
            let answer = http.get("/operations").await.json();
            (roles(&answer) == expected).then_some(answer)
        })
        .await
    };
    let all = seen(&[("api", false), ("serve", false), ("worker", false)]).await;
    for replica in all["replicas"].as_array().unwrap() {
        assert_eq!(replica["version"], env!("CARGO_PKG_VERSION"));
        assert!(replica["heartbeat_at"].as_str() >= replica["started_at"].as_str(), "{replica}");
        assert_eq!(replica["backlog"], 0);
    }
    let setting = |name: &str| {
        let all = all["settings"].as_array().unwrap();
        let found = all.iter().find(|setting| setting["name"] == name).unwrap();
        (found["value"].as_str().unwrap().to_owned(), found["source"].as_str().unwrap().to_owned())
    };
    let given = |value: &str| (value.to_owned(), "environment".to_owned());
    assert_eq!(setting("POSTRIDER_PAYLOAD_RETENTION"), given("48h"));
    assert_eq!(setting("POSTRIDER_LOG_RETENTION"), ("72h".to_owned(), "default".to_owned()));
    assert_eq!((setting("DATABASE_URL"), setting("POSTRIDER_MASTER_KEYS")), (given("********"), given("********")));
    assert!(!all.to_string().contains(&database.url()), "the address of the database may have a password");

    api.terminate();
    assert!(api.ended().await.success());
    worker.kill().await;
    let silent = "update replicas set heartbeat_at = now() - interval '11 seconds' where role = 'worker'";
    database.client().await.batch_execute(silent).await.unwrap();
    seen(&[("serve", false), ("worker", true)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_says_when_it_is_dropped_as_retention_decides() {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    for (payloads, log) in [(days(2), days(10)), (days(5), days(3)), (Duration::from_secs(3_600), days(1))] {
        let api = TestApi::start_limited(|settings| {
            settings.operations.payload_retention = payloads;
            settings.operations.log_retention = log;
        })
        .await;
        let client = api.database.client().await;
        client.execute("select ensure_partitions(current_date - 14, current_date)", &[]).await.unwrap();
        let past = "select partition from past_partitions(make_interval(secs => $1), make_interval(secs => $2))";
        let past = client.query(past, &[&payloads.as_secs_f64(), &log.as_secs_f64()]).await.unwrap();
        let past: BTreeSet<String> = past.iter().map(|row| row.get(0)).collect();
        let answer = operations(&api).await;
        let partitions = answer["partitions"].as_array().unwrap();
        let at = |partition: &Value, field: &str| {
            OffsetDateTime::parse(partition[field].as_str().unwrap(), &Rfc3339).unwrap()
        };
        let is_over = |partition: &&Value| at(partition, "drops_at") <= OffsetDateTime::now_utc();
        let over = partitions.iter().filter(is_over).map(|partition| partition["name"].as_str().unwrap().to_owned());
        assert_eq!(over.collect::<BTreeSet<_>>(), past, "{payloads:?} {log:?}");
        assert!(past.len() > 5 && past.len() < partitions.len(), "{past:?}");
        for partition in partitions {
            assert_eq!(at(partition, "until") - at(partition, "since"), days(1), "{partition}");
            assert!(partition["bytes"].as_i64().unwrap() > 0, "{partition}");
        }
        assert_eq!(answer["partitions_more"], false);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_transaction_and_what_waits_in_the_outbox_are_named() {
    let api = TestApi::start().await;
    let open = api.database.client().await;
    open.batch_execute("set application_name = 'a report'; begin").await.unwrap();
    let pid: i32 = open.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let answer = operations(&api).await;
    let oldest = &answer["oldest_transaction"];
    assert_eq!((&oldest["kind"], &oldest["name"]), (&json!("transaction"), &json!(pid.to_string())), "{answer}");
    assert!(oldest["detail"].as_str().unwrap().starts_with("a report of "), "{answer}");
    assert_eq!((&answer["outbox"]["waiting"], &answer["outbox"]["lag_seconds"]), (&json!(0), &json!(0.0)));

    let publish = "select postrider.publish('order.paid', '{}'::jsonb, tenant => 'acme')";
    let id: Uuid = open.query_one(publish, &[]).await.unwrap().get(0);
    open.batch_execute("commit").await.unwrap();
    let older = "update outbox set id = uuid_v7_floor(now() - interval '1 hour') where id = $1";
    assert_eq!(open.execute(older, &[&id]).await.unwrap(), 1);
    let answer = operations(&api).await;
    assert_eq!((&answer["outbox"]["waiting"], &answer["outbox"]["waiting_more"]), (&json!(1), &json!(false)));
    assert!(answer["outbox"]["lag_seconds"].as_f64().unwrap() > 3_500.0, "{answer}");
    assert_ne!(answer["oldest_transaction"]["name"], json!(pid.to_string()), "it has ended");
}
