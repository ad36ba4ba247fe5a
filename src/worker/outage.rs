//! When the database was last away, as the parts of one worker saw it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After an outage, how long lapsed leases are left alone: their owners record first, so
/// that an outage does not turn every finished send into a duplicate.
const GRACE: Duration = Duration::from_secs(5);

/// The last failure to reach the database, and whether one was before it. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Outage(Arc<Mutex<Option<Instant>>>);

impl Outage {
    /// The database did not answer just now. Returns whether it had answered for a while before.
    pub(super) fn report(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.replace(Instant::now()).is_none_or(|at| at.elapsed() >= GRACE)
    }

    /// Whether the last failure is long enough ago.
    pub(super) fn is_over(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_none_or(|at| at.elapsed() >= GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_remembered_by_every_clone_and_the_first_one_is_told_apart() {
        let outage = Outage::default();
        assert!(outage.is_over());
        assert!(outage.clone().report());
        assert!(!outage.report());
        assert!(!outage.is_over());
    }
}
