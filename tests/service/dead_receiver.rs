//! A dead receiver with a backlog beside healthy ones, with workers that are killed: nobody
//! else notices it, and when it comes back nothing is lost, stranded or out of order.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;
use serde_json::Value;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::database::Database;
use crate::support::http::Http;
use crate::support::process::{Postrider, Start};
use crate::support::receiver::{Arrived, Receiver, Reply};
use crate::support::wait::until;

const BACKLOG: usize = 5_000;
const HEALTHY: usize = 20;
/// Events of each healthy subscription in a round.
const ROUND: usize = 10;
/// Most requests at a time to one subscription.
const CAP: usize = 64;

const SETTINGS: [(&str, &str); 6] = [
    ("POSTRIDER_RETRY_SCHEDULE", "2s,2s"),
    ("POSTRIDER_BREAKER_AFTER", "0s"),
    ("POSTRIDER_BREAKER_PROBE_DELAY", "300ms"),
    ("POSTRIDER_BREAKER_PROBE_MAX", "300ms"),
    ("POSTRIDER_REQUEST_TIMEOUT", "1s"),
    ("POSTRIDER_LEASE", "6s"),
];

/// Events, numbered by age, whose deliveries to one subscription are due: as if no worker had
/// run for a while.
const BACKLOG_IS_DUE: &str = "
    with numbered as materialized (
        select s.tenant_id, s.id as subscription_id, n, uuid_v7(now() - ($2::bigint - n) * interval '1 ms') as event_id
        from subscriptions as s
        cross join generate_series(0, $2::bigint - 1) as n
        where s.id = $1
    ),
    written as (
        insert into events (tenant_id, id, payload)
        select tenant_id, event_id, convert_to(format('{\"n\":%s}', n), 'UTF8')
        from numbered
    )
    insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
    select tenant_id, event_id, subscription_id, now() - ($2::bigint - n) * interval '1 us', 10
    from numbered";
const BREAKER_IS_OPEN: &str = "select breaker is not distinct from 'open' from subscriptions where id = $1";
/// Rows that were written once, when they were accepted.
const UNTOUCHED: &str = "select count(*) from deliveries where subscription_id = $1 and attempts = 0 and lease is null";
const NOTHING_BUT_A_PROBE: &str =
    "select count(*) <= 1 from deliveries where subscription_id = $1 and lease is not null";
const LEASED: &str = "select count(*) from deliveries where subscription_id = $1 and lease is not null";
/// Numbers of events of which an attempt failed: refused, cut off with its worker, or not even begun on a busy machine.
const FAILED: &str = "
    select distinct (convert_from(e.payload, 'UTF8')::json ->> 'n')::bigint
    from attempts as a
    inner join events as e
        on e.id = a.event_id
    where a.subscription_id = $1
        and a.outcome <> 'delivered'";
/// No worker runs: what they had leased is nobody's, long enough to be taken over.
const LEASES_LAPSED: &str =
    "update deliveries set next_attempt_at = now() - interval '6 seconds' where lease is not null";
/// The same of what they owned, so that it is another's soon after those leases are.
const OWNERSHIPS_LAPSED: &str = "update owners set until = now() - interval '6 seconds'";

/// As far as an event may come from its place by age, when the breaker is closed again: two workers have so many at a
/// time, sent, waiting or not recorded yet.
const HELD: usize = 8 * CAP;

/// What the story takes place in.
struct Scene {
    database: Database,
    client: Client,
    api: Http,
    dead: Receiver,
    healthy: Receiver,
    /// The one with the dead receiver.
    subscription: Uuid,
    others: Vec<String>,
}

impl Scene {
    async fn start(&self) -> Postrider {
        Start { settings: &SETTINGS, ..Start::new("worker", self.database.url()) }.ready().await
    }

    async fn backlog_is(&self, what: &str, condition: &str) {
        until(what, async || {
            self.client.query_one(condition, &[&self.subscription]).await.unwrap().get::<_, bool>(0).then_some(())
        })
        .await;
    }

    /// Each healthy subscription gets its events, and meanwhile the dead one has a probe under
    /// way at most.
    async fn healthy_ones_get_theirs(&self) {
        let before = self.healthy.count();
        let first = self.dead.count();
        for _ in 0..ROUND {
            let posts = self.others.iter().map(|path| self.api.send(Method::POST, path, &[], "{}".into()));
            assert!(join_all(posts).await.into_iter().all(|answer| answer.unwrap().status == 202));
        }
        until("the healthy ones have theirs", async || {
            let leased: i64 = self.client.query_one(LEASED, &[&self.subscription]).await.unwrap().get(0);
            assert!(leased <= 1, "{leased} deliveries to the dead receiver are under way");
            (self.healthy.count() >= before + HEALTHY * ROUND).then_some(())
        })
        .await;
        assert!(self.dead.requests().split_off(first).iter().all(|probe| probe.at_once == 1));
    }
}

