//! Times as text.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// In UTC. `None` also for a time that is outside of the years 1 to 9999 there, so that every time can be written again.
pub(crate) fn parse(text: &str) -> Option<OffsetDateTime> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC)?;
    (1..=9_999).contains(&at.year()).then_some(at)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn only_times_that_can_be_written_in_utc_are_read() {
        assert_eq!(parse("2026-11-23T20:00:00.5+02:00"), Some(datetime!(2026-11-23 18:00:00.5 UTC)));
        assert!(parse("9999-12-31T23:59:59.999999999Z").is_some());
        assert!(parse("0001-01-01T00:00:00Z").is_some());
        for refused in [
            "9999-12-31T23:59:59-00:01",
            "9999-12-31T12:00:00-12:30",
            "0001-01-01T00:00:00+00:01",
            "0000-06-01T00:00:00Z",
            "0000-01-01T00:00:00+23:59",
            "2026-11-23 18:00",
            "2026-02-30T00:00:00Z",
        ] {
            assert_eq!(parse(refused), None, "{refused}");
        }
    }
}
