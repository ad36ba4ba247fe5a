//! Settings of the breaker: when a failing receiver is left alone, and when for good.

use std::time::Duration;

use super::declare::settings;
use super::rules::{duration, duration_or_never, number, optional};
use super::{Relation, written};
use crate::domain::breaker::BreakerRules;

const LEAST_PROBE_MAX: Duration = Duration::from_secs(600);

settings! {
    BreakerConfig {}

    /// Failures in a row, over all replicas, that open a subscription's breaker, so that only probes are sent; 0 for
    /// never
    failures: u32 = "POSTRIDER_BREAKER_FAILURES", number(0..=1_000_000), Default::Value("10");

    /// The breaker opens only if the first of those failures is at least this old, or there are ten times as many
    after: Duration = "POSTRIDER_BREAKER_AFTER", duration("0s", "24h"), Default::Value("30s");

    /// From opening to the first probe; each probe that fails doubles it
    probe_delay: Duration = "POSTRIDER_BREAKER_PROBE_DELAY", duration("100ms", "24h"), Default::Value("30s");

    /// Longest time between two probes, at least POSTRIDER_BREAKER_PROBE_DELAY
    probe_max: Option<Duration> = "POSTRIDER_BREAKER_PROBE_MAX", optional(duration("100ms", "24h")), Default::Unset("10m");

    /// Disable a subscription after this long without a successful attempt
    disable_after: Option<Duration> = "POSTRIDER_DISABLE_AFTER", duration_or_never("1s", "365d"), Default::Value("5d");
}

impl BreakerConfig {
    pub(super) fn relation(&self) -> Relation {
        Relation {
            holds: self.probe_max.is_none_or(|max| max >= self.probe_delay),
            name: "POSTRIDER_BREAKER_PROBE_MAX",
            must: "must be at least POSTRIDER_BREAKER_PROBE_DELAY".to_owned(),
            example: written(self.probe_delay),
        }
    }

    pub fn rules(&self) -> BreakerRules {
        let probe_max = self.probe_max.unwrap_or(LEAST_PROBE_MAX.max(self.probe_delay));
        BreakerRules { failures: self.failures, after: self.after, probe: self.probe_delay, probe_max }
    }
}
