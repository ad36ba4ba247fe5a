//! How the API has a test event sent without knowing the sender: `commands` connects the two. Limits how many are
//! under way.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;

use super::attempt::Answer;
use super::delivery::Parcel;
use super::id::TenantId;

/// Each is a connection, a task and a request that waits.
pub(crate) const MAX_TESTS: usize = 64;
/// So that one tenant's slow receivers leave room for fifteen others.
pub(crate) const MAX_TESTS_OF_TENANT: usize = 4;

/// `None`: this machine could not send, and the receiver has not seen it.
type Sending = Pin<Box<dyn Future<Output = Option<Answer>> + Send>>;
type SendOne = dyn Fn(Parcel, OffsetDateTime) -> Sending + Send + Sync;

/// Clones share the limits.
#[derive(Clone)]
pub struct Tester {
    send: Arc<SendOne>,
    running: Arc<Mutex<HashMap<TenantId, usize>>>,
}

/// Room for one test event.
#[derive(Debug)]
pub(crate) struct Running {
    tester: Tester,
    tenant: TenantId,
}

impl Tester {
    pub fn new<S>(send: impl Fn(Parcel, OffsetDateTime) -> S + Send + Sync + 'static) -> Self
    where
        S: Future<Output = Option<Answer>> + Send + 'static,
    {
        let send = move |parcel, now| -> Sending { Box::pin(send(parcel, now)) };
        Self { send: Arc::new(send), running: Arc::default() }
    }

    /// `None` if too many are under way, of this tenant or in all.
    pub(crate) fn begin(&self, tenant: TenantId) -> Option<Running> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = running.get(&tenant).copied().unwrap_or(0);
        if of_tenant >= MAX_TESTS_OF_TENANT || running.values().sum::<usize>() >= MAX_TESTS {
            return None;
        }
        running.insert(tenant, of_tenant + 1);
        Some(Running { tester: self.clone(), tenant })
    }
}

impl Running {
    pub(crate) async fn send(&self, parcel: Parcel, now: OffsetDateTime) -> Option<Answer> {
        (self.tester.send)(parcel, now).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.tester.running.lock().unwrap_or_else(PoisonError::into_inner);
        let left = running.get(&self.tenant).map_or(0, |of_tenant| of_tenant.saturating_sub(1));
        if left == 0 {
            running.remove(&self.tenant);
        } else {
            running.insert(self.tenant, left);
        }
    }
}

impl fmt::Debug for Tester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tester").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: usize) -> TenantId {
        uuid::Uuid::from_u128(number as u128).into()
    }

    #[test]
    fn a_tenant_has_four_at_a_time_and_all_together_sixty_four() {
        let tester = Tester::new(|_, _| std::future::ready(None));
        let mut running: Vec<_> =
            (0..MAX_TESTS).filter_map(|n| tester.begin(tenant(n / MAX_TESTS_OF_TENANT))).collect();
        assert_eq!(running.len(), MAX_TESTS);
        assert!(tester.begin(tenant(99)).is_none(), "one more in all");
        drop(running.split_off(8));
        assert!(tester.begin(tenant(1)).is_none(), "a fifth of one tenant");
        assert!(tester.begin(tenant(99)).is_some());
        drop(running);
        assert!(tester.running.lock().unwrap().is_empty());
    }
}
