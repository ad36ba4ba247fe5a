//! Remembers the last database failure that any part of the worker saw.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lapsed leases are taken over only after this: their owners record first, so that an outage repeats no finished
/// request.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Default)]
pub(super) struct Outage(Arc<Mutex<Option<Instant>>>);

impl Outage {
    /// Returns whether the outage is new, so that it is logged once.
    pub(super) fn report(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.replace(Instant::now()).is_none_or(|at| at.elapsed() >= GRACE)
    }

    pub(super) fn is_over(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_none_or(|at| at.elapsed() >= GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clone_remembers_a_failure_and_the_first_is_distinct() {
        let outage = Outage::default();
        assert!(outage.is_over());
        assert!(outage.clone().report());
        assert!(!outage.report());
        assert!(!outage.is_over());
    }
}
