//! The breaker of a subscription: what follows from its receiver's failures in a row.
//!
//! While it is closed nothing is held back. *Open*, one probe at a time asks whether the
//! receiver is back; *throttled*, the receiver has said when; *recovering*, it starts slowly.
//! The database counts failures and opens; the worker that owns the subscription decides every other
//! transition.

use std::time::Duration;

use super::attempt::Answer;
use super::backoff::{Jitter, MAX_DELAY};
use super::recovery::Recovery;

const TOO_MANY_REQUESTS: u16 = 429;
const UNAVAILABLE: u16 = 503;
/// Doublings after which every probe delay is the longest.
const MOST_DOUBLINGS: u32 = 20;

/// When breakers open, and how they ask.
#[derive(Debug, Clone, Copy)]
pub struct BreakerRules {
    /// Failures in a row that open it; 0 for never.
    pub failures: u32,
    /// How long ago the first of them is at least.
    pub after: Duration,
    /// From opening to the first probe.
    pub probe: Duration,
    /// Longest time between two probes.
    pub probe_max: Duration,
}

impl BreakerRules {
    /// The delay before the next probe when this many have failed, for this roll of the dice.
    pub fn probe_delay(&self, failed: u32, jitter: Jitter, roll: f64) -> Duration {
        let doubled = self.probe.saturating_mul(1 << failed.min(MOST_DOUBLINGS));
        jitter.apply(doubled.min(self.probe_max), roll)
    }
}

/// What an attempt says of its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseClass {
    /// It has the event.
    Success,
    /// It does not.
    Failure,
    /// It does not, and asks to be sent nothing for so long: 429 or 503 with `Retry-After`.
    Wait(Duration),
}

impl ResponseClass {
    /// What this answer says.
    pub fn of(answer: &Answer) -> Self {
        let asks = matches!(answer.status, Some(TOO_MANY_REQUESTS | UNAVAILABLE));
        match answer.retry_after {
            _ if answer.outcome.is_success() => Self::Success,
            Some(wait) if asks && !wait.is_zero() => Self::Wait(wait.min(MAX_DELAY)),
            _ => Self::Failure,
        }
    }
}

/// The state of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// Nothing is held back.
    Closed,
    /// Nothing but probes is sent.
    Open {
        /// Probes that failed.
        probes: u32,
    },
    /// Nothing is sent until the receiver's own time.
    Throttled,
    /// A few requests at a time.
    Recovering(Recovery),
}

impl Breaker {
    /// The beginning of a recovery.
    pub const RECOVERY: Self = Self::Recovering(Recovery::START);

    /// The word, as it stands in the database; `None` while it is closed.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Closed => None,
            Self::Open { .. } => Some("open"),
            Self::Throttled => Some("throttled"),
            Self::Recovering(_) => Some("recovering"),
        }
    }

    /// Most requests at a time while it recovers.
    pub fn width(self) -> Option<usize> {
        match self {
            Self::Recovering(recovery) => Some(recovery.width),
            Self::Closed | Self::Open { .. } | Self::Throttled => None,
        }
    }

    /// Probes that failed while it is open.
    pub fn failed_probes(self) -> u32 {
        match self {
            Self::Open { probes } => probes,
            Self::Closed | Self::Throttled | Self::Recovering(_) => 0,
        }
    }

    /// What it is after an attempt of the owner, for a subscription that takes `limit`
    /// requests at a time when it is well.
    pub fn after(self, class: ResponseClass, limit: usize) -> Self {
        match (self, class) {
            (Self::Closed | Self::Throttled | Self::Recovering(_), ResponseClass::Wait(_)) => Self::Throttled,
            (Self::Closed | Self::Throttled, _) => self,
            (Self::Open { .. }, ResponseClass::Success) => Self::RECOVERY,
            (Self::Open { probes }, _) => Self::Open { probes: probes.saturating_add(1) },
            (Self::Recovering(recovery), class) => {
                let next = recovery.after(class == ResponseClass::Success, limit);
                next.map_or(Self::Open { probes: 0 }, Self::Recovering)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::recovery::RELAPSE;

    fn rules() -> BreakerRules {
        let (after, probe, probe_max) = (Duration::ZERO, Duration::from_secs(30), Duration::from_secs(600));
        BreakerRules { failures: 10, after, probe, probe_max }
    }

    #[test]
    fn probes_come_half_a_minute_after_opening_and_then_ever_more_rarely() {
        let jitter = Jitter::new(0.0).unwrap();
        let delays: Vec<_> = (0..7).map(|failed| rules().probe_delay(failed, jitter, 0.5).as_secs()).collect();
        assert_eq!(delays, [30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(rules().probe_delay(u32::MAX, jitter, 0.5).as_secs(), 600);
    }

    #[test]
    fn a_breaker_opens_again_when_its_receiver_is_gone_again_and_waits_when_it_is_asked_to() {
        let recovering = Breaker::Open { probes: 3 }.after(ResponseClass::Success, 10);
        assert_eq!(recovering, Breaker::RECOVERY);
        let relapsed = (0..RELAPSE).fold(recovering, |breaker, _| breaker.after(ResponseClass::Failure, 10));
        assert_eq!(relapsed, Breaker::Open { probes: 0 });
        assert_eq!(recovering.after(ResponseClass::Wait(Duration::from_secs(1)), 10), Breaker::Throttled);
        assert_eq!(relapsed.after(ResponseClass::Failure, 10), Breaker::Open { probes: 1 });
    }
}
