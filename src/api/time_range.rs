//! `since` and `until` of lists whose ids carry their rows' times.

use time::OffsetDateTime;
use uuid::Uuid;

use super::text::Moment;
use crate::domain::id::EventId;

/// Ids carry milliseconds: they bound what is read, and a row's own time decides.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TimeRange {
    since: Option<OffsetDateTime>,
    until: Option<OffsetDateTime>,
}

impl TimeRange {
    pub(super) fn new(since: Option<Moment>, until: Option<Moment>) -> Self {
        Self { since: since.map(|since| since.0), until: until.map(|until| until.0) }
    }

    /// The smallest id.
    pub(super) fn from(&self) -> Uuid {
        self.since.map_or_else(Uuid::nil, |since| EventId::lower_bound(since).uuid())
    }

    /// The id below which all are: the cursor never leads beyond the range.
    pub(super) fn before(&self, cursor: Option<Uuid>) -> Uuid {
        let until = self.until.map_or_else(Uuid::max, |until| EventId::upper_bound(until).uuid());
        cursor.map_or(until, |cursor| cursor.min(until))
    }

    pub(super) fn holds(&self, at: OffsetDateTime) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn range(since: OffsetDateTime, until: OffsetDateTime) -> TimeRange {
        TimeRange::new(Some(Moment(since)), Some(Moment(until)))
    }

    #[test]
    fn a_cursor_never_leads_beyond_the_range() {
        let range = range(datetime!(2026-11-23 18:00 UTC), datetime!(2026-11-23 19:00 UTC));
        assert_eq!(range.before(Some(Uuid::max())), range.before(None));
        assert_eq!(range.before(Some(Uuid::nil())), Uuid::nil());
    }

    #[test]
    fn the_ids_of_the_first_and_last_millisecond_are_read_and_the_times_decide() {
        let (since, until) = (datetime!(2026-11-23 18:00:00.000_100 UTC), datetime!(2026-11-23 18:00:00.002_100 UTC));
        let range = range(since, until);
        for (at, is_read, is_held) in [
            (datetime!(2026-11-23 17:59:59.999_999 UTC), false, false),
            (datetime!(2026-11-23 18:00:00.000_099 UTC), true, false),
            (since, true, true),
            (datetime!(2026-11-23 18:00:00.002_099 UTC), true, true),
            (until, true, false),
            (datetime!(2026-11-23 18:00:00.003 UTC), false, false),
        ] {
            let id = EventId::at(at, [7; 16]).uuid();
            assert_eq!((range.from() <= id && id < range.before(None), range.holds(at)), (is_read, is_held), "{at}");
        }
        let whole = self::range(datetime!(2026-11-23 18:00 UTC), datetime!(2026-11-23 18:00:00.002 UTC));
        assert!(EventId::at(datetime!(2026-11-23 18:00:00.002 UTC), [7; 16]).uuid() >= whole.before(None));
    }
}
