//! How many requests of one tenant are answered at a time, so that slow reads of one tenant leave connections to
//! others. Publishing has connections of its own and takes no place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::domain::id::TenantId;

/// As long as a request waits for a connection.
const WAIT_LIMIT: Duration = Duration::from_millis(500);
/// Waiting requests for each place; each holds some memory and a connection of the API.
const WAITING_FOR_EACH: usize = 128;
/// Tenants whose requests have ended are dropped above this many.
const SWEEP_ABOVE: usize = 1_000;

/// Held until the response is made, or until a handler gives it back because it waits for somebody else.
#[derive(Clone)]
pub(super) struct HeldPlace(Arc<Mutex<Option<Place>>>);

impl HeldPlace {
    pub(super) fn new(place: Place) -> Self {
        Self(Arc::new(Mutex::new(Some(place))))
    }

    pub(super) fn give_back(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// `None` is the operator, who asks about no tenant or about all.
type Owner = Option<TenantId>;

pub(super) struct Places {
    for_each: usize,
    owners: Mutex<HashMap<Owner, Weak<Requests>>>,
}

struct Requests {
    /// One permit for each request that is answered.
    answered: Arc<Semaphore>,
    /// One permit for each request that is answered or waits.
    admitted: Arc<Semaphore>,
}

/// Held while a request is answered.
pub(super) struct Place {
    _answered: OwnedSemaphorePermit,
    _admitted: OwnedSemaphorePermit,
    _owner: Arc<Requests>,
}

impl Places {
    pub(super) fn new(for_each: usize) -> Self {
        Self { for_each, owners: Mutex::default() }
    }

    /// Waits up to [`WAIT_LIMIT`] for a place.
    pub(super) async fn take(&self, owner: Owner) -> Result<Place, Problem> {
        let refused = || Problem::TooManyRequests(self.for_each);
        let requests = self.of(owner);
        let admitted = Arc::clone(&requests.admitted).try_acquire_owned().map_err(|_| refused())?;
        let waiting = Arc::clone(&requests.answered).acquire_owned();
        let answered = tokio::time::timeout(WAIT_LIMIT, waiting).await.map_err(|_| refused())?;
        let answered = answered.expect("the semaphore is never closed");
        Ok(Place { _answered: answered, _admitted: admitted, _owner: requests })
    }

    fn of(&self, owner: Owner) -> Arc<Requests> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if owners.len() > SWEEP_ABOVE {
            owners.retain(|_, requests| requests.strong_count() > 0);
        }
        let known = owners.entry(owner).or_default();
        known.upgrade().unwrap_or_else(|| {
            let admitted = self.for_each.saturating_mul(1 + WAITING_FOR_EACH).min(Semaphore::MAX_PERMITS);
            let requests = Arc::new(Requests {
                answered: Arc::new(Semaphore::new(self.for_each)),
                admitted: Arc::new(Semaphore::new(admitted)),
            });
            *known = Arc::downgrade(&requests);
            requests
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::domain::tenant::DEFAULT_TENANT;

    #[tokio::test]
    async fn one_tenant_takes_its_places_and_another_finds_its_own() {
        let places = Places::new(2);
        let first = places.take(Some(DEFAULT_TENANT)).await.unwrap();
        let _second = places.take(Some(DEFAULT_TENANT)).await.unwrap();
        assert_eq!(places.take(Some(DEFAULT_TENANT)).await.err(), Some(Problem::TooManyRequests(2)), "after the wait");
        assert!(places.take(None).await.is_ok(), "the operator has places of its own");
        drop(first);
        assert!(places.take(Some(DEFAULT_TENANT)).await.is_ok());
    }

    #[tokio::test]
    async fn only_so_many_wait_and_the_next_is_refused_at_once() {
        let places = Places::new(1);
        let _held = places.take(None).await.unwrap();
        let mut waiting: Vec<_> = (0..WAITING_FOR_EACH).map(|_| Box::pin(places.take(None))).collect();
        assert!(waiting.iter_mut().all(|wait| wait.now_or_never().is_none()));
        assert!(Box::pin(places.take(None)).now_or_never().is_some_and(|place| place.is_err()));
    }
}
