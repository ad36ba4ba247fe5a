//! How many streams are open.

use super::*;
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
        assert!(refused.json()["detail"].as_str().unwrap().contains("50 streams of this tenant"), "{refused:?}");
    }
    let other = api.key("stranger", Scope::Support).await;
    Watcher::open(&api, &other, "", Some(&last)).await;
    drop(open.pop());
    until("what one held is free", async || (again().send().await.status == 200).then_some(())).await;
}
