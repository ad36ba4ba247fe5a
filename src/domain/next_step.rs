//! What follows from an outcome.

use std::time::Duration;

use super::attempt::Directives;
use super::backoff::{Jitter, MAX_DELAY, RetrySchedule};
use super::end::EndReason;
use super::outcome::Outcome;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Delivered: the queue row is deleted.
    Done,
    RetryIn(Duration),
    GiveUp(EndReason),
    /// Nothing was sent: due again after this time, not counted.
    HandBack(Duration),
}

impl NextStep {
    /// An ordering group skips its head instead of retrying it after `skip_after` attempts.
    pub(crate) fn or_skip(self, counted: u32, skip_after: Option<u32>) -> Self {
        match (self, skip_after) {
            (Self::RetryIn(_), Some(most)) if counted >= most => Self::GiveUp(EndReason::SkipAfterAttempts),
            _ => self,
        }
    }
}

#[derive(Debug, Clone)]
pub struct RetryPolicy {
    pub schedule: RetrySchedule,
    pub jitter: Jitter,
}

#[derive(Debug, Clone, Copy)]
pub struct AttemptMade {
    pub outcome: Outcome,
    pub status: Option<u16>,
    pub retry_after: Option<Duration>,
    pub directives: Directives,
    /// Whether the target names an address, so that no lookup decides.
    pub target_is_address: bool,
    /// Attempts that count as retries, including this one.
    pub counted: u32,
}

const GONE: u16 = 410;

impl RetryPolicy {
    /// Decides what follows. `own`: the subscription's schedule; `fraction`: random, from 0 up to 1.
    pub fn next_step(&self, own: Option<&RetrySchedule>, made: AttemptMade, fraction: f64) -> NextStep {
        if made.outcome.is_success() {
            return NextStep::Done;
        }
        if made.status == Some(GONE) {
            return NextStep::GiveUp(EndReason::Gone);
        }
        if made.directives.abort_message {
            return NextStep::GiveUp(EndReason::AbortedByReceiver);
        }
        // A name may lead elsewhere at the next attempt; an address will not.
        if made.outcome == Outcome::BlockedAddress && made.target_is_address {
            return NextStep::GiveUp(EndReason::BlockedAddress);
        }
        match own.unwrap_or(&self.schedule).delay_after(made.counted) {
            None => NextStep::GiveUp(EndReason::Exhausted),
            Some(delay) => {
                let scheduled = self.jitter.apply(delay, fraction);
                let asked = made.retry_after.unwrap_or(Duration::ZERO).min(MAX_DELAY);
                NextStep::RetryIn(scheduled.max(asked))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy { schedule: "10s,20s".parse().unwrap(), jitter: Jitter::new(0.0).unwrap() }
    }

    fn made(outcome: Outcome, status: Option<u16>, retry_after: Option<Duration>, counted: u32) -> AttemptMade {
        let directives = Directives::default();
        AttemptMade { outcome, status, retry_after, directives, target_is_address: false, counted }
    }

    fn step(outcome: Outcome, status: Option<u16>, retry_after: Option<u64>, counted: u32) -> NextStep {
        let retry_after = retry_after.map(Duration::from_secs);
        policy().next_step(None, made(outcome, status, retry_after, counted), 0.5)
    }

    #[test]
    fn a_failure_follows_the_schedule_and_then_ends() {
        assert_eq!(step(Outcome::Http5xx, Some(500), None, 1), NextStep::RetryIn(Duration::from_secs(10)));
        assert_eq!(step(Outcome::Timeout, None, None, 2), NextStep::RetryIn(Duration::from_secs(20)));
        assert_eq!(step(Outcome::Timeout, None, None, 3), NextStep::GiveUp(EndReason::Exhausted));
    }

    #[test]
    fn retry_after_raises_the_delay_up_to_a_day_and_never_lowers_it() {
        assert_eq!(step(Outcome::Http5xx, Some(503), Some(120), 1), NextStep::RetryIn(Duration::from_secs(120)));
        assert_eq!(step(Outcome::Http4xx, Some(429), Some(1), 1), NextStep::RetryIn(Duration::from_secs(10)));
        assert_eq!(step(Outcome::Http5xx, Some(503), Some(u64::MAX), 1), NextStep::RetryIn(MAX_DELAY));
    }

    #[test]
    fn the_head_of_an_ordering_group_is_skipped_after_so_many_attempts_and_no_sooner() {
        let retry = NextStep::RetryIn(Duration::from_secs(10));
        assert_eq!(retry.or_skip(1, Some(2)), retry);
        assert_eq!(retry.or_skip(2, Some(2)), NextStep::GiveUp(EndReason::SkipAfterAttempts));
        assert_eq!(retry.or_skip(9, None), retry);
        for end in [NextStep::Done, NextStep::GiveUp(EndReason::Exhausted), NextStep::HandBack(Duration::ZERO)] {
            assert_eq!(end.or_skip(2, Some(2)), end);
        }
    }

    #[test]
    fn its_own_schedule_replaces_the_workers() {
        let own: RetrySchedule = "1m".parse().unwrap();
        let made = |counted| made(Outcome::Timeout, None, None, counted);
        assert_eq!(policy().next_step(Some(&own), made(1), 0.5), NextStep::RetryIn(Duration::from_secs(60)));
        assert_eq!(policy().next_step(Some(&own), made(2), 0.5), NextStep::GiveUp(EndReason::Exhausted));
    }

    #[test]
    fn a_receiver_can_end_a_delivery_that_it_does_not_take() {
        let directives = Directives { abort_message: true, disable: true };
        let made = |outcome| AttemptMade { directives, ..made(outcome, None, None, 1) };
        let aborted = NextStep::GiveUp(EndReason::AbortedByReceiver);
        assert_eq!(policy().next_step(None, made(Outcome::Http5xx), 0.5), aborted);
        assert_eq!(policy().next_step(None, made(Outcome::Delivered), 0.5), NextStep::Done);
    }

    #[test]
    fn gone_and_a_blocked_address_end_at_once_but_a_blocked_name_is_tried_again() {
        assert_eq!(step(Outcome::Http4xx, Some(410), None, 1), NextStep::GiveUp(EndReason::Gone));
        let blocked = made(Outcome::BlockedAddress, None, None, 1);
        let literal = AttemptMade { target_is_address: true, ..blocked };
        assert_eq!(policy().next_step(None, literal, 0.5), NextStep::GiveUp(EndReason::BlockedAddress));
        assert_eq!(policy().next_step(None, blocked, 0.5), NextStep::RetryIn(Duration::from_secs(10)));
        assert_eq!(step(Outcome::BlockedAddress, None, None, 3), NextStep::GiveUp(EndReason::Exhausted));
        assert_eq!(step(Outcome::Delivered, Some(204), None, 1), NextStep::Done);
    }
}
