//! How often an event has come back: a delivery that arrives at an ingest route of any postrider is one hop further.
//! Without a limit, a target that leads back makes one event endless.

use std::str::FromStr;

/// Real chains of services have two or three.
pub(crate) const MAX_HOPS: u8 = 5;
const MAX_DIGITS: usize = 10;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hops(u8);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHops {
    #[error("must be a whole number of at most {MAX_DIGITS} digits, as in the delivery that led to this request")]
    NotANumber,
    #[error("the event has made more than {MAX_HOPS} hops: its deliveries lead back to where they come from")]
    TooMany,
}

impl Hops {
    pub const NONE: Self = Self(0);

    /// Null in the database: none, as of nearly every event.
    pub fn stored(self) -> Option<i16> {
        (self.0 > 0).then(|| i16::from(self.0))
    }

    pub fn of_stored(hops: Option<i16>) -> Self {
        Self(hops.and_then(|hops| u8::try_from(hops).ok()).unwrap_or(0))
    }

    /// What a delivery of the event carries.
    pub(crate) fn next(self) -> u16 {
        u16::from(self.0) + 1
    }
}

impl FromStr for Hops {
    type Err = InvalidHops;

    fn from_str(text: &str) -> Result<Self, InvalidHops> {
        let is_number = (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        let hops = text.parse::<u64>().ok().filter(|_| is_number).ok_or(InvalidHops::NotANumber)?;
        match u8::try_from(hops) {
            Ok(hops) if hops <= MAX_HOPS => Ok(Self(hops)),
            _ => Err(InvalidHops::TooMany),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_hops_are_read_and_more_are_too_many() {
        assert_eq!("0".parse(), Ok(Hops(0)));
        assert_eq!("05".parse(), Ok(Hops(5)));
        for many in ["6", "255", "256", "9999999999"] {
            assert_eq!(many.parse::<Hops>(), Err(InvalidHops::TooMany), "{many}");
        }
        for none in ["", "-1", "+1", "1.0", " 1", "1, 2", "one", "99999999999"] {
            assert_eq!(none.parse::<Hops>(), Err(InvalidHops::NotANumber), "{none}");
        }
    }

    #[test]
    fn a_row_keeps_them_and_a_delivery_carries_one_more() {
        for hops in [0, 1, 5].map(Hops) {
            assert_eq!(Hops::of_stored(hops.stored()), hops);
        }
        assert_eq!((Hops(0).stored(), Hops(0).next(), Hops(5).next()), (None, 1, 6));
    }
}
