//! When a failed delivery is retried.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::duration::{NotADuration, parse_duration};

pub(crate) const MAX_RETRIES: usize = 100;
/// Longest delay, whatever a schedule or a receiver asks for.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(24 * 3_600);
pub(crate) const MIN_OWN_DELAY: Duration = Duration::from_secs(1);

/// `standard` is the example of the Standard Webhooks specification: ten attempts in 75 h 35 min. `fast` ends after
/// 43 minutes, `day` after 23 hours.
const NAMED: [(&str, &str); 4] = [
    ("standard", "5s,5m,30m,2h,5h,10h,14h,20h,24h"),
    ("fast", "5s,30s,2m,10m,30m"),
    ("day", "10s,30s,1m,5m,10m,30m,1h,3h,6h,12h"),
    (NO_RETRIES, ""),
];
const NO_RETRIES: &str = "none";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    #[error("must be standard, fast, day or none, or delays separated by commas; each {0}")]
    Entry(#[from] NotADuration),
    #[error("no delay may be longer than 24h")]
    TooLong,
    #[error("no delay may be shorter than 1s")]
    TooShort,
    #[error("must have at most {MAX_RETRIES} entries")]
    TooMany,
}

/// The delays before the second, third, … attempt: n entries allow n + 1 attempts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RetrySchedule {
    text: String,
    delays: Vec<Duration>,
}

impl RetrySchedule {
    /// The schedule of a subscription. Its delays are at least 1 s, to protect receivers.
    pub(crate) fn own(text: &str) -> Result<Self, InvalidSchedule> {
        let schedule: Self = text.parse()?;
        let is_short = schedule.delays.iter().any(|delay| *delay < MIN_OWN_DELAY);
        if is_short { Err(InvalidSchedule::TooShort) } else { Ok(schedule) }
    }

    /// `None` if this version cannot read it. Earlier versions accepted empty entries.
    pub(crate) fn stored(text: &str) -> Option<Self> {
        let entries: Vec<_> = text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
        if entries.is_empty() { "none".parse().ok() } else { entries.join(",").parse().ok() }
    }

    pub(crate) fn max_attempts(&self) -> u32 {
        u32::try_from(self.delays.len()).map_or(u32::MAX, |retries| retries.saturating_add(1))
    }

    /// `None` after the last attempt.
    pub(crate) fn delay_after(&self, attempts_made: u32) -> Option<Duration> {
        let index = usize::try_from(attempts_made).ok()?.checked_sub(1)?;
        self.delays.get(index).copied()
    }
}

impl FromStr for RetrySchedule {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        let text = text.split(',').map(str::trim).collect::<Vec<_>>().join(",");
        let list = NAMED.iter().find(|(name, _)| *name == text).map_or(text.as_str(), |(_, list)| list);
        let entries = list.split(',').filter(|_| text != NO_RETRIES);
        let delays = entries.map(parse_duration).collect::<Result<Vec<_>, _>>()?;
        if delays.len() > MAX_RETRIES {
            return Err(InvalidSchedule::TooMany);
        }
        if delays.iter().any(|delay| *delay > MAX_DELAY) {
            return Err(InvalidSchedule::TooLong);
        }
        Ok(Self { text, delays })
    }
}

impl From<RetrySchedule> for String {
    fn from(schedule: RetrySchedule) -> Self {
        schedule.text
    }
}

impl TryFrom<String> for RetrySchedule {
    type Error = InvalidSchedule;

    fn try_from(text: String) -> Result<Self, InvalidSchedule> {
        text.parse()
    }
}

