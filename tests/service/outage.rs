//! PostgreSQL goes away under load and comes back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use hyper::Method;
use postrider::commands::dev::Cluster;

use crate::support::http::Http;
use crate::support::process::Start;
use crate::support::receiver::Receiver;
use crate::support::wait::until;

/// What clients met, all together.
#[derive(Default)]
struct Met {
    stop: AtomicBool,
    refused: AtomicUsize,
}

/// One client that posts until told to stop; every answer must be 202 or 503.
async fn post_until_stopped(http: Http, subscription: String, met: Arc<Met>) -> Vec<String> {
    let mut accepted = Vec::new();
    while !met.stop.load(Ordering::Relaxed) {
        let answer =
            http.send(Method::POST, &format!("/ingest/{subscription}"), &[], Bytes::from_static(b"{}")).await.unwrap();
        match answer.status.as_u16() {
            202 => accepted.push(answer.json()["webhook_id"].as_str().unwrap().to_owned()),
            503 => {
                assert!(answer.headers.contains_key("retry-after"));
                met.refused.fetch_add(1, Ordering::Relaxed);
            }
            other => panic!("a client met {other}: {}", answer.text()),
        }
    }
    accepted
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_database_costs_503s_but_no_event_and_few_repeats() {
    const CLIENTS: usize = 8;
    let folder = std::env::temp_dir().join(format!("postrider-outage-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let place = folder.clone();
    let cluster = tokio::task::spawn_blocking(move || Cluster::start(&place).unwrap()).await.unwrap();
    let cluster = Arc::new(cluster);
    let receiver = Receiver::new().await;
    let replica = Start::new("serve", cluster.url()).ready().await;
    let http = replica.http();
    let subscription = http.subscribe(&receiver.url()).await;

    let met = Arc::new(Met::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(post_until_stopped(http.clone(), subscription.clone(), Arc::clone(&met))))
        .collect();
    receiver.arrived(200).await;
    let down = Arc::clone(&cluster);
    tokio::task::spawn_blocking(move || down.stop_immediately().unwrap()).await.unwrap();
    until("clients were refused", async || (met.refused.load(Ordering::Relaxed) >= 20 * CLIENTS).then_some(())).await;
    assert_eq!(replica.ops().get("/readyz").await.status, 503);
    let before = receiver.requests().len();
    let up = Arc::clone(&cluster);
    tokio::task::spawn_blocking(move || up.start_again().unwrap()).await.unwrap();
    receiver.arrived(before + 200).await;
    met.stop.store(true, Ordering::Relaxed);
    let mut accepted = HashSet::new();
    for client in clients {
        accepted.extend(client.await.unwrap());
    }

    let (client, connection) = tokio_postgres::connect(&cluster.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    until("every delivery ended", async || {
        // What was committed and never answered is leased to a process that forgot it; the story moves the leases' end.
        let lapsed = "update deliveries set next_attempt_at = now() - interval '6 seconds' \
                      where lease is not null and next_attempt_at < now() + interval '18 seconds'";
        client.execute(lapsed, &[]).await.unwrap();
        let left: i64 = client.query_one("select count(*) from deliveries", &[]).await.unwrap().get(0);
        (left == 0).then_some(())
    })
    .await;
    let mut times: HashMap<String, usize> = HashMap::new();
    for request in receiver.requests() {
        *times.entry(request.header("webhook-id").to_owned()).or_default() += 1;
    }
    let lost: Vec<_> = accepted.iter().filter(|id| !times.contains_key(*id)).collect();
    assert!(lost.is_empty(), "{} accepted events were lost", lost.len());
    let repeated = times.values().filter(|count| **count > 1).count();
    assert!(repeated <= CLIENTS, "{repeated} events were sent again");
    drop(replica);
    drop(cluster);
    std::fs::remove_dir_all(&folder).unwrap();
}
