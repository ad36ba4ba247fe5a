//! How many refused requests are kept a second, so that no flood of them costs memory or database.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::domain::id::TenantId;

/// Tenants and kinds with a budget of their own; further ones are not kept while all of these are used.
const MAX_SOURCES: usize = 10_000;
/// Each sweep looks at all of them.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Who sent it, as far as that was checked. Each has a budget of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// With a valid key or signature of this tenant.
    Own(TenantId),
    /// The same, refused because there were too many requests.
    Limited(TenantId),
    /// For a subscription of this tenant, with a wrong signature.
    Unverified(TenantId),
    /// With something like a key, of whichever tenant.
    Key,
    /// Anybody else.
    Stranger,
}

impl Source {
    /// Rows a second, and at once after a quiet while.
    fn rate(self) -> (f64, f64) {
        match self {
            Self::Own(_) => (10.0, 200.0),
            Self::Unverified(_) | Self::Key | Self::Stranger => (5.0, 50.0),
            Self::Limited(_) => (1.0, 10.0),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Budget {
    left: f64,
    at: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Budgets {
    of: HashMap<Source, Budget>,
    swept: Option<Instant>,
}

impl Budgets {
    /// Whether one more may be kept.
    pub(super) fn take(&mut self, source: Source, now: Instant) -> bool {
        let (rate, most) = source.rate();
        if !self.of.contains_key(&source) && self.of.len() >= MAX_SOURCES {
            self.sweep(now);
            if self.of.len() >= MAX_SOURCES {
                return false;
            }
        }
        let budget = self.of.entry(source).or_insert(Budget { left: most, at: now });
        let elapsed = now.saturating_duration_since(budget.at).as_secs_f64();
        *budget = Budget { left: (budget.left + elapsed * rate).min(most), at: now };
        let may = budget.left >= 1.0;
        if may {
            budget.left -= 1.0;
        }
        may
    }

    /// Forgets full ones, which are as new ones.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < SWEEP_INTERVAL) {
            return;
        }
        self.swept = Some(now);
        self.of.retain(|source, budget| refilled(*source, *budget, now) < source.rate().1);
    }
}

fn refilled(source: Source, budget: Budget, now: Instant) -> f64 {
    budget.left + now.saturating_duration_since(budget.at).as_secs_f64() * source.rate().0
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_flood_from_one_source_takes_nothing_from_another() {
        let (mut budgets, start) = (Budgets::default(), Instant::now());
        let kept = (0..10_000).filter(|_| budgets.take(Source::Stranger, start)).count();
        assert_eq!(kept, 50);
        let tenant = TenantId::from(Uuid::from_u128(1));
        for source in [Source::Own(tenant), Source::Limited(tenant), Source::Unverified(tenant), Source::Key] {
            assert!(budgets.take(source, start), "{source:?}");
        }
        let later = start + Duration::from_secs(2);
        assert_eq!((0..100).filter(|_| budgets.take(Source::Stranger, later)).count(), 10);
    }

    #[test]
    fn so_many_tenants_at_most_are_remembered_and_quiet_ones_make_room() {
        let (mut budgets, start) = (Budgets::default(), Instant::now());
        let of = |number: usize| Source::Own(TenantId::from(Uuid::from_u128(number as u128)));
        let kept = (0..2 * MAX_SOURCES).filter(|number| budgets.take(of(*number), start)).count();
        assert_eq!((kept, budgets.of.len()), (MAX_SOURCES, MAX_SOURCES));
        assert!(budgets.take(of(2 * MAX_SOURCES), start + Duration::from_secs(1)));
        assert_eq!(budgets.of.len(), 1);
    }
}
