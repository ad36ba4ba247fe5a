//! The circuit breaker of a subscription.
//!
//! *Open*: one probe at a time. *Throttled*: the receiver said when to continue. *Recovering*: slow start. The
//! database counts failures and opens; the subscription's owner decides every other transition.

use std::time::Duration;

use super::attempt::Answer;
use super::backoff::{Jitter, MAX_DELAY};
use super::recovery::Recovery;

const TOO_MANY_REQUESTS: u16 = 429;
const UNAVAILABLE: u16 = 503;
const MOST_DOUBLINGS: u32 = 20;

#[derive(Debug, Clone, Copy)]
pub struct BreakerRules {
    /// Failures in a row that open it; 0 = never.
    pub failures: u32,
    /// It opens only if the first of those failures is at least this old.
    pub after: Duration,
    pub probe: Duration,
    pub probe_max: Duration,
}

impl BreakerRules {
    /// The delay after `failed` failed probes. `fraction` is random, from 0 up to 1.
    pub(crate) fn probe_delay(&self, failed: u32, jitter: Jitter, fraction: f64) -> Duration {
        let doubled = self.probe.saturating_mul(1 << failed.min(MOST_DOUBLINGS));
        jitter.apply(doubled.min(self.probe_max), fraction)
    }
}

/// What an attempt says about its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseClass {
    Success,
    Failure,
    /// A failure with a wait: 429 or 503 with `Retry-After`.
    Wait(Duration),
}

impl ResponseClass {
    pub(crate) fn of(answer: &Answer) -> Self {
        let asks = matches!(answer.status, Some(TOO_MANY_REQUESTS | UNAVAILABLE));
        match answer.retry_after {
            _ if answer.outcome.is_success() => Self::Success,
            Some(wait) if asks && !wait.is_zero() => Self::Wait(wait.min(MAX_DELAY)),
            _ => Self::Failure,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    Closed,
    Open {
        /// Failed probes so far.
        probes: u32,
    },
    /// Sends nothing until the time that the receiver named.
    Throttled,
    /// Sends a few requests at a time.
    Recovering(Recovery),
}

impl Breaker {
    pub const RECOVERY: Self = Self::Recovering(Recovery::START);

    pub(crate) fn word(self) -> Option<&'static str> {
        match self {
            Self::Closed => None,
            Self::Open { .. } => Some("open"),
            Self::Throttled => Some("throttled"),
            Self::Recovering(_) => Some("recovering"),
        }
    }

    /// Concurrent requests while it recovers.
    pub(crate) fn width(self) -> Option<usize> {
        match self {
            Self::Recovering(recovery) => Some(recovery.width),
            Self::Closed | Self::Open { .. } | Self::Throttled => None,
        }
    }

    pub(crate) fn failed_probes(self) -> u32 {
        match self {
            Self::Open { probes } => probes,
            Self::Closed | Self::Throttled | Self::Recovering(_) => 0,
        }
    }

    /// The state after an attempt of the owner. `limit`: concurrent requests of a healthy receiver.
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
