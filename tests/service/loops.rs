//! A target that leads back to an ingest route makes a few events, and no more.

use serde_json::json;

use crate::support::api::TestApi;
use crate::support::database::Database;
use crate::support::process::Start;
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_to_its_own_ingest_route_ends_after_five_hops() {
    let database = Database::new().await;
    let postrider = Start::new("serve", database.url()).ready().await;
    let http = postrider.http();
    let target = format!("http://{}/ingest/loop", postrider.address());
    let made = http.post("/subscriptions/", &json!({ "target_url": target, "external_id": "loop" }).to_string()).await;
    assert_eq!(made.status, 201);
    assert_eq!(http.post("/ingest/loop", "{}").await.status, 202);
    let client = database.client().await;
    let ended = until("the loop has ended", async || {
        let ended = client.query_opt("select reason, status from undelivered", &[]).await.unwrap()?;
        Some((ended.get::<_, String>(0), ended.get::<_, String>(1)))
    })
    .await;
    assert_eq!(ended, ("aborted_by_receiver".to_owned(), "failed".to_owned()));
    let hops = "select array_agg(hops order by hops nulls first) from events";
    let hops: Vec<Option<i16>> = client.query_one(hops, &[]).await.unwrap().get(0);
    assert_eq!(hops, [None, Some(1), Some(2), Some(3), Some(4), Some(5)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_that_publishes_counts_hops_and_refuses_what_it_cannot_count() {
    let api = TestApi::start().await;
    let id = api.subscribe(json!({})).await["id"].as_str().unwrap().to_owned();
    let client = api.database.client().await;
    for (path, body) in [
        (&*format!("/ingest/{id}"), "{}"),
        ("/events", "{}"),
        (&*format!("/events?subscription_id={id}"), "{}"),
        ("/events/batch", r#"{"events": [{"payload": {}}]}"#),
    ] {
        let post = async |hops: &str| api.ask("POST", path).header("webhook-hops", hops).body(body).send().await;
        for few in ["0", "5"] {
            assert!(post(few).await.status.is_success(), "{path} {few}");
        }
        let most: i16 = client.query_one("select max(hops) from events", &[]).await.unwrap().get(0);
        assert_eq!(most, 5, "{path}");
        client.batch_execute("truncate events, deliveries").await.unwrap();
        for many in ["6", "1000000"] {
            let refused = post(many).await;
            assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "too_many_hops"), "{path} {many}");
            assert_eq!(refused.headers["webhook-delivery"], "abort-message", "{path}");
        }
        for odd in ["", "one", "-1", "99999999999"] {
            let refused = post(odd).await;
            assert_eq!(refused.json()["errors"][0]["pointer"], "/headers/webhook-hops", "{path} {odd}");
        }
        let twice = api.ask("POST", path).header("webhook-hops", "1").header("webhook-hops", "1").body(body);
        assert_eq!(twice.send().await.code(), "malformed_request", "{path}");
        let stored: i64 = client.query_one("select count(*) from events", &[]).await.unwrap().get(0);
        assert_eq!(stored, 0, "{path}");
    }
}

/// The handed-over delivery and the taken one build their requests in two places.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_says_how_many_hops_led_to_it_at_every_attempt() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let postrider = Start::new("serve", database.url()).ready().await;
    let http = postrider.http();
    let id = http.subscribe(&receiver.url()).await;
    receiver.script([Reply::Status(500)]);
    let path = format!("/ingest/{id}");
    let headers = [("webhook-hops", "3")];
    let accepted = http.send(hyper::Method::POST, &path, &headers, bytes::Bytes::from_static(b"{}")).await;
    assert_eq!(accepted.unwrap().status, 202);
    let arrived = receiver.arrived(2).await;
    assert!(arrived.iter().all(|request| request.header("webhook-hops") == "4"), "{arrived:?}");
}
