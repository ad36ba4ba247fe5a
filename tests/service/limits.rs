//! What a tenant may publish, whichever replica it asks.

use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};

use crate::support::database::Database;
use crate::support::http::Http;
use crate::support::process::Start;

const RATE: usize = 20;

/// A database whose tenant `default` may publish [`RATE`] events a second, and another tenant without a limit.
async fn limited() -> Database {
    let database = Database::new().await;
    let client = database.client().await;
    let limit = format!(
        "update tenants set publish_per_second = {RATE} where external_id = 'default';
        insert into tenants (id, external_id, name) values (gen_random_uuid(), 'other', 'other')"
    );
    client.batch_execute(&limit).await.unwrap();
    database
}

async fn publish(http: &Http, tenant: &str) -> (u16, Option<String>) {
    let headers = [("postrider-tenant", tenant)];
    let answer = http.send(Method::POST, "/events", &headers, Bytes::from_static(b"{}")).await.unwrap();
    let retry_after = answer.headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    if answer.status == 429 {
        assert_eq!(answer.json()["code"], "rate_limited");
    }
    (answer.status.as_u16(), retry_after)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_of_a_tenant_holds_over_two_replicas_and_touches_no_other() {
    let database = limited().await;
    let replicas = [Start::new("api", database.url()).ready().await, Start::new("api", database.url()).ready().await];
    let [one, two] = [replicas[0].http(), replicas[1].http()];
    let began = Instant::now();
    let (mut accepted, mut refused) = (0, 0);
    while refused < 100 || began.elapsed().as_millis() < 1_500 {
        let asked = join_all((0..10).map(|n| publish(if n % 2 == 0 { &one } else { &two }, "default"))).await;
        for (status, retry_after) in asked {
            match status {
                202 => accepted += 1,
                429 => {
                    assert_eq!(retry_after.as_deref(), Some("1"));
                    refused += 1;
                }
                other => panic!("{other}"),
            }
        }
        assert_eq!(publish(&two, "other").await.0, 202);
    }
    // One second's worth at once, then the rate, and what each replica may hold of a tenth of a second.
    let most = RATE as f64 * (began.elapsed().as_secs_f64() + 1.0) + 2.0 * (RATE as f64 / 10.0);
    assert!(accepted as f64 <= most && accepted >= RATE, "{accepted} of at most {most}");
    let client = database.client().await;
    let stored = "select count(*) from events as e inner join tenants as t on t.id = e.tenant_id where t.external_id = 'default'";
    assert_eq!(client.query_one(stored, &[]).await.unwrap().get::<_, i64>(0), i64::try_from(accepted).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_of_a_batch_counts() {
    let database = limited().await;
    let replica = Start::new("api", database.url()).ready().await;
    let http = replica.http();
    let events = json!({ "events": vec![json!({ "payload": {} }); 200] }).to_string();
    let batch: Value = http.post("/events/batch", &events).await.json();
    let statuses: Vec<u64> =
        batch["data"].as_array().unwrap().iter().map(|item| item["status"].as_u64().unwrap()).collect();
    let accepted = statuses.iter().filter(|status| **status == 202).count();
    assert!((RATE..100).contains(&accepted), "{accepted}");
    assert!(statuses.iter().all(|status| [202, 429].contains(status)), "{statuses:?}");
    let refused = batch["data"].as_array().unwrap().iter().find(|item| item["status"] == 429).unwrap();
    assert_eq!(refused["problem"]["code"], "rate_limited");
    let detail = refused["problem"]["detail"].as_str().unwrap();
    assert!(detail.contains("publish_per_second") && detail.contains(&RATE.to_string()), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_exactly_as_many_subscriptions_as_it_may_over_two_replicas() {
    const MOST: usize = 7;
    let database = Database::new().await;
    let settings = [("POSTRIDER_MAX_SUBSCRIPTIONS", "7")];
    let start = || Start { settings: &settings, ..Start::new("api", database.url()) }.ready();
    let replicas = [start().await, start().await];
    let [one, two] = [replicas[0].http(), replicas[1].http()];
    let body = r#"{"target_url":"https://hooks.example.com/in"}"#;
    let created = join_all((0..20).map(|n| if n % 2 == 0 { &one } else { &two }.post("/subscriptions/", body))).await;
    let (made, refused): (Vec<_>, Vec<_>) = created.iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), MOST);
    for refused in refused {
        assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (409, &json!("limit_reached")));
        assert!(refused.json()["detail"].as_str().unwrap().contains("max_subscriptions 7"), "{}", refused.text());
    }
    let id = made[0].json()["id"].as_str().unwrap().to_owned();
    one.send(Method::DELETE, &format!("/subscriptions/{id}"), &[], Bytes::new()).await.unwrap();
    assert_eq!(two.post("/subscriptions/", body).await.status, 201, "a deleted one makes room");
}