fn number(request: &Arrived) -> usize {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    usize::try_from(body["n"].as_u64().unwrap()).unwrap()
}

/// What came since the receiver is back: it began with few at once, and came by age, but for those of which an attempt
/// had failed: each of them came after its delay.
fn assert_slow_start_in_order(failed: &HashSet<usize>, arrived: &[Arrived]) {
    // A probe, and then no round has more at once than the one before had successes.
    for (round, width) in [(0..1, 1), (1..3, 2), (3..7, 4), (7..15, 8), (15..31, 16)] {
        let most = arrived[round.clone()].iter().map(|request| request.at_once).max().unwrap();
        assert!(most <= width, "{most} at once among the arrivals {round:?}");
    }
    let most = arrived.iter().map(|request| request.at_once).max().unwrap();
    assert!((5..=CAP).contains(&most), "{most} at once");
    let untried: Vec<usize> = (0..BACKLOG).filter(|number| !failed.contains(number)).collect();
    assert!(untried.len() > BACKLOG / 2);
    let mut seen = HashSet::new();
    let firsts = arrived.iter().map(number).filter(|number| seen.insert(*number));
    for (place, number) in firsts.filter(|number| !failed.contains(number)).enumerate() {
        let expected = untried.binary_search(&number).unwrap();
        assert!(place.abs_diff(expected) <= HELD, "event {number} came as number {place}");
    }
    assert_eq!(seen.len(), BACKLOG);
    assert!(arrived.len() <= BACKLOG + CAP, "{} came twice", arrived.len() - BACKLOG);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_delays_no_others_and_its_backlog_arrives_by_age() {
    let database = Database::new().await;
    let api = Start { settings: &SETTINGS, ..Start::new("api", database.url()) }.ready().await;
    let (dead, healthy, http) = (Receiver::new().await, Receiver::new().await, api.http());
    let subscription = http.subscribe(&dead.url()).await.parse().unwrap();
    let mut others = Vec::new();
    for _ in 0..HEALTHY {
        others.push(format!("/ingest/{}", http.subscribe(&healthy.url()).await));
    }
    let client = database.client().await;
    let scene = Scene { database, client, api: http, dead, healthy, subscription, others };
    let (first, second) = (scene.start().await, scene.start().await);

    scene.dead.usually(Reply::Status(500));
    scene.client.execute(BACKLOG_IS_DUE, &[&subscription, &(BACKLOG as i64)]).await.unwrap();
    scene.backlog_is("the breaker is open", BREAKER_IS_OPEN).await;
    scene.backlog_is("what was under way is recorded", NOTHING_BUT_A_PROBE).await;
    assert!(scene.dead.count() < BACKLOG / 10, "{} requests to a dead receiver", scene.dead.count());
    scene.healthy_ones_get_theirs().await;
    first.kill().await;
    scene.healthy_ones_get_theirs().await;

    // What waits is not written, whatever happens meanwhile.
    let untouched: i64 = scene.client.query_one(UNTOUCHED, &[&subscription]).await.unwrap().get(0);
    assert!(untouched >= (BACKLOG - scene.dead.count() - CAP) as i64, "{untouched}");
    // A probe is under way, and the next one is answered otherwise.
    scene.dead.hold();
    let before = scene.dead.arrived(scene.dead.count() + 1).await.len();
    scene.dead.takes(Duration::from_millis(50));
    scene.dead.usually(Reply::Status(200));
    scene.dead.let_go();
    scene.dead.arrived(before + 20).await;
    // It is the only worker, so it owns the subscription.
    second.kill().await;
    scene.dead.takes(Duration::ZERO);
    scene.client.execute(LEASES_LAPSED, &[]).await.unwrap();
    scene.client.execute(OWNERSHIPS_LAPSED, &[]).await.unwrap();
    let _next = (scene.start().await, scene.start().await);
    until("every delivery ended", async || {
        let left: i64 = scene.client.query_one("select count(*) from deliveries", &[]).await.unwrap().get(0);
        (left == 0).then_some(())
    })
    .await;
    let row = scene.client.query_one("select (select count(*) from undelivered), count(distinct event_id) from attempts where outcome = 'delivered'", &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, (BACKLOG + 2 * HEALTHY * ROUND) as i64));
    let failed = scene.client.query(FAILED, &[&subscription]).await.unwrap();
    let failed = failed.iter().map(|row| usize::try_from(row.get::<_, i64>(0)).unwrap()).collect();
    assert_slow_start_in_order(&failed, &scene.dead.requests()[before..]);
}
