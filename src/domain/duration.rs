//! Durations in settings: `250ms`, `10s`, `5m`, `72h`, `5d`.

use std::str::FromStr;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number followed by ms, s, m, h or d, as in 250ms, 10s or 72h")]
pub struct NotADuration;

pub(crate) fn parse_duration(text: &str) -> Result<Duration, NotADuration> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or(NotADuration)?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| NotADuration)?;
    let millis_per_unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(NotADuration),
    };
    number.checked_mul(millis_per_unit).map(Duration::from_millis).ok_or(NotADuration)
}

/// Durations separated by commas; may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durations(pub Vec<Duration>);

impl FromStr for Durations {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        let entries = text.split(',').filter(|entry| !entry.trim().is_empty());
        entries.map(parse_duration).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, millis) in
            [("250ms", 250), ("10s", 10_000), ("5m", 300_000), ("72h", 259_200_000), ("5d", 432_000_000), ("0s", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_number_without_a_known_unit_is_refused() {
        for text in ["", "10", "s", "-1s", "1.5s", "1w", "99999999999999999d"] {
            assert_eq!(parse_duration(text), Err(NotADuration), "{text}");
        }
    }
}
