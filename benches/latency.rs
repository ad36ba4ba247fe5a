//! Latencies and their percentiles.

/// Latencies in microseconds, sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies(Vec<u64>);

impl Latencies {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// These and those of another slice.
    pub(crate) fn join(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_unstable();
    }

    /// The median, in milliseconds.
    pub(crate) fn p50(&self) -> f64 {
        self.at(0.50)
    }

    /// The 99th percentile, in milliseconds.
    pub(crate) fn p99(&self) -> f64 {
        self.at(0.99)
    }

    /// The greatest, in milliseconds.
    pub(crate) fn greatest(&self) -> f64 {
        self.at(1.0)
    }

    /// The smallest latency that this share of them does not exceed, in milliseconds; 0 where
    /// there are none.
    fn at(&self, share: f64) -> f64 {
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or(0) as f64 / 1_000.0
    }
}

impl FromIterator<u64> for Latencies {
    fn from_iter<I: IntoIterator<Item = u64>>(micros: I) -> Self {
        let mut micros: Vec<u64> = micros.into_iter().collect();
        micros.sort_unstable();
        Self(micros)
    }
}
