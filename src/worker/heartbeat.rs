//! Heartbeats tell workers about each other and about lost ones.

use std::collections::HashSet;

use tokio::time::{MissedTickBehavior, interval};

use super::WorkerParts;
use super::signal::{Signal, Signals};
use crate::domain::id::WorkerId;
use crate::store::{BEAT_EVERY, Beat, KnownWorker, Role};

/// While leases of a lost worker may lapse, each heartbeat asks for a full scan.
pub(super) async fn beat(parts: WorkerParts, id: WorkerId, role: Role, signals: Signals) {
    let mut beats = interval(BEAT_EVERY);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut lost_before = HashSet::new();
    loop {
        beats.tick().await;
        let backlog = parts.slots.in_flight();
        let beat = Beat { replica: id.uuid(), role, longest_lease: parts.rules.longest_lease(), backlog };
        match parts.store.beat(&beat).await {
            Ok(workers) => {
                let (lost, alive): (Vec<KnownWorker>, Vec<KnownWorker>) =
                    workers.into_iter().partition(|worker| worker.is_lost);
                let lost: HashSet<WorkerId> = lost.into_iter().map(|worker| worker.id).collect();
                for worker in lost.difference(&lost_before) {
                    tracing::warn!(%worker, "a worker is lost; other workers take its deliveries when their leases lapse");
                }
                let alive = alive.into_iter().map(|worker| worker.id).collect();
                signals.send(Signal::Workers(alive, !lost.is_empty()));
                lost_before = lost;
            }
            Err(error) => tracing::debug!(%error, "the heartbeat was not written"),
        }
    }
}
