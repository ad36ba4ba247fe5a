//! Settings of the breaker: when a failing receiver is left alone, and when for good.

use std::time::Duration;

use clap::Args;

use super::{InvalidSetting, rule};
use crate::domain::breaker::BreakerRules;
use crate::domain::duration::parse_duration;

const PROBE_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(86_400);
const LONGEST_AFTER: Duration = Duration::from_secs(86_400);
const DISABLE_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(365 * 86_400);

/// What a user may set.
#[derive(Clone, Default, Args)]
pub struct BreakerSettings {
    /// Failures in a row, over all replicas, after which nothing but probes is sent to a subscription; 0 for never [default: 10]
    #[arg(long, env = "POSTRIDER_BREAKER_FAILURES", value_name = "POSTRIDER_BREAKER_FAILURES", global = true)]
    pub breaker_failures: Option<u32>,
    /// The breaker opens only if the first of those failures is at least this old, up to 24h, or there are ten times as many [default: 30s]
    #[arg(long, env = "POSTRIDER_BREAKER_AFTER", value_name = "POSTRIDER_BREAKER_AFTER", value_parser = parse_duration, global = true)]
    pub breaker_after: Option<Duration>,
    /// From opening to the first probe; each probe that fails doubles it; from 100ms to 24h [default: 30s]
    #[arg(long, env = "POSTRIDER_BREAKER_PROBE_DELAY", value_name = "POSTRIDER_BREAKER_PROBE_DELAY", value_parser = parse_duration, global = true)]
    pub breaker_probe_delay: Option<Duration>,
    /// Longest time between two probes [default: 10m]
    #[arg(long, env = "POSTRIDER_BREAKER_PROBE_MAX", value_name = "POSTRIDER_BREAKER_PROBE_MAX", value_parser = parse_duration, global = true)]
    pub breaker_probe_max: Option<Duration>,
    /// Disable a subscription after this long without a successful attempt, up to 365d; 0s for never [default: 5d]
    #[arg(long, env = "POSTRIDER_DISABLE_AFTER", value_name = "POSTRIDER_DISABLE_AFTER", value_parser = parse_duration, global = true)]
    pub disable_after: Option<Duration>,
}

/// What the program runs on.
#[derive(Debug, Clone, Copy)]
pub struct BreakerConfig {
    /// When breakers open, and how they ask.
    pub rules: BreakerRules,
    /// How long no attempt has succeeded when a subscription is disabled; never where there is none.
    pub disable_after: Option<Duration>,
}

impl BreakerSettings {
    /// Checks everything and fills in the defaults.
    pub(super) fn resolve(&self) -> Result<BreakerConfig, InvalidSetting> {
        let after = self.breaker_after.unwrap_or(Duration::from_secs(30));
        rule(after <= LONGEST_AFTER, "POSTRIDER_BREAKER_AFTER", "must be at most 24h")?;
        let probe = self.breaker_probe_delay.unwrap_or(Duration::from_secs(30));
        rule(PROBE_RANGE.contains(&probe), "POSTRIDER_BREAKER_PROBE_DELAY", "must be from 100ms to 24h")?;
        let probe_max = self.breaker_probe_max.unwrap_or(probe.max(Duration::from_secs(600)));
        rule(
            probe_max >= probe && PROBE_RANGE.contains(&probe_max),
            "POSTRIDER_BREAKER_PROBE_MAX",
            "must be from POSTRIDER_BREAKER_PROBE_DELAY to 24h",
        )?;
        let disable_after = self.disable_after.unwrap_or(Duration::from_secs(5 * 86_400));
        let disable_after = (!disable_after.is_zero()).then_some(disable_after);
        rule(
            disable_after.is_none_or(|after| DISABLE_RANGE.contains(&after)),
            "POSTRIDER_DISABLE_AFTER",
            "must be 0s, or from 1s to 365d",
        )?;
        let failures = self.breaker_failures.unwrap_or(10);
        Ok(BreakerConfig { rules: BreakerRules { failures, after, probe, probe_max }, disable_after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_documents() {
        let config = BreakerSettings::default().resolve().unwrap();
        assert_eq!((config.rules.failures, config.rules.after), (10, Duration::from_secs(30)));
        let probes = (config.rules.probe, config.rules.probe_max);
        assert_eq!(probes, (Duration::from_secs(30), Duration::from_secs(600)));
        assert_eq!(config.disable_after, Some(Duration::from_secs(5 * 86_400)));
    }

    #[test]
    fn zero_switches_the_disabling_off_and_probes_have_an_order() {
        let never = BreakerSettings { disable_after: Some(Duration::ZERO), ..BreakerSettings::default() };
        assert_eq!(never.resolve().unwrap().disable_after, None);
        let shorter = BreakerSettings { breaker_probe_max: Some(Duration::from_secs(1)), ..BreakerSettings::default() };
        assert!(shorter.resolve().unwrap_err().to_string().starts_with("POSTRIDER_BREAKER_PROBE_MAX: must be from"));
    }
}
