//! Renews and claims ownerships in a task, so that the loop does not wait.

use std::time::Instant;

use super::Fetcher;
use crate::domain::id::SubscriptionId;
use crate::store::{Owned, Store, StoreError};
use crate::worker::ownership::{Kept, Round};
use crate::worker::signal::Signal;

impl Fetcher {
    pub(super) fn keep_owned(&mut self) {
        let began = Instant::now();
        let Some(round) = self.owned.begin(began) else { return };
        let (store, signals) = (self.parts.store.clone(), self.signals.clone());
        self.tasks.spawn(async move {
            let keep = &round.keep;
            let asked = keep.owned.iter().chain(keep.wanted.iter().map(|(_, subscription)| subscription)).copied();
            let asked: Vec<SubscriptionId> = asked.collect();
            let kept = write_round(&store, &round).await;
            let kept = kept.map(|owned| Kept { asked: asked.clone(), owned }).map_err(|error| {
                tracing::debug!(%error, "ownerships were not renewed");
                asked
            });
            signals.send(Signal::Kept(kept, began));
        });
    }
}

async fn write_round(store: &Store, round: &Round) -> Result<Vec<Owned>, StoreError> {
    let worker = round.keep.worker;
    if !round.changes.is_empty() {
        store.change_breakers(worker, &round.changes).await?;
    }
    if !round.dropped.is_empty() {
        store.drop_owned(worker, &round.dropped).await?;
    }
    if round.keep.owned.is_empty() && round.keep.wanted.is_empty() {
        return Ok(Vec::new());
    }
    store.keep_owned(&round.keep).await
}
