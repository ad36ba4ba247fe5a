//! Retries of this process: when they fall due, their subscription is asked for without looking first.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::domain::delivery::Due;

/// Retries later than this are found by looking.
const HORIZON: Duration = Duration::from_secs(60);
/// Most alarms kept, about 100 bytes each; further retries are found by looking.
const MAX_ALARMS: usize = 100_000;

/// Retries that are known to fall due.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    by_time: BTreeMap<(Instant, u64), Due>,
    next_number: u64,
}

impl Alarms {
    /// A delivery falls due at this time.
    pub(super) fn set(&mut self, due: Due, at: Instant, now: Instant) {
        if at > now + HORIZON || self.by_time.len() >= MAX_ALARMS {
            return;
        }
        self.by_time.insert((at, self.next_number), due);
        self.next_number = self.next_number.wrapping_add(1);
    }

    /// When the first goes off.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    /// Those that have gone off.
    pub(super) fn gone_off(&mut self, now: Instant) -> Vec<Due> {
        let later = self.by_time.split_off(&(now, u64::MAX));
        std::mem::replace(&mut self.by_time, later).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;
    use uuid::Uuid;

    #[test]
    fn alarms_go_off_in_time_and_far_ones_are_not_kept() {
        let now = Instant::now();
        let due = |n| {
            let (tenant, subscription) = (Uuid::from_u128(1).into(), Uuid::from_u128(n).into());
            Due { tenant, subscription, rows: Some(1), since: OffsetDateTime::UNIX_EPOCH }
        };
        let mut alarms = Alarms::default();
        for (n, seconds) in [(1, 5), (2, 1), (3, 1), (4, 61)] {
            alarms.set(due(n), now + Duration::from_secs(seconds), now);
        }
        assert_eq!(alarms.next(), Some(now + Duration::from_secs(1)));
        assert_eq!(alarms.gone_off(now + Duration::from_secs(1)), [due(2), due(3)]);
        assert_eq!(alarms.gone_off(now + Duration::from_secs(60)), [due(1)]);
        assert_eq!(alarms.next(), None);
    }
}
