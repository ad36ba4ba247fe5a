//! Decides when to look for due deliveries and from which due time on.
//!
//! Finished rows stay in the index until vacuum, which an old transaction can delay for hours. So a look starts where
//! the last one ended, less a slack for late commits; once a second it reaches back a minute. The full scan finds
//! everything older, and replaces a look that met a deep backlog.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::store::Look;

/// A row may be committed this long after its due time and every look still finds it.
const SLACK: Duration = Duration::from_millis(250);
pub(super) const REACH_BACK: Duration = Duration::from_secs(60);
const REACH_BACK_EVERY: Duration = Duration::from_secs(1);
/// Longest time between two looks, even without a notification.
const POLL: Duration = Duration::from_millis(1_000);
/// Under load, rows are found in batches.
const PAUSE_FEW: Duration = Duration::from_millis(5);
const PAUSE_MANY: Duration = Duration::from_millis(20);
const MANY_ROWS: usize = 200;
/// A look at 2,000 rows takes some milliseconds.
pub(super) const MOST_ROWS: usize = 2_000;
/// A backlog is deep if a subscription has this many rows on average.
const DEEP_ROWS: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) due_from: OffsetDateTime,
    /// `None` = until now.
    pub(super) until: Option<OffsetDateTime>,
    pub(super) reaches_back: bool,
}

#[derive(Debug)]
pub(super) struct Finder {
    /// Everything due before this was seen, except `behind`.
    reached: OffsetDateTime,
    /// A deep backlog fell due before; the slack does not reach back beyond it.
    deep_until: OffsetDateTime,
    /// What a look at its row limit left out. It alternates with looks at new rows, so that new rows do not wait.
    behind: Option<Span>,
    was_behind: bool,
    /// Earliest due time named by a notification.
    asked: Option<OffsetDateTime>,
    /// Earliest due time left to other workers, and when to look again.
    again: Option<(OffsetDateTime, Instant)>,
    looked_at: Option<Instant>,
    reached_back_at: Option<Instant>,
    pause: Duration,
    poll_at: Instant,
}

impl Finder {
    /// Leaves everything due before `database_now` to the full scan.
    pub(super) fn new(database_now: OffsetDateTime, now: Instant) -> Self {
        Self {
            reached: database_now - REACH_BACK,
            deep_until: OffsetDateTime::UNIX_EPOCH,
            behind: None,
            was_behind: false,
            asked: None,
            again: None,
            looked_at: None,
            reached_back_at: None,
            pause: PAUSE_FEW,
            poll_at: now,
        }
    }

    pub(super) fn ask(&mut self, since: OffsetDateTime) {
        self.asked = Some(self.asked.map_or(since, |asked| asked.min(since)));
    }

    pub(super) fn ask_for_anything(&mut self) {
        self.reached_back_at = None;
        self.ask(self.reached);
    }

    pub(super) fn look_again(&mut self, since: OffsetDateTime, at: Instant) {
        let (earliest, first) = self.again.unwrap_or((since, at));
        self.again = Some((earliest.min(since), first.min(at)));
    }

    pub(super) fn next(&self) -> Instant {
        let Some(looked_at) = self.looked_at else { return self.poll_at };
        let earliest = looked_at + self.pause;
        if self.asked.is_some() || self.behind.is_some() {
            return earliest;
        }
        self.again.map_or(self.poll_at, |(_, at)| at.min(self.poll_at)).max(earliest)
    }

    pub(super) fn begin(&mut self, now: Instant) -> Option<Span> {
        if now < self.next() {
            return None;
        }
        self.looked_at = Some(now);
        self.was_behind = self.behind.is_some() && !self.was_behind;
        if let Some(behind) = self.behind.filter(|_| self.was_behind) {
            return Some(behind);
        }
        let reached = (self.reached - SLACK).max(self.deep_until);
        let again = self.again.take_if(|(_, at)| *at <= now).map(|(since, _)| since);
        let due_from = [self.asked.take(), again].into_iter().flatten().fold(reached, OffsetDateTime::min);
        let reaches_back = self.reached_back_at.is_none_or(|at| now >= at + REACH_BACK_EVERY);
        if reaches_back {
            self.reached_back_at = Some(now);
            return Some(Span { due_from: due_from.min(self.reached - REACH_BACK), until: None, reaches_back });
        }
        Some(Span { due_from, until: None, reaches_back })
    }

