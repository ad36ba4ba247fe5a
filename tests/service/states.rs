//! The states of a delivery, as ARCHITECTURE.md draws them: every state against everything
//! that the queue does.

use std::time::Duration;

use postrider::domain::actor::Actor;
use postrider::domain::attempt::{Answer, Attempt};
use postrider::domain::breaker::Breaker;
use postrider::domain::delivery::{DeliveryKey, Report};
use postrider::domain::end::{EndReason, Taken};
use postrider::domain::id::{AttemptId, EventId, LeaseToken, ReplayId, TenantId, WorkerId};
use postrider::domain::next_step::NextStep;
use postrider::domain::ordering::OrderingGroup;
use postrider::domain::outcome::Outcome;
use postrider::domain::replay::{Ending, Selection};
use postrider::domain::trigger::Trigger;
use postrider::store::{Chosen, NewReplay, TakeAsk, TakeRequest};
use time::OffsetDateTime;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::rig::Rig;

const TENANT: &str = "00000000-0000-7000-8000-000000000000";
const TOKEN: Uuid = Uuid::from_u128(7);
const OWNER: Uuid = Uuid::from_u128(8);
const LEASE: Duration = Duration::from_secs(600);
const LIFETIME: Duration = Duration::from_secs(3_600);

/// Each state of a pending delivery, with what brings a fresh row and its subscription there.
const STATES: [(&str, &str, &str); 9] = [
    ("scheduled", "next_attempt_at = now() + interval '1 hour'", ""),
    ("due", "next_attempt_at = now() - interval '2 seconds'", ""),
    ("sending", "next_attempt_at = now() + interval '1 hour', lease = $1, attempts = 1", ""),
    ("lapsed", "next_attempt_at = now() - interval '6 seconds', lease = $1, attempts = 1", ""),
    // It was cancelled while it was leased, and its worker was lost.
    (
        "stopped",
        "next_attempt_at = now() - interval '6 seconds', lease = $1, attempts = 1, expires_at = '-infinity'",
        "",
    ),
    ("ordered", "next_attempt_at = 'infinity', ordering_key = 'k', position = 1", "is_ordered = true"),
    // Three ways to be due and held: the rows differ in nothing.
    ("disabled", "next_attempt_at = now() - interval '2 seconds'", "is_active = false"),
    ("rate_limit", "next_attempt_at = now() - interval '2 seconds'", "rate_limit = 5"),
    ("concurrency", "next_attempt_at = now() - interval '2 seconds'", "max_in_flight = 5"),
];

/// How a delivery ends.
const ENDED: [&str; 5] = ["failed", "expired", "skipped", "cancelled", "succeeded"];

/// What the queue does, and where that brings a delivery; a state that is not named stays.
const TRANSITIONS: [(Operation, &[(&str, &str)]); 21] = [
    (
        Operation::Take { by: Uuid::nil(), after: "" },
        &[("due", "sending"), ("lapsed", "sending"), ("stopped", "cancelled")],
    ),
    (
        Operation::Take { by: OWNER, after: "" },
        &[
            ("due", "sending"),
            ("lapsed", "sending"),
            ("stopped", "cancelled"),
            ("rate_limit", "sending"),
            ("concurrency", "sending"),
        ],
    ),
    (
        Operation::Take { by: OWNER, after: "is_active = false" },
        &[
            ("scheduled", "disabled"),
            ("due", "disabled"),
            ("lapsed", "disabled"),
            ("ordered", "disabled"),
            ("rate_limit", "disabled"),
            ("concurrency", "disabled"),
        ],
    ),
    (
        Operation::Take { by: Uuid::nil(), after: "rate_limit = 5" },
        &[("due", "rate_limit"), ("lapsed", "rate_limit"), ("concurrency", "rate_limit")],
    ),
    (
        Operation::Take { by: Uuid::nil(), after: "deleted_at = now()" },
        &[
            ("scheduled", "cancelled"),
            ("due", "cancelled"),
            ("sending", "cancelled"),
            ("lapsed", "cancelled"),
            ("stopped", "cancelled"),
            ("ordered", "cancelled"),
            ("disabled", "cancelled"),
            ("rate_limit", "cancelled"),
            ("concurrency", "cancelled"),
        ],
    ),
    (Operation::Record(NextStep::Done), &[("sending", "succeeded"), ("lapsed", "succeeded"), ("stopped", "succeeded")]),
    (
        Operation::Record(NextStep::GiveUp(EndReason::Exhausted)),
        &[("sending", "failed"), ("lapsed", "failed"), ("stopped", "cancelled")],
    ),
    (
        Operation::Record(NextStep::RetryIn(LEASE)),
        &[("sending", "scheduled"), ("lapsed", "scheduled"), ("stopped", "cancelled")],
    ),
    (
        Operation::Record(NextStep::HandBack(Duration::ZERO)),
        &[("sending", "due"), ("lapsed", "due"), ("stopped", "cancelled")],
    ),
    (Operation::RecordLate, &[]),
    (Operation::Advance, &[("ordered", "due")]),
    (Operation::AdvanceGroups { after: "" }, &[("ordered", "due")]),
    (Operation::AdvanceGroups { after: "is_ordered = false" }, &[("ordered", "due")]),
    (
        Operation::Cancel,
        &[
            ("scheduled", "cancelled"),
            ("due", "cancelled"),
            ("sending", "stopped"),
            ("lapsed", "stopped"),
            ("ordered", "cancelled"),
            ("disabled", "cancelled"),
            ("rate_limit", "cancelled"),
            ("concurrency", "cancelled"),
        ],
    ),
    (
        Operation::CancelHeld,
        &[
            ("ordered", "cancelled"),
            ("disabled", "cancelled"),
            ("rate_limit", "cancelled"),
            ("concurrency", "cancelled"),
        ],
    ),
    (
        Operation::Retry { is_named: false },
        &[("scheduled", "due"), ("failed", "due"), ("expired", "due"), ("skipped", "due")],
    ),
    (
        Operation::Retry { is_named: true },
        &[
            ("scheduled", "due"),
            ("failed", "due"),
            ("expired", "due"),
            ("skipped", "due"),
            ("cancelled", "due"),
            ("succeeded", "due"),
        ],
    ),
    (Operation::Replay(Ending::Failed), &[("failed", "due")]),
    (Operation::Replay(Ending::Succeeded), &[("succeeded", "due")]),
    // What was cancelled is over, whatever its age.
    (Operation::Expire { after: LIFETIME }, &[("stopped", "cancelled")]),
    (
        Operation::Expire { after: Duration::ZERO },
        &[
            ("scheduled", "expired"),
            ("due", "expired"),
            ("lapsed", "expired"),
            ("stopped", "cancelled"),
            ("ordered", "expired"),
            ("disabled", "expired"),
            ("rate_limit", "expired"),
            ("concurrency", "expired"),
        ],
    ),
];

