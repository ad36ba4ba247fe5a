//! Takes due deliveries and dispatches them.

use std::collections::HashMap;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use super::Fetcher;
use crate::domain::breaker::Breaker;
use crate::domain::id::{LeaseToken, SubscriptionId};
use crate::store::{StoreError, Take, TakeAsk, TakeRequest};
use crate::worker::lanes::Ask;
use crate::worker::parcels;
use crate::worker::signal::CompletionGuard;

/// Larger statements are not cheaper per row and delay the others.
const MOST_TAKEN: usize = 256;
const MOST_BYTES: usize = 16 << 20;

impl Fetcher {
    /// Returns whether any lane had room.
    pub(super) async fn take(&mut self, stop: &CancellationToken) -> bool {
        if self.resumes_at.is_some() || stop.is_cancelled() {
            return false;
        }
        let asks = self.lanes.asks(&mut self.owned, MOST_TAKEN, Instant::now());
        if asks.is_empty() {
            return false;
        }
        let ask = |ask: &Ask| TakeAsk {
            tenant: ask.tenant,
            subscription: ask.subscription,
            most: ask.slots.len(),
            due_from: ask.due_from,
            breaker: ask.breaker,
        };
        let request = TakeRequest {
            token: LeaseToken::from(Uuid::new_v4()),
            lease: self.parts.rules.lease,
            worker: self.id,
            takes_lapsed: self.outage.is_over(),
            most_bytes: MOST_BYTES.min(self.parts.slots.free_bytes()),
            asks: asks.iter().map(ask).collect(),
        };
        let began = Instant::now();
        let span = tracing::debug_span!("take", subscriptions = asks.len());
        match self.parts.store.take(&request).instrument(span.clone()).await {
            Ok(take) => span.in_scope(|| self.dispatch(asks, take, request.token, began, stop.is_cancelled())),
            Err(error) => {
                asks.into_iter().for_each(|ask| self.lanes.make_ready(ask.subscription));
                if matches!(error, StoreError::NoPartition) {
                    // Needed to log the attempt that was cut off.
                    let made = self.parts.store.ensure_partitions().await;
                    tracing::debug!(?made, "a partition was missing");
                }
                self.failed(&error, "taking deliveries");
            }
        }
        true
    }

    fn dispatch(&mut self, asks: Vec<Ask>, take: Take, token: LeaseToken, began: Instant, is_stopping: bool) {
        let result = if take.deliveries.is_empty() { "none" } else { "some" };
        self.parts.metrics.takes.with_label_values(&[result]).inc();
        let now = Instant::now();
        let cut_off = take.deliveries.iter().filter(|delivery| delivery.is_cut_off).count();
        if cut_off > 0 {
            self.parts.metrics.cut_off.inc_by(cut_off as u64);
            tracing::warn!(attempts = cut_off, "took over attempts of a lost worker");
        }
        let mut taken: HashMap<SubscriptionId, Vec<_>> = HashMap::with_capacity(asks.len());
        for delivery in take.deliveries {
            taken.entry(delivery.key.subscription).or_default().push(delivery);
        }
        for ask in asks {
            let deliveries = taken.remove(&ask.subscription).unwrap_or_default();
            let (asked, got) = (ask.slots.len(), deliveries.len());
            let last_due = deliveries.last().map(|delivery| delivery.was_due);
            let has_more = self.lanes.took(ask.subscription, asked, got, last_due, take.is_cut_short);
            let until = self.owned.pace(ask.subscription).filter(|_| ask.is_paced).map(|pace| pace.until);
            self.owned.sent(ask.subscription, got, has_more, now);
            let is_probe = matches!(ask.breaker, Breaker::Open { .. });
            for (delivery, mut slot) in deliveries.into_iter().zip(ask.slots) {
                tracing::trace!(event = %delivery.key.event, subscription = %ask.subscription, "taken");
                slot.holds(delivery.payload.len());
                let guard = || CompletionGuard::new(ask.subscription, is_probe, self.signals.clone());
                let guard = ask.is_paced.then(guard);
                match parcels::open(&self.parts, delivery, token, began, (until, is_probe)) {
                    // The stop came while the statement ran.
                    Ok(parcel) if is_stopping => self.deliverer.hand_back(&parcel, slot),
                    Ok(parcel) => self.deliverer.send(parcel, slot, guard),
                    Err(report) => self.deliverer.pass_on(*report, slot),
                }
            }
        }
    }
}
