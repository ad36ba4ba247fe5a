//! Limits the open connections. At the limit, an idle one is closed for a new one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::activity::Activity;

/// Interval at which a new connection retries while all are busy.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

pub(super) struct Connections {
    free: Arc<Semaphore>,
    open: Arc<Mutex<HashMap<u64, Open>>>,
    next: AtomicU64,
}

struct Open {
    activity: Arc<Activity>,
    closing: CancellationToken,
}

pub(super) struct Permit {
    number: u64,
    activity: Arc<Activity>,
    closing: CancellationToken,
    open: Arc<Mutex<HashMap<u64, Open>>>,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(limit: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(limit)), open: Arc::default(), next: AtomicU64::new(0) }
    }

    pub(super) async fn admit(&self, closing: CancellationToken) -> Permit {
        let permit = loop {
            let free = Arc::clone(&self.free);
            if let Ok(permit) = Arc::clone(&free).try_acquire_owned() {
                break permit;
            }
            self.close_the_longest_idle();
            let waiting = tokio::time::timeout(LOOK_INTERVAL, free.acquire_owned()).await;
            if let Ok(permit) = waiting {
                break permit.expect("the semaphore is never closed");
            }
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::new(Activity::start());
        let open = Open { activity: Arc::clone(&activity), closing: closing.clone() };
        lock(&self.open).insert(number, open);
        Permit { number, activity, closing, open: Arc::clone(&self.open), _permit: permit }
    }

    /// Gracefully, so that a request arriving now is still answered.
    fn close_the_longest_idle(&self) {
        let open = lock(&self.open);
        let idle = open.values().filter(|open| !open.closing.is_cancelled());
        let idle = idle.filter_map(|open| Some((open.activity.idle_for()?, open)));
        if let Some((_, longest)) = idle.max_by_key(|(idle_for, _)| *idle_for) {
            longest.closing.cancel();
        }
    }
}

impl Permit {
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    pub(super) async fn closing(&self) {
        self.closing.cancelled().await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.number);
    }
}

fn lock(open: &Mutex<HashMap<u64, Open>>) -> MutexGuard<'_, HashMap<u64, Open>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
