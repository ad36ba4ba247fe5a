//! The span of time of an analysis and its buckets.

use time::{Duration, OffsetDateTime};

use super::super::problem::Problem;
use super::super::text::{Moment, choice};

/// More are refused.
pub(super) const MOST_BUCKETS: usize = 1_500;
/// Chosen if none is asked for.
const USUAL_BUCKETS: i64 = 300;
const MINUTES_KEPT: Duration = Duration::hours(48);
/// A summary of a longer span reads hours.
const LONGEST_BY_MINUTES: Duration = Duration::hours(24);
/// As long as hours are kept, so that a summary reads a bounded number of them.
const LONGEST_SUMMARY: Duration = Duration::days(90);

choice! {
    /// Length of a bucket; days and hours are those of UTC.
    pub(in crate::api) enum Bucket {
        /// A minute.
        Minute = "1m",
        /// Five minutes.
        FiveMinutes = "5m",
        /// An hour.
        Hour = "1h",
        /// A day.
        Day = "1d",
    }
}

impl Bucket {
    const ALL: [Self; 4] = [Self::Minute, Self::FiveMinutes, Self::Hour, Self::Day];

    fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::FiveMinutes => 300,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// Shorter than the roll-ups by subscription and event type.
    pub(super) fn is_fine(self) -> bool {
        self.seconds() < 3_600
    }

    /// How far back an analysis goes that names no `since`.
    fn usual_span(self) -> Duration {
        match self {
            Self::Minute => Duration::hours(1),
            Self::FiveMinutes => Duration::hours(6),
            Self::Hour => Duration::hours(24),
            Self::Day => Duration::days(30),
        }
    }

    fn floor(self, at: OffsetDateTime) -> OffsetDateTime {
        let seconds = at.unix_timestamp().div_euclid(self.seconds()) * self.seconds();
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(at)
    }

    fn ceil(self, at: OffsetDateTime) -> OffsetDateTime {
        let floor = self.floor(at);
        if floor == at { at } else { floor.checked_add(Duration::seconds(self.seconds())).unwrap_or(at) }
    }
}

/// Whole buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) since: OffsetDateTime,
    pub(super) until: OffsetDateTime,
    pub(super) bucket: Bucket,
    /// It begins before the oldest minute that is kept.
    pub(super) is_past_minutes: bool,
}

impl Span {
    /// `in_hours`: there is nothing finer.
    pub(super) fn new(
        now: OffsetDateTime,
        since: Option<Moment>,
        until: Option<Moment>,
        bucket: Option<Bucket>,
        in_hours: bool,
    ) -> Result<Self, Problem> {
        let until = until.map_or(now, |until| until.0.min(now));
        let chosen = |since: OffsetDateTime| {
            let in_hours = in_hours || now - since > MINUTES_KEPT;
            let fits = |bucket: &Bucket| (until - since).whole_seconds() <= USUAL_BUCKETS * bucket.seconds();
            let mut buckets = Bucket::ALL.into_iter().filter(|bucket| !(in_hours && bucket.is_fine()));
            buckets.find(fits).unwrap_or(Bucket::Day)
        };
        let bucket = bucket.unwrap_or_else(|| since.map_or(Bucket::Hour, |since| chosen(since.0)));
        let since = since.map_or_else(|| until.checked_sub(bucket.usual_span()).unwrap_or(until), |since| since.0);
        if since >= until {
            return Err(Problem::field("/query/since", "not_before_until", "must be before until, and in the past"));
        }
        let span = Self {
            since: bucket.floor(since),
            until: bucket.ceil(until),
            bucket,
            is_past_minutes: now - since > MINUTES_KEPT,
        };
        if span.buckets() > MOST_BUCKETS {
            let rule = format!("must be less than {MOST_BUCKETS} buckets of {} before until", bucket.word());
            return Err(Problem::field("/query/since", "out_of_range", rule));
        }
        Ok(span)
    }

