//! How much the owner of a paced subscription may send now, and when more. Only the owner sends, so limits are exact.

use std::time::{Duration, Instant};

use crate::domain::breaker::{Breaker, ResponseClass};
use crate::domain::bucket::Bucket;
use crate::store::Owned;

const CLOSE_PAUSE: Duration = Duration::from_secs(1);
/// Longest usual time from a response until it is recorded.
const RECORDING: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Pace {
    pub(super) breaker: Breaker,
    /// Earliest end of the ownership.
    pub(super) until: Instant,
    /// Time of the next probe, or end of a throttle.
    pub(super) not_before: Instant,
    in_flight: usize,
    /// Requests of the previous owner that may still be in flight.
    pub(super) foreign: usize,
    foreign_until: Instant,
    pub(super) has_work: bool,
    busy_at: Instant,
    failed_at: Instant,
    /// The database learns of it only when the attempt is recorded.
    asked_to_wait_at: Instant,
    close_at: Instant,
    limit: usize,
    bucket: Option<Bucket>,
}

impl Pace {
    /// The rate's bucket starts empty, because the previous owner's last requests are unknown.
    pub(super) fn new(owned: &Owned, most: usize, longest_lease: Duration, now: Instant) -> Self {
        let mut pace = Self {
            breaker: owned.breaker,
            until: now + owned.lasts,
            not_before: now,
            in_flight: 0,
            foreign: owned.leased,
            foreign_until: now + longest_lease.max(owned.lasts),
            has_work: true,
            busy_at: now,
            failed_at: now,
            asked_to_wait_at: now.checked_sub(RECORDING).unwrap_or(now),
            close_at: now,
            limit: 1,
            bucket: None,
        };
        pace.apply(owned, most, now);
        pace
    }

    pub(super) fn apply(&mut self, owned: &Owned, most: usize, now: Instant) {
        self.until = now + owned.lasts;
        let asked = owned.max_in_flight.and_then(|limit| usize::try_from(limit).ok());
        self.limit = asked.unwrap_or(most).min(most).max(1);
        if self.bucket.map(|bucket| bucket.rate()) != owned.rate_limit {
            self.bucket = owned.rate_limit.map(|rate| Bucket::new(rate, now));
        }
        // Foreign leases can only become fewer.
        let others = owned.leased.saturating_sub(self.in_flight);
        self.foreign = if now >= self.foreign_until { 0 } else { self.foreign.min(others) };
    }

    /// Returns whether the database has another breaker than was known.
    pub(super) fn apply_breaker(&mut self, owned: &Owned, now: Instant) -> bool {
        let is_other = self.breaker.word() != owned.breaker.word();
        if is_other {
            self.breaker = owned.breaker;
            self.failed_at = now;
        }
        // A new target or a disable clears the wait.
        let was_asked = now.saturating_duration_since(self.asked_to_wait_at) < RECORDING;
        let waits = matches!(owned.breaker, Breaker::Open { .. } | Breaker::Throttled);
        if is_other || (!waits && !was_asked) {
            self.not_before = self.not_before.min(now);
        }
        if waits {
            self.not_before = self.not_before.max(now + owned.wait);
        }
        is_other
    }

    fn width(&self) -> usize {
        match self.breaker {
            Breaker::Closed => self.limit,
            Breaker::Open { .. } => 1,
            Breaker::Throttled => 0,
            Breaker::Recovering(recovery) => recovery.width.min(self.limit),
        }
    }

    pub(super) fn room(&mut self, now: Instant) -> usize {
        if now < self.not_before {
            return 0;
        }
        let room = self.width().saturating_sub(self.in_flight + self.foreign);
        let tokens = self.bucket.as_mut().map_or(usize::MAX, |bucket| bucket.tokens(now));
        room.min(tokens)
    }

    pub(super) fn sent(&mut self, count: usize, now: Instant) {
        self.in_flight += count;
        if let Some(bucket) = &mut self.bucket {
            bucket.take(count);
        }
        if count > 0 {
            self.busy_at = now;
        }
    }

    /// Returns the breaker that follows. `class`: `None` if nothing was sent.
    pub(super) fn answered(&mut self, class: Option<ResponseClass>, now: Instant) -> Breaker {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.busy_at = now;
        let Some(class) = class else { return self.breaker };
        if class != ResponseClass::Success {
            self.failed_at = now;
        }
        if let ResponseClass::Wait(wait) = class {
            self.not_before = self.not_before.max(now + wait);
            self.asked_to_wait_at = now;
        }
        self.breaker.after(class, self.limit)
    }

