//! Limits DNS lookups, with a fair share per tenant: a tenant with silent name servers cannot use all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::domain::id::TenantId;
use crate::domain::share::Share;

/// One tenant gets half at most.
const SHARE: Share = Share(1);

#[derive(Debug)]
pub(super) struct LookupPermits {
    total: usize,
    taken: Mutex<HashMap<TenantId, usize>>,
    freed: Notify,
}

#[derive(Debug)]
pub(super) struct LookupPermit {
    tenant: TenantId,
    permits: Arc<LookupPermits>,
}

impl LookupPermits {
    pub(super) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self { total, taken: Mutex::default(), freed: Notify::new() })
    }

    pub(super) async fn take(self: &Arc<Self>, tenant: TenantId) -> LookupPermit {
        loop {
            let freed = self.freed.notified();
            if let Some(permit) = self.try_take(tenant) {
                return permit;
            }
            freed.await;
        }
    }

    fn try_take(self: &Arc<Self>, tenant: TenantId) -> Option<LookupPermit> {
        let mut taken = self.taken();
        let free = self.total.saturating_sub(taken.values().sum());
        let used = taken.get(&tenant).copied().unwrap_or(0);
        SHARE.allows(used, free).then(|| {
            taken.insert(tenant, used + 1);
            LookupPermit { tenant, permits: Arc::clone(self) }
        })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<TenantId, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LookupPermit {
    fn drop(&mut self) {
        let mut taken = self.permits.taken();
        match taken.get_mut(&self.tenant) {
            Some(used) if *used > 1 => *used -= 1,
            _ => drop(taken.remove(&self.tenant)),
        }
        drop(taken);
        self.permits.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn tenant(number: u128) -> TenantId {
        Uuid::from_u128(number).into()
    }

    #[tokio::test]
    async fn one_tenant_leaves_places_to_the_others_and_gets_them_back() {
        let permits = LookupPermits::new(128);
        let mut of_one: Vec<LookupPermit> = std::iter::from_fn(|| permits.try_take(tenant(1))).collect();
        assert_eq!(of_one.len(), 64);
        let other = permits.try_take(tenant(2)).unwrap();
        let waiting = tokio::spawn({
            let permits = Arc::clone(&permits);
            async move { permits.take(tenant(1)).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop((other, of_one.pop()));
        waiting.await.unwrap();
        assert_eq!(permits.taken().len(), 1);
    }
}
