//! How many streams a replica has open at a time, and how many of them one tenant; and how many catch up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::problem::Problem;
use crate::domain::id::TenantId;

/// The part of all streams that one tenant may have: seven that take all of theirs leave room for an eighth.
const SHARE: usize = 8;

/// `None` for all tenants.
type Owner = Option<TenantId>;

/// Clones share the limits. Each stream holds a connection of the API and up to 1,000 events, about 1 MB; one that catches
/// up also remembers up to 20,000 events, 1.6 MB, and has a page of up to 4,000 of them.
#[derive(Clone)]
pub(super) struct Seats {
    most: usize,
    taken: Arc<Mutex<HashMap<Owner, Taken>>>,
    /// Streams that catch up use one connection of the database together.
    turns: Arc<Semaphore>,
}

struct Taken {
    streams: usize,
    /// One stream of each owner waits for the turn, so that many of one are no longer queue for another.
    turns: Arc<Semaphore>,
}

/// Room for one stream, whether it catches up or follows the feed; given back when it is dropped.
pub(super) struct Seat {
    seats: Seats,
    owner: Owner,
    turns: Arc<Semaphore>,
}

/// Held for one page of the log.
pub(super) struct Turn {
    _in_all: Option<OwnedSemaphorePermit>,
    _of_owner: Option<OwnedSemaphorePermit>,
}

impl Seat {
    /// Whoever drops this future loses its place.
    pub(super) fn turn(&self) -> impl Future<Output = Turn> + Send + 'static {
        let (of_owner, in_all) = (Arc::clone(&self.turns), Arc::clone(&self.seats.turns));
        async move {
            // They are never closed.
            let of_owner = of_owner.acquire_owned().await.ok();
            let in_all = in_all.acquire_owned().await.ok();
            Turn { _in_all: in_all, _of_owner: of_owner }
        }
    }
}

impl Seats {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: Arc::default(), turns: Arc::new(Semaphore::new(1)) }
    }

    pub(super) fn take(&self, owner: Owner) -> Result<Seat, Problem> {
        let mut taken = self.lock();
        let of_owner = taken.get(&owner).map_or(0, |taken| taken.streams);
        let most_of_one = (self.most / SHARE).max(1);
        if of_owner >= most_of_one {
            let whose = if owner.is_some() { "of this tenant" } else { "of all tenants together" };
            return Err(Problem::TooManyStreams(most_of_one, whose));
        }
        if taken.values().map(|taken| taken.streams).sum::<usize>() >= self.most {
            return Err(Problem::TooManyStreams(self.most, "in all"));
        }
        let own = taken.entry(owner).or_insert_with(|| Taken { streams: 0, turns: Arc::new(Semaphore::new(1)) });
        own.streams += 1;
        Ok(Seat { seats: self.clone(), owner, turns: Arc::clone(&own.turns) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if let Some(own) = taken.get_mut(&self.owner) {
            own.streams = own.streams.saturating_sub(1);
        }
        taken.retain(|_, taken| taken.streams > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_tenants_with_all_their_streams_leave_room_for_an_eighth() {
        let seats = Seats::new(24);
        let tenant = |number: usize| Some(TenantId::from(uuid::Uuid::from_u128(number as u128)));
        let greedy = |number: usize| std::iter::from_fn(move || Some(number)).map_while(|n| seats.take(tenant(n)).ok());
        let mut taken: Vec<Vec<Seat>> = (0..7).map(|number| greedy(number).collect()).collect();
        assert!(taken.iter().all(|of_one| of_one.len() == 3));
        let last: Vec<Seat> = greedy(7).collect();
        assert_eq!(last.len(), 3);
        assert_eq!(seats.take(None).err(), Some(Problem::TooManyStreams(24, "in all")));
        drop(taken.pop());
        assert!(seats.take(None).is_ok() && seats.take(tenant(0)).is_err());
        drop((taken, last));
        assert!(seats.lock().is_empty());
        for most in 8..100 {
            let seats = Seats::new(most);
            let taken =
                (0..7).flat_map(|number| std::iter::from_fn(|| seats.take(tenant(number)).ok()).collect::<Vec<_>>());
            let taken: Vec<Seat> = taken.collect();
            assert!(taken.len() < most && seats.take(tenant(7)).is_ok(), "{most}");
        }
    }

    #[tokio::test]
    async fn many_streams_of_one_tenant_that_catch_up_let_another_in_after_one_page() {
        let seats = Seats::new(400);
        let tenant = |number| Some(TenantId::from(uuid::Uuid::from_u128(number)));
        let (greedy, modest) = (tenant(1), tenant(2));
        let first = seats.take(greedy).unwrap();
        let held = first.turn().await;
        let others: Vec<Seat> = (0..10).map(|_| seats.take(greedy).unwrap()).collect();
        let mut waiting: Vec<_> = others.iter().map(|seat| Box::pin(seat.turn())).collect();
        for turn in &mut waiting {
            assert!(futures_util::poll!(turn.as_mut()).is_pending());
        }
        let seat = seats.take(modest).unwrap();
        let mut turn = Box::pin(seat.turn());
        assert!(futures_util::poll!(turn.as_mut()).is_pending());
        drop(held);
        assert!(futures_util::poll!(turn.as_mut()).is_ready(), "the next turn is the other tenant's");
    }
}
