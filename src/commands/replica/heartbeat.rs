//! Heartbeats of a replica without a worker, so that operators see it too.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::store::{BEAT_EVERY, Beat, Role, Store};

/// Until `stop` is cancelled.
pub(super) async fn beat(store: Store, stop: CancellationToken) {
    let replica = Uuid::new_v4();
    let beat = Beat { replica, role: Role::Api, longest_lease: Duration::ZERO, backlog: 0 };
    let mut beats = interval(BEAT_EVERY);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(beats.tick()).await.is_some() {
        if let Err(error) = store.beat(&beat).await {
            tracing::debug!(%error, "the heartbeat was not written");
        }
    }
    if store.leave(replica).await.is_err() {
        tracing::debug!("the replica was not deregistered; it is shown as lost for a minute");
    }
}