#[derive(Debug, Clone, Copy)]
enum Operation {
    /// A worker takes what it may, and ends what is over, after the subscription was changed so.
    Take {
        by: Uuid,
        after: &'static str,
    },
    Record(NextStep),
    /// The report of a lease that has gone to another.
    RecordLate,
    Advance,
    /// Upkeep's walk, after the subscription was changed so.
    AdvanceGroups {
        after: &'static str,
    },
    Cancel,
    CancelHeld,
    /// Whether the subscription is named.
    Retry {
        is_named: bool,
    },
    Replay(Ending),
    /// Upkeep's sweep, with deliveries living so long.
    Expire {
        after: Duration,
    },
}

#[tokio::test(flavor = "multi_thread")]
async fn every_state_answers_everything_that_the_queue_does_as_it_is_drawn() {
    let rig = Rig::new().await;
    for (operation, moves) in TRANSITIONS {
        for state in STATES.map(|(state, ..)| state).into_iter().chain(ENDED) {
            let key = put(&rig, state).await;
            assert_eq!(seen(&rig.client, key).await, state, "a story that does not begin where it should");
            perform(&rig, operation, key).await;
            let expected = moves.iter().find(|(from, _)| *from == state).map_or(state, |(_, to)| to);
            assert_eq!(seen(&rig.client, key).await, expected, "{operation:?} of one that is {state}");
        }
    }
}

/// The only delivery there is, in this state.
async fn put(rig: &Rig, state: &str) -> DeliveryKey {
    let (_, row, subscription) = STATES.into_iter().find(|(name, ..)| *name == state).unwrap_or_default();
    rig.client.batch_execute("delete from deliveries; delete from owners; delete from undelivered").await.unwrap();
    let made = rig.subscription().await;
    let event = EventId::at(OffsetDateTime::now_utc() - Duration::from_secs(1), Uuid::new_v4().into_bytes());
    let tenant: TenantId = TENANT.parse().unwrap();
    let key = DeliveryKey { event, subscription: made.id, tenant };
    rig.sql(&format!("insert into events (tenant_id, id, payload) values ('{tenant}', '{event}', '{{}}')")).await;
    if ENDED.contains(&state) {
        end(rig, state, key).await;
    } else {
        rig.sql(&format!(
            "insert into deliveries (tenant_id, event_id, subscription_id, next_attempt_at, payload_bytes)
             values ('{tenant}', '{event}', '{}', now(), 2)",
            made.id
        ))
        .await;
        rig.sql(&format!("update deliveries set {}", row.replace("$1", &format!("'{TOKEN}'")))).await;
    }
    change_subscription(rig, subscription, key).await;
    rig.sql(&format!(
        "insert into owners (subscription_id, tenant_id, owner, until)
         values ('{}', '{tenant}', '{OWNER}', now() + interval '1 hour')",
        made.id
    ))
    .await;
    key
}

