//! Delivery options of a subscription that override the instance's settings.

use std::time::Duration;

use super::backoff::RetrySchedule;

pub const MIN_REQUEST_TIMEOUT_MS: u32 = 1_000;
pub const MAX_REQUEST_TIMEOUT_MS: u32 = 60_000;
pub(crate) const REQUEST_TIMEOUT_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(60);
pub(crate) const MAX_RATE_LIMIT: u32 = 100_000;
pub(crate) const MAX_IN_FLIGHT: u32 = 10_000;
pub(crate) const MAX_SKIP_AFTER: u32 = 1_000;

/// Least time from the deadline of an attempt to the end of its lease; the same in `least_lease_seconds` in SQL.
const LEASE_ROOM: Duration = Duration::from_secs(15);

/// `None` follows the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    pub retry_schedule: Option<RetrySchedule>,
    pub request_timeout: Option<Duration>,
    pub rate_limit: Option<u32>,
    pub max_in_flight: Option<u32>,
    pub is_ordered: bool,
    /// Attempts after which an ordering group skips its head.
    pub skip_after_attempts: Option<u32>,
}

/// A longer request timeout needs a longer lease.
pub(crate) fn lease(standard: Duration, request_timeout: Option<Duration>) -> Duration {
    request_timeout.map_or(standard, |limit| standard.max(limit + LEASE_ROOM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_time_limit_lengthens_the_lease_and_a_shorter_one_leaves_it() {
        let seconds = Duration::from_secs;
        assert_eq!(lease(seconds(25), None), seconds(25));
        assert_eq!(lease(seconds(25), Some(seconds(1))), seconds(25));
        assert_eq!(lease(seconds(25), Some(seconds(60))), seconds(75));
    }
}
