//! Decides when to scan everything due. Only this scan finds lapsed leases and rows due before the worker started.

use std::time::{Duration, Instant};

const SCAN_INTERVAL: Duration = Duration::from_secs(5);
/// While leases of a lost worker may lapse, or something was released.
const HURRIED_INTERVAL: Duration = Duration::from_millis(100);
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// Below that limit a scan may use at most 1/50 of the time, a hurried one 1/10.
const SHARE: u32 = 50;
const HURRIED_SHARE: u32 = 10;

#[derive(Debug)]
pub(super) struct FullScan {
    began: Instant,
    cost: Duration,
    /// `None` while a scan runs.
    next: Option<Instant>,
    is_hurried: bool,
}

impl FullScan {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, cost: Duration::ZERO, next: Some(now), is_hurried: false }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn begin(&mut self, now: Instant) -> bool {
        let is_due = self.next.is_some_and(|at| at <= now);
        if is_due {
            (self.began, self.next, self.is_hurried) = (now, None, false);
        }
        is_due
    }

    pub(super) fn done(&mut self, began: Instant, now: Instant) {
        self.cost = now.saturating_duration_since(began);
        let usual = self.began + SCAN_INTERVAL.max(self.cost * SHARE).min(MAX_INTERVAL);
        self.next = Some(if self.is_hurried { usual.min(self.soonest()) } else { usual });
    }

    /// The duration of a failed scan is not a measure of its cost.
    pub(super) fn failed(&mut self, now: Instant) {
        self.next = Some(now + SCAN_INTERVAL);
    }

    pub(super) fn hurry(&mut self, now: Instant) {
        self.is_hurried = true;
        let soonest = self.soonest().max(now);
        self.next = self.next.map(|at| at.min(soonest));
    }

    fn soonest(&self) -> Instant {
        self.began + HURRIED_INTERVAL.max(self.cost * HURRIED_SHARE).min(MAX_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(cost: Duration) -> (FullScan, Instant) {
        let now = Instant::now();
        let mut look = FullScan::new(now);
        assert!(look.begin(now) && look.next().is_none());
        look.done(now, now + cost);
        (look, now)
    }

    #[test]
    fn a_cheap_scan_runs_every_five_seconds_and_a_costly_one_uses_a_fiftieth_of_the_time() {
        assert_eq!(after(SECOND / 100).0.next().map(|at| at > Instant::now() + 4 * SECOND), Some(true));
        let (look, began) = after(SECOND);
        assert_eq!(look.next(), Some(began + 50 * SECOND));
    }

    #[test]
    fn a_hurried_scan_starts_sooner_within_its_share() {
        let (mut look, began) = after(SECOND);
        look.hurry(began + 2 * SECOND);
        assert_eq!(look.next(), Some(began + 10 * SECOND));
        let (mut look, began) = after(Duration::ZERO);
        look.hurry(began + 2 * SECOND);
        assert_eq!(look.next(), Some(began + 2 * SECOND));
    }

    #[test]
    fn a_failed_or_very_costly_scan_is_not_delayed_for_long() {
        let now = Instant::now();
        let mut look = FullScan::new(now);
        look.begin(now);
        look.failed(now + 30 * SECOND);
        assert_eq!(look.next(), Some(now + 35 * SECOND));
        let (look, began) = after(10 * SECOND);
        assert_eq!(look.next(), Some(began + MAX_INTERVAL));
    }

    #[test]
    fn a_hurry_during_a_scan_is_kept() {
        let now = Instant::now();
        let mut look = FullScan::new(now);
        look.begin(now);
        look.hurry(now + SECOND / 10);
        look.done(now, now + SECOND / 5);
        assert_eq!(look.next(), Some(now + 2 * SECOND));
    }
}
