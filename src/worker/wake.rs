//! What ends a worker's rest: a bell, a freed slot, a retry of its own that falls due, or
//! the poll interval, which alone is the promise.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::slots::Slots;

/// Longest rest between two claims.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Most alarms remembered; what finds no place is found by polling.
const MAX_ALARMS: usize = 4_096;

/// What a worker knows to be waiting for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Appetite {
    /// More deliveries are due: claim as soon as a slot is free.
    MoreIsDue,
    /// Parked deliveries wait for slots of their subscriptions.
    SomeAreParked,
    /// Nothing: a freed slot is no reason to claim.
    Sated,
}

/// The reasons to wake. Clones share them.
#[derive(Debug, Clone)]
pub struct Wake {
    bell: Arc<Notify>,
    slot_freed: Arc<Notify>,
    alarms: Arc<Mutex<BTreeSet<Instant>>>,
}

impl Wake {
    /// Over the bell that intake and the listener ring.
    pub fn new(bell: Arc<Notify>) -> Self {
        Self { bell, slot_freed: Arc::default(), alarms: Arc::default() }
    }

    /// Deliveries are due.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// A delivery left its slot.
    pub fn slot_freed(&self) {
        self.slot_freed.notify_one();
    }

    /// A delivery will be due after this delay.
    pub fn alarm(&self, delay: Duration) {
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        if alarms.len() < MAX_ALARMS {
            alarms.insert(Instant::now() + delay);
        }
    }

    /// Rests until there is a reason to claim.
    pub(super) async fn next(&self, appetite: Appetite, slots: &Slots) {
        if appetite == Appetite::MoreIsDue && slots.free() > 0 {
            return tokio::task::yield_now().await;
        }
        let poll = Instant::now() + POLL_INTERVAL;
        let until = self.first_alarm().map_or(poll, |alarm| alarm.min(poll));
        tokio::select! {
            () = self.bell.notified(), if appetite != Appetite::MoreIsDue => {}
            () = self.slot_freed.notified(), if appetite != Appetite::Sated => {}
            () = tokio::time::sleep_until(until) => self.forget_alarms(),
        }
    }

    fn first_alarm(&self) -> Option<Instant> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner).first().copied()
    }

    fn forget_alarms(&self) {
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        let later = alarms.split_off(&Instant::now());
        *alarms = later;
    }
}
