//! The state of a subscription's receiver.

use poem_openapi::{Enum, Object};
use serde::Serialize;

use crate::api::text::{Moment, choice};
use crate::store::Health;

/// The state of a receiver.
#[derive(Debug, Clone, Copy, Default, Enum, Serialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(super) enum HealthState {
    #[default]
    Healthy,
    Failing,
    Open,
    Throttled,
    Recovering,
}

choice! {
    /// What a list is narrowed by.
    pub(super) enum ListedState {
        Disabled = "disabled",
        Healthy = "healthy",
        Failing = "failing",
        Open = "open",
        Throttled = "throttled",
        Recovering = "recovering",
    }
}

/// The state of the receiver.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all, rename = "SubscriptionHealth")]
pub(super) struct HealthAnswer {
    /// `healthy`; `failing`; `open`: only probes are sent; `throttled`: the receiver asked to wait; `recovering`: a
    /// few requests at a time.
    state: HealthState,
    /// First failed attempt since the last success.
    failing_since: Option<Moment>,
    /// Failed attempts since the last success.
    failures: i32,
    /// Nothing is sent before this time while it is `open` or `throttled`.
    next_probe_at: Option<Moment>,
    /// Held deliveries, whatever the reason; 1000 means at least that many. They are sent when the reason ends;
    /// `cancel-held` cancels them.
    held: i64,
}

impl HealthAnswer {
    pub(super) fn of(health: Option<&Health>) -> Self {
        let state = match health.and_then(|health| health.state.as_deref()) {
            None => HealthState::Healthy,
            Some("open") => HealthState::Open,
            Some("throttled") => HealthState::Throttled,
            Some("recovering") => HealthState::Recovering,
            Some(_) => HealthState::Failing,
        };
        Self {
            state,
            failing_since: health.and_then(|health| health.failing_since).map(Moment),
            failures: health.map_or(0, |health| health.failures),
            next_probe_at: health.and_then(|health| health.next_probe_at).map(Moment),
            held: health.map_or(0, |health| health.held),
        }
    }
}