impl fmt::Display for RetrySchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Changes each delay by a random factor from 1 − j to 1 + j, so that retries do not all come at the same moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// From 0 (none) to 0.5.
    pub fn new(fraction: f64) -> Option<Self> {
        (0.0..=0.5).contains(&fraction).then_some(Self(fraction))
    }

    /// `fraction` is random, from 0 up to 1.
    pub(crate) fn apply(self, delay: Duration, fraction: f64) -> Duration {
        let fraction = fraction.clamp(0.0, 1.0);
        delay.mul_f64(1.0 - self.0 + 2.0 * self.0 * fraction)
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn n_entries_are_n_retries() {
        let schedule: RetrySchedule = "10s,20s,40s".parse().unwrap();
        assert_eq!(schedule.max_attempts(), 4);
        assert_eq!(schedule.delay_after(1), Some(Duration::from_secs(10)));
        assert_eq!(schedule.delay_after(3), Some(Duration::from_secs(40)));
        assert_eq!(schedule.delay_after(4), None);
    }

    #[test]
    fn no_retries_are_one_attempt_and_the_standard_schedule_is_ten() {
        assert_eq!("none".parse::<RetrySchedule>().unwrap().max_attempts(), 1);
        let standard: RetrySchedule = "standard".parse().unwrap();
        let total: Duration = (1..10).filter_map(|made| standard.delay_after(made)).sum();
        assert_eq!((standard.max_attempts(), total), (10, Duration::from_secs(75 * 3_600 + 35 * 60 + 5)));
    }

    #[test]
    fn absurd_schedules_are_refused() {
        assert_eq!("10s,x".parse::<RetrySchedule>(), Err(InvalidSchedule::Entry(NotADuration)));
        assert_eq!("25h".parse::<RetrySchedule>(), Err(InvalidSchedule::TooLong));
        assert_eq!(["1s"; 101].join(",").parse::<RetrySchedule>(), Err(InvalidSchedule::TooMany));
    }

    #[test]
    fn what_says_nothing_or_is_torn_apart_is_refused() {
        for text in ["", " ", ",", "10s,,20s", "10s,", ",10s", "1 0s", "10 s", "stand ard", "none,10s", "10s 20s"] {
            let refused = text.parse::<RetrySchedule>().unwrap_err();
            assert_eq!(refused, InvalidSchedule::Entry(NotADuration), "{text:?}");
            assert!(refused.to_string().contains("standard, fast, day or none"), "{refused}");
        }
        for (text, kept) in [(" 10s , 20s ", "10s,20s"), ("\tday ", "day")] {
            assert_eq!(text.parse::<RetrySchedule>().unwrap().to_string(), kept);
        }
    }

    #[test]
    fn a_subscription_waits_a_second_at_least_and_the_instance_need_not() {
        for text in ["0s", "10s,999ms", "0s,0s,0s"] {
            assert_eq!(RetrySchedule::own(text), Err(InvalidSchedule::TooShort), "{text}");
            assert!(text.parse::<RetrySchedule>().is_ok(), "{text}");
        }
        assert!(RetrySchedule::own("1s,none").is_err() && RetrySchedule::own("1s").is_ok());
        assert_eq!(RetrySchedule::own("none").unwrap().max_attempts(), 1);
    }

    #[test]
    fn what_earlier_versions_stored_is_read_as_they_did() {
        for (text, kept, attempts) in
            [("", "none", 1), (",", "none", 1), ("10s,,20s,", "10s,20s", 3), ("0s,0s", "0s,0s", 3), ("fast", "fast", 6)]
        {
            let stored = RetrySchedule::stored(text).unwrap();
            assert_eq!((stored.to_string().as_str(), stored.max_attempts()), (kept, attempts), "{text:?}");
        }
        assert_eq!(RetrySchedule::stored("a word of later versions"), None);
    }

    proptest! {
        #[test]
        fn a_jittered_delay_stays_in_its_band(seconds in 0_u64..86_400, spread in 0.0..=0.5, fraction in 0.0..1.0) {
            let delay = Duration::from_secs(seconds);
            let jittered = Jitter::new(spread).unwrap().apply(delay, fraction).as_secs_f64();
            let (low, high) = (delay.as_secs_f64() * (1.0 - spread), delay.as_secs_f64() * (1.0 + spread));
            prop_assert!(low - 1e-6 <= jittered && jittered <= high + 1e-6);
        }
    }
}
