//! How the receiver of a subscription does, as the API says it.

use poem_openapi::{Enum, Object};
use serde::Serialize;

use crate::api::text::Moment;
use crate::store::Health;

/// What a receiver's failures have come to.
#[derive(Debug, Clone, Copy, Default, Enum, Serialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(super) enum HealthState {
    /// The last attempt succeeded, or there was none.
    #[default]
    Healthy,
    /// Attempts fail, and further ones are made as scheduled.
    Failing,
    /// Nothing but probes is sent.
    Open,
    /// The receiver asked to be sent nothing for a while.
    Throttled,
    /// A few requests at a time are sent.
    Recovering,
}

/// How the receiver does.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all, rename = "SubscriptionHealth")]
pub(super) struct HealthAnswer {
    /// `healthy`; `failing`; `open`: nothing but probes is sent; `throttled`: the receiver asked
    /// to wait; `recovering`: a few requests at a time.
    state: HealthState,
    /// When the first attempt failed since the last success.
    failing_since: Option<Moment>,
    /// Attempts that failed since the last success.
    failures: i32,
    /// Nothing is sent before, while it is `open` or `throttled`.
    next_probe_at: Option<Moment>,
    /// Deliveries that are held for it, for whatever reason; 1000 stands for that many or more.
    /// They go out when the reason ends; `cancel-held` ends them instead.
    held: i64,
}

impl HealthAnswer {
    /// What was read of it; of a subscription that was made just now there is nothing.
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
