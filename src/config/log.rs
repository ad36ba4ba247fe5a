//! Settings of the log, read before all others.

use super::declare::{Rule, settings};
use super::rules::{one_of, optional};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

settings! {
    LogConfig {}

    /// What to log: error, warn, info, debug, trace, or a filter such as postrider=debug
    filter: Option<String> = "POSTRIDER_LOG", optional(filter()), Default::Unset("info");

    /// How to log
    format: LogFormat = "POSTRIDER_LOG_FORMAT", one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)]),
        Default::Value("text");
}

/// A single word that is no level would silence everything else, so it is rejected.
fn filter() -> Rule<String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let known = |entry: &str| match entry.split_once('=') {
        Some((target, level)) => !target.is_empty() && LEVELS.contains(&level),
        None => LEVELS.contains(&entry),
    };
    let refused = "must be error, warn, info, debug, trace, off, or a list such as info,postrider=debug";
    let read = move |text: &str| if text.split(',').all(known) { Ok(text.to_owned()) } else { Err(refused.to_owned()) };
    Rule { says: String::new(), read: Box::new(read), is_secret: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_filter_is_levels_and_targets_with_levels() {
        for good in ["info", "warn,postrider=debug", "postrider::worker=trace"] {
            assert_eq!((filter().read)(good).as_deref(), Ok(good));
        }
        for bad in ["loud", "", "postrider", "a=b=c", "info,x"] {
            assert!((filter().read)(bad).is_err(), "{bad}");
        }
    }
}
