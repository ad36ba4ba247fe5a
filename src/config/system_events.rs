//! Settings of system events: when tenants are told how their subscriptions fare.

use std::time::Duration;

use clap::Args;

use super::{InvalidSetting, rule};
use crate::domain::duration::{Durations, parse_duration};

const WARN_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(365 * 86_400);
const REPORT_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
const MAX_WARNINGS: usize = 10;

/// What a user may set.
#[derive(Clone, Default, Args)]
pub struct SystemEventSettings {
    /// Times without a success after which `subscription.failing` is raised, 10 at most [default: 1h,24h,72h]
    #[arg(long, env = "POSTRIDER_WARN_AFTER", value_name = "POSTRIDER_WARN_AFTER", global = true)]
    pub warn_after: Option<Durations>,
    /// Least time between two `delivery.failed` of one subscription, up to 24h [default: 10m]
    #[arg(long, env = "POSTRIDER_REPORT_INTERVAL", value_name = "POSTRIDER_REPORT_INTERVAL", value_parser = parse_duration, global = true)]
    pub report_interval: Option<Duration>,
}

/// What the program runs on.
#[derive(Debug, Clone)]
pub struct SystemEventConfig {
    /// Times without a success after which a warning is given, one for each.
    pub warn_after: Vec<Duration>,
    /// Least time between two reports of a subscription's failed deliveries.
    pub report_interval: Duration,
}

impl SystemEventSettings {
    /// Checks everything and fills in the defaults.
    pub(super) fn resolve(&self) -> Result<SystemEventConfig, InvalidSetting> {
        let usual = || [1, 24, 72].map(|hours| Duration::from_secs(hours * 3_600)).to_vec();
        let warn_after = self.warn_after.as_ref().map_or_else(usual, |given| given.0.clone());
        rule(
            warn_after.len() <= MAX_WARNINGS && warn_after.iter().all(|after| WARN_RANGE.contains(after)),
            "POSTRIDER_WARN_AFTER",
            "must be at most 10 durations from 1s to 365d, separated by commas",
        )?;
        let report_interval = self.report_interval.unwrap_or(Duration::from_secs(600));
        rule(REPORT_RANGE.contains(&report_interval), "POSTRIDER_REPORT_INTERVAL", "must be from 1s to 24h")?;
        Ok(SystemEventConfig { warn_after, report_interval })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_have_defaults_and_limits() {
        let usual = SystemEventSettings::default().resolve().unwrap();
        assert_eq!((usual.warn_after.len(), usual.report_interval), (3, Duration::from_secs(600)));
        for wrong in ["0s", "366d", "1h,1h,1h,1h,1h,1h,1h,1h,1h,1h,1h"] {
            let settings = SystemEventSettings { warn_after: wrong.parse().ok(), ..SystemEventSettings::default() };
            assert!(settings.resolve().is_err(), "{wrong}");
        }
    }
}
