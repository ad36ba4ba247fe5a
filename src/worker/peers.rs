//! Which workers are alive, and which of them takes from a subscription first.
//! Rendezvous hashing orders the workers per subscription; each waits a head start for every worker before it.
//! Workers need not agree.

use std::time::Duration;

use crate::domain::id::{SubscriptionId, WorkerId};
use crate::store::Found;

const HEAD_START: Duration = Duration::from_millis(20);
/// Longer, because an ownership is claimed once and then kept.
const OWNER_HEAD_START: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Peers {
    own: WorkerId,
    others: Vec<WorkerId>,
}

impl Peers {
    pub(super) fn new(own: WorkerId) -> Self {
        Self { own, others: Vec::new() }
    }

    pub(super) fn set_alive(&mut self, alive: Vec<WorkerId>) {
        self.others = alive;
        self.others.retain(|worker| *worker != self.own);
    }

    /// How long this worker waits before it takes what was found.
    pub(super) fn wait_before(&self, found: &Found) -> Duration {
        let head_start = if found.is_paced { OWNER_HEAD_START } else { HEAD_START };
        head_start.saturating_mul(self.rank(found.due.subscription)).saturating_sub(found.overdue)
    }

    fn rank(&self, subscription: SubscriptionId) -> u32 {
        let own = weight(self.own, subscription);
        let before = self.others.iter().filter(|other| weight(**other, subscription) > own).count();
        u32::try_from(before).unwrap_or(u32::MAX)
    }
}

/// The same on every worker, and evenly spread.
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
            peers.set_alive(ids.clone());
            peers
        });
        let workers: Vec<Peers> = workers.collect();
        let mut counts = [0; 4];
        for n in 0..4_000 {
            let is_first = |index: &usize| workers[*index].wait_before(&found(n, Duration::ZERO)).is_zero();
            let firsts: Vec<usize> = (0..4).filter(is_first).collect();
            assert_eq!(firsts.len(), 1);
            counts[firsts[0]] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }

    #[test]
    fn each_worker_leaves_the_rest_to_those_before_it_for_a_moment() {
        let ids: Vec<WorkerId> = (1..=4).map(|n| Uuid::from_u128(n << 70).into()).collect();
        let left = |own: WorkerId, found: Found| {
            let mut peers = Peers::new(own);
            peers.set_alive(ids.clone());
            peers.wait_before(&found)
        };
        let all = |found: Found| {
            let mut all: Vec<Duration> = ids.iter().map(|id| left(*id, found)).collect();
            all.sort_unstable();
            all
        };
        let moments = [0, 1, 2, 3];
        assert_eq!(all(found(1, Duration::ZERO)), moments.map(|n| HEAD_START * n));
        assert_eq!(all(found(1, HEAD_START)), moments.map(|n: u32| HEAD_START * n.saturating_sub(1)));
        let paced = Found { is_paced: true, ..found(1, Duration::ZERO) };
        assert_eq!(all(paced), moments.map(|n| OWNER_HEAD_START * n));
    }
}