    /// `fraction`, from 0 up to 1, spreads the polls of several workers. Returns whether a full scan should find the
    /// rest.
    pub(super) fn done(&mut self, span: Span, look: &Look, now: Instant, fraction: f64) -> bool {
        let is_cut_short = look.rows >= MOST_ROWS;
        let is_deep = is_cut_short && look.found.len().saturating_mul(DEEP_ROWS) <= look.rows;
        // All rows have the same due time: continue just after it.
        let is_stuck = is_cut_short && look.reached.is_some_and(|reached| reached <= span.due_from);
        let rest = look.reached.filter(|_| is_cut_short && !is_deep);
        let rest = rest.map(|rest| if is_stuck { rest + Duration::from_micros(1) } else { rest });
        if span.until.is_some() {
            self.behind = rest.map(|due_from| Span { due_from, ..span });
        } else if !(span.reaches_back && is_deep) {
            if let Some(due_from) = rest {
                let due_from = self.behind.map_or(due_from, |behind| behind.due_from.min(due_from));
                self.behind = Some(Span { due_from, until: Some(look.at), reaches_back: false });
            }
            self.reached = look.at;
            if is_deep {
                self.deep_until = look.at;
            }
        }
        let is_walk = look.rows >= MANY_ROWS && !(is_deep && span.reaches_back);
        self.pause = if is_walk { PAUSE_MANY } else { PAUSE_FEW };
        let poll = POLL.mul_f64(0.9 + 0.2 * fraction);
        let next_due = look.next_due.and_then(|due| Duration::try_from(due - look.at).ok());
        self.poll_at = now + next_due.map_or(poll, |due| due.min(poll));
        // This look saw only the backlog, so another follows from where the last one ended.
        if span.reaches_back && is_deep {
            self.poll_at = now;
        }
        (is_deep && !span.reaches_back) || is_stuck
    }

