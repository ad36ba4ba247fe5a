//! Signs of life: workers know of each other, and of one that was lost.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::WorkerParts;
use super::signal::{Signal, Signals};
use crate::domain::id::WorkerId;
use crate::store::KnownWorker;

/// Time between two signs of life.
const BEAT_EVERY: Duration = Duration::from_secs(3);
/// Silence after which a worker is lost: three signs of life, and one second.
const LOST_AFTER: Duration = Duration::from_secs(10);

/// Gives signs of life until the task is dropped, and tells the loop who else is alive. While leases of a lost
/// worker may lapse, each sign of life asks for a look at everything.
pub(super) async fn beat(parts: WorkerParts, id: WorkerId, signals: Signals) {
    let mut beats = interval(BEAT_EVERY);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut lost_before = HashSet::new();
    loop {
        beats.tick().await;
        match parts.store.beat(id, parts.rules.longest_lease(), LOST_AFTER).await {
            Ok(workers) => {
                let (lost, alive): (Vec<KnownWorker>, Vec<KnownWorker>) =
                    workers.into_iter().partition(|worker| worker.is_lost);
                let lost: HashSet<WorkerId> = lost.into_iter().map(|worker| worker.id).collect();
                for worker in lost.difference(&lost_before) {
                    tracing::warn!(%worker, "a worker is lost; its deliveries are taken over as their leases lapse");
                }
                let alive = alive.into_iter().map(|worker| worker.id).collect();
                signals.send(Signal::Workers(alive, !lost.is_empty()));
                lost_before = lost;
            }
            Err(error) => tracing::debug!(%error, "no sign of life was written"),
        }
    }
}