/// Ends the delivery so.
async fn end(rig: &Rig, state: &str, key: DeliveryKey) {
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

async fn change_subscription(rig: &Rig, change: &str, key: DeliveryKey) {
    if !change.is_empty() {
        rig.sql(&format!("update subscriptions set {change} where id = '{}'", key.subscription)).await;
    }
}

async fn perform(rig: &Rig, operation: Operation, key: DeliveryKey) {
    let store = rig.store();
    let chosen = |subscription| Chosen { tenant: key.tenant, event: key.event, subscription };
    match operation {
        Operation::Take { by, after } => {
            change_subscription(rig, after, key).await;
            take(rig, by, key).await;
        }
        Operation::Record(step) => store.record(&[report(key, TOKEN, step)]).await.map(drop).unwrap(),
        Operation::RecordLate => {
            let late = report(key, Uuid::from_u128(9), NextStep::GiveUp(EndReason::Exhausted));
            assert_eq!(store.record(&[late]).await.unwrap().fenced, 1);
        }
        Operation::Advance => {
            let group = OrderingGroup { subscription: key.subscription, key: "k".parse().unwrap() };
            store.advance(&[group]).await.map(drop).unwrap();
        }
        Operation::AdvanceGroups { after } => {
            change_subscription(rig, after, key).await;
            store.advance_groups(None, 10).await.map(drop).unwrap();
        }
        Operation::Cancel => store.cancel(&chosen(None), 100, &Actor::COMMAND).await.map(drop).unwrap(),
        Operation::CancelHeld => {
            store.cancel_held(key.tenant, key.subscription, 10, &Actor::COMMAND).await.map(drop).unwrap()
        }
        Operation::Retry { is_named } => {
            let subscription = is_named.then_some(key.subscription);
            store.retry(&chosen(subscription), LEASE, 100, &Actor::COMMAND).await.map(drop).unwrap();
        }
        Operation::Replay(ending) => replay(rig, key, ending).await,
        Operation::Expire { after } => {
            let expired_before = EventId::lower_bound(OffsetDateTime::now_utc() - after);
            store.expire(expired_before, None, 10).await.map(drop).unwrap();
        }
    }
}

/// What a worker does that looks whether anything is over before it sends.
async fn take(rig: &Rig, by: Uuid, key: DeliveryKey) {
    let request = TakeRequest {
        token: LeaseToken::from(TOKEN),
        lease: LEASE,
        worker: WorkerId::from(by),
        takes_lapsed: true,
        most_bytes: 1_000,
        asks: vec![TakeAsk {
            tenant: key.tenant,
            subscription: key.subscription,
            most: 10,
            due_from: OffsetDateTime::UNIX_EPOCH,
            breaker: Breaker::Closed,
        }],
    };
    for delivery in rig.store().take(&request).await.unwrap().deliveries {
        let taken = Taken {
            event: delivery.key.event,
            is_deleted: delivery.is_deleted,
            is_cut_off: delivery.is_cut_off,
            end: delivery.end,
            counted: delivery.attempts - 1,
            max_attempts: 100,
        };
        if let Some(reason) = taken.ends(OffsetDateTime::now_utc(), LIFETIME) {
            rig.store().record(&[report(delivery.key, TOKEN, NextStep::GiveUp(reason))]).await.unwrap();
        }
    }
}

/// The first step of a replay of all that ended so.
async fn replay(rig: &Rig, key: DeliveryKey, ending: Ending) {
    let now = OffsetDateTime::now_utc();
    let selection = Selection {
        statuses: vec![ending],
        event_types: Default::default(),
        after: EventId::lower_bound(OffsetDateTime::UNIX_EPOCH),
        below: EventId::lower_bound(now + LEASE),
    };
    let DeliveryKey { tenant, subscription, .. } = key;
    let new =
        NewReplay { tenant, id: ReplayId::at(now, Uuid::new_v4().into_bytes()), subscription, selection, rate: 1 };
    let replay = rig.store().create_replay(&new, i64::MAX, &Actor::COMMAND).await.unwrap().unwrap();
    rig.store().step_replay((tenant, replay.id), LEASE, 10_000).await.map(drop).unwrap();
}

fn report(key: DeliveryKey, token: Uuid, step: NextStep) -> Report {
    let attempt = || Attempt {
        id: AttemptId::at(OffsetDateTime::now_utc(), Uuid::new_v4().into_bytes()),
        number: 1,
        started_at: OffsetDateTime::now_utc(),
        trigger: Trigger::Fresh,
        answer: Answer { status: Some(200), ..Answer::without_response(Outcome::Delivered) },
    };
    Report {
        key,
        token: LeaseToken::from(token),
        subscription_version: 1,
        event_type: None,
        ordering_key: None,
        attempts: if step == NextStep::Done { vec![attempt()] } else { Vec::new() },
        free_attempts: 0,
        step,
    }
}

/// The state that the view and the queue's row show.
async fn seen(client: &Client, key: DeliveryKey) -> String {
    let state = "
        select case
            when a.status = 'held' then a.reason
            when d.lease is not null and d.expires_at = '-infinity' and a.reason is distinct from 'subscription_deleted' then 'stopped'
            when a.status <> 'pending' then a.status
            when d.lease is not null then 'lapsed'
            when d.next_attempt_at > now() then 'scheduled'
            else 'due'
        end
        from all_deliveries as a
        left join deliveries as d on (d.event_id, d.subscription_id) = (a.event_id, a.subscription_id)
        where a.event_id = $1";
    client.query_one(state, &[&key.event.uuid()]).await.unwrap().get(0)
}
