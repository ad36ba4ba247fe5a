//! What answers make of breakers, and when a pace is no longer needed.

use std::time::{Duration, Instant};

use super::line::Line;
use super::ticket::Answered;
use super::{PATIENCE, Pacer};
use crate::domain::breaker::{Breaker, Met};
use crate::domain::id::SubscriptionId;
use crate::store::Turn;

impl Pacer {
    /// The receiver answered.
    pub(super) async fn take_answer(&mut self, answered: Answered) {
        let now = Instant::now();
        let Some(line) = self.lines.get_mut(&answered.subscription) else { return };
        let (before, next) = (line.breaker, line.answered(answered.met, now));
        match (before, next) {
            // The recording of the attempt throttles; until it has, the line waits by itself.
            (Breaker::Closed, _) | (Breaker::Throttled, _) | (Breaker::Recovering(_), Breaker::Throttled) => {}
            // Sent before it opened.
            (Breaker::Open { .. }, _) if !answered.is_probe => {}
            (Breaker::Recovering(before), Breaker::Recovering(after)) if before.width == after.width => {
                line.breaker = next;
            }
            (before, next) if before != next => {
                let wait = match answered.met {
                    Some(Met::Wait(wait)) => wait,
                    _ => Duration::ZERO,
                };
                self.turn_breaker(answered.subscription, next, wait).await;
            }
            _ => {}
        }
    }

    /// What the receiver asked for is over: a slow start follows.
    pub(super) async fn end_throttles(&mut self, now: Instant) {
        let over = |line: &Line| line.breaker == Breaker::Throttled && now >= line.not_before;
        let over: Vec<_> = self.lines.iter().filter(|(_, line)| over(line)).map(|(id, _)| *id).collect();
        for subscription in over {
            self.turn_breaker(subscription, Breaker::RECOVERY, Duration::ZERO).await;
        }
    }

    /// Writes a turn down, and takes it if it is so. Otherwise the next draw says how it stands.
    async fn turn_breaker(&mut self, subscription: SubscriptionId, to: Breaker, asked: Duration) {
        let Some(line) = self.lines.get_mut(&subscription) else { return };
        let rules = &self.parts.rules;
        let wait = match to {
            Breaker::Open { probes } => {
                let roll = self.office.courier.roll();
                Some(rules.breaker.probe_delay(probes, rules.retries.jitter, roll).max(asked))
            }
            _ => None,
        };
        let turn = Turn { owner: self.owner, subscription, from: line.breaker, to, wait };
        line.is_hungry = true;
        if let Some(wait) = wait {
            // Also where the database does not take it: then this is asked again, not sooner.
            line.not_before = Instant::now() + wait;
        }
        match self.parts.store.turn_breaker(&turn).await {
            Ok(true) => {
                if line.breaker.word() != to.word() {
                    tracing::info!(%subscription, breaker = to.word(), "the breaker of a subscription turned");
                }
                line.breaker = to;
            }
            Ok(false) => line.doubt(),
            Err(error) => tracing::debug!(%error, %subscription, "a breaker could not be turned"),
        }
    }

    /// Closes the breakers of those that are well, and gives up the paces of those that are idle.
    pub(super) async fn settle(&mut self) {
        let now = Instant::now();
        let quiet = self.parts.rules.breaker.after;
        let well: Vec<_> = self.lines.iter().filter(|(_, line)| line.is_well(quiet, now)).map(|(id, _)| *id).collect();
        for subscription in well {
            match self.parts.store.close_breaker(self.owner, subscription).await {
                Ok(closed) => {
                    let Some(line) = self.lines.get_mut(&subscription) else { continue };
                    if closed {
                        tracing::info!(%subscription, "the receiver of a subscription has recovered");
                        // Deliveries accepted as this happened are held and still ours to draw.
                        (line.breaker, line.is_hungry, line.busy_at) = (Breaker::Closed, true, now);
                    } else {
                        // Somebody else's parked rows are still to come, or it stands otherwise.
                        line.not_well(now);
                    }
                }
                Err(error) => tracing::debug!(%error, "a breaker could not be closed"),
            }
        }
        let idle: Vec<_> =
            self.lines.iter().filter(|(_, line)| line.is_idle(PATIENCE, now)).map(|(id, _)| *id).collect();
        if !idle.is_empty() && self.parts.store.drop_paces(self.owner, &idle).await.is_ok() {
            self.lines.retain(|subscription, _| !idle.contains(subscription));
        }
    }
}