    /// For a summary: the bucket says how exact it is.
    pub(super) fn whole(now: OffsetDateTime, since: Option<Moment>, until: Option<Moment>) -> Result<Self, Problem> {
        let until = until.map_or(now, |until| until.0.min(now));
        let since = since.map_or_else(|| until.checked_sub(LONGEST_BY_MINUTES).unwrap_or(until), |since| since.0);
        if since >= until {
            return Err(Problem::field("/query/since", "not_before_until", "must be before until, and in the past"));
        }
        if until - since > LONGEST_SUMMARY {
            let rule = format!("must be at most {} days before until", LONGEST_SUMMARY.whole_days());
            return Err(Problem::field("/query/since", "out_of_range", rule));
        }
        let is_past_minutes = now - since > MINUTES_KEPT;
        let by_minutes = until - since <= LONGEST_BY_MINUTES && !is_past_minutes;
        let bucket = if by_minutes { Bucket::Minute } else { Bucket::Hour };
        Ok(Self { since: bucket.floor(since), until: bucket.ceil(until), bucket, is_past_minutes })
    }

    pub(super) fn buckets(&self) -> usize {
        usize::try_from((self.until - self.since).whole_seconds() / self.bucket.seconds()).unwrap_or(usize::MAX)
    }

    /// The beginning of each bucket.
    pub(super) fn beginnings(self) -> impl Iterator<Item = OffsetDateTime> {
        let step = Duration::seconds(self.bucket.seconds());
        std::iter::successors(Some(self.since), move |at| at.checked_add(step)).take(self.buckets())
    }

    pub(super) fn bucket_of(&self, at: OffsetDateTime) -> OffsetDateTime {
        self.bucket.floor(at)
    }

    /// Without the oldest bucket that has rows, which may be incomplete.
    pub(super) fn after(self, oldest: OffsetDateTime) -> Self {
        let since = self.bucket.floor(oldest) + Duration::seconds(self.bucket.seconds());
        Self { since: since.min(self.until), ..self }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-28 12:34:56 UTC);

    fn span(since: Option<OffsetDateTime>, bucket: Option<Bucket>, in_hours: bool) -> Result<Span, Problem> {
        Span::new(NOW, since.map(Moment), None, bucket, in_hours)
    }

    #[test]
    fn a_span_is_whole_buckets_that_hold_both_ends() {
        let hours = span(Some(NOW - Duration::minutes(90)), Some(Bucket::Hour), false).unwrap();
        assert_eq!((hours.since, hours.until), (datetime!(2026-11-28 11:00 UTC), datetime!(2026-11-28 13:00 UTC)));
        assert_eq!(hours.beginnings().collect::<Vec<_>>(), [hours.since, datetime!(2026-11-28 12:00 UTC)]);
        assert_eq!(span(None, None, false).unwrap().buckets(), 25);
    }

    #[test]
    fn a_bucket_is_chosen_that_fits_the_span_and_is_kept() {
        let chosen = |ago: Duration, in_hours| span(Some(NOW - ago), None, in_hours).unwrap().bucket;
        assert_eq!(chosen(Duration::hours(2), false), Bucket::Minute);
        assert_eq!(chosen(Duration::hours(2), true), Bucket::Hour);
        assert_eq!(chosen(Duration::hours(20), false), Bucket::FiveMinutes);
        assert_eq!(chosen(Duration::days(3), false), Bucket::Hour);
        assert_eq!(chosen(Duration::days(80), false), Bucket::Day);
    }

    #[test]
    fn a_span_without_time_or_with_too_many_buckets_is_refused() {
        assert!(span(Some(NOW), None, false).is_err() && span(Some(NOW + Duration::hours(1)), None, false).is_err());
        assert!(span(Some(NOW - Duration::hours(26)), Some(Bucket::Minute), false).is_err());
        assert!(Span::whole(NOW, Some(Moment(NOW - Duration::days(91))), None).is_err());
        assert!(span(Some(OffsetDateTime::UNIX_EPOCH), None, false).is_err());
    }

    #[test]
    fn a_summary_is_exact_to_the_minute_where_minutes_are_kept() {
        let whole = |since: Duration, until: Duration| {
            Span::whole(NOW, Some(Moment(NOW - since)), Some(Moment(NOW - until))).unwrap().bucket
        };
        assert_eq!(whole(Duration::hours(24), Duration::ZERO), Bucket::Minute);
        assert_eq!(whole(Duration::hours(25), Duration::ZERO), Bucket::Hour);
        assert_eq!(whole(Duration::hours(50), Duration::hours(49)), Bucket::Hour);
    }
}
