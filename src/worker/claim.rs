//! Claim: as many due deliveries as there are free slots, oldest first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uuid::Uuid;

use super::floor::Floor;
use super::{WorkerParts, unsent};
use crate::domain::delivery::{DeliveryKey, Lease, Parcel, Report};
use crate::domain::event_type::EventType;
use crate::domain::id::{EventId, LeaseToken, SubscriptionId};
use crate::domain::keyring::Place;
use crate::domain::next_step::NextStep;
use crate::domain::subscription::Destination;
use crate::domain::target::Target;
use crate::store::{Claim, ClaimRequest, Claimed, StoreError};

/// Due rows one claim may park or end beyond those it leases, so that a million rows of a
/// sick receiver pass in seconds.
const EXTRA_REACH: usize = 2_000;
/// After an outage, how long lapsed leases are left alone: their owners record first.
const LAPSED_GRACE: Duration = Duration::from_secs(5);

/// What a claim brought.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) parcels: Vec<Parcel>,
    /// Claimed deliveries that cannot be sent from here, to be handed back.
    pub(super) unreadable: Vec<Report>,
    /// Subscriptions of which rows were parked.
    pub(super) parked: Vec<SubscriptionId>,
    /// Whether more may be due.
    pub(super) more: bool,
}

/// Claims for one worker and remembers what the last claim taught.
pub(super) struct Claimer {
    parts: WorkerParts,
    floor: Floor,
    reach: usize,
    /// Set while claims fail; lapsed leases are taken again some time after it.
    away: bool,
    lapsed_from: Instant,
}

impl Claimer {
    pub(super) fn new(parts: WorkerParts) -> Self {
        Self { parts, floor: Floor::default(), reach: 0, away: false, lapsed_from: Instant::now() }
    }

    /// Leases due deliveries for the free slots.
    pub(super) async fn claim(&mut self) -> Result<Batch, StoreError> {
        let most = self.parts.slots.free();
        if most == 0 {
            return Ok(Batch { more: true, ..Batch::default() });
        }
        // The lease is counted from before the statement is sent, so it never ends here
        // later than in the database.
        let started = Instant::now();
        let look = self.floor.next(self.parts.clock.now(), started);
        let request = self.request(most, look.floor);
        let lease = Lease { token: request.token, ends: started + self.parts.rules.lease };
        match self.parts.store.claim(&request).await {
            Ok(claim) => {
                self.floor.learn(look, claim.reached, started.elapsed());
                Ok(self.batch(claim, &request, lease))
            }
            Err(error) => {
                if !std::mem::replace(&mut self.away, true) {
                    tracing::warn!(%error, "claiming fails until the database is available");
                }
                Err(error)
            }
        }
    }

    fn request(&mut self, most: usize, floor: time::OffsetDateTime) -> ClaimRequest {
        let slots = &self.parts.slots;
        // Half of a subscription's places per claim: one with fewer than half in flight then
        // has room for its share, and those with more are few enough to be listed.
        let half = slots.limits().per_subscription.div_ceil(2);
        let lifetime = self.parts.rules.lifetime;
        ClaimRequest {
            most,
            reach: self.reach.clamp(most, most + EXTRA_REACH),
            token: LeaseToken::from(Uuid::new_v4()),
            lease: self.parts.rules.lease,
            floor,
            take_lapsed: Instant::now() >= self.lapsed_from,
            max_attempts: self.parts.rules.retries.schedule.max_attempts(),
            expired_before: EventId::floor(self.parts.clock.now() - lifetime),
            full: slots.busy(slots.limits().per_subscription - half + 1),
            room: half,
        }
    }

    fn batch(&mut self, claim: Claim, request: &ClaimRequest, lease: Lease) -> Batch {
        if std::mem::take(&mut self.away) {
            self.lapsed_from = Instant::now() + LAPSED_GRACE;
        }
        if claim.cut_off > 0 {
            self.parts.metrics.cut_off.inc_by(claim.cut_off as u64);
            tracing::warn!(attempts = claim.cut_off, "took over attempts that a lost worker had begun");
        }
        let more = claim.examined >= request.reach;
        // Where due rows were mostly not sendable, look further next time.
        let mostly_parked = claim.claimed.len() * 2 < claim.examined;
        self.reach = if more && mostly_parked { request.reach * 4 } else { 0 };
        let mut batch = Batch { more, parked: claim.parked, ..Batch::default() };
        for claimed in claim.claimed {
            match self.parcel(claimed, lease) {
                Ok(parcel) => batch.parcels.push(parcel),
                Err(report) => batch.unreadable.push(*report),
            }
        }
        batch
    }

    fn parcel(&self, claimed: Claimed, lease: Lease) -> Result<Parcel, Box<Report>> {
        let Claimed { key, attempts, free_attempts, event_type, payload, target_url, secret } = claimed;
        let opened = self.parts.keyring.open(&secret, place(key));
        let parcel = |secrets| Parcel {
            key,
            lease,
            attempt_number: attempts,
            free_attempts,
            event_type: event_type.as_deref().and_then(|name| name.parse::<EventType>().ok()),
            payload: Bytes::from(payload),
            destination: Arc::new(Destination { target: Target::stored(target_url), secrets }),
        };
        match opened {
            Ok(secret) => Ok(parcel(vec![secret])),
            Err(error) => {
                tracing::error!(%error, subscription = %key.subscription, "a secret cannot be opened; its deliveries wait");
                Err(Box::new(unsent(&parcel(Vec::new()), NextStep::RetryIn(UNREADABLE_DELAY))))
            }
        }
    }
}

/// How long a delivery waits whose secret does not open: an operator has to act.
const UNREADABLE_DELAY: Duration = Duration::from_secs(60);

fn place(key: DeliveryKey) -> Place {
    Place { tenant: key.tenant, subscription: key.subscription }
}
