//! What real replicas make of rows in the outbox, and what the API says about their ids.

use std::collections::HashSet;

use postrider::domain::api_key::Scope;
use serde_json::json;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::support::api::TestApi;
use crate::support::database::Database;
use crate::support::process::{Start, program};
use crate::support::receiver::Receiver;
use crate::support::wait::until;

async fn publish(client: &Client, arguments: &str) -> Uuid {
    client.query_one(&format!("select postrider.publish({arguments})"), &[]).await.unwrap().get(0)
}

async fn count(client: &Client, table: &str) -> i64 {
    client.query_one(&format!("select count(*) from {table}"), &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_known_from_the_commit_on() {
    let api = TestApi::start().await;
    let (client, looker) = (api.database.client().await, api.database.client().await);
    client.batch_execute("begin").await.unwrap();
    let id = publish(&client, "'order.paid', '{\"n\": 1}'::jsonb, tenant => 'acme'").await;
    let get = async |path: String| api.ask("GET", &path).send().await;
    assert_eq!(get(format!("/status/{id}")).await.status, 404, "not committed");
    client.batch_execute("commit").await.unwrap();
    let status = get(format!("/status/{id}")).await.json();
    assert_eq!((&status["webhook_id"], &status["status"]), (&json!(id), &json!("pending")), "{status}");
    assert_eq!((&status["event_type"], &status["attempts"]), (&json!("order.paid"), &json!(0)), "{status}");
    assert_eq!((&status["is_success"], &status["deliveries"]), (&json!(false), &json!([])), "{status}");
    let event = get(format!("/events/{id}")).await.json();
    assert_eq!((&event["status"], &event["payload_bytes"]), (&json!("pending"), &json!(8)), "{event}");
    assert_eq!(get(format!("/events/{id}/deliveries")).await.json()["data"], json!([]));
    let stranger = api.key("another", Scope::Admin).await;
    for path in [format!("/status/{id}"), format!("/events/{id}"), format!("/events/{id}/deliveries")] {
        assert_eq!(api.ask("GET", &path).key(&stranger).send().await.status, 404, "{path}");
    }
    let refuse = "select outbox_refuse_1(array[$1::uuid], array['subscription_disabled'], array['it is disabled'], array[null]::uuid[])";
    looker.execute(refuse, &[&id]).await.unwrap();
    for path in [format!("/status/{id}"), format!("/events/{id}")] {
        let refused = get(path).await.json();
        assert_eq!(refused["status"], "refused", "{refused}");
        assert_eq!(refused["error_message"], "subscription_disabled: it is disabled", "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_and_http_share_idempotency_keys() {
    let api = TestApi::start().await;
    let subscription = api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned();
    let client = api.database.client().await;
    client.batch_execute("set timezone = 'Asia/Kolkata'").await.unwrap();
    let soon = "now() + interval '10 hours'";
    let times = format!("select to_char(({soon}) at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
    let soon: String = client.query_one(&times, &[]).await.unwrap().get(0);
    for (number, (query, ordering_key, arguments)) in [
        (String::new(), None, String::new()),
        (String::new(), Some("customer-7"), ", ordering_key => 'customer-7'".to_owned()),
        (format!("?subscription_id={subscription}"), None, format!(", subscription_id => '{subscription}'")),
        (format!("?deliver_at={soon}"), None, format!(", deliver_at => '{soon}'")),
        (format!("?expires_at={soon}"), Some("k"), format!(", ordering_key => 'k', expires_at => '{soon}'")),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("key-{number}");
        let mut ask = api.ask("POST", &format!("/events{query}")).header("idempotency-key", &key);
        ask = ask.header("x-event-type", "order.paid");
        if let Some(ordering_key) = ordering_key {
            ask = ask.header("x-ordering-key", ordering_key);
        }
        let posted = ask.body("{\"n\": 1}").send().await;
        assert_eq!(posted.status, 202, "{posted:?}");
        let call =
            format!("'order.paid', '{{\"n\": 1}}'::text, tenant => 'acme', idempotency_key => '{key}'{arguments}");
        assert_eq!(json!(publish(&client, &call).await), posted.json()["webhook_id"], "{query}");
    }
    assert_eq!(count(&client, "outbox").await, 0);
    // The second of two calls at the same time ends as a duplicate, and its id leads to the first event.
    let first: Uuid =
        client.query_one("select event_id from idempotency_keys where key = 'key-0'", &[]).await.unwrap().get(0);
    let row = "insert into outbox (id, tenant_id, payload) \
               select uuid_v7_ordered(now()), t.id, '{}' from tenants as t where t.external_id = 'acme' returning id";
    let second: Uuid = client.query_one(row, &[]).await.unwrap().get(0);
    let end = "select outbox_refuse_1(array[$1::uuid], array['duplicate'], array[null]::text[], array[$2::uuid])";
    client.execute(end, &[&second, &first]).await.unwrap();
    for path in [format!("/status/{second}"), format!("/events/{second}")] {
        assert_eq!(api.ask("GET", &path).send().await.json()["webhook_id"], json!(first), "{path}");
    }
    let page = api.ask("GET", &format!("/events/{second}/deliveries")).send().await.json();
    assert_eq!(page["data"][0]["subscription_id"], json!(subscription));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_publishes_after_the_commit_and_without_a_notification_too() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let client = database.client().await;
    let replica = Start::new("serve", database.url()).ready().await;
    replica.http().subscribe(&receiver.url()).await;
    let late = database.client().await;
    late.batch_execute("begin").await.unwrap();
    publish(&late, "'a', '[0]'").await;
    publish(&client, "'a', '[1]'").await;
    receiver.arrived(1).await;
    publish(&client, "'a', '[2]', notify => false").await;
    receiver.arrived(2).await;
    // Its id is older than those that were published meanwhile.
    late.batch_execute("commit").await.unwrap();
    let bodies: Vec<_> = receiver.arrived(3).await.into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, ["[1]", "[2]", "[0]"]);
    let metrics = replica.ops().get("/metrics").await.text();
    assert!(metrics.contains("postrider_outbox_published_total 3"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_killed_loses_nothing_and_doubles_nothing() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let client = database.client().await;
    // What it has in flight when it is killed is sent again after the lease.
    let settings = [("POSTRIDER_REQUEST_TIMEOUT", "1s"), ("POSTRIDER_LEASE", "6s")];
    let serve = || Start { settings: &settings, ..Start::new("serve", database.url()) }.ready();
    let first = serve().await;
    first.http().subscribe(&receiver.url()).await;
    let many = "select postrider.publish('a', jsonb_build_object('n', n)) from generate_series(1, 3000) as n";
    let ids: HashSet<Uuid> = client.query(many, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    until("some are published", async || (count(&client, "events").await > 0).then_some(())).await;
    first.kill().await;
    let replicas = [serve().await, serve().await];
    until("all are published", async || (count(&client, "outbox").await == 0).then_some(())).await;
    let published = client.query("select id from events", &[]).await.unwrap();
    assert_eq!(published.len(), ids.len());
    assert_eq!(published.iter().map(|row| row.get(0)).collect::<HashSet<Uuid>>(), ids);
    assert_eq!(count(&client, "unpublished").await, 0);
    until("all have arrived", async || {
        let arrived: HashSet<_> = receiver.requests().iter().map(|request| request.body.clone()).collect();
        (arrived.len() == ids.len()).then_some(())
    })
    .await;
    drop(replicas);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_takes_over_from_one_that_is_gone() {
    let database = Database::new().await;
    let client = database.client().await;
    let mut running = vec![Start::new("api", database.url()).ready().await];
    for (event, is_killed) in [(1, true), (2, false)] {
        running.push(Start::new("api", database.url()).ready().await);
        let old = running.remove(0);
        if is_killed {
            old.kill().await;
        } else {
            old.terminate();
            old.ended().await;
        }
        publish(&client, "'a', '{}'").await;
        until("it is published", async || (count(&client, "events").await == event).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_installation_of_a_database_has_a_publish_of_its_own() {
    let database = Database::new().await;
    let client = database.client().await;
    let settings = [("POSTRIDER_SCHEMA", "hooks")];
    let replica = Start { settings: &settings, ..Start::new("api", database.url()) }.ready().await;
    client.batch_execute("set role postrider_publisher; select hooks.publish('a', '{}'); reset role").await.unwrap();
    until("it is published", async || (count(&client, "hooks.events").await == 1).then_some(())).await;
    publish(&client, "'a', '{}'").await;
    assert_eq!((count(&client, "public.outbox").await, count(&client, "hooks.events").await), (1, 1));
    drop(replica);
    // Alone in its database, it has the schema `postrider`, wherever its tables are.
    let alone = Database::empty().await;
    let client = alone.client().await;
    let replica = Start { settings: &settings, ..Start::new("api", alone.url()) }.ready().await;
    publish(&client, "'a', '{}'").await;
    until("it is published", async || (count(&client, "hooks.events").await == 1).then_some(())).await;
    drop(replica);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_may_make_no_schema_is_told_what_to_run() {
    let database = Database::empty().await;
    let superuser = database.client().await;
    let owner = format!("owner_{}", Uuid::new_v4().simple());
    superuser
        .batch_execute(&format!("create role {owner} login; grant create on schema public to {owner}"))
        .await
        .unwrap();
    let url = database.url().replace("postgres@", &format!("{owner}@"));
    let migrated = program("migrate", &url).output().await.unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    let said = async || String::from_utf8(program("doctor", &url).output().await.unwrap().stdout).unwrap();
    let before = said().await;
    let advice = "create schema postrider; select public.place_publishing();";
    assert!(before.contains("from SQL by public.publish()") && before.contains(advice), "{before}");
    superuser.batch_execute(advice).await.unwrap();
    let after = said().await;
    assert!(after.contains("from SQL by postrider.publish(), for members of postrider_publisher"), "{after}");
    let (caller, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    caller.batch_execute("set role postrider_publisher").await.unwrap();
    publish(&caller, "'a', '{}'").await;
    superuser.batch_execute(&format!("drop owned by {owner} cascade; drop role {owner}")).await.unwrap();
}
