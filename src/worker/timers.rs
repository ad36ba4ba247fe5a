//! Retry times of this process. They save a search in the database when a retry falls due.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::domain::delivery::Due;

const HORIZON: Duration = Duration::from_secs(60);
/// About 100 bytes each. The finder finds all other retries.
const MAX_TIMERS: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct RetryTimers {
    by_time: BTreeMap<(Instant, u64), Due>,
    next_number: u64,
}

impl RetryTimers {
    pub(super) fn set(&mut self, due: Due, at: Instant, now: Instant) {
        if at > now + HORIZON || self.by_time.len() >= MAX_TIMERS {
            return;
        }
        self.by_time.insert((at, self.next_number), due);
        self.next_number = self.next_number.wrapping_add(1);
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn expired(&mut self, now: Instant) -> Vec<Due> {
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
    fn alarms_expire_in_time_and_far_ones_are_not_kept() {
        let now = Instant::now();
        let due = |n| {
            let (tenant, subscription) = (Uuid::from_u128(1).into(), Uuid::from_u128(n).into());
            Due { tenant, subscription, rows: Some(1), since: OffsetDateTime::UNIX_EPOCH }
        };
        let mut timers = RetryTimers::default();
        for (n, seconds) in [(1, 5), (2, 1), (3, 1), (4, 61)] {
            timers.set(due(n), now + Duration::from_secs(seconds), now);
        }
        assert_eq!(timers.next(), Some(now + Duration::from_secs(1)));
        assert_eq!(timers.expired(now + Duration::from_secs(1)), [due(2), due(3)]);
        assert_eq!(timers.expired(now + Duration::from_secs(60)), [due(1)]);
        assert_eq!(timers.next(), None);
    }
}
