//! The database only reads, freezes, moves or takes its time to let us in.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use hyper::Method;
use postrider::store::{SchemaPolicy, Store, StoreConfig, TlsDefaults};

use crate::support::http::Http;
use crate::support::postgres::Postgres;
use crate::support::process::{Postrider, Start, program};
use crate::support::receiver::Receiver;
use crate::support::wait::until;

async fn post(http: &Http, subscription: &str) -> u16 {
    let path = format!("/ingest/{subscription}");
    http.send(Method::POST, &path, &[], Bytes::from_static(b"{}")).await.unwrap().status.as_u16()
}

async fn is_ready(replica: &Postrider) -> Option<()> {
    (replica.ops().get("/readyz").await.status == 200).then_some(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_reads_for_a_while_costs_503s_and_events_are_accepted_again_by_themselves() {
    let server = Postgres::start(&[]).await;
    let receiver = Receiver::new().await;
    let replica = Start::new("serve", server.url()).ready().await;
    let http = replica.http();
    let subscription = http.subscribe(&receiver.url()).await;
    assert_eq!(post(&http, &subscription).await, 202);

    let admin = server.client().await;
    admin.batch_execute("alter system set default_transaction_read_only = on").await.unwrap();
    admin.batch_execute("select pg_reload_conf()").await.unwrap();
    until("events are refused", async || (post(&http, &subscription).await == 503).then_some(())).await;
    let ready = replica.ops().get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("only reads"), "{}", ready.text());

    admin.batch_execute("set default_transaction_read_only = off").await.unwrap();
    admin.batch_execute("alter system reset default_transaction_read_only").await.unwrap();
    admin.batch_execute("select pg_reload_conf()").await.unwrap();
    until("events are accepted again", async || (post(&http, &subscription).await == 202).then_some(())).await;
    until("it is ready again", async || is_ready(&replica).await).await;
    receiver.arrived(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_connections_of_a_server_that_only_reads_are_given_up_and_so_is_listening() {
    let server = Postgres::start(&[]).await;
    let store = Store::new(&StoreConfig {
        url: server.url(),
        direct_url: None,
        tls: TlsDefaults::default(),
        schema: "public".to_owned(),
        prepare: true,
        pool_size: 6,
    })
    .unwrap();
    store.migrate(SchemaPolicy::Migrate).await.unwrap();
    store.open().await.unwrap();
    let admin = server.client().await;
    let heard = Arc::new(AtomicUsize::new(0));
    let (listener, counter) = (store.clone(), Arc::clone(&heard));
    let listening = tokio::spawn(async move {
        listener
            .listen_due(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
            })
            .await
    });
    until("it listens", async || (heard.load(Ordering::Relaxed) > 0).then_some(())).await;
    let ours = "select count(*) from pg_stat_activity where application_name = 'postrider'";
    assert!(admin.query_one(ours, &[]).await.unwrap().get::<_, i64>(0) >= 3);

    admin.batch_execute("alter system set default_transaction_read_only = on").await.unwrap();
    admin.batch_execute("select pg_reload_conf()").await.unwrap();
    until("the ping fails", async || store.ping().await.err()).await;
    listening.await.unwrap().unwrap();
    // The next statement of each pool finds that its connection is of the past.
    for refused in [store.open().await.unwrap_err(), store.ensure_partitions().await.unwrap_err()] {
        assert!(refused.to_string().contains("default_transaction_read_only is on"), "{refused}");
    }
    until("no connection is left", async || {
        (admin.query_one(ours, &[]).await.unwrap().get::<_, i64>(0) == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn among_several_hosts_the_one_that_writes_is_found_also_after_a_failover() {
    let mut primary = Postgres::start(&[]).await;
    let migrated = program("migrate", &primary.url()).output().await.unwrap();
    assert!(migrated.status.success());
    primary.stop();
    let standby = primary.standby().await;
    primary.run().await;

    let alone = program("migrate", &standby.url()).output().await.unwrap();
    let said = String::from_utf8(alone.stderr).unwrap();
    assert!(!alone.status.success() && said.contains("it is a standby"), "{said}");

    let url = format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postrider", standby.port(), primary.port());
    let receiver = Receiver::new().await;
    let replica = Start::new("serve", url).ready().await;
    let http = replica.http();
    let subscription = http.subscribe(&receiver.url()).await;
    assert_eq!(post(&http, &subscription).await, 202);

    primary.stop();
    until("events are refused", async || (post(&http, &subscription).await == 503).then_some(())).await;
    standby.client().await.batch_execute("select pg_promote()").await.unwrap();
    until("the new primary is found", async || is_ready(&replica).await).await;
    // The standby's copy is older than the subscription.
    let subscription = http.subscribe(&receiver.url()).await;
    assert_eq!(post(&http, &subscription).await, 202);
    receiver.arrived(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_takes_connections_and_says_nothing_does_not_use_up_the_time_of_the_others() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let frozen = Postgres::start(&[]).await;
    frozen.freeze();
    let server = Postgres::start(&[]).await;
    let (silent, frozen, port) = (silent.local_addr().unwrap().port(), frozen.port(), server.port());
    let url = format!(
        "postgres://postgres@127.0.0.1:{silent},127.0.0.1:{frozen},127.0.0.1:{port}/postrider?connect_timeout=30"
    );
    let receiver = Receiver::new().await;
    let replica = Start::new("serve", url.clone()).ready().await;
    let http = replica.http();
    let subscription = http.subscribe(&receiver.url()).await;
    assert_eq!(post(&http, &subscription).await, 202);
    receiver.arrived(1).await;
    let keys = program("keys list", &url).output().await.unwrap();
    assert!(keys.status.success(), "{}", String::from_utf8_lossy(&keys.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_may_take_longer_than_an_answer_and_the_url_says_how_long() {
    let server = Postgres::start(&["post_auth_delay = 1s"]).await;
    let receiver = Receiver::new().await;
    let replica = Start::new("serve", server.url()).ready().await;
    let http = replica.http();
    let subscription = http.subscribe(&receiver.url()).await;
    let posts: Vec<_> = (0..8)
        .map(|_| {
            let (http, subscription) = (http.clone(), subscription.clone());
            tokio::spawn(async move { post(&http, &subscription).await })
        })
        .collect();
    for answer in posts {
        assert_eq!(answer.await.unwrap(), 202, "it waits for no connection while one is open");
    }
    receiver.arrived(8).await;
    for command in ["keys list", "tenants list"] {
        let ran = program(command, &server.url()).output().await.unwrap();
        assert!(ran.status.success(), "{command}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    server.client().await.batch_execute("alter system set post_auth_delay = '5s'").await.unwrap();
    server.client().await.batch_execute("select pg_reload_conf()").await.unwrap();
    let hasty = program("migrate", &format!("{}?connect_timeout=1", server.url())).output().await.unwrap();
    let said = String::from_utf8(hasty.stderr).unwrap();
    assert!(!hasty.status.success() && said.contains("no login within 1 s"), "{said}");
}
