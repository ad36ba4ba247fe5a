//! Claim: as many due deliveries as there are free slots, oldest first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uuid::Uuid;

use super::WorkerParts;
use super::floor::Floor;
use super::lines;
use super::outage::Outage;
use crate::domain::delivery::{DeliveryKey, Lease, Parcel, Report};
use crate::domain::event_type::EventType;
use crate::domain::id::{EventId, LeaseToken, SubscriptionId};
use crate::domain::keyring::Place;
use crate::domain::next_step::NextStep;
use crate::domain::ordering::Line;
use crate::domain::policy;
use crate::domain::subscription::Destination;
use crate::domain::target::Target;
use crate::store::{Claim, ClaimRequest, Claimed, StoreError};
use crate::subscriptions::open_sealed;

/// Due rows one claim may park or end beyond those it leases, so that a million rows of a
/// sick receiver pass in seconds.
const EXTRA_REACH: usize = 2_000;
/// Payload bytes that one claim should bring at most, judged by the last one's.
const CLAIM_BYTES: usize = 16 << 20;
/// Rows of the first claim, before anything is known of their size.
const FIRST_CLAIM: usize = 64;

/// What a claim brought.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) parcels: Vec<Parcel>,
    /// Claimed deliveries that cannot be sent from here, to be handed back.
    pub(super) unreadable: Vec<Report>,
    /// Subscriptions of which rows were parked.
    pub(super) parked: Vec<SubscriptionId>,
    /// Lines whose head the claim ended.
    pub(super) lines: Vec<Line>,
    /// Whether more may be due.
    pub(super) more: bool,
}

/// Claims for one worker and remembers what the last claim taught.
pub(super) struct Claimer {
    parts: WorkerParts,
    floor: Floor,
    /// Rows that the next claim may examine, where the last ones were mostly not to be sent.
    reach: usize,
    /// Most rows of the next claim; shrinks with large payloads and after failures, so that
    /// a claim that is too large to arrive in time is followed by a smaller one.
    batch_limit: usize,
    outage: Outage,
    /// Claims fail: told once.
    away: bool,
}

impl Claimer {
    pub(super) fn new(parts: WorkerParts, outage: Outage) -> Self {
        Self { parts, floor: Floor::default(), reach: 0, batch_limit: FIRST_CLAIM, outage, away: false }
    }

    /// Leases due deliveries for the free slots.
    pub(super) async fn claim(&mut self) -> Result<Batch, StoreError> {
        let most = self.parts.slots.free_to_claim().min(self.batch_limit);
        if most == 0 {
            return Ok(Batch { more: true, ..Batch::default() });
        }
        // The lease is counted from before the statement is sent, so it never ends here
        // later than in the database.
        let started = Instant::now();
        let look = if self.reach > 0 {
            self.floor.next_in_crowd(self.parts.clock.now(), started)
        } else {
            self.floor.next(self.parts.clock.now(), started)
        };
        let request = self.request(most, look.floor);
        match self.parts.store.claim(&request).await {
            Ok(claim) => {
                // A look that was not cut short saw everything that was due at its time.
                let whole = claim.examined < request.reach;
                let reached = if whole { claim.looked_at } else { claim.reached };
                self.floor.learn(look, reached, started.elapsed());
                let crowd = self.reach;
                let mut batch = self.batch(claim, &request, started);
                if look.is_past_crowd() {
                    // The crowd is still there.
                    (self.reach, batch.more) = (crowd.max(self.reach), true);
                } else if self.reach == 0 {
                    self.floor.forget_crowd();
                }
                batch.more |= lines::advance(&self.parts.store, &batch.lines).await;
                Ok(batch)
            }
            Err(StoreError::NoPartition) => {
                self.parts.store.ensure_partitions().await?;
                Ok(Batch { more: true, ..Batch::default() })
            }
            Err(error) => {
                self.outage.note();
                self.batch_limit = (self.batch_limit / 4).max(1);
                if !std::mem::replace(&mut self.away, true) {
                    tracing::warn!(%error, "claiming fails until the database is available");
                }
                Err(error)
            }
        }
    }

