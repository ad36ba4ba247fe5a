//! Limits concurrent requests to a failing receiver, so that a dead one costs little until its breaker opens.

/// Failures in a row that halve the limit.
const HALVING: u32 = 5;

#[derive(Debug, Clone, Copy)]
pub(super) struct Concurrency {
    limit: usize,
    most: usize,
    failures_in_a_row: u32,
}

impl Concurrency {
    pub(super) fn new(most: usize) -> Self {
        Self { limit: most, most, failures_in_a_row: 0 }
    }

    pub(super) fn limit(self) -> usize {
        self.limit
    }

    pub(super) fn is_full(self) -> bool {
        self.limit == self.most && self.failures_in_a_row == 0
    }

    pub(super) fn answered(&mut self, succeeded: bool) {
        if succeeded {
            (self.limit, self.failures_in_a_row) = (self.limit.saturating_mul(2).min(self.most), 0);
            return;
        }
        self.failures_in_a_row += 1;
        if self.failures_in_a_row == HALVING {
            (self.limit, self.failures_in_a_row) = ((self.limit / 2).max(1), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers: impl IntoIterator<Item = bool>) -> Concurrency {
        let mut concurrency = Concurrency::new(64);
        answers.into_iter().for_each(|succeeded| concurrency.answered(succeeded));
        concurrency
    }

    #[test]
    fn a_dead_receiver_gets_one_at_a_time_after_thirty_failures_and_all_after_six_successes() {
        assert_eq!(after([false; 29]).limit(), 2);
        assert_eq!(after([false; 300]).limit(), 1);
        assert_eq!(after([false; 300].into_iter().chain([true; 5])).limit(), 32);
        assert!(after([false; 300].into_iter().chain([true; 6])).is_full());
    }

    #[test]
    fn a_receiver_that_refuses_two_of_three_events_is_not_slowed_down() {
        let answers = (0..300).map(|number| number % 3 == 0);
        assert_eq!(after(answers).limit(), 64);
    }
}
