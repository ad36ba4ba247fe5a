//! What was done to the queue, and where that may bring a delivery.

use std::collections::BTreeMap;

use postrider::domain::delivery::DeliveryKey;
use postrider::domain::id::{LeaseToken, SubscriptionId};
use postrider::domain::next_step::NextStep;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Standing;
use super::actor::RETENTION;
use super::state::{State, Whereabouts};

/// What an actor did.
#[derive(Debug)]
pub(super) enum Done {
    Accepted {
        keys: Vec<DeliveryKey>,
        leased: BTreeMap<DeliveryKey, Uuid>,
        ordered: Vec<DeliveryKey>,
    },
    /// Deliveries, each with its token and the attempts it counts; and the paced subscriptions that the actor owned.
    Taken {
        taken: BTreeMap<DeliveryKey, (Uuid, u32)>,
        owned: Vec<SubscriptionId>,
    },
    Recorded(Vec<(DeliveryKey, LeaseToken, NextStep, i64)>),
    Advanced(Vec<SubscriptionId>),
    AdvancedGroups,
    Cancelled(DeliveryKey),
    CancelledHeld(SubscriptionId),
    Retried(DeliveryKey),
    Replayed(SubscriptionId, Vec<&'static str>),
    Expired,
    Retained,
    Nothing,
}

impl Done {
    /// Deliveries that were accepted.
    pub(super) fn accepted(&self) -> &[DeliveryKey] {
        match self {
            Self::Accepted { keys, .. } => keys,
            _ => &[],
        }
    }

    /// Where this may bring a delivery that was in `state`, its subscription standing in one
    /// of these ways meanwhile; nothing where the two cannot be.
    pub(super) fn outcomes(&self, key: &DeliveryKey, state: &State, standings: [Standing; 2]) -> Vec<State> {
        match self {
            Self::Accepted { leased, .. } if leased.contains_key(key) => vec![born(key, state, leased.get(key))],
            Self::Accepted { ordered, .. } if ordered.contains(key) => {
                vec![born(key, state, None).moved(Whereabouts::Ordered, 0, 0)]
            }
            Self::Accepted { keys, .. } if keys.contains(key) => vec![born(key, state, None)],
            Self::Taken { taken, owned } => match taken.get(key) {
                Some((token, attempts)) => {
                    let may = standings.iter().any(|standing| standing.may_be_taken(owned.contains(&key.subscription)));
                    self::taken(state, *token, *attempts).filter(|_| may).into_iter().collect()
                }
                // It was not due, another had it locked, or there was no room for it.
                None => vec![state.clone()],
            },
            Self::Recorded(reports) => {
                let ours = reports.iter().find(|(of, token, ..)| of == key && state.is_leased_to(*token));
                vec![ours.map_or_else(|| state.clone(), |(_, _, step, logged)| reported(state, *step, *logged))]
            }
            Self::Advanced(subscriptions) if !subscriptions.contains(&key.subscription) => vec![state.clone()],
            Self::Advanced(_) | Self::AdvancedGroups => {
                maybe(state, state.at == Whereabouts::Ordered, Whereabouts::Queued { is_due: true })
            }
            Self::Cancelled(of) if of == key => vec![cancelled(state)],
            Self::CancelledHeld(subscription) if *subscription == key.subscription => {
                let is_waiting = matches!(state.at, Whereabouts::Queued { .. }) || state.is_lapsed();
                let is_held = standings.iter().any(|standing| !standing.is_active || standing.is_paced);
                let may = state.at == Whereabouts::Ordered || (is_waiting && is_held);
                perhaps_ended(state, may, "cancelled")
            }
            Self::Retried(of) if of == key => match state.at {
                Whereabouts::Queued { .. } => vec![state.moved(Whereabouts::Queued { is_due: true }, 0, 0)],
                Whereabouts::Ended(_) => again(state, standings),
                _ => vec![state.clone()],
            },
            Self::Replayed(subscription, statuses) if *subscription == key.subscription => match state.at {
                Whereabouts::Ended(status) if statuses.contains(&status) => again(state, standings),
                _ => vec![state.clone()],
            },
            Self::Expired => {
                let is_waiting = matches!(state.at, Whereabouts::Queued { .. } | Whereabouts::Ordered);
                let may = (is_waiting || state.is_lapsed()) && (state.is_old || state.is_stopped);
                perhaps_ended(state, may, if state.is_stopped { "cancelled" } else { "expired" })
            }
            _ => vec![state.clone()],
        }
    }
}

fn born(key: &DeliveryKey, state: &State, token: Option<&Uuid>) -> State {
    let is_old = key.event.accepted_at().is_some_and(|at| OffsetDateTime::now_utc() - at > RETENTION);
    let state = State { is_old, ..state.clone() };
    match token {
        Some(token) => state.moved(Whereabouts::Leased { token: *token, is_lapsed: false }, 1, 0),
        None => state.moved(Whereabouts::Queued { is_due: true }, 0, 0),
    }
}

/// A take leased it: only what is due, or whose lease has lapsed.
fn taken(state: &State, token: Uuid, attempts: u32) -> Option<State> {
    let next = state.moved(Whereabouts::Leased { token, is_lapsed: false }, 1, i64::from(state.is_lapsed()));
    (state.is_takable() && next.counted == i64::from(attempts)).then_some(next)
}

/// A report of the lease that it has.
fn reported(state: &State, step: NextStep, logged: i64) -> State {
    let made = logged - 1;
    match step {
        NextStep::Done => state.moved(Whereabouts::Ended("succeeded"), made, logged),
        // It was cancelled while it was leased.
        _ if state.is_stopped => state.moved(Whereabouts::Ended("cancelled"), made, logged),
        NextStep::GiveUp(reason) => state.moved(Whereabouts::Ended(reason.status()), made, logged),
        NextStep::RetryIn(_) => state.moved(Whereabouts::Queued { is_due: false }, made, logged),
        NextStep::HandBack(after) => state.moved(Whereabouts::Queued { is_due: after.is_zero() }, made, logged),
    }
}

fn cancelled(state: &State) -> State {
    match state.at {
        Whereabouts::Leased { .. } => State { is_stopped: true, ..state.clone() },
        Whereabouts::Queued { .. } | Whereabouts::Ordered => state.moved(Whereabouts::Ended("cancelled"), 0, 0),
        _ => state.clone(),
    }
}

/// One that has ended is requeued, unless its subscription is gone, or its event.
fn again(state: &State, standings: [Standing; 2]) -> Vec<State> {
    let requeued = State { is_stopped: false, ..state.clone() }.moved(Whereabouts::Queued { is_due: true }, 0, 0);
    let may_not = state.is_old || standings.iter().any(|standing| standing.is_deleted);
    let may = standings.iter().any(|standing| !standing.is_deleted);
    let (stays, goes) = (may_not.then(|| state.clone()), may.then_some(requeued));
    stays.into_iter().chain(goes).collect()
}

/// The attempt of a lapsed lease is logged as lost.
fn perhaps_ended(state: &State, can: bool, status: &'static str) -> Vec<State> {
    let ended = state.moved(Whereabouts::Ended(status), 0, i64::from(state.is_lapsed()));
    std::iter::once(state.clone()).chain(can.then_some(ended)).collect()
}

fn maybe(state: &State, can: bool, at: Whereabouts) -> Vec<State> {
    let mut states = vec![state.clone()];
    if can {
        states.push(state.moved(at, 0, 0));
    }
    states
}
