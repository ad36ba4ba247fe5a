//! Settings of system events.

use std::time::Duration;

use super::declare::{Rule, settings};
use super::rules::duration;
use crate::domain::duration::Durations;

settings! {
    SystemEventConfig {}

    /// Times without a success after which `subscription.failing` is raised
    warn_after: Vec<Duration> = "POSTRIDER_WARN_AFTER", warnings(), Default::Value("1h,24h,72h");

    /// Least time between two `delivery.failed` of one subscription
    report_interval: Duration = "POSTRIDER_REPORT_INTERVAL", duration("1s", "24h"), Default::Value("10m");
}

const MAX_WARNINGS: usize = 10;

fn warnings() -> Rule<Vec<Duration>> {
    let says = format!("at most {MAX_WARNINGS} durations from 1s to 365d, separated by commas");
    let must = format!("must be {says}, as in 1h,24h");
    let range = Duration::from_secs(1)..=Duration::from_secs(365 * 86_400);
    let read = move |text: &str| match text.parse::<Durations>() {
        Ok(list) if list.0.len() <= MAX_WARNINGS && list.0.iter().all(|after| range.contains(after)) => Ok(list.0),
        _ => Err(must.clone()),
    };
    Rule { says, read: Box::new(read), is_secret: false }
}
