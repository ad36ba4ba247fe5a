//! Parses `Retry-After`: seconds or an HTTP date.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

const MAX_LENGTH: usize = 64;

/// `None` if it is clearly neither. The caller clamps the result.
pub(crate) fn parse_retry_after(value: &[u8], now: OffsetDateTime) -> Option<Duration> {
    if value.len() > MAX_LENGTH {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Absurdly long, but well-formed; the caller clamps it.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    // RFC 2822 allows comments, HTTP dates do not.
    if text.contains('(') {
        return None;
    }
    let date = OffsetDateTime::parse(&text.replace("GMT", "+0000"), &Rfc2822).ok()?;
    Duration::try_from(date - now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-23 18:00:00 UTC);

    #[test]
    fn seconds_and_dates_are_read() {
        assert_eq!(parse_retry_after(b"120", NOW), Some(Duration::from_secs(120)));
        assert_eq!(parse_retry_after(b" 0 ", NOW), Some(Duration::ZERO));
        assert_eq!(parse_retry_after(b"Mon, 23 Nov 2026 18:02:00 GMT", NOW), Some(Duration::from_secs(120)));
    }

    #[test]
    fn absurd_values_are_ignored_or_clamped_later() {
        for value in ["-5", "1e309", "NaN", "", "soon", "Mon, 23 Nov 2026 17:59:00 GMT", "((((((((((((", "1, 2"] {
            assert_eq!(parse_retry_after(value.as_bytes(), NOW), None, "{value}");
        }
        assert_eq!(parse_retry_after(&[b'9'; 65], NOW), None);
        assert!(parse_retry_after(&[b'9'; 20], NOW) > Some(Duration::from_secs(86_400)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse_retry_after(&value, NOW);
        }
    }
}
