//! The breaker of a subscription: what follows from its receiver's failures in a row.
//!
//! While it is closed nothing is held back. *Open*, one probe at a time asks whether the
//! receiver is back; *throttled*, the receiver has said when; *recovering*, it starts slowly.
//! The database counts failures and opens; whoever owns the subscription's pace makes the
//! other turns.

use std::time::Duration;

use super::attempt::Answer;
use super::backoff::{Jitter, MAX_DELAY};
use super::recovery::Recovery;

const TOO_MANY_REQUESTS: u16 = 429;
const UNAVAILABLE: u16 = 503;
/// Deliveries that take turns as probes.
const PROBED: u32 = 8;
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
pub enum Met {
    /// It has the event.
    Success,
    /// It does not, and says that the event is at fault: a 4xx.
    Refusal,
    /// It does not.
    Failure,
    /// It does not, and wants nothing more for so long: 429 or 503 with `Retry-After`.
    Wait(Duration),
}

impl Met {
    /// What this answer says.
    pub fn of(answer: &Answer) -> Self {
        let asks = matches!(answer.status, Some(TOO_MANY_REQUESTS | UNAVAILABLE));
        match answer.retry_after {
            _ if answer.outcome.is_success() => Self::Success,
            Some(wait) if asks && !wait.is_zero() => Self::Wait(wait.min(MAX_DELAY)),
            _ if answer.status.is_some_and(is_refusal) => Self::Refusal,
            _ => Self::Failure,
        }
    }
}

/// Whether the status says that the event itself is not wanted as it is. Too slow (408), too early
/// (425) and too many (429) say nothing of it.
fn is_refusal(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 408 | 425 | TOO_MANY_REQUESTS)
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

    /// How many older deliveries the next probe passes over. The oldest is asked first; the next
    /// ones take turns with it, because an event that its receiver will never take would
    /// otherwise keep the breaker open.
    pub fn passes_over(self) -> i32 {
        match self {
            Self::Open { probes } => i32::try_from(probes % PROBED).unwrap_or(0),
            Self::Closed | Self::Throttled | Self::Recovering(_) => 0,
        }
    }

    /// What it is after an attempt of the pace's owner, for a subscription that takes `limit`
    /// requests at a time when it is well.
    pub fn after(self, met: Met, limit: usize) -> Self {
        match (self, met) {
            (Self::Closed | Self::Throttled | Self::Recovering(_), Met::Wait(_)) => Self::Throttled,
            (Self::Closed | Self::Throttled, _) => self,
            (Self::Open { .. }, Met::Success) => Self::RECOVERY,
            (Self::Open { probes }, _) => Self::Open { probes: probes.saturating_add(1) },
            (Self::Recovering(recovery), met) => {
                let next = recovery.after(met == Met::Success, limit);
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
        let recovering = Breaker::Open { probes: 3 }.after(Met::Success, 10);
        assert_eq!(recovering, Breaker::RECOVERY);
        let relapsed = (0..RELAPSE).fold(recovering, |breaker, _| breaker.after(Met::Failure, 10));
        assert_eq!(relapsed, Breaker::Open { probes: 0 });
        assert_eq!(recovering.after(Met::Wait(Duration::from_secs(1)), 10), Breaker::Throttled);
        assert_eq!(relapsed.after(Met::Failure, 10), Breaker::Open { probes: 1 });
    }
}
