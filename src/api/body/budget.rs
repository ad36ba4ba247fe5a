//! The memory that request bodies share, reserved before reading and freed after the response. A party (a tenant, or
//! requests without a key for one subscription) reserves only while it holds less than it leaves free.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::api::problem::Problem;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::share::Share;
use crate::telemetry::Metrics;

/// Nothing of the body is read meanwhile.
const WAIT_LIMIT: Duration = Duration::from_secs(1);
/// At least what a connection buffers. Also limits bodies without a key: 512 with the default of 64 MiB.
const LEAST_BYTES: usize = 32 * 1_024;
/// One party may hold half.
const SHARE: Share = Share(1);
/// Requests without a key get a quarter: their signatures are checked only after reading.
const KEYLESS_DIVISOR: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::api) enum Party {
    Tenant(TenantId),
    /// The signature is not checked yet.
    Keyless(SubscriptionId),
}

#[derive(Clone)]
pub(in crate::api) struct BodyBudget(Arc<Inner>);

struct Inner {
    total: usize,
    state: Mutex<State>,
    metrics: Metrics,
}

#[derive(Default)]
struct State {
    used: usize,
    keyless: usize,
    held: HashMap<Party, usize>,
    waiting: VecDeque<Waiter>,
}

struct Waiter {
    party: Party,
    bytes: usize,
    granted: oneshot::Sender<BodyPermit>,
}

pub(in crate::api) struct BodyPermit {
    budget: BodyBudget,
    party: Party,
    bytes: usize,
}

/// Freed after the response.
#[derive(Clone)]
pub(in crate::api) struct RequestMemory {
    budget: BodyBudget,
    held: Arc<Mutex<Vec<BodyPermit>>>,
}

impl BodyBudget {
    pub(in crate::api) fn new(total: usize, metrics: Metrics) -> Self {
        Self(Arc::new(Inner { total, state: Mutex::default(), metrics }))
    }

    pub(in crate::api) fn of_request(&self) -> RequestMemory {
        RequestMemory { budget: self.clone(), held: Arc::default() }
    }

    /// Waits briefly for room.
    async fn reserve(&self, party: Party, bytes: usize) -> Result<BodyPermit, Problem> {
        let granted = {
            let mut state = self.lock();
            if state.take(self.0.total, party, bytes) {
                self.0.metrics.body_bytes.set(state.used as f64);
                return Ok(self.permit(party, bytes));
            }
            let (granted, receiver) = oneshot::channel();
            state.waiting.push_back(Waiter { party, bytes, granted });
            receiver
        };
        match tokio::time::timeout(WAIT_LIMIT, granted).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => {
                self.0.metrics.bodies_refused.inc();
                Err(Problem::Unavailable)
            }
        }
    }

    fn permit(&self, party: Party, bytes: usize) -> BodyPermit {
        BodyPermit { budget: self.clone(), party, bytes }
    }

    fn give_back(&self, party: Party, bytes: usize) {
        let granted = {
            let mut state = self.lock();
            state.give_back(party, bytes);
            let granted = state.grant(self.0.total);
            self.0.metrics.body_bytes.set(state.used as f64);
            granted
        };
        for Waiter { party, bytes, granted } in granted {
            // If the waiter is gone, dropping the permit frees it.
            drop(granted.send(self.permit(party, bytes)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, total: usize, party: Party, bytes: usize) -> bool {
        let free = total.saturating_sub(self.used);
        let open = match party {
            Party::Tenant(_) => free,
            Party::Keyless(_) => free.min((total / KEYLESS_DIVISOR).saturating_sub(self.keyless)),
        };
        let held = self.held.get(&party).copied().unwrap_or_default();
        if SHARE.allowance(held, open) < bytes {
            return false;
        }
        self.used += bytes;
        if matches!(party, Party::Keyless(_)) {
            self.keyless += bytes;
        }
        self.held.insert(party, held + bytes);
        true
    }

    fn give_back(&mut self, party: Party, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
        if matches!(party, Party::Keyless(_)) {
            self.keyless = self.keyless.saturating_sub(bytes);
        }
        let left = self.held.get(&party).copied().unwrap_or_default().saturating_sub(bytes);
        if left == 0 {
            self.held.remove(&party);
        } else {
            self.held.insert(party, left);
        }
    }

    /// Grants what fits now, oldest waiter first.
    fn grant(&mut self, total: usize) -> Vec<Waiter> {
        let mut granted = Vec::new();
        for waiter in std::mem::take(&mut self.waiting) {
            if waiter.granted.is_closed() {
                continue;
            }
            if self.take(total, waiter.party, waiter.bytes) {
                granted.push(waiter);
            } else {
                self.waiting.push_back(waiter);
            }
        }
        granted
    }
}

impl BodyPermit {
    /// Reserves up to this many bytes in all.
    pub(super) async fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        if bytes > self.bytes {
            let mut more = self.budget.reserve(self.party, bytes - self.bytes).await?;
            self.bytes += std::mem::take(&mut more.bytes);
        }
        Ok(())
    }
}

impl Drop for BodyPermit {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give_back(self.party, self.bytes);
        }
    }
}

