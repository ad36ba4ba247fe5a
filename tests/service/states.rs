//! The states of a delivery, as ARCHITECTURE.md draws them: every state against everything
//! that the queue does.

use std::time::Duration;

use postrider::domain::breaker::Breaker;
use postrider::domain::delivery::{DeliveryKey, Report};
use postrider::domain::id::{EventId, LeaseToken, SubscriptionId, TenantId, WorkerId};
use postrider::domain::next_step::{EndReason, NextStep};
use postrider::domain::ordering::Line;
use postrider::store::{ClaimRequest, DrawRequest};
use time::OffsetDateTime;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::rig::Rig;

const TENANT: &str = "00000000-0000-7000-8000-000000000000";
const TOKEN: Uuid = Uuid::from_u128(7);
const OWNER: Uuid = Uuid::from_u128(8);
const LEASE: Duration = Duration::from_secs(600);

/// Each state, with what makes a fresh row be in it.
const STATES: [(&str, &str, &str); 8] = [
    ("scheduled", "next_attempt_at = now() + interval '1 hour'", ""),
    ("due", "next_attempt_at = now() - interval '1 second'", ""),
    ("sending", "next_attempt_at = now() + interval '1 hour', lease = $1, attempts = 1", ""),
    ("lapsed", "next_attempt_at = now() - interval '6 seconds', lease = $1, attempts = 1", ""),
    ("in_flight", "next_attempt_at = 'infinity', held_for = 'in_flight'", ""),
    ("disabled", "next_attempt_at = 'infinity', held_for = 'disabled'", "is_active = false"),
    (
        "ordered",
        "next_attempt_at = 'infinity', held_for = 'ordered', ordering_key = 'k', position = 1",
        "is_ordered = true",
    ),
    ("paced", "next_attempt_at = 'infinity', held_for = 'paced'", "rate_limit = 5"),
];

/// What the queue does, and where that brings a delivery; a state that is not named stays.
const DEEDS: [(Deed, &[(&str, &str)]); 15] = [
    (Deed::Claim(""), &[("due", "sending"), ("lapsed", "sending")]),
    (Deed::ClaimWhileFull, &[("due", "in_flight"), ("lapsed", "in_flight")]),
    (Deed::Claim("is_active = false"), &[("due", "disabled"), ("lapsed", "disabled")]),
    (Deed::Claim("rate_limit = 5"), &[("due", "paced"), ("lapsed", "paced")]),
    (Deed::Claim("deleted_at = now()"), &[("due", "cancelled"), ("lapsed", "cancelled")]),
    (Deed::Record(NextStep::GiveUp(EndReason::Exhausted)), &[("sending", "failed"), ("lapsed", "failed")]),
    (Deed::Record(NextStep::RetryIn(LEASE)), &[("sending", "scheduled"), ("lapsed", "scheduled")]),
    (Deed::Record(NextStep::HandBack), &[("sending", "due"), ("lapsed", "due")]),
    (Deed::Record(NextStep::Park), &[("sending", "in_flight"), ("lapsed", "in_flight")]),
    (Deed::Record(NextStep::Pace), &[("sending", "paced"), ("lapsed", "paced")]),
    (Deed::RecordLate, &[]),
    (Deed::Release, &[("in_flight", "due")]),
    (Deed::Draw, &[("paced", "sending")]),
    (Deed::Advance, &[("ordered", "due")]),
    (Deed::Expire, &[("in_flight", "expired"), ("disabled", "expired"), ("ordered", "expired"), ("paced", "expired")]),
];

/// What upkeep lets go of, by what has become of the subscription.
const LET_GO: [(&str, &[&str]); 4] = [
    ("", &["in_flight"]),
    ("is_active = true", &["in_flight", "disabled"]),
    ("is_ordered = false, rate_limit = null", &["in_flight", "ordered", "paced"]),
    ("deleted_at = now()", &["in_flight", "disabled", "ordered", "paced"]),
];

