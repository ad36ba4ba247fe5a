//! How many streams are open.

use super::*;
use crate::support::database::Database;
use crate::support::process::Start;
use crate::support::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_streams_of_one_tenant_leave_room_for_another() {
    let api = TestApi::start().await;
    let client = api.database.client().await;
    api.subscribe(json!({})).await;
    let mut watcher = watching(&api, &client, &api.admin, "").await;
    let first = attempt(&client, "timeout", "now()").await;
    let last = watcher.up_to(&first).await.pop().unwrap().id;
    // Each counts from its beginning, whether it catches up or not.
    let mut open = vec![watcher];
    while open.len() < 50 {
        let last = open.len().is_multiple_of(2).then_some(last.as_str());
        open.push(Watcher::open(&api, &api.admin, "", last).await);
    }
    let again = || api.ask("GET", "/stream").header("last-event-id", &last);
    for refused in [api.ask("GET", "/stream").send().await, again().send().await] {
        assert_eq!((refused.status.as_u16(), refused.code()), (429, "too_many_streams".to_owned()));
        assert!(
            refused.json()["detail"].as_str().unwrap().contains("streams of this tenant open on this replica: 50"),
            "{refused:?}"
        );
    }
    let other = api.key("stranger", Scope::Support).await;
    Watcher::open(&api, &other, "", Some(&last)).await;
    drop(open.pop());
    until("what one held is free", async || (again().send().await.status == 200).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_an_eighth_of_the_streams_that_the_settings_allow() {
    let database = Database::new().await;
    for (settings, most) in [
        (vec![("POSTRIDER_MAX_STREAMS", "16")], 2),
        (vec![("POSTRIDER_MAX_STREAMS", "400"), ("POSTRIDER_MAX_CONNECTIONS", "48")], 3),
        (vec![("POSTRIDER_MAX_STREAMS", "1")], 1),
    ] {
        let replica = Start { settings: &settings, ..Start::new("api", database.url()) }.ready().await;
        let mut open = Vec::new();
        while open.len() < most {
            open.push(Watcher::open_at(replica.address(), "", "", None).await);
        }
        let refused = tokio::time::timeout(LIMIT, replica.http().get("/stream")).await.expect("no stream is opened");
        assert_eq!((refused.status.as_u16(), refused.json()["code"].clone()), (429, json!("too_many_streams")));
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!(detail, format!("streams of this tenant open on this replica: {most}"));
    }
}
