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
    Accepted { keys: Vec<DeliveryKey>, leased: BTreeMap<DeliveryKey, Uuid>, ordered: Vec<DeliveryKey> },
    Claimed { claimed: BTreeMap<DeliveryKey, (Uuid, u16)>, full: Vec<SubscriptionId> },
    Recorded(Vec<(DeliveryKey, LeaseToken, NextStep, i64)>),
    Released(Vec<SubscriptionId>),
    ReleasedOwnerless,
    Advanced(Vec<SubscriptionId>),
    Drawn(BTreeMap<DeliveryKey, (Uuid, u16)>),
    Cancelled(DeliveryKey),
    CancelledHeld(SubscriptionId),
    Retried(DeliveryKey),
    Replayed(SubscriptionId, Vec<&'static str>),
    Retained,
    Nothing,
}

impl Done {
    /// Deliveries that came into the world.
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
            Self::Accepted { ordered, .. } if ordered.contains(key) => vec![lined_up(key, state)],
            Self::Accepted { keys, .. } if keys.contains(key) => {
                let state = born(key, state, None);
                let paced = standings.iter().any(|standing| standing.is_paced);
                maybe(&state, paced, Whereabouts::Held("paced"))
            }
            Self::Claimed { claimed, full } => match claimed.get(key) {
                Some((token, attempts)) => taken(state, *token, *attempts).into_iter().collect(),
                None => left(state, full.contains(&key.subscription), standings),
            },
            Self::Recorded(reports) => {
                let ours = reports.iter().find(|(of, token, ..)| of == key && state.is_leased_to(*token));
                vec![ours.map_or_else(|| state.clone(), |(_, _, step, logged)| reported(state, *step, *logged))]
            }
            Self::Released(subscriptions) if subscriptions.contains(&key.subscription) => {
                let held = state.at == Whereabouts::Held("in_flight");
                let mut states = maybe(state, held, Whereabouts::Queued { is_due: true });
                // Of one that is paced by now they become its owner's.
                if held && standings.iter().any(|standing| standing.is_paced) {
                    states.push(state.moved(Whereabouts::Held("paced"), 0, 0));
                }
                states
            }
            Self::Advanced(subscriptions) if subscriptions.contains(&key.subscription) => {
                maybe(state, state.at == Whereabouts::Held("ordered"), Whereabouts::Queued { is_due: true })
            }
            Self::ReleasedOwnerless => {
                let any = |is_so: fn(&Standing) -> bool| standings.iter().any(is_so);
                let is_deleted = standings.iter().any(|standing| standing.is_deleted);
                let is_free = standings.iter().any(|standing| standing.is_active || standing.is_deleted);
                let ownerless = state.at == Whereabouts::Held("in_flight")
                    || (state.at == Whereabouts::Held("disabled") && is_free)
                    || (state.at == Whereabouts::Held("ordered") && is_deleted)
                    || (state.at == Whereabouts::Held("paced")
                        && (is_deleted || any(|standing| !standing.is_paced || !standing.is_active)));
                let mut states = maybe(state, ownerless, Whereabouts::Queued { is_due: true });
                let stays_held = state.at == Whereabouts::Held("in_flight")
                    || (state.at == Whereabouts::Held("disabled") && is_free);
                if stays_held && any(|standing| standing.is_paced) {
                    states.push(state.moved(Whereabouts::Held("paced"), 0, 0));
                }
                states
            }
            Self::Drawn(drawn) => match drawn.get(key) {
                Some((token, attempts)) => drawn_out(state, *token, *attempts).into_iter().collect(),
                None => vec![state.clone()],
            },
            Self::Cancelled(of) if of == key => vec![cancelled(state)],
            Self::CancelledHeld(subscription) if *subscription == key.subscription => {
                maybe(state, matches!(state.at, Whereabouts::Held(_)), Whereabouts::Ended("cancelled"))
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

fn lined_up(key: &DeliveryKey, state: &State) -> State {
    born(key, state, None).moved(Whereabouts::Held("ordered"), 0, 0)
}

/// A claim took it: only what is due, or whose lease has lapsed.
fn taken(state: &State, token: Uuid, attempts: u16) -> Option<State> {
    let next = state.moved(Whereabouts::Leased { token, is_lapsed: false }, 1, i64::from(state.is_lapsed()));
    (state.is_claimable() && !state.is_stopped && next.counted == i64::from(attempts)).then_some(next)
}

/// A claim did not take it: it may have parked or ended it on the way.
fn left(state: &State, is_full: bool, standings: [Standing; 2]) -> Vec<State> {
    let mut states = vec![state.clone()];
    if state.is_claimable() {
        let cut_off = i64::from(state.is_lapsed());
        let mut add = |at| states.push(state.moved(at, 0, cut_off));
        if state.is_stopped {
            add(Whereabouts::Ended("cancelled"));
            return states;
        }
        if is_full {
            add(Whereabouts::Held("in_flight"));
        }
        for standing in standings {
            match standing {
                Standing { is_deleted: true, .. } => add(Whereabouts::Ended("cancelled")),
                Standing { is_active: false, .. } => add(Whereabouts::Held("disabled")),
                Standing { is_paced: true, .. } => add(Whereabouts::Held("paced")),
                _ => {}
            }
        }
    }
    states
}

/// A report of the lease that it has.
fn reported(state: &State, step: NextStep, logged: i64) -> State {
    let made = logged - 1;
    match step {
        NextStep::Done => state.moved(Whereabouts::Ended("succeeded"), made, logged),
        NextStep::GiveUp(_) if state.is_stopped => state.moved(Whereabouts::Ended("cancelled"), made, logged),
        NextStep::GiveUp(_) => state.moved(Whereabouts::Ended("failed"), made, logged),
        // One that somebody cancelled has nothing to wait for.
        NextStep::RetryIn(_) => state.moved(Whereabouts::Queued { is_due: state.is_stopped }, made, logged),
        NextStep::HandBack => state.moved(Whereabouts::Queued { is_due: true }, made, logged),
        NextStep::Park => state.moved(Whereabouts::Held("in_flight"), made, logged),
        NextStep::Pace => state.moved(Whereabouts::Held("paced"), made, logged),
    }
}

/// Its owner drew it: only what is held for its pace.
fn drawn_out(state: &State, token: Uuid, attempts: u16) -> Option<State> {
    let next = state.moved(Whereabouts::Leased { token, is_lapsed: false }, 1, 0);
    let may = state.at == Whereabouts::Held("paced") && !state.is_stopped && next.counted == i64::from(attempts);
    may.then_some(next)
}

/// Somebody wants it no more.
fn cancelled(state: &State) -> State {
    match state.at {
        Whereabouts::Leased { .. } => State { is_stopped: true, ..state.clone() },
        Whereabouts::Queued { .. } | Whereabouts::Held(_) => state.moved(Whereabouts::Ended("cancelled"), 0, 0),
        _ => state.clone(),
    }
}

/// One that has ended is made again, unless its subscription is gone, or its event.
fn again(state: &State, standings: [Standing; 2]) -> Vec<State> {
    let mut states = Vec::new();
    let anew = State { is_stopped: false, ..state.clone() };
    for standing in standings {
        states.push(match standing {
            Standing { is_deleted: true, .. } => state.clone(),
            Standing { is_active: false, .. } => anew.moved(Whereabouts::Held("disabled"), 0, 0),
            Standing { is_paced: true, .. } => anew.moved(Whereabouts::Held("paced"), 0, 0),
            _ => anew.moved(Whereabouts::Queued { is_due: true }, 0, 0),
        });
    }
    if state.is_old {
        states.push(state.clone());
    }
    states
}

fn maybe(state: &State, can: bool, at: Whereabouts) -> Vec<State> {
    let mut states = vec![state.clone()];
    if can {
        states.push(state.moved(at, 0, 0));
    }
    states
}
