//! The database's clock, followed from here: queue time and ids are its time, so replicas
//! whose own clocks differ still agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::{Store, StoreError, sql};

/// Largest difference between this machine's clock and the database's at which events are
/// still accepted: beyond it receivers would refuse our timestamps.
pub const MAX_SKEW: Duration = Duration::from_secs(120);

/// The measured offset of the database's clock from this machine's. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_micros: Arc<AtomicI64>,
}

impl Clock {
    /// The database's time now, as last measured; exact to the measuring round trip.
    pub fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + time::Duration::microseconds(self.offset_micros.load(Ordering::Relaxed))
    }

    /// How far this machine's clock is from the database's.
    pub fn skew(&self) -> Duration {
        Duration::from_micros(self.offset_micros.load(Ordering::Relaxed).unsigned_abs())
    }

    /// Measures the offset anew.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer; the last offset stays.
    pub async fn measure(&self, store: &Store) -> Result<(), StoreError> {
        let mut connection = store.interactive().await?;
        let (sent, sent_at) = (Instant::now(), OffsetDateTime::now_utc());
        let rows = connection.query(&sql::CLOCK, &[]).await?;
        let half_way = sent_at + sent.elapsed() / 2;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("the clock has no row".to_owned()))?;
        let offset: OffsetDateTime = row.try_get("now")?;
        let micros = (offset - half_way).whole_microseconds();
        self.offset_micros.store(i64::try_from(micros).unwrap_or(i64::MAX), Ordering::Relaxed);
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