    fn request(&mut self, most: usize, floor: time::OffsetDateTime) -> ClaimRequest {
        let slots = &self.parts.slots;
        // A subscription with few slots taken has room for the rest; those with more are few
        // enough to be listed, each with its own room.
        let per_subscription = slots.limits().per_subscription;
        let many = per_subscription.div_ceil(4);
        let lifetime = self.parts.rules.lifetime;
        ClaimRequest {
            most,
            reach: self.reach.clamp(most, most + EXTRA_REACH),
            token: LeaseToken::from(Uuid::new_v4()),
            lease: self.parts.rules.lease,
            floor,
            take_lapsed: self.outage.is_over(),
            max_attempts: self.parts.rules.retries.schedule.max_attempts(),
            expired_before: EventId::floor(self.parts.clock.now() - lifetime),
            busy: slots.busy(many),
            room: per_subscription + 1 - many,
        }
    }

    fn batch(&mut self, claim: Claim, request: &ClaimRequest, started: Instant) -> Batch {
        if std::mem::take(&mut self.away) {
            tracing::info!("claiming works again");
        }
        self.learn_size(&claim);
        if claim.cut_off > 0 {
            self.parts.metrics.cut_off.inc_by(claim.cut_off as u64);
            tracing::warn!(attempts = claim.cut_off, "took over attempts that a lost worker had begun");
        }
        let more = claim.examined >= request.reach;
        // Where due rows were mostly not sendable, look further next time.
        let mostly_parked = claim.claimed.len() * 2 < claim.examined;
        self.reach = if more && mostly_parked { request.reach * 4 } else { 0 };
        let mut batch = Batch { more, parked: claim.parked, lines: claim.lines, ..Batch::default() };
        for claimed in claim.claimed {
            let lasts = policy::lease(request.lease, claimed.request_timeout);
            match open_parcel(&self.parts, claimed, Lease { token: request.token, ends: started + lasts }) {
                Ok(parcel) => batch.parcels.push(parcel),
                Err(report) => batch.unreadable.push(*report),
            }
        }
        batch
    }

    /// An empty claim teaches nothing of the size of the next.
    fn learn_size(&mut self, claim: &Claim) {
        if claim.claimed.is_empty() {
            return;
        }
        let bytes: usize = claim.claimed.iter().map(|claimed| claimed.payload.len()).sum();
        let average = bytes / claim.claimed.len();
        let fitting = CLAIM_BYTES / average.max(1);
        self.batch_limit = self.batch_limit.saturating_mul(2).min(fitting).max(1);
    }
}

/// The parcel of a leased delivery, its secrets opened; else the report that puts it off.
pub(super) fn open_parcel(parts: &WorkerParts, claimed: Claimed, lease: Lease) -> Result<Parcel, Box<Report>> {
    let Claimed { key, attempts, free_attempts, event_type, payload, subscription_version, .. } = claimed;
    let event_type = event_type.as_deref().and_then(|name| name.parse::<EventType>().ok());
    match open_sealed(&parts.keyring, &claimed.secrets, claimed.headers.as_deref(), place(key)) {
        Ok((secrets, headers)) => Ok(Parcel {
            key,
            lease,
            attempt_number: attempts,
            free_attempts,
            event_type,
            payload: Bytes::from(payload),
            subscription_version,
            destination: Arc::new(Destination {
                target: Target::stored(claimed.target_url),
                secrets,
                headers,
                retry_schedule: claimed.retry_schedule,
                request_timeout: claimed.request_timeout,
            }),
            ordering_key: claimed.ordering_key,
            skip_after: claimed.skip_after,
        }),
        Err(error) => {
            tracing::error!(%error, subscription = %key.subscription, "a secret or the headers cannot be opened; its deliveries wait");
            Err(Box::new(Report {
                key,
                token: lease.token,
                subscription_version,
                event_type,
                attempts: Vec::new(),
                free_attempts: 0,
                ordering_key: claimed.ordering_key,
                step: NextStep::RetryIn(UNREADABLE_DELAY),
            }))
        }
    }
}

/// How long a delivery waits whose secret or headers do not open: an operator has to act.
const UNREADABLE_DELAY: Duration = Duration::from_secs(60);

fn place(key: DeliveryKey) -> Place {
    Place { tenant: key.tenant, subscription: key.subscription }
}
