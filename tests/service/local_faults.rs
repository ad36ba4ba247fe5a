//! What this machine lacks is not the receiver's failure.

use crate::support::database::Database;
use crate::support::process::Start;
use crate::support::receiver::Receiver;
use crate::support::wait::until;

const FAULTS: &str = "postrider_local_faults_total{fault=\"descriptors\"} ";

#[tokio::test(flavor = "multi_thread")]
async fn without_a_free_descriptor_deliveries_are_handed_back_uncounted_and_go_on_by_themselves() {
    let (database, receiver) = (Database::new().await, Receiver::new().await);
    let api = Start::new("api", database.url()).ready().await;
    let worker = Start::new("worker", database.url()).ready().await;
    let http = api.http();
    // By name: the lookup needs descriptors too, and its failure has many faces.
    let targets = [receiver.url(), receiver.url().replace("127.0.0.1", "localhost")];
    let subscriptions = [http.subscribe(&targets[0]).await, http.subscribe(&targets[1]).await];
    let ops = worker.ops();
    assert!(ops.get("/metrics").await.text().contains(&format!("{FAULTS}0\n")));

    let limit = worker.take_descriptors();
    for subscription in &subscriptions {
        assert_eq!(http.post(&format!("/ingest/{subscription}"), "{}").await.status, 202);
    }
    until("both were handed back", async || {
        let metrics = ops.get("/metrics").await.text();
        let faults = metrics.lines().find_map(|line| line.strip_prefix(FAULTS))?.parse::<u32>().ok()?;
        (faults >= 2).then_some(())
    })
    .await;
    // A connection that cannot be accepted now is served later.
    let late = tokio::spawn({
        let ops = worker.ops();
        async move { ops.get("/readyz").await.status }
    });
    let client = database.client().await;
    // A connection that the worker closes meanwhile frees a descriptor, and then a delivery goes out.
    let untouched = "select (select count(*) from attempts where outcome <> 'delivered') + \
                     (select count(*) from subscription_health)";
    assert_eq!(client.query_one(untouched, &[]).await.unwrap().get::<_, i64>(0), 0);

    worker.give_descriptors(limit);
    let arrived = receiver.arrived(2).await;
    assert!(arrived.iter().all(|request| request.header("x-webhook-attempt") == "1"));
    assert_eq!(late.await.unwrap(), 200);
    until("both are recorded at their first attempt", async || {
        let attempts = "select count(*) from attempts where outcome = 'delivered' and attempt_number = 1";
        (client.query_one(attempts, &[]).await.unwrap().get::<_, i64>(0) == 2).then_some(())
    })
    .await;
}
