//! Decides the transitions of the breakers of owned subscriptions.

use std::time::{Duration, Instant};

use super::Ownership;
use crate::domain::breaker::{Breaker, ResponseClass};
use crate::domain::id::SubscriptionId;
use crate::store::BreakerChange;
use crate::worker::signal::Answered;

const SETTLE_EVERY: Duration = Duration::from_millis(250);
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

impl Ownership {
    /// Applies the result of a request to the breaker. `fraction` is random, from 0 up to 1, for jitter.
    pub(in crate::worker) fn answered(&mut self, answered: &Answered, fraction: f64, now: Instant) {
        let Some(pace) = self.paces.get_mut(&answered.subscription) else { return };
        let (before, next) = (pace.breaker, pace.answered(answered.class, now));
        match (before, next) {
            // Recording the attempt throttles; the pace waits meanwhile.
            (Breaker::Closed | Breaker::Throttled, _) | (Breaker::Recovering(_), Breaker::Throttled) => {}
            // Sent before the breaker opened.
            (Breaker::Open { .. }, _) if !answered.is_probe => {}
            (Breaker::Recovering(before), Breaker::Recovering(after)) if before.width == after.width => {
                pace.breaker = next;
            }
            (before, next) if before != next => {
                let asked = match answered.class {
                    Some(ResponseClass::Wait(wait)) => wait,
                    _ => Duration::ZERO,
                };
                self.change(answered.subscription, next, asked, fraction, now);
            }
            _ => {}
        }
    }

    /// A transition applies here at once. The next round writes it.
    fn change(&mut self, subscription: SubscriptionId, to: Breaker, asked: Duration, fraction: f64, now: Instant) {
        let Some(pace) = self.paces.get_mut(&subscription) else { return };
        let wait = match to {
            Breaker::Open { probes } => {
                Some(self.rules.breaker.probe_delay(probes, self.rules.jitter, fraction).max(asked))
            }
            _ => None,
        };
        if let Some(wait) = wait {
            pace.not_before = now + wait;
        }
        if pace.breaker.word() != to.word() {
            tracing::info!(%subscription, breaker = to.word().unwrap_or("closed"), "breaker changed state");
        }
        let change = BreakerChange { subscription, from: pace.breaker, to, wait };
        pace.breaker = to;
        // Two unwritten transitions become one.
        self.changes
            .entry(subscription)
            .and_modify(|first| *first = BreakerChange { from: first.from, ..change })
            .or_insert(change);
    }

    /// Ends throttles, closes recovered breakers and gives up idle ownerships.
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
            } else if pace.has_recovered(quiet, now) {
                pace.closing(now);
                well.push(*subscription);
            } else if pace.is_idle(IDLE_TIMEOUT, now) {
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

    pub(super) fn settles_at(&self) -> Option<Instant> {
        (!self.paces.is_empty()).then_some(self.settled_at + SETTLE_EVERY)
    }
}
