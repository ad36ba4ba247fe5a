//! When the worker looks at everything that is due, whenever it fell due: for lapsed leases, for what fell due
//! before it started, and for what no other look sees.

use std::time::{Duration, Instant};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The same while leases of a lost worker may lapse, or something was released.
const HURRIED: Duration = Duration::from_millis(100);
/// Longest time between two looks, whatever they cost.
const LOOK_LATEST: Duration = Duration::from_secs(60);
/// Up to that a look may take at most one part in so many of the time; a hurried one.
const SHARE: u32 = 50;
const HURRIED_SHARE: u32 = 10;

/// When the next look is.
#[derive(Debug)]
pub(super) struct FullLook {
    began: Instant,
    cost: Duration,
    /// `None` while one is under way.
    next: Option<Instant>,
    is_hurried: bool,
}

impl FullLook {
    /// The first look is now.
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, cost: Duration::ZERO, next: Some(now), is_hurried: false }
    }

    /// When the next is; `None` while one is under way.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Whether one is due, and begins.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        let is_due = self.next.is_some_and(|at| at <= now);
        if is_due {
            (self.began, self.next, self.is_hurried) = (now, None, false);
        }
        is_due
    }

    /// It is over.
    pub(super) fn done(&mut self, began: Instant, now: Instant) {
        self.cost = now.saturating_duration_since(began);
        let usual = self.began + LOOK_EVERY.max(self.cost * SHARE).min(LOOK_LATEST);
        self.next = Some(if self.is_hurried { usual.min(self.soonest()) } else { usual });
    }

    /// It failed: how long that took says nothing of its cost.
    pub(super) fn failed(&mut self, now: Instant) {
        self.next = Some(now + LOOK_EVERY);
    }

    /// Something is due that only this look sees.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.is_hurried = true;
        let soonest = self.soonest().max(now);
        self.next = self.next.map(|at| at.min(soonest));
    }

    fn soonest(&self) -> Instant {
        self.began + HURRIED.max(self.cost * HURRIED_SHARE).min(LOOK_LATEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(cost: Duration) -> (FullLook, Instant) {
        let now = Instant::now();
        let mut look = FullLook::new(now);
        assert!(look.begin(now) && look.next().is_none());
        look.done(now, now + cost);
        (look, now)
    }

    #[test]
    fn a_cheap_look_comes_every_five_seconds_and_a_dear_one_takes_a_fiftieth_of_the_time() {
        assert_eq!(after(SECOND / 100).0.next().map(|at| at > Instant::now() + 4 * SECOND), Some(true));
        let (look, began) = after(SECOND);
        assert_eq!(look.next(), Some(began + 50 * SECOND));
    }

    #[test]
    fn a_hurried_look_comes_sooner_and_still_has_its_share() {
        let (mut look, began) = after(SECOND);
        look.hurry(began + 2 * SECOND);
        assert_eq!(look.next(), Some(began + 10 * SECOND));
        let (mut look, began) = after(Duration::ZERO);
        look.hurry(began + 2 * SECOND);
        assert_eq!(look.next(), Some(began + 2 * SECOND));
    }

    #[test]
    fn a_look_that_failed_or_was_very_dear_is_not_put_off_for_long() {
        let now = Instant::now();
        let mut look = FullLook::new(now);
        look.begin(now);
        look.failed(now + 30 * SECOND);
        assert_eq!(look.next(), Some(now + 35 * SECOND));
        let (look, began) = after(10 * SECOND);
        assert_eq!(look.next(), Some(began + LOOK_LATEST));
    }

    #[test]
    fn a_wish_that_comes_during_a_look_is_not_forgotten() {
        let now = Instant::now();
        let mut look = FullLook::new(now);
        look.begin(now);
        look.hurry(now + SECOND / 10);
        look.done(now, now + SECOND / 5);
        assert_eq!(look.next(), Some(now + 2 * SECOND));
    }
}
