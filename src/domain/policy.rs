//! How a subscription wants to be served, where it differs from the instance's settings.

use std::time::Duration;

use super::backoff::RetrySchedule;

/// Shortest and longest time limit of one attempt.
pub const REQUEST_TIMEOUT_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);
/// Most requests a second that can be asked for.
pub const MAX_RATE_LIMIT: u32 = 100_000;
/// Most requests at a time that can be asked for.
pub const MAX_IN_FLIGHT: u32 = 10_000;
/// Most attempts after which an ordered delivery can be skipped.
pub const MAX_SKIP_AFTER: u32 = 1_000;

/// Least time between the deadline of an attempt with a time limit of its own and the end of
/// its lease; `least_lease_seconds` in the database counts with the same.
const LEASE_ROOM: Duration = Duration::from_secs(15);

/// The wishes of a subscription; `None` follows the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// When failed deliveries are tried again.
    pub retry_schedule: Option<RetrySchedule>,
    /// Time limit of one attempt.
    pub request_timeout: Option<Duration>,
    /// Most requests a second, over all replicas.
    pub rate_limit: Option<u32>,
    /// Most requests at a time, over all replicas.
    pub max_in_flight: Option<u32>,
    /// Whether events with an ordering key are delivered one after the other.
    pub is_ordered: bool,
    /// Attempts after which an ordered delivery that fails makes room for the next.
    pub skip_after_attempts: Option<u32>,
}

/// How long a delivery is leased, whose subscription has this time limit of its own, where
/// others are leased for `standard`.
pub fn lease(standard: Duration, request_timeout: Option<Duration>) -> Duration {
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
