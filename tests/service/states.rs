//! The states of a delivery, as ARCHITECTURE.md draws them: every state against everything
//! that the queue does.

use std::time::Duration;

use postrider::domain::breaker::Breaker;
use postrider::domain::delivery::{DeliveryKey, Report};
use postrider::domain::id::{EventId, LeaseToken, ReplayId, SubscriptionId, TenantId, WorkerId};
use postrider::domain::next_step::{EndReason, NextStep};
use postrider::domain::ordering::Line;
use postrider::domain::replay::{Ending, Selection};
use postrider::store::{ClaimRequest, DrawRequest, NewReplay};
use time::OffsetDateTime;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::rig::Rig;

const TENANT: &str = "00000000-0000-7000-8000-000000000000";
const TOKEN: Uuid = Uuid::from_u128(7);
const OWNER: Uuid = Uuid::from_u128(8);
const LEASE: Duration = Duration::from_secs(600);

/// Each state of one that is owed, with what makes a fresh row and its subscription be in it.
const STATES: [(&str, &str, &str); 9] = [
    ("scheduled", "next_attempt_at = now() + interval '1 hour'", ""),
    ("due", "next_attempt_at = now() - interval '1 second'", ""),
    ("sending", "next_attempt_at = now() + interval '1 hour', lease = $1, attempts = 1", ""),
    ("lapsed", "next_attempt_at = now() - interval '6 seconds', lease = $1, attempts = 1", ""),
    // Somebody cancelled it while it was under way, and its worker was lost.
    (
        "stopped",
        "next_attempt_at = now() - interval '6 seconds', lease = $1, attempts = 1, expires_at = '-infinity'",
        "",
    ),
    ("in_flight", "next_attempt_at = 'infinity', held_for = 'in_flight'", ""),
    ("disabled", "next_attempt_at = 'infinity', held_for = 'disabled'", "is_active = false"),
    (
        "ordered",
        "next_attempt_at = 'infinity', held_for = 'ordered', ordering_key = 'k', position = 1",
        "is_ordered = true",
    ),
    ("paced", "next_attempt_at = 'infinity', held_for = 'paced'", "rate_limit = 5"),
];

/// How a delivery ends.
const ENDED: [&str; 5] = ["failed", "expired", "skipped", "cancelled", "succeeded"];

/// What the queue does, and where that brings a delivery; a state that is not named stays.
const DEEDS: [(Deed, &[(&str, &str)]); 21] = [
    (Deed::Claim(""), &[("due", "sending"), ("lapsed", "sending"), ("stopped", "cancelled")]),
    (Deed::ClaimWhileFull, &[("due", "in_flight"), ("lapsed", "in_flight"), ("stopped", "cancelled")]),
    (Deed::Claim("is_active = false"), &[("due", "disabled"), ("lapsed", "disabled"), ("stopped", "cancelled")]),
    (Deed::Claim("rate_limit = 5"), &[("due", "paced"), ("lapsed", "paced"), ("stopped", "cancelled")]),
    (Deed::Claim("deleted_at = now()"), &[("due", "cancelled"), ("lapsed", "cancelled"), ("stopped", "cancelled")]),
    (
        Deed::Record(NextStep::GiveUp(EndReason::Exhausted)),
        &[("sending", "failed"), ("lapsed", "failed"), ("stopped", "cancelled")],
    ),
    // Due at once, so that the claim ends it.
    (Deed::Record(NextStep::RetryIn(LEASE)), &[("sending", "scheduled"), ("lapsed", "scheduled"), ("stopped", "due")]),
    (Deed::Record(NextStep::HandBack), &[("sending", "due"), ("lapsed", "due"), ("stopped", "due")]),
    (Deed::Record(NextStep::Park), &[("sending", "in_flight"), ("lapsed", "in_flight"), ("stopped", "in_flight")]),
    (Deed::Record(NextStep::Pace), &[("sending", "paced"), ("lapsed", "paced"), ("stopped", "paced")]),
    (Deed::RecordLate, &[]),
    (Deed::Release, &[("in_flight", "due")]),
    (Deed::Draw, &[("paced", "sending")]),
    (Deed::Advance, &[("ordered", "due")]),
    (
        Deed::Cancel,
        &[
            ("scheduled", "cancelled"),
            ("due", "cancelled"),
            ("sending", "stopped"),
            ("lapsed", "stopped"),
            ("in_flight", "cancelled"),
            ("disabled", "cancelled"),
            ("ordered", "cancelled"),
            ("paced", "cancelled"),
        ],
    ),
    (
        Deed::CancelHeld,
        &[("in_flight", "cancelled"), ("disabled", "cancelled"), ("ordered", "cancelled"), ("paced", "cancelled")],
    ),
    (Deed::Retry { named: false }, &[("scheduled", "due"), ("failed", "due"), ("expired", "due"), ("skipped", "due")]),
    (
        Deed::Retry { named: true },
        &[
            ("scheduled", "due"),
            ("failed", "due"),
            ("expired", "due"),
            ("skipped", "due"),
            ("cancelled", "due"),
            ("succeeded", "due"),
        ],
    ),
    (Deed::Replay(Ending::Failed), &[("failed", "due")]),
    (Deed::Replay(Ending::Succeeded), &[("succeeded", "due")]),
    (Deed::Expire, &[("in_flight", "expired"), ("disabled", "expired"), ("ordered", "expired"), ("paced", "expired")]),
];

