//! Compares JSON numbers by their decimal digits, so that nothing is rounded: 9007199254740993 is not
//! 9007199254740992, 0.1 is 1e-1, and 1 is 1.0.

use std::cmp::Ordering;

/// A number as digits without leading or trailing zeros; none for zero.
struct Decimal<'a> {
    is_negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    /// Of the first digit: 1 for 1 to 9, 2 for 10 to 99, 0 for 0.1. An exponent beyond 64 bits counts as the largest.
    magnitude: i64,
}

impl<'a> Decimal<'a> {
    /// Of a valid JSON number.
    fn of(text: &'a str) -> Self {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let (whole, fraction) = (trim_start(whole.as_bytes()), trim_end(fraction.as_bytes()));
        let exponent = exponent_of(exponent);
        let length = |digits: &[u8]| i64::try_from(digits.len()).unwrap_or(i64::MAX);
        if !whole.is_empty() {
            let (magnitude, whole) =
                (exponent.saturating_add(length(whole)), if fraction.is_empty() { trim_end(whole) } else { whole });
            return Self { is_negative, whole, fraction, magnitude };
        }
        let significant = trim_start(fraction);
        let zeros = length(fraction) - length(significant);
        Self { is_negative, whole, fraction: significant, magnitude: exponent.saturating_sub(zeros) }
    }

    fn is_zero(&self) -> bool {
        self.whole.is_empty() && self.fraction.is_empty()
    }

    /// -1, 0 or 1.
    fn sign(&self) -> i8 {
        match (self.is_zero(), self.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    fn digits(&self) -> impl Iterator<Item = &u8> {
        self.whole.iter().chain(self.fraction)
    }
}

fn trim_start(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    digits.get(zeros..).unwrap_or_default()
}

fn trim_end(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    digits.get(..digits.len() - zeros).unwrap_or_default()
}

fn exponent_of(text: &str) -> i64 {
    let largest = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    text.parse().unwrap_or(largest)
}

/// Of two valid JSON numbers.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    if let (Ok(one), Ok(other)) = (one.parse::<i64>(), other.parse::<i64>()) {
        return one.cmp(&other);
    }
    let (one, other) = (Decimal::of(one), Decimal::of(other));
    let by_sign = one.sign().cmp(&other.sign());
    if by_sign.is_ne() || one.sign() == 0 {
        return by_sign;
    }
    let by_size = one.magnitude.cmp(&other.magnitude).then_with(|| one.digits().cmp(other.digits()));
    if one.is_negative { by_size.reverse() } else { by_size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_rounded() {
        for (one, other) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("0.1", "1e-1"),
            ("100", "1E+2"),
            ("-0", "0.00e7"),
            ("123.4500", "12345e-2"),
            ("0.0012", "1.2e-3"),
            ("10.0", "10"),
            ("1e400", "10e399"),
        ] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} {other}");
        }
        for (less, greater) in [
            ("9007199254740992", "9007199254740993"),
            ("18446744073709551615", "18446744073709551616"),
            ("0.1", "0.10000000000000000000000001"),
            ("-9007199254740993", "-9007199254740992"),
            ("-1", "0"),
            ("0", "1e-400"),
            ("1e400", "1e401"),
            ("9.99", "10"),
            ("0.9", "1"),
            ("1e99999999999999999999", "2e99999999999999999999"),
            ("1e-99999999999999999999", "1"),
        ] {
            assert_eq!(compare(less, greater), Ordering::Less, "{less} {greater}");
            assert_eq!(compare(greater, less), Ordering::Greater, "{less} {greater}");
        }
    }

    proptest! {
        /// Against whole numbers that a machine compares: each is written with a shifted decimal point.
        #[test]
        fn a_number_compares_as_its_value_however_it_is_written(
            one in -1_000_000_i128..1_000_000, other in -1_000_000_i128..1_000_000,
            places in 0_usize..12, shift in -5_i32..5,
        ) {
            let written = |number: i128, places: usize, shift: i32| {
                let scaled = (number * 10_i128.pow(places as u32)).unsigned_abs();
                let digits = format!("{scaled:0>width$}", width = places + 1);
                let (whole, fraction) = digits.split_at(digits.len() - places);
                let point = if places == 0 { "" } else { "." };
                let sign = if number < 0 { "-" } else { "" };
                // 10^shift times smaller, which the exponent takes back.
                (format!("{sign}{whole}{point}{fraction}e{shift}"), shift)
            };
            let (left, _) = written(one, places, shift);
            let (right, _) = written(other, 0, shift);
            prop_assert_eq!(compare(&left, &right), one.cmp(&other), "{} {}", left, right);
        }
    }
}
