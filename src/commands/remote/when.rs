//! Times on the command line: given as a time or a distance from now, shown as a distance from now.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::domain::duration::parse_duration;

/// Older or later than this, a date says more than a number of hours.
const SHOWN_AS_DISTANCE: time::Duration = time::Duration::hours(48);

/// RFC 3339, or how long ago.
pub(super) fn past(text: &str) -> Result<String, String> {
    let before = |now: OffsetDateTime, distance| now.checked_sub(distance);
    instant(text, OffsetDateTime::now_utc(), before, "2h for two hours ago")
}

/// RFC 3339, or how far ahead.
pub(super) fn future(text: &str) -> Result<String, String> {
    let after = |now: OffsetDateTime, distance| now.checked_add(distance);
    instant(text, OffsetDateTime::now_utc(), after, "10m for ten minutes from now")
}

fn instant(
    text: &str,
    now: OffsetDateTime,
    apart: impl Fn(OffsetDateTime, time::Duration) -> Option<OffsetDateTime>,
    example: &str,
) -> Result<String, String> {
    if OffsetDateTime::parse(text, &Rfc3339).is_ok() {
        return Ok(text.to_owned());
    }
    let distance = parse_duration(text).ok().and_then(|distance: Duration| time::Duration::try_from(distance).ok());
    let at = distance.and_then(|distance| apart(now, distance)).and_then(|at| at.format(&Rfc3339).ok());
    at.ok_or_else(|| format!("must be a time as in 2026-11-28T12:00:00Z, or {example}"))
}

/// `12s ago`, `in 5m`, `2026-11-20`; a text that is no time stays as it is.
pub(super) fn distance(text: &str, now: OffsetDateTime) -> String {
    let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) else { return text.to_owned() };
    let apart = now - at;
    if apart.abs() > SHOWN_AS_DISTANCE {
        return at.format(format_description!("[year]-[month]-[day]")).unwrap_or_else(|_| text.to_owned());
    }
    let seconds = apart.whole_seconds().unsigned_abs();
    let rounded = match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{}m", seconds / 60),
        _ => format!("{}h", seconds / 3_600),
    };
    if apart.is_negative() && seconds > 0 { format!("in {rounded}") } else { format!("{rounded} ago") }
}

/// The time of day in UTC, to the second; a text that is no time stays as it is.
pub(super) fn clock(text: &str) -> String {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok().map(|at| at.to_offset(time::UtcOffset::UTC));
    let at = at.and_then(|at| at.format(format_description!("[hour]:[minute]:[second]Z")).ok());
    at.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-28 12:00 UTC);

    #[test]
    fn a_time_is_given_as_it_is_or_by_its_distance() {
        let before = |text: &str| instant(text, NOW, |now, distance| now.checked_sub(distance), "2h");
        assert_eq!(before("2026-11-01T00:00:00+01:00").unwrap(), "2026-11-01T00:00:00+01:00");
        assert_eq!(before("90m").unwrap(), "2026-11-28T10:30:00Z");
        for refused in ["yesterday", "2026-11-01", "5", "99999999999999d", ""] {
            assert!(before(refused).unwrap_err().starts_with("must be a time as in"), "{refused}");
        }
        assert!(future("10m").unwrap() > past("10m").unwrap());
    }

    #[test]
    fn a_time_is_shown_by_its_distance_while_that_says_more() {
        for (text, shown) in [
            ("2026-11-28T11:59:48.5Z", "11s ago"),
            ("2026-11-28T11:50:00Z", "10m ago"),
            ("2026-11-27T12:00:00Z", "24h ago"),
            ("2026-11-20T12:00:00Z", "2026-11-20"),
            ("2026-11-28T12:05:00Z", "in 5m"),
            ("2026-11-28T12:00:00.4Z", "0s ago"),
            ("never", "never"),
        ] {
            assert_eq!(distance(text, NOW), shown);
        }
        assert_eq!(clock("2026-11-28T12:05:07.9+01:00"), "11:05:07Z");
    }
}
