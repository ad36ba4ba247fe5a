//! How a viewer that comes back reads the log: window by window, so that no statement reads all of it.

use time::{Duration, OffsetDateTime};

use super::feed::NO_END;
use crate::store::Tail;

const SHORTEST: Duration = Duration::seconds(10);
/// 288 windows for a day without events; at 1,000 events a second the database sorts 300,000 of each kind for one page.
const LONGEST: Duration = Duration::minutes(5);
/// Of each kind in one read.
pub(super) const PAGE_ROWS: i64 = 1_000;
/// Fewer rows than this: the next window is twice as long. Four times as many would fill a page.
const FEW_ROWS: usize = 250;

/// Where the next read begins and ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    since: OffsetDateTime,
    /// `None`: the rest, because it is young.
    width: Option<Duration>,
    /// Everything before it is read, and nothing will be added there.
    complete: OffsetDateTime,
}

impl Position {
    pub(super) fn new(since: OffsetDateTime) -> Self {
        Self { since, width: Some(SHORTEST), complete: since }
    }

    pub(super) fn window(&self) -> (OffsetDateTime, OffsetDateTime) {
        (self.since, self.width.and_then(|width| self.since.checked_add(width)).unwrap_or(NO_END))
    }

    /// After a read; false if it was the last.
    pub(super) fn advance(&mut self, page: &Tail) -> bool {
        let (since, until) = self.window();
        let read_to = page.next.unwrap_or(until);
        // A row of after the mark may still become visible.
        if since <= self.complete {
            self.complete = self.complete.max(read_to.min(page.mark));
        }
        let width = match (self.width, page.next) {
            (None, None) => return false,
            (None, Some(_)) => None,
            (Some(_), Some(_)) => Some(SHORTEST),
            (Some(width), None) if page.rows.len() < FEW_ROWS => Some(width.saturating_mul(2).min(LONGEST)),
            (Some(width), None) => Some(width),
        };
        // Of a window that ends after the mark, the end has to be read again.
        self.since = if page.next.is_some() { read_to } else { self.complete.max(since) };
        self.width = width.filter(|width| self.since.saturating_add(*width) < page.mark);
        true
    }

    /// What was sent and is older will not be read again.
    pub(super) fn complete(&self) -> OffsetDateTime {
        self.complete
    }

    /// Once more from there to the end, with the feed.
    pub(super) fn again(self) -> Self {
        Self { since: self.complete, width: None, ..self }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-28 12:00 UTC);

    /// What a read finds while nothing is in the log.
    fn nothing(now: OffsetDateTime) -> Tail {
        Tail { mark: now - Duration::seconds(15), now, rows: Vec::new(), next: None }
    }

    #[test]
    fn a_day_is_read_in_windows_without_gaps_and_only_the_last_is_open() {
        let mut position = Position::new(NOW - Duration::DAY);
        let (mut reads, mut expected) = (0, NOW - Duration::DAY);
        loop {
            let (since, until) = position.window();
            assert!(since <= expected, "a gap before {since}");
            reads += 1;
            if until == NO_END {
                assert!(since >= NOW - LONGEST - Duration::seconds(15), "{since}");
                break;
            }
            assert!(until - since <= LONGEST);
            expected = until;
            assert!(position.advance(&nothing(NOW)));
        }
        assert!(reads < 300, "{reads}");
        assert!(!position.advance(&nothing(NOW)));
    }

    #[test]
    fn a_full_page_makes_the_window_short_again_and_goes_on_after_its_rows() {
        let mut position = Position::new(NOW - Duration::HOUR);
        for _ in 0..6 {
            assert!(position.advance(&nothing(NOW)));
        }
        let (since, until) = position.window();
        assert_eq!(until - since, LONGEST);
        let next = since + Duration::SECOND;
        assert!(position.advance(&Tail { next: Some(next), ..nothing(NOW) }));
        assert_eq!(position.window(), (next, next + SHORTEST));
        assert_eq!(position.complete(), next);
    }

    #[test]
    fn while_the_rest_is_read_what_may_be_added_is_not_counted_as_read() {
        let (mark, later) = (NOW - Duration::seconds(15), NOW + Duration::MINUTE);
        let mut position = Position::new(NOW - Duration::MINUTE).again();
        assert!(position.advance(&Tail { next: Some(NOW - Duration::SECOND), ..nothing(NOW) }));
        assert_eq!((position.window(), position.complete()), ((NOW - Duration::SECOND, NO_END), mark));
        // A minute later the mark has passed what that page read.
        assert!(position.advance(&Tail { next: Some(NOW), ..nothing(later) }));
        assert_eq!(position.again().window(), (mark, NO_END));
    }
}
