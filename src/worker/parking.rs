//! What this worker parked because a subscription was full here, and its release.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::WorkerParts;
use crate::domain::id::{SubscriptionId, WorkerId};

/// How long a hold lasts without renewal: when its owner dies, upkeep releases the rows.
const HOLD_LASTS: Duration = Duration::from_secs(30);
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// The subscriptions of which this worker parked rows.
pub(super) struct Parking {
    parts: WorkerParts,
    owner: WorkerId,
    parked: BTreeSet<SubscriptionId>,
    renewed: Option<Instant>,
}

impl Parking {
    pub(super) fn new(parts: WorkerParts, owner: WorkerId) -> Self {
        Self { parts, owner, parked: BTreeSet::new(), renewed: None }
    }

    /// Rows of these subscriptions were parked.
    pub(super) fn remember(&mut self, parked: &[SubscriptionId]) {
        let before = self.parked.len();
        self.parked.extend(parked);
        for subscription in parked {
            self.parts.slots.note_parked(*subscription, true);
        }
        if self.parked.len() > before {
            self.renewed = None;
        }
    }

    /// Releases as many rows of each as it has free slots here, and states that the rest is
    /// still looked after. Returns whether any row is due now. A failure costs time only:
    /// upkeep releases what nobody holds.
    pub(super) async fn release(&mut self) -> bool {
        if self.parked.is_empty() {
            return false;
        }
        if self.renewed.is_none_or(|at| at.elapsed() >= RENEW_EVERY) {
            let holds: Vec<_> = self.parked.iter().copied().collect();
            match self.parts.store.renew_holds(&holds, self.owner, HOLD_LASTS).await {
                Ok(()) => self.renewed = Some(Instant::now()),
                Err(error) => tracing::debug!(%error, "holds were not renewed"),
            }
        }
        let room = self.parked.iter().map(|subscription| (*subscription, self.parts.slots.free_for(*subscription)));
        let room: Vec<_> = room.filter(|(_, free)| *free > 0).collect();
        if room.is_empty() {
            return false;
        }
        match self.parts.store.release(&room).await {
            Ok(released) => {
                self.forget_emptied(&room, &released).await;
                !released.is_empty()
            }
            Err(error) => {
                tracing::debug!(%error, "parked deliveries were not released");
                false
            }
        }
    }

    /// Whether this worker knows of no parked rows.
    pub(super) fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }

    /// The worker stops: what it parked is nobody's from now on.
    pub(super) async fn leave(&mut self) {
        let all: Vec<_> = std::mem::take(&mut self.parked).into_iter().collect();
        if !all.is_empty() && self.parts.store.drop_holds(&all, self.owner).await.is_err() {
            tracing::debug!("holds were not dropped and will end by themselves");
        }
    }

    async fn forget_emptied(&mut self, room: &[(SubscriptionId, usize)], released: &[(SubscriptionId, usize)]) {
        let had = |subscription| released.iter().find(|(id, _)| *id == subscription).map_or(0, |(_, count)| *count);
        let emptied = room
            .iter()
            .filter(|(subscription, asked)| had(*subscription) < *asked)
            .map(|(subscription, _)| *subscription);
        let emptied: Vec<_> = emptied.collect();
        for subscription in &emptied {
            self.parked.remove(subscription);
            self.parts.slots.note_parked(*subscription, false);
        }
        if !emptied.is_empty() && self.parts.store.drop_holds(&emptied, self.owner).await.is_err() {
            tracing::debug!("holds were not dropped and will end by themselves");
        }
    }
}