impl RequestMemory {
    pub(super) async fn reserve(&self, party: Party, bytes: usize) -> Result<BodyPermit, Problem> {
        self.budget.reserve(party, bytes.max(LEAST_BYTES)).await
    }

    pub(super) fn keep(&self, permit: BodyPermit) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(permit);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    const KIB: usize = 1_024;

    fn budget(total: usize) -> BodyBudget {
        BodyBudget::new(total, Metrics::new())
    }

    fn tenant(n: u128) -> Party {
        Party::Tenant(Uuid::from_u128(n).into())
    }

    fn keyless(n: u128) -> Party {
        Party::Keyless(Uuid::from_u128(n).into())
    }

    fn fill(budget: &BodyBudget, party: Party) -> Vec<BodyPermit> {
        std::iter::from_fn(|| budget.reserve(party, KIB).now_or_never()?.ok()).collect()
    }

    #[tokio::test]
    async fn no_party_keeps_another_one_out() {
        let budget = budget(64 * KIB);
        let strangers = [keyless(1), keyless(2), keyless(3)].map(|party| fill(&budget, party));
        assert_eq!(strangers.each_ref().map(Vec::len), [8, 4, 2]);
        let tenants = [tenant(1), tenant(2)].map(|party| fill(&budget, party));
        assert_eq!(tenants.each_ref().map(Vec::len), [25, 12], "halves of what the others left");
        assert!(budget.reserve(tenant(3), 6 * KIB).now_or_never().is_some());
        drop((strangers, tenants));
        assert_eq!(fill(&budget, tenant(4)).len(), 32);
    }

    #[tokio::test]
    async fn who_finds_no_room_waits_for_it_and_is_refused_after_a_while() {
        let budget = budget(64 * KIB);
        let first = budget.reserve(tenant(1), 32 * KIB).await.ok();
        let (waiting, _) = tokio::join!(budget.reserve(tenant(1), 8 * KIB), async { drop(first) });
        let held = waiting.unwrap();
        assert_eq!(budget.reserve(tenant(1), 28 * KIB).await.err(), Some(Problem::Unavailable));
        assert_eq!(budget.0.metrics.bodies_refused.get(), 1);
        drop(held);
        assert_eq!(budget.lock().used, 0, "nothing is left to one that does not wait any more");
        assert!(budget.lock().held.is_empty() && budget.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn a_request_keeps_its_memory_until_it_is_gone() {
        let budget = budget(1_024 * KIB);
        let request = budget.of_request();
        let mut permit = request.reserve(tenant(1), 1).await.unwrap();
        permit.grow(40 * KIB).await.unwrap();
        request.keep(permit);
        assert_eq!(budget.lock().used, 40 * KIB);
        drop(request);
        assert_eq!(budget.lock().used, 0);
    }
}
