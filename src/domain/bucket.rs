//! A token bucket that spaces requests evenly.

use std::time::Instant;

/// Capacity: what a worker that wakes up late may catch up.
const HELD_SECONDS: f64 = 0.05;

/// Wakes once per 20 ms, not once per token.
const DRAWN_SECONDS: f64 = 0.02;

#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub fn new(rate: u32, now: Instant) -> Self {
        Self { rate: f64::from(rate), tokens: 0.0, filled: now }
    }

    pub(crate) fn rate(&self) -> u32 {
        self.rate as u32
    }

    pub fn tokens(&mut self, now: Instant) -> usize {
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        self.tokens = (self.tokens + elapsed * self.rate).min((self.rate * HELD_SECONDS).max(1.0));
        self.tokens as usize
    }

    pub fn take(&mut self, count: usize) {
        self.tokens -= count as f64;
    }

    pub fn next(&self) -> Instant {
        let missing = ((self.rate * DRAWN_SECONDS).max(1.0) - self.tokens).max(0.0);
        self.filled + std::time::Duration::from_secs_f64(missing / self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn a_new_bucket_is_empty_and_fills_evenly() {
        let start = Instant::now();
        let mut bucket = Bucket::new(20, start);
        assert_eq!(bucket.tokens(start), 0);
        assert_eq!(bucket.next(), start + Duration::from_millis(50));
        assert_eq!(bucket.tokens(start + Duration::from_millis(51)), 1);
        assert_eq!(bucket.tokens(start + Duration::from_secs(60)), 1);
    }

    proptest! {
        #[test]
        fn no_second_has_more_than_the_rate_and_what_the_bucket_holds(
            rate in 1_u32..2_000,
            pauses in proptest::collection::vec(0_u64..200, 1..200),
        ) {
            let start = Instant::now();
            let (mut bucket, mut now, mut taken) = (Bucket::new(rate, start), start, Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                let tokens = bucket.tokens(now);
                bucket.take(tokens);
                taken.push((now, tokens));
            }
            let held = (f64::from(rate) * HELD_SECONDS).max(1.0);
            for (begin, _) in &taken {
                let second = taken.iter().filter(|(at, _)| begin <= at && *at < *begin + Duration::from_secs(1));
                let sum: usize = second.map(|(_, tokens)| tokens).sum();
                prop_assert!(sum as f64 <= f64::from(rate) + held, "{sum} of {rate} in a second");
            }
        }
    }
}
