//! Durations counted in bins that grow with them, so that histograms of any spans of time can be merged.
//!
//! `sql/migrations/V9__analytics.sql` says how an element is written: 256 × count + bin, 8 bins for each doubling. A
//! duration that is read is the middle of its bin, at most 4.5 % off: 2^(1/16) = 1.044.

use std::collections::BTreeMap;

const BINS: i64 = 256;
const BINS_OF_A_DOUBLING: f64 = 8.0;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<u8, u64>);

impl Histogram {
    pub fn add(&mut self, elements: &[i64]) {
        for element in elements {
            let (count, bin) = (element.div_euclid(BINS), element.rem_euclid(BINS));
            if let (Ok(count), Ok(bin)) = (u64::try_from(count), u8::try_from(bin)) {
                *self.0.entry(bin).or_default() += count;
            }
        }
    }

    /// In milliseconds, by nearest rank: 0.99 is the 99th percentile. `None` without durations.
    pub fn percentile(&self, fraction: f64) -> Option<f64> {
        let total: u64 = self.0.values().sum();
        let rank = (fraction * total as f64).ceil().max(1.0);
        let mut up_to = 0_u64;
        let reached = self.0.iter().find(|(_, count)| {
            up_to += *count;
            up_to as f64 >= rank
        });
        reached.map(|(bin, _)| middle(*bin))
    }
}

fn middle(bin: u8) -> f64 {
    if bin == 0 { 1.0 } else { ((f64::from(bin) - 0.5) / BINS_OF_A_DOUBLING).exp2() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As `histogram_bin` does.
    fn element(milliseconds: f64) -> i64 {
        let bin = if milliseconds > 1.0 { (8.0 * milliseconds.log2()).ceil().min(255.0) } else { 0.0 };
        256 + bin as i64
    }

    proptest! {
        #[test]
        fn percentiles_of_merged_histograms_are_near_those_of_the_durations(
            mut durations in prop::collection::vec(1.0..1e9_f64, 1..200),
            fraction in 0.0..1.0_f64,
            split in 0..200_usize,
        ) {
            let elements: Vec<i64> = durations.iter().copied().map(element).collect();
            let (first, second) = elements.split_at(split.min(elements.len()));
            let mut merged = Histogram::default();
            merged.add(first);
            merged.add(second);
            durations.sort_by(f64::total_cmp);
            let rank = ((fraction * durations.len() as f64).ceil() as usize).max(1);
            let (exact, read) = (durations[rank - 1], merged.percentile(fraction).unwrap());
            prop_assert!((read / exact - 1.0).abs() < 0.046, "{read} for {exact}");
        }
    }

    #[test]
    fn an_empty_histogram_has_no_percentile() {
        assert_eq!(Histogram::default().percentile(0.5), None);
    }
}
