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
