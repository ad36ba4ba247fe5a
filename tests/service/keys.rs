//! `postrider keys` as an operator uses it, beside replicas that serve.

use crate::support::database::Database;
use crate::support::process::{Start, program};
use crate::support::wait::until;

/// What a command said, and whether it was content.
struct Said {
    success: bool,
    out: String,
    err: String,
}

async fn keys(database: &Database, arguments: &str) -> Said {
    let done = program(&format!("keys {arguments}"), &database.url()).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { success: done.status.success(), out: text(done.stdout), err: text(done.stderr) }
}

/// A new key: its id, and the key itself.
async fn create(database: &Database) -> (String, String) {
    let made = keys(database, "create --tenant acme --scope read").await;
    assert!(made.success, "{}", made.err);
    let id = made.out.split(' ').nth(2).unwrap().to_owned();
    (id, made.out.lines().last().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_by_every_replica() {
    let database = Database::new().await;
    let settings = [("POSTRIDER_AUTH", "keys")];
    let start = || Start { settings: &settings, ..Start::new("api", database.url()) }.ready();
    let replicas = [start().await, start().await];
    let (id, key) = create(&database).await;
    for replica in &replicas {
        assert_eq!(replica.http_with(&key).get("/subscriptions/").await.status, 200);
    }
    assert!(keys(&database, &format!("revoke {id}")).await.success);
    for replica in &replicas {
        let http = replica.http_with(&key);
        until("the replica refuses the key", async || (http.get("/subscriptions/").await.status == 401).then_some(()))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_says_which_keys_are_used_and_which_live() {
    let database = Database::new().await;
    let (used, key) = create(&database).await;
    let (unused, _) = create(&database).await;
    assert!(keys(&database, &format!("revoke {unused}")).await.success);
    let settings = [("POSTRIDER_AUTH", "keys")];
    let api = Start { settings: &settings, ..Start::new("api", database.url()) }.ready().await;
    assert_eq!(api.http_with(&key).get("/subscriptions/").await.status, 200);

    let line = async |id: &str| {
        let list = keys(&database, "list --tenant acme").await.out;
        assert!(list.lines().next().unwrap().starts_with("id "), "{list}");
        list.lines().find(|line| line.starts_with(id)).unwrap().to_owned()
    };
    until("the use is listed", async || (!line(&used).await.contains("never")).then_some(())).await;
    assert!(line(&used).await.contains(" live "));
    let unused = line(&unused).await;
    assert!(unused.contains(" revoked ") && unused.contains(" never "), "{unused}");
    assert!(!keys(&database, "list").await.out.contains(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_what_cannot_be_revoked_says_why() {
    let database = Database::new().await;
    let (id, _) = create(&database).await;
    let first = keys(&database, &format!("revoke {id}")).await;
    assert!(first.success && first.out.contains("is revoked"), "{}", first.out);
    let again = keys(&database, &format!("revoke {id}")).await;
    assert!(again.success && again.out.contains("was revoked before, at 2"), "{}", again.out);

    let unknown = keys(&database, "revoke 0199c5f0-0000-7000-8000-00000000dead").await;
    assert!(
        !unknown.success && unknown.err.contains("there is no key 0199c5f0-0000-7000-8000-00000000dead"),
        "{}",
        unknown.err
    );
    let no_id = keys(&database, "revoke abc").await;
    assert!(!no_id.success && no_id.err.contains("must be a UUID"), "{}", no_id.err);
    let no_name = keys(&database, &format!("create --tenant {}", "x".repeat(256))).await;
    assert!(!no_name.success && no_name.err.contains("must be 1 to 255 of"), "{}", no_name.err);
}
