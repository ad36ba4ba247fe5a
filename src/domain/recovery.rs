//! Slow start of a recovering receiver: the width grows after each round (as many responses as the width) with at
//! most half failures. Single failures do not matter, because some receivers always reject some events.

const FIRST_WIDTH: usize = 2;
/// Failures in a row that end the recovery.
pub(crate) const RELAPSE: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    pub(crate) width: usize,
    answers: usize,
    failures: usize,
    in_a_row: usize,
    /// Whether the last round reached the limit and succeeded.
    pub(crate) is_complete: bool,
}

impl Recovery {
    pub(crate) const START: Self = Self::at(FIRST_WIDTH);

    pub(crate) const fn at(width: usize) -> Self {
        Self { width, answers: 0, failures: 0, in_a_row: 0, is_complete: false }
    }

    /// `None` if the receiver failed again. `limit`: concurrent requests of a healthy receiver.
    pub(crate) fn after(self, succeeded: bool, limit: usize) -> Option<Self> {
        let failed = usize::from(!succeeded);
        let next = Self {
            answers: self.answers + 1,
            failures: self.failures + failed,
            in_a_row: if succeeded { 0 } else { self.in_a_row + 1 },
            ..self
        };
        if next.in_a_row >= RELAPSE {
            return None;
        }
        if next.answers < next.width {
            return Some(next);
        }
        let is_well = next.failures * 2 <= next.answers;
        let width = if is_well { next.width.saturating_mul(2).min(limit) } else { next.width / 2 };
        let is_complete = is_well && next.width >= limit;
        Some(Self { in_a_row: next.in_a_row, is_complete, ..Self::at(width.max(1)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_doubles_with_each_round_of_successes_up_to_the_limit() {
        let mut recovery = Recovery::START;
        let mut widths = vec![recovery.width];
        for _ in 0..30 {
            recovery = recovery.after(true, 10).unwrap();
            widths.push(recovery.width);
        }
        widths.dedup();
        assert_eq!(widths, [2, 4, 8, 10]);
        assert!(recovery.is_complete && !Recovery::at(10).is_complete);
    }

    #[test]
    fn it_halves_after_a_round_that_mostly_failed_and_ends_with_failures_in_a_row() {
        let first = Recovery::at(4);
        let round = [true, false, false, false].into_iter().try_fold(first, |at, met| at.after(met, 10)).unwrap();
        assert_eq!((round.width, round.in_a_row), (2, 3));
        assert_eq!(round.after(false, 10).and_then(|next| next.after(false, 10)), None);
    }

    #[test]
    fn a_receiver_that_refuses_every_fourth_event_comes_back_all_the_same() {
        let answers = (0..200).map(|number| number % 4 != 0);
        let recovered = answers.into_iter().try_fold(Recovery::START, |at, met| at.after(met, 64)).unwrap();
        assert_eq!((recovered.width, recovered.is_complete), (64, true));
    }

    proptest! {
        #[test]
        fn no_width_is_zero_or_above_the_limit(met in proptest::collection::vec(any::<bool>(), 0..100), limit in 1_usize..100) {
            let mut recovery = Recovery::START;
            for met in met {
                recovery = recovery.after(met, limit).unwrap_or(Recovery::START);
                prop_assert!(recovery.width >= 1 && recovery.width <= limit.max(FIRST_WIDTH));
            }
        }
    }
}