/// What upkeep lets go of, by what has become of the subscription, and where that brings it. One that is
/// enabled while something waits for it comes back slowly.
const LET_GO: [(&str, &[(&str, &str)]); 4] = [
    ("", &[("in_flight", "due")]),
    ("is_active = true", &[("in_flight", "due"), ("disabled", "paced")]),
    ("is_ordered = false, rate_limit = null", &[("in_flight", "due"), ("ordered", "due"), ("paced", "due")]),
    ("deleted_at = now()", &[("in_flight", "due"), ("disabled", "due"), ("ordered", "due"), ("paced", "due")]),
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
    Cancel,
    CancelHeld,
    /// Whether the subscription is named.
    Retry {
        named: bool,
    },
    Replay(Ending),
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_answers_everything_that_the_queue_does_as_it_is_drawn() {
    let rig = Rig::new().await;
    for (deed, moves) in DEEDS {
        for state in STATES.map(|(state, ..)| state).into_iter().chain(ENDED) {
            let key = put(&rig, state).await;
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
        for (state, ..) in STATES {
            let key = put(&rig, state).await;
            become_so(&rig, change, key).await;
            rig.store().release_ownerless(10).await.unwrap();
            let expected = let_go.iter().find(|(from, _)| *from == state).map_or(state, |(_, to)| to);
            assert_eq!(seen(&rig.client, key).await, expected, "after '{change}' of one that is {state}");
        }
    }
}

/// The only delivery there is, in this state.
async fn put(rig: &Rig, state: &str) -> DeliveryKey {
    let (_, row, subscription) = STATES.into_iter().find(|(name, ..)| *name == state).unwrap_or_default();
    rig.client.batch_execute("delete from deliveries; delete from paces; delete from undelivered").await.unwrap();
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
    if ENDED.contains(&state) {
        end(rig, state, key).await;
    } else {
        rig.sql(&format!("update deliveries set {}", row.replace("$1", &format!("'{TOKEN}'")))).await;
    }
    become_so(rig, subscription, key).await;
    rig.sql(&format!(
        "insert into paces (tenant_id, subscription_id, owner, until)
         values ('{tenant}', '{}', '{OWNER}', now() + interval '1 hour')",
        made.id
    ))
    .await;
    key
}

/// Ends the delivery so.
async fn end(rig: &Rig, state: &str, key: DeliveryKey) {
    rig.sql("delete from deliveries").await;
    let DeliveryKey { tenant, event, subscription } = key;
    rig.sql(&match state {
        "succeeded" => format!(
            "insert into attempts (tenant_id, subscription_id, id, event_id, attempt_number, outcome, created_at)
             values ('{tenant}', '{subscription}', uuid_v7(), '{event}', 1, 'delivered', now())"
        ),
        _ => format!(
            "insert into undelivered (tenant_id, event_id, subscription_id, status, reason, attempts)
             values ('{tenant}', '{event}', '{subscription}', '{state}', 'a story', 1)"
        ),
    })
    .await;
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
        Deed::Cancel => store.cancel(key.tenant, key.event, None, 100).await.map(drop).unwrap(),
        Deed::CancelHeld => store.cancel_held(key.tenant, key.subscription, 10).await.map(drop).unwrap(),
        Deed::Retry { named } => {
            let subscription = named.then_some(key.subscription);
            store.retry(key.tenant, key.event, subscription, LEASE, 100).await.map(drop).unwrap();
        }
        Deed::Replay(ending) => replay(rig, key, ending).await,
        Deed::Expire => {
            let later = EventId::floor(OffsetDateTime::now_utc() + LEASE);
            store.expire_parked(later, 10).await.map(drop).unwrap();
        }
    }
}

/// The first step of a replay of all that ended so.
async fn replay(rig: &Rig, key: DeliveryKey, ending: Ending) {
    let now = OffsetDateTime::now_utc();
    let selection = Selection {
        statuses: vec![ending],
        event_types: Default::default(),
        after: EventId::floor(OffsetDateTime::UNIX_EPOCH),
        below: EventId::floor(now + LEASE),
    };
    let DeliveryKey { tenant, subscription, .. } = key;
    let new = NewReplay { tenant, id: ReplayId::at(now), subscription, selection, rate: 1 };
    let replay = rig.store().create_replay(&new, i64::MAX).await.unwrap().unwrap();
    rig.store().step_replay((tenant, replay.id), LEASE, 10_000).await.map(drop).unwrap();
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
                    when d.lease is not null and d.expires_at = '-infinity' then 'stopped'
                    when d.lease is not null then case when d.next_attempt_at > now() then 'sending' else 'lapsed' end
                    when d.next_attempt_at > now() then 'scheduled'
                    else 'due'
                end
                from deliveries as d
                where d.event_id = $1
            ),
            (select u.status from undelivered as u where u.event_id = $1),
            (select 'succeeded' from attempts as a where a.event_id = $1 and a.outcome = 'delivered')
        )";
    client.query_one(state, &[&key.event.uuid()]).await.unwrap().get(0)
}
