//! Faults of this machine that kept deliveries from being sent: counted, and logged once a minute.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::sender::LocalFault;
use crate::telemetry::Metrics;

const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Long enough that all slots together cost the database few statements, and short enough to go on soon.
const PAUSE: Duration = Duration::from_secs(2);
/// A rule that forbids one destination stays until a person changes it.
const FORBIDDEN_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Default)]
pub(super) struct LocalFaults(Arc<Mutex<Log>>);

#[derive(Debug, Default)]
struct Log {
    last: Option<Instant>,
    unlogged: u64,
}

impl LocalFaults {
    pub(super) fn report(&self, fault: LocalFault, metrics: &Metrics) {
        metrics.local_faults.with_label_values(&[fault.as_str()]).inc();
        if let Some(deliveries) = self.count(Instant::now()) {
            tracing::warn!(deliveries, "deliveries are handed back unsent: {fault}");
        }
    }

    /// How many there were since the last line, if it is time for another.
    fn count(&self, now: Instant) -> Option<u64> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.unlogged += 1;
        let is_time = log.last.is_none_or(|last| now.duration_since(last) >= LOG_INTERVAL);
        is_time.then(|| {
            log.last = Some(now);
            std::mem::take(&mut log.unlogged)
        })
    }
}

/// `fraction`: random, from 0 up to 1, so that not all come back at once.
pub(super) fn pause_after(fault: LocalFault, fraction: f64) -> Duration {
    let pause = if fault == LocalFault::Forbidden { FORBIDDEN_PAUSE } else { PAUSE };
    pause + pause.mul_f64(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_faults_are_one_line_a_minute_with_their_number() {
        let (faults, start) = (LocalFaults::default(), Instant::now());
        assert_eq!(faults.count(start), Some(1));
        assert_eq!((faults.count(start), faults.clone().count(start)), (None, None));
        assert_eq!(faults.count(start + LOG_INTERVAL), Some(3));
    }
}