    pub(super) fn failed(&mut self, span: Span, now: Instant, pause: Duration) {
        if span.until.is_none() {
            self.ask(span.due_from);
        }
        self.looked_at = Some(now);
        self.pause = pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::Due;
    use crate::store::Found;
    use time::macros::datetime;
    use uuid::Uuid;

    const NOW: OffsetDateTime = datetime!(2026-11-28 12:00 UTC);
    const SECOND: Duration = Duration::from_secs(1);

    fn look(rows: usize, reached: Option<OffsetDateTime>, at: OffsetDateTime) -> Look {
        Look { found: Vec::new(), rows, reached, next_due: None, at }
    }

    fn wide(reached: OffsetDateTime, at: OffsetDateTime) -> Look {
        let id = Uuid::from_u128(1);
        let due = Due { tenant: id.into(), subscription: id.into(), rows: Some(1), since: reached };
        let found = Found { due, is_active: true, is_paced: false, overdue: Duration::ZERO };
        Look { found: vec![found; MOST_ROWS / DEEP_ROWS + 1], ..look(MOST_ROWS, Some(reached), at) }
    }

    fn looked() -> (Finder, Instant) {
        let now = Instant::now();
        let mut finder = Finder::new(NOW, now);
        let span = finder.begin(now).unwrap();
        finder.done(span, &look(0, None, NOW), now, 0.5);
        (finder, now)
    }

    #[test]
    fn a_look_begins_where_the_last_one_ended_and_now_and_then_a_minute_before() {
        let (mut finder, now) = looked();
        finder.ask(NOW + SECOND);
        let span = finder.begin(now + PAUSE_FEW).unwrap();
        assert_eq!(span, Span { due_from: NOW - SLACK, until: None, reaches_back: false });
        finder.done(span, &look(1, Some(NOW), NOW + SECOND), now + PAUSE_FEW, 0.5);
        let span = finder.begin(now + 2 * POLL).unwrap();
        assert_eq!(span.due_from, NOW + SECOND - REACH_BACK);
    }

    #[test]
    fn a_notification_brings_the_next_look_forward_and_back_to_its_time() {
        let (mut finder, now) = looked();
        assert_eq!(finder.next(), now + POLL);
        finder.ask(NOW - 10 * SECOND);
        assert_eq!(finder.next(), now + PAUSE_FEW);
        assert_eq!(finder.begin(now), None);
        assert_eq!(finder.begin(now + PAUSE_FEW).unwrap().due_from, NOW - 10 * SECOND);
    }

    #[test]
    fn the_next_look_is_when_the_next_row_falls_due() {
        let (mut finder, now) = looked();
        let span = finder.begin(now + POLL).unwrap();
        let next_due = Some(NOW + SECOND / 4);
        finder.done(span, &Look { next_due, ..look(0, None, NOW) }, now, 0.5);
        assert_eq!(finder.next(), now + POLL + PAUSE_FEW);
        finder.done(span, &Look { next_due, ..look(0, None, NOW) }, now + POLL, 0.5);
        assert_eq!(finder.next(), now + POLL + SECOND / 4);
    }

    #[test]
    fn what_is_left_to_another_worker_is_looked_at_again_and_delays_nothing_else() {
        let (mut finder, now) = looked();
        finder.look_again(NOW - SECOND, now + PAUSE_MANY);
        assert_eq!(finder.next(), now + PAUSE_MANY);
        finder.ask(NOW);
        assert_eq!(finder.begin(now + PAUSE_FEW).unwrap().due_from, NOW - SLACK);
        assert_eq!(finder.begin(now + PAUSE_MANY).unwrap().due_from, NOW - SECOND);
    }

    #[test]
    fn a_wide_backlog_is_walked_in_turns_with_what_falls_due_meanwhile() {
        let (mut finder, mut now) = looked();
        finder.ask(NOW - 10 * SECOND);
        now += PAUSE_MANY;
        let span = finder.begin(now).unwrap();
        finder.done(span, &wide(NOW - 5 * SECOND, NOW + SECOND), now, 0.5);
        now += PAUSE_MANY;
        let behind = finder.begin(now).unwrap();
        assert_eq!(behind, Span { due_from: NOW - 5 * SECOND, until: Some(NOW + SECOND), reaches_back: false });
        finder.done(behind, &wide(NOW - 2 * SECOND, NOW + SECOND), now, 0.5);
        now += PAUSE_MANY;
        let fresh = finder.begin(now).unwrap();
        assert_eq!((fresh.due_from, fresh.until), (NOW + SECOND - SLACK, None));
        finder.done(fresh, &look(3, Some(NOW + SECOND), NOW + 2 * SECOND), now, 0.5);
        now += PAUSE_MANY;
        let behind = finder.begin(now).unwrap();
        assert_eq!(behind.due_from, NOW - 2 * SECOND);
        finder.done(behind, &look(7, Some(NOW), NOW + SECOND), now, 0.5);
        assert_eq!(finder.next(), now + POLL);
    }

    #[test]
    fn a_backlog_that_fell_due_at_one_time_is_gone_past() {
        let (mut finder, mut now) = looked();
        finder.ask(NOW - SECOND);
        now += PAUSE_MANY;
        let span = finder.begin(now).unwrap();
        assert!(finder.done(span, &wide(NOW - SECOND, NOW), now, 0.5));
        now += PAUSE_MANY;
        assert_eq!(finder.begin(now).unwrap().due_from, NOW - SECOND + Duration::from_micros(1));
    }

    #[test]
    fn a_deep_backlog_is_not_walked_and_hides_nothing_that_falls_due_after_it() {
        let (mut finder, mut now) = looked();
        finder.ask(NOW);
        now += PAUSE_MANY;
        let span = finder.begin(now).unwrap();
        let at = NOW + SECOND / 10;
        assert!(finder.done(span, &look(MOST_ROWS, Some(NOW), at), now, 0.5));
        finder.ask(at);
        now += PAUSE_MANY;
        assert_eq!(finder.begin(now), Some(Span { due_from: at, until: None, reaches_back: false }));
        finder.ask(NOW);
        now += PAUSE_MANY;
        assert_eq!(finder.begin(now).unwrap().due_from, NOW);
        let back = finder.begin(now + REACH_BACK_EVERY).unwrap();
        assert!(back.reaches_back);
        assert!(!finder.done(back, &look(MOST_ROWS, Some(NOW), at + SECOND), now, 0.5));
        now += REACH_BACK_EVERY + PAUSE_FEW;
        assert_eq!(finder.begin(now), Some(Span { due_from: at, until: None, reaches_back: false }));
    }

    #[test]
    fn a_failed_look_is_repeated_after_its_pause() {
        let (mut finder, now) = looked();
        finder.ask(NOW - SECOND);
        let span = finder.begin(now + SECOND).unwrap();
        finder.failed(span, now + SECOND, SECOND / 2);
        assert_eq!(finder.begin(now + SECOND), None);
        assert_eq!(finder.begin(now + 2 * SECOND).unwrap().due_from, span.due_from);
    }
}
