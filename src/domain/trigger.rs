//! Why an attempt was made.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trigger {
    /// The first of its delivery.
    #[default]
    Fresh,
    /// The retry schedule.
    Schedule,
    /// The receiver asked for a later time than the schedule's.
    RetryAfter,
    /// The open breaker let one delivery through.
    Probe,
    /// Somebody asked for a retry.
    Manual,
    /// A replay.
    Replay,
    /// A test event.
    Test,
}

impl Trigger {
    pub const ALL: [Self; 7] =
        [Self::Fresh, Self::Schedule, Self::RetryAfter, Self::Probe, Self::Manual, Self::Replay, Self::Test];

    /// The word; it never changes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Schedule => "schedule",
            Self::RetryAfter => "retry_after",
            Self::Probe => "probe",
            Self::Manual => "manual",
            Self::Replay => "replay",
            Self::Test => "test",
        }
    }

    /// The column of an attempt; null for the most frequent one.
    pub(crate) fn stored(self) -> Option<&'static str> {
        (self != Self::Fresh).then(|| self.as_str())
    }

    /// Reads the column of an attempt.
    pub(crate) fn of_stored(word: Option<&str>) -> Self {
        word.and_then(Self::of_word).unwrap_or_default()
    }

    /// What follows from a queue row: its word, where it has one, or the number of the attempt.
    pub(crate) fn of_delivery(word: Option<&str>, attempt_number: u32, is_probe: bool) -> Self {
        match word.and_then(Self::of_word) {
            Some(asked @ (Self::Manual | Self::Replay)) => asked,
            _ if is_probe => Self::Probe,
            Some(other) => other,
            None if attempt_number > 1 => Self::Schedule,
            None => Self::Fresh,
        }
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_back_from_its_column() {
        for trigger in Trigger::ALL {
            assert_eq!(Trigger::of_stored(trigger.stored()), trigger);
        }
    }

    #[test]
    fn what_somebody_asked_for_counts_more_than_how_it_was_let_through() {
        let of = Trigger::of_delivery;
        assert_eq!((of(None, 1, false), of(None, 2, false)), (Trigger::Fresh, Trigger::Schedule));
        assert_eq!((of(None, 1, true), of(Some("retry_after"), 2, true)), (Trigger::Probe, Trigger::Probe));
        assert_eq!(of(Some("retry_after"), 2, false), Trigger::RetryAfter);
        assert_eq!((of(Some("manual"), 3, true), of(Some("replay"), 3, true)), (Trigger::Manual, Trigger::Replay));
    }
}
