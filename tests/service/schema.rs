//! The schema comes up once, whoever tries, and holds what the documents say.

use crate::support::database::Database;
use postrider::store::SchemaPolicy;

#[tokio::test(flavor = "multi_thread")]
async fn five_replicas_starting_at_once_migrate_once() {
    let database = Database::empty().await;
    let replicas = (0..5).map(|_| {
        let store = database.store();
        tokio::spawn(async move { store.migrate(SchemaPolicy::MigrateOrFollow).await })
    });
    let mut applied = Vec::new();
    for replica in replicas.collect::<Vec<_>>() {
        applied.push(replica.await.unwrap().unwrap());
    }
    assert_eq!(applied.iter().filter(|count| **count > 0).count(), 1, "{applied:?}");
}
