//! The other workers: who is alive, and which of all is the first to ask for a subscription.
//!
//! Every worker finds every due delivery. So that they do not all ask for it, each subscription has a first
//! worker, chosen by rendezvous hashing over those that are alive; the others ask only for what has been left
//! for a moment. Nothing depends on workers agreeing about who is first.

use std::time::Duration;

use crate::domain::id::{SubscriptionId, WorkerId};
use crate::store::Found;

/// How long the others leave a due delivery to the first worker.
const HEAD_START: Duration = Duration::from_millis(20);
/// How long a paced subscription is left to the first worker: ownership is taken once and then kept.
const OWNER_HEAD_START: Duration = Duration::from_secs(2);

/// The workers that are alive.
#[derive(Debug)]
pub(super) struct Peers {
    own: WorkerId,
    others: Vec<WorkerId>,
}

impl Peers {
    /// A worker that knows of no other yet.
    pub(super) fn new(own: WorkerId) -> Self {
        Self { own, others: Vec::new() }
    }

    /// These are alive.
    pub(super) fn are(&mut self, alive: Vec<WorkerId>) {
        self.others = alive;
        self.others.retain(|worker| *worker != self.own);
    }

    /// Whether this worker is to ask for what was found, now.
    pub(super) fn is_ours(&self, found: &Found) -> bool {
        let head_start = if found.is_paced { OWNER_HEAD_START } else { HEAD_START };
        found.overdue >= head_start || self.is_first(found.due.subscription)
    }

    fn is_first(&self, subscription: SubscriptionId) -> bool {
        let own = weight(self.own, subscription);
        self.others.iter().all(|other| weight(*other, subscription) < own)
    }
}

/// The weight of a worker for a subscription: the same on every worker, and evenly spread.
fn weight(worker: WorkerId, subscription: SubscriptionId) -> (u64, WorkerId) {
    let ((a, b), (c, d)) = (worker.uuid().as_u64_pair(), subscription.uuid().as_u64_pair());
    let mixed = [b, c, d].into_iter().fold(mix(a), |mixed, part| mix(mixed ^ part));
    (mixed, worker)
}

/// The finalizer of SplitMix64.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::Due;
    use time::OffsetDateTime;
    use uuid::Uuid;

    fn found(n: u128, overdue: Duration) -> Found {
        let (tenant, subscription) = (Uuid::from_u128(7).into(), Uuid::from_u128(n).into());
        let due = Due { tenant, subscription, rows: Some(1), since: OffsetDateTime::UNIX_EPOCH };
        Found { due, is_active: true, is_paced: false, overdue }
    }

    #[test]
    fn each_subscription_has_one_first_worker_and_all_have_about_as_many() {
        let ids: Vec<WorkerId> = (1..=4).map(|n| Uuid::from_u128(n << 70).into()).collect();
        let workers = ids.iter().map(|id| {
            let mut peers = Peers::new(*id);
            peers.are(ids.clone());
            peers
        });
        let workers: Vec<Peers> = workers.collect();
        let mut counts = [0; 4];
        for n in 0..4_000 {
            let firsts: Vec<usize> =
                (0..4).filter(|index| workers[*index].is_ours(&found(n, Duration::ZERO))).collect();
            assert_eq!(firsts.len(), 1);
            counts[firsts[0]] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }

    #[test]
    fn what_is_left_for_a_moment_is_everybodys() {
        let mut peers = Peers::new(Uuid::from_u128(1).into());
        peers.are((1..100).map(|n| Uuid::from_u128(n).into()).collect());
        let left = (0..100).map(|n| found(n, HEAD_START));
        assert!(left.into_iter().all(|found| peers.is_ours(&found)));
        let paced = Found { is_paced: true, ..found(1, HEAD_START) };
        assert!(!peers.is_ours(&paced) || peers.is_first(paced.due.subscription));
    }
}
