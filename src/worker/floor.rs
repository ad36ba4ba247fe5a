//! Where a claim begins to look.
//!
//! Finished rows stay in the index until vacuum may remove them, which an old transaction
//! anywhere in the database can put off for hours; walking over them is what makes queues
//! in PostgreSQL slow down. Everything due before the last batch was seen, so a claim
//! begins there, less a slack for commits that were under way. Now and then it looks back
//! a minute, and rarely, at a small share of the time, to the very beginning.
//!
//! Behind a crowd of rows that cannot be sent, and are only parked, every second look is for what
//! fell due since: else everybody would wait until the last of the crowd is out of the way.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

/// How much later than its due time a row may have been committed and still be seen by
/// every ordinary look.
const SLACK: Duration = Duration::from_secs(2);
/// The same for a look past a crowd; what it misses waits with the crowd.
const FRESH_SLACK: Duration = Duration::from_millis(250);
const LOOK_BACK: Duration = Duration::from_secs(60);
const LOOK_BACK_EVERY: Duration = Duration::from_secs(2);
const FULL_LOOK_EVERY: Duration = Duration::from_secs(5);
/// A full look may take at most one part in so many of the time.
const FULL_LOOK_SHARE: u32 = 50;

/// How far a look reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Fresh,
    Recent,
    Back,
    Full,
}

/// One look: from which due time on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) floor: OffsetDateTime,
    reach: Reach,
    at: Instant,
}

impl Look {
    /// Whether it leaves out what fell due before.
    pub(super) fn is_past_crowd(&self) -> bool {
        self.reach == Reach::Fresh
    }
}

/// What the looks so far taught.
#[derive(Debug, Default)]
pub(super) struct Floor {
    reached: Option<OffsetDateTime>,
    /// While a crowd is being parked: where the next look past it begins, less its slack.
    fresh_from: Option<OffsetDateTime>,
    was_fresh: bool,
    looked_back: Option<Instant>,
    looked_fully: Option<(Instant, Duration)>,
}

impl Floor {
    /// The next look, at this time of the database and of the monotonic clock.
    pub(super) fn next(&self, database_now: OffsetDateTime, now: Instant) -> Look {
        let full_due =
            self.looked_fully.is_none_or(|(at, cost)| now >= at + FULL_LOOK_EVERY.max(cost * FULL_LOOK_SHARE));
        let back_due = self.looked_back.is_none_or(|at| now >= at + LOOK_BACK_EVERY);
        match self.reached {
            Some(_) if full_due => Look { floor: OffsetDateTime::UNIX_EPOCH, reach: Reach::Full, at: now },
            Some(reached) if back_due => {
                Look { floor: reached.min(database_now) - LOOK_BACK, reach: Reach::Back, at: now }
            }
            Some(reached) => Look { floor: reached - SLACK, reach: Reach::Recent, at: now },
            None => Look { floor: OffsetDateTime::UNIX_EPOCH, reach: Reach::Full, at: now },
        }
    }

    /// The next look while a crowd is being parked: at it and past it in turn.
    pub(super) fn next_in_crowd(&mut self, database_now: OffsetDateTime, now: Instant) -> Look {
        self.was_fresh = !self.was_fresh;
        if !self.was_fresh {
            return self.next(database_now, now);
        }
        let from = self.fresh_from.get_or_insert(database_now);
        Look { floor: *from - FRESH_SLACK, reach: Reach::Fresh, at: now }
    }

    /// The crowd is out of the way.
    pub(super) fn forget_crowd(&mut self) {
        (self.fresh_from, self.was_fresh) = (None, false);
    }

    /// Learns from a look: before which due time it left nothing, and what it cost.
    pub(super) fn learn(&mut self, look: Look, reached: Option<OffsetDateTime>, cost: Duration) {
        match look.reach {
            Reach::Full => {
                self.looked_fully = Some((look.at, cost));
                self.looked_back = Some(look.at);
            }
            Reach::Back => self.looked_back = Some(look.at),
            Reach::Recent => {}
            // It says nothing of what is due before it.
            Reach::Fresh => {
                self.fresh_from = reached.or(self.fresh_from);
                return;
            }
        }
        self.reached = reached.or(self.reached);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const DUE: OffsetDateTime = datetime!(2026-11-23 18:00:00 UTC);

    fn after_full_look(cost: Duration) -> (Floor, Instant) {
        let (mut floor, now) = (Floor::default(), Instant::now());
        let look = floor.next(DUE, now);
        floor.learn(look, Some(DUE), cost);
        (floor, now)
    }

    #[test]
    fn the_first_look_is_full_and_the_next_begins_at_the_last_batch() {
        let (floor, now) = after_full_look(Duration::ZERO);
        assert_eq!(Floor::default().next(DUE, now).reach, Reach::Full);
        assert_eq!(floor.next(DUE, now).floor, DUE - SLACK);
    }

    #[test]
    fn now_and_then_it_looks_back_and_rarely_to_the_beginning() {
        let (floor, now) = after_full_look(Duration::ZERO);
        assert_eq!(floor.next(DUE, now + LOOK_BACK_EVERY).floor, DUE - LOOK_BACK);
        assert_eq!(floor.next(DUE, now + FULL_LOOK_EVERY).floor, OffsetDateTime::UNIX_EPOCH);
    }

    #[test]
    fn a_dear_full_look_takes_at_most_a_fiftieth_of_the_time() {
        let (floor, now) = after_full_look(Duration::from_secs(1));
        assert_ne!(floor.next(DUE, now + Duration::from_secs(49)).reach, Reach::Full);
        assert_eq!(floor.next(DUE, now + Duration::from_secs(50)).reach, Reach::Full);
    }

    #[test]
    fn in_a_crowd_every_second_look_is_for_what_fell_due_since() {
        let (mut floor, now) = after_full_look(Duration::ZERO);
        let later = DUE + LOOK_BACK;
        let past = floor.next_in_crowd(later, now);
        assert_eq!((past.floor, past.is_past_crowd()), (later - FRESH_SLACK, true));
        floor.learn(past, Some(later + SLACK), Duration::ZERO);
        assert_eq!(floor.next_in_crowd(later, now).floor, DUE - SLACK);
        assert_eq!(floor.next_in_crowd(later, now).floor, later + SLACK - FRESH_SLACK);
        floor.forget_crowd();
        assert_eq!(floor.next_in_crowd(DUE, now).floor, DUE - FRESH_SLACK);
    }

    #[test]
    fn a_look_that_found_all_there_was_moves_the_floor_to_its_own_time() {
        let (mut floor, now) = after_full_look(Duration::ZERO);
        let look = floor.next(DUE, now);
        floor.learn(look, Some(DUE + LOOK_BACK), Duration::ZERO);
        assert_eq!(floor.next(DUE, now).floor, DUE + LOOK_BACK - SLACK);
    }
}