#[derive(Debug, Clone, Copy)]
enum Deed {
    /// After the subscription was changed so.
    Claim(&'static str),
    ClaimWhileFull,
    Record(NextStep),
    RecordLate,
    Release,
    Draw,
    Advance,
    Expire,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_answers_everything_that_the_queue_does_as_it_is_drawn() {
    let rig = Rig::new().await;
    for (deed, moves) in DEEDS {
        for (state, row, subscription) in STATES {
            let key = put(&rig, row, subscription).await;
            perform(&rig, deed, key).await;
            let expected = moves.iter().find(|(from, _)| *from == state).map_or(state, |(_, to)| to);
            assert_eq!(seen(&rig.client, key).await, expected, "{deed:?} of one that is {state}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upkeep_lets_go_of_what_nobody_holds_any_more_and_of_nothing_else() {
    let rig = Rig::new().await;
    for (change, let_go) in LET_GO {
        for (state, row, subscription) in STATES {
            let key = put(&rig, row, subscription).await;
            become_so(&rig, change, key).await;
            rig.store().release_ownerless(10).await.unwrap();
            let expected = if let_go.contains(&state) { "due" } else { state };
            assert_eq!(seen(&rig.client, key).await, expected, "after '{change}' of one that is {state}");
        }
    }
}

/// The only delivery there is, in this state.
async fn put(rig: &Rig, row: &str, subscription: &str) -> DeliveryKey {
    rig.client.batch_execute("delete from deliveries; delete from paces").await.unwrap();
    let made = rig.subscription().await;
    let event = EventId::at(OffsetDateTime::now_utc());
    let tenant: TenantId = TENANT.parse().unwrap();
    let key = DeliveryKey { tenant, event, subscription: made.id };
    rig.sql(&format!("insert into events (tenant_id, id, payload) values ('{tenant}', '{event}', '{{}}')")).await;
    rig.sql(&format!(
        "insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at)
         values ('{tenant}', '{event}', '{}', now())",
        made.id
    ))
    .await;
    rig.sql(&format!("update deliveries set {}", row.replace("$1", &format!("'{TOKEN}'")))).await;
    become_so(rig, subscription, key).await;
    rig.sql(&format!(
        "insert into paces (tenant_id, subscription_id, owner, until)
         values ('{tenant}', '{}', '{OWNER}', now() + interval '1 hour')",
        made.id
    ))
    .await;
    key
}

async fn become_so(rig: &Rig, change: &str, key: DeliveryKey) {
    if !change.is_empty() {
        rig.sql(&format!("update subscriptions set {change} where id = '{}'", key.subscription)).await;
    }
}

async fn perform(rig: &Rig, deed: Deed, key: DeliveryKey) {
    let store = rig.store();
    let long_ago = EventId::floor(OffsetDateTime::UNIX_EPOCH);
    match deed {
        Deed::Claim(change) => {
            become_so(rig, change, key).await;
            store.claim(&claim(Vec::new())).await.map(drop).unwrap();
        }
        Deed::ClaimWhileFull => store.claim(&claim(vec![(key.subscription, 0)])).await.map(drop).unwrap(),
        Deed::Record(step) => store.record(&[report(key, TOKEN, step)]).await.map(drop).unwrap(),
        Deed::RecordLate => {
            let late = report(key, Uuid::from_u128(9), NextStep::GiveUp(EndReason::Exhausted));
            assert_eq!(store.record(&[late]).await.unwrap().fenced, 1);
        }
        Deed::Release => store.release(&[(key.subscription, 1)]).await.map(drop).unwrap(),
        Deed::Draw => {
            let request = DrawRequest {
                owner: WorkerId::from(OWNER),
                token: LeaseToken::from(TOKEN),
                lease: LEASE,
                expired_before: long_ago,
                rooms: vec![(key.subscription, 1, Breaker::Closed)],
            };
            store.draw(&request).await.map(drop).unwrap();
        }
        Deed::Advance => {
            let line = Line { subscription: key.subscription, key: "k".parse().unwrap() };
            store.advance(&[line]).await.map(drop).unwrap();
        }
        Deed::Expire => {
            let later = EventId::floor(OffsetDateTime::now_utc() + LEASE);
            store.expire_parked(later, 10).await.map(drop).unwrap();
        }
    }
}

fn claim(busy: Vec<(SubscriptionId, usize)>) -> ClaimRequest {
    ClaimRequest {
        most: 10,
        reach: 10,
        token: LeaseToken::from(TOKEN),
        lease: LEASE,
        floor: OffsetDateTime::UNIX_EPOCH,
        take_lapsed: true,
        max_attempts: 100,
        expired_before: EventId::floor(OffsetDateTime::UNIX_EPOCH),
        busy,
        room: 10,
    }
}

fn report(key: DeliveryKey, token: Uuid, step: NextStep) -> Report {
    Report {
        key,
        token: LeaseToken::from(token),
        subscription_version: 1,
        event_type: None,
        ordering_key: None,
        attempts: Vec::new(),
        free_attempts: 0,
        step,
    }
}

/// The state that the tables show.
async fn seen(client: &Client, key: DeliveryKey) -> String {
    let state = "
        select coalesce(
            (
                select case
                    when d.held_for is not null then d.held_for
                    when d.lease is not null then case when d.next_attempt_at > now() then 'sending' else 'lapsed' end
                    when d.next_attempt_at > now() then 'scheduled'
                    else 'due'
                end
                from deliveries as d
                where d.event_id = $1
            ),
            (select u.status from undelivered as u where u.event_id = $1)
        )";
    client.query_one(state, &[&key.event.uuid()]).await.unwrap().get(0)
}
