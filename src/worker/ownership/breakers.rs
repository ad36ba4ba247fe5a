//! What becomes of the breakers of owned subscriptions: decided at once, written with the next round.

use std::time::{Duration, Instant};

use super::Ownership;
use crate::domain::breaker::{Breaker, ResponseClass};
use crate::domain::id::SubscriptionId;
use crate::store::BreakerChange;
use crate::worker::signal::Answered;

/// Time between two looks at what has recovered or is idle.
const SETTLE_EVERY: Duration = Duration::from_millis(250);
/// How long after its last delivery an ownership is kept.
const PATIENCE: Duration = Duration::from_secs(10);

impl Ownership {
    /// The receiver of an owned subscription answered, or nothing was sent after all. Decides what becomes of
    /// its breaker, for this roll of the dice.
    pub(in crate::worker) fn answered(&mut self, answered: &Answered, roll: f64, now: Instant) {
        let Some(pace) = self.paces.get_mut(&answered.subscription) else { return };
        let (before, next) = (pace.breaker, pace.answered(answered.class, now));
        match (before, next) {
            // The recording of the attempt throttles; until it has, the pace waits by itself.
            (Breaker::Closed | Breaker::Throttled, _) | (Breaker::Recovering(_), Breaker::Throttled) => {}
            // Sent before it opened.
            (Breaker::Open { .. }, _) if !answered.is_probe => {}
            (Breaker::Recovering(before), Breaker::Recovering(after)) if before.width == after.width => {
                pace.breaker = next;
            }
            (before, next) if before != next => {
                let asked = match answered.class {
                    Some(ResponseClass::Wait(wait)) => wait,
                    _ => Duration::ZERO,
                };
                self.change(answered.subscription, next, asked, roll, now);
            }
            _ => {}
        }
    }

    /// Decides a transition: it holds here at once, and is written with the next round.
    fn change(&mut self, subscription: SubscriptionId, to: Breaker, asked: Duration, roll: f64, now: Instant) {
        let Some(pace) = self.paces.get_mut(&subscription) else { return };
        let wait = match to {
            Breaker::Open { probes } => {
                Some(self.rules.breaker.probe_delay(probes, self.rules.jitter, roll).max(asked))
            }
            _ => None,
        };
        if let Some(wait) = wait {
            pace.not_before = now + wait;
        }
        if pace.breaker.word() != to.word() {
            tracing::info!(%subscription, breaker = to.word().unwrap_or("closed"), "a breaker turned");
        }
        let change = BreakerChange { subscription, from: pace.breaker, to, wait };
        pace.breaker = to;
        // Of two that are not written yet the second begins where the first did.
        self.changes
            .entry(subscription)
            .and_modify(|first| *first = BreakerChange { from: first.from, ..change })
            .or_insert(change);
    }

    /// Ends throttles that are over, closes the breakers of what has recovered, and gives up what has been idle.
    pub(super) fn settle(&mut self, now: Instant) {
        if now < self.settled_at + SETTLE_EVERY {
            return;
        }
        self.settled_at = now;
        let quiet = self.rules.breaker.after;
        let (mut over, mut well, mut idle) = (Vec::new(), Vec::new(), Vec::new());
        for (subscription, pace) in &mut self.paces {
            if pace.is_throttle_over(now) {
                over.push(*subscription);
            } else if pace.is_well(quiet, now) {
                pace.closing(now);
                well.push(*subscription);
            } else if pace.is_idle(PATIENCE, now) {
                idle.push(*subscription);
            }
        }
        for subscription in over {
            self.change(subscription, Breaker::RECOVERY, Duration::ZERO, 0.5, now);
            self.wakes.insert((now, subscription));
        }
        for subscription in well {
            self.change(subscription, Breaker::Closed, Duration::ZERO, 0.5, now);
        }
        for subscription in idle.iter().filter(|subscription| !self.changes.contains_key(*subscription)) {
            self.paces.remove(subscription);
            self.dropped.push(*subscription);
        }
    }

    /// When [`Ownership::settle`] has something to look at.
    pub(super) fn settles_at(&self) -> Option<Instant> {
        (!self.paces.is_empty()).then_some(self.settled_at + SETTLE_EVERY)
    }
}
