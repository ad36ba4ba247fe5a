//! `postrider dev` has a PostgreSQL of its own, which serves one at a time and keeps its data.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use postrider::commands::dev::{self, Cluster};
use postrider::config::Settings;
use tokio_postgres::NoTls;

use crate::support::folder::Folder;

fn as_root(folder: &Path) -> bool {
    fs::metadata(folder).unwrap().uid() == 0
}

async fn run(cluster: &Cluster, statement: &str) -> String {
    let (client, connection) = tokio_postgres::connect(&cluster.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    let answers = client.simple_query(statement).await.unwrap();
    let first = answers.iter().find_map(|answer| match answer {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    first.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_starts_without_the_rights_of_root() {
    let folder = Folder::new();
    let cluster = Cluster::start(&folder.0).unwrap();
    assert_eq!(run(&cluster, "show listen_addresses").await, "");
    assert_eq!(run(&cluster, "show fsync").await, "on");
    assert_eq!(run(&cluster, "show server_encoding").await, "UTF8");
    let data = fs::metadata(folder.state().join("postgres/data")).unwrap();
    assert_ne!(data.uid(), 0, "PostgreSQL never belongs to root");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_survives_an_orderly_stop_and_a_power_cut() {
    let folder = Folder::new();
    let cluster = Cluster::start(&folder.0).unwrap();
    run(&cluster, "create table kept (word text); insert into kept values ('first')").await;
    cluster.stop().unwrap();
    assert!(tokio_postgres::connect(&cluster.url(), NoTls).await.is_err());
    cluster.start_again().unwrap();
    run(&cluster, "insert into kept values ('second')").await;
    cluster.stop_immediately().unwrap();
    drop(cluster);
    let later = Cluster::start(&folder.0).unwrap();
    assert_eq!(run(&later, "select string_agg(word, ' ' order by word) from kept").await, "first second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_outlived_its_run_is_taken_over_and_stopped() {
    let folder = Folder::new();
    let killed = Cluster::start(&folder.0).unwrap();
    let server = fs::read_to_string(folder.state().join("postgres/data/postmaster.pid")).unwrap();
    std::mem::forget(killed);
    let cluster = Cluster::start(&folder.0).unwrap();
    assert_eq!(fs::read_to_string(folder.state().join("postgres/data/postmaster.pid")).unwrap(), server);
    cluster.stop().unwrap();
    assert!(!folder.state().join("postgres/data/postmaster.pid").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_dev_in_the_same_folder_names_the_address_of_the_first() {
    let folder = Folder::new();
    let mut settings = Settings::default();
    settings.set("POSTRIDER_LISTEN", "127.0.0.1:8123");
    let first = dev::prepare(&folder.0, settings.clone()).await.unwrap();
    let refused = dev::prepare(&folder.0, settings.clone()).await.err().unwrap().to_string();
    assert!(refused.contains("already running") && refused.contains("http://127.0.0.1:8123/"), "{refused}");
    let master_keys = first.settings.get("POSTRIDER_MASTER_KEYS").map(str::to_owned);
    let config = first.settings.resolve(postrider::config::Profile::Development).unwrap();
    let banner = dev::banner(&first, &config, "postrider");
    assert!(banner.contains("http://127.0.0.1:8123/docs"), "{banner}");
    first.stop().await.unwrap();
    let again = dev::prepare(&folder.0, settings).await.unwrap();
    assert_eq!(
        again.settings.get("POSTRIDER_MASTER_KEYS"),
        master_keys.as_deref(),
        "what was sealed with the key must open again"
    );
    let key = fs::metadata(folder.state().join("master.key")).unwrap();
    assert_eq!(key.mode() & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_the_unprivileged_user_cannot_reach_gets_a_link() {
    let outer = Folder::new();
    if !as_root(&outer.0) {
        return;
    }
    fs::set_permissions(&outer.0, Permissions::from_mode(0o700)).unwrap();
    let inner = Folder(outer.0.join("clone"));
    fs::create_dir(&inner.0).unwrap();
    let cluster = Cluster::start(&inner.0).unwrap();
    run(&cluster, "create table kept ()").await;
    assert!(fs::read_link(inner.state()).unwrap().starts_with("/var/lib/postrider"));
    drop(cluster);
    let again = Cluster::start(&inner.0).unwrap();
    assert_eq!(run(&again, "select to_regclass('kept')").await, "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_too_deep_for_a_socket_works_all_the_same() {
    let outer = Folder::new();
    let inner = Folder(outer.0.join("it's a \"deep\" folder ".repeat(4)));
    fs::create_dir(&inner.0).unwrap();
    let cluster = Cluster::start(&inner.0).unwrap();
    assert_eq!(run(&cluster, "select current_database()").await, "postrider");
}
