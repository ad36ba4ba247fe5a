//! The database's clock. Queue time, ids and signatures use it, so that replicas agree and a step of this machine's
//! clock expires nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::{Store, StoreError, sql};

/// Above this difference events are rejected: one of the two clocks is wrong, and receivers may reject our
/// timestamps.
pub const MAX_SKEW: Duration = Duration::from_secs(120);

/// The database's clock, continued by a monotonic one. Clones share it.
#[derive(Debug, Clone)]
pub struct Clock {
    origin: Instant,
    /// In microseconds since 1970.
    at_origin: Arc<AtomicI64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { origin: Instant::now(), at_origin: Arc::new(AtomicI64::new(micros(OffsetDateTime::now_utc()))) }
    }
}

impl Clock {
    /// Exact to the round trip of the last measurement.
    pub fn now(&self) -> OffsetDateTime {
        let at_origin = time::Duration::microseconds(self.at_origin.load(Ordering::Relaxed));
        OffsetDateTime::UNIX_EPOCH + at_origin + self.origin.elapsed()
    }

    /// Whether this machine's clock agrees with the database's. Otherwise one of them is wrong, perhaps the one that
    /// signatures are dated with.
    pub(crate) fn agrees(&self) -> bool {
        self.skew() <= MAX_SKEW
    }

    pub(crate) fn skew(&self) -> Duration {
        (self.now() - OffsetDateTime::now_utc()).unsigned_abs()
    }

    pub async fn measure(&self, store: &Store) -> Result<(), StoreError> {
        let mut connection = store.lookup().await?;
        let sent = Instant::now();
        let rows = connection.query(&sql::CLOCK, &[]).await?;
        let half_way = sent + sent.elapsed() / 2;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("the clock has no row".to_owned()))?;
        let now: OffsetDateTime = row.try_get("now")?;
        self.at_origin.store(micros(now - half_way.duration_since(self.origin)), Ordering::Relaxed);
        let durability: &str = row.try_get("synchronous_commit")?;
        if !matches!(durability, "on" | "remote_apply") {
            return Err(StoreError::Unavailable(format!(
                "synchronous_commit is {durability} on our connections, so an accepted event could be lost; a pooler may be \
                 dropping connection options"
            )));
        }
        Ok(())
    }
}

fn micros(time: OffsetDateTime) -> i64 {
    i64::try_from((time - OffsetDateTime::UNIX_EPOCH).whole_microseconds()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_minutes_apart_in_either_direction_the_clocks_do_not_agree() {
        for (seconds, agrees) in [(0, true), (110, true), (-110, true), (130, false), (-130, false)] {
            let clock = Clock::default();
            clock.at_origin.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
            assert_eq!(clock.agrees(), agrees, "{seconds}");
        }
    }
}