    /// `None` if only a response can make room.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        if now < self.not_before {
            return Some(self.not_before);
        }
        let is_full = self.in_flight + self.foreign >= self.width();
        self.bucket.filter(|_| !is_full).map(|bucket| bucket.next())
    }

    pub(super) fn refresh_at(&self, now: Instant, every: Duration) -> Instant {
        let soon = now + every;
        self.not_before.checked_sub(every).map_or(soon, |at| at.max(soon))
    }

    pub(super) fn is_throttle_over(&self, now: Instant) -> bool {
        self.breaker == Breaker::Throttled && now >= self.not_before
    }

    /// A recovery is complete at full width, or if nothing is due or in flight and nothing has failed for `quiet`.
    pub(super) fn has_recovered(&self, quiet: Duration, now: Instant) -> bool {
        let Breaker::Recovering(recovery) = self.breaker else { return false };
        let is_idle = !self.has_work && self.in_flight == 0;
        let is_quiet = is_idle && now.saturating_duration_since(self.failed_at) >= quiet;
        (recovery.is_complete || is_quiet) && now >= self.close_at
    }

    pub(super) fn closing(&mut self, now: Instant) {
        self.close_at = now + CLOSE_PAUSE;
    }

    pub(super) fn is_idle(&self, timeout: Duration, now: Instant) -> bool {
        let is_over = !matches!(self.breaker, Breaker::Recovering(_));
        let is_quiet = now.saturating_duration_since(self.busy_at) >= timeout;
        is_over && !self.has_work && self.in_flight == 0 && is_quiet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::recovery::Recovery;
    use uuid::Uuid;

    const SECOND: Duration = Duration::from_secs(1);

    fn owned() -> Owned {
        Owned {
            subscription: Uuid::from_u128(1).into(),
            tenant: Uuid::from_u128(2).into(),
            lasts: 25 * SECOND,
            is_active: true,
            is_paced: true,
            rate_limit: None,
            max_in_flight: Some(5),
            breaker: Breaker::Closed,
            wait: Duration::ZERO,
            leased: 0,
        }
    }

    fn pace(owned: &Owned) -> (Pace, Instant) {
        let now = Instant::now();
        let mut pace = Pace::new(owned, 64, 25 * SECOND, now);
        pace.apply_breaker(owned, now);
        (pace, now)
    }

    #[test]
    fn a_cap_counts_what_others_still_have_under_way() {
        let (mut pace, now) = pace(&Owned { leased: 3, ..owned() });
        assert_eq!(pace.room(now), 2);
        pace.sent(2, now);
        assert_eq!(pace.room(now), 0);
        pace.apply(&Owned { leased: 4, ..owned() }, 64, now);
        assert_eq!(pace.room(now), 1);
        pace.apply(&Owned { leased: 5, ..owned() }, 64, now + 26 * SECOND);
        assert_eq!(pace.room(now), 3);
    }

    #[test]
    fn a_rate_begins_with_an_empty_bucket() {
        let (mut pace, now) = pace(&Owned { rate_limit: Some(10), max_in_flight: None, ..owned() });
        assert_eq!((pace.room(now), pace.next(now)), (0, Some(now + SECOND / 10)));
        assert_eq!(pace.room(now + SECOND / 10), 1);
    }

    #[test]
    fn an_open_breaker_lets_one_probe_through_when_it_is_time() {
        let open = Owned { breaker: Breaker::Open { probes: 0 }, wait: 3 * SECOND, ..owned() };
        let (mut pace, now) = pace(&open);
        assert_eq!((pace.room(now), pace.next(now)), (0, Some(now + 3 * SECOND)));
        assert_eq!(pace.room(now + 3 * SECOND), 1);
        pace.sent(1, now + 3 * SECOND);
        assert_eq!(pace.room(now + 3 * SECOND), 0);
        assert_eq!(pace.answered(Some(ResponseClass::Success), now + 3 * SECOND), Breaker::RECOVERY);
        assert_eq!(pace.answered(Some(ResponseClass::Failure), now), Breaker::Open { probes: 1 });
    }

    #[test]
    fn what_was_waited_for_is_forgotten_with_the_target() {
        let (mut pace, now) = pace(&Owned { breaker: Breaker::Throttled, wait: 60 * SECOND, ..owned() });
        assert_eq!(pace.room(now + SECOND), 0);
        pace.apply_breaker(&owned(), now + SECOND);
        assert_eq!(pace.room(now + SECOND), 5);
    }

    #[test]
    fn an_unrecorded_retry_after_is_kept() {
        let (mut pace, now) = pace(&owned());
        pace.sent(1, now);
        pace.answered(Some(ResponseClass::Wait(60 * SECOND)), now);
        pace.apply_breaker(&owned(), now + SECOND);
        assert_eq!(pace.room(now + SECOND), 0);
        pace.apply_breaker(&owned(), now + RECORDING);
        assert_eq!(pace.room(now + RECORDING), 5);
    }

    #[test]
    fn it_is_well_after_a_round_as_wide_as_ever_or_when_nothing_has_failed_for_a_while() {
        let recovering = |width| Owned { breaker: Breaker::Recovering(Recovery::at(width)), ..owned() };
        let (mut pace, now) = pace(&recovering(5));
        pace.sent(5, now);
        for _ in 0..4 {
            pace.breaker = pace.answered(Some(ResponseClass::Success), now);
        }
        assert!(!pace.has_recovered(30 * SECOND, now));
        pace.breaker = pace.answered(Some(ResponseClass::Success), now);
        assert!(pace.has_work && pace.has_recovered(30 * SECOND, now));
        pace.closing(now);
        assert!(!pace.has_recovered(30 * SECOND, now) && pace.has_recovered(30 * SECOND, now + CLOSE_PAUSE));
        pace.breaker = Breaker::Recovering(Recovery::at(2));
        assert!(!pace.has_recovered(30 * SECOND, now + 30 * SECOND));
        pace.has_work = false;
        assert!(
            !pace.has_recovered(30 * SECOND, now + CLOSE_PAUSE) && pace.has_recovered(30 * SECOND, now + 30 * SECOND)
        );
    }
}
