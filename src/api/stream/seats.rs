//! How many streams a replica has open at a time, and how many of them one tenant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::api::problem::Problem;
use crate::domain::id::TenantId;

/// Each holds a connection of the API and up to 1,000 events, about 1 MB.
const MOST_STREAMS: usize = 400;
/// So that seven tenants that take all of theirs leave room for an eighth.
const MOST_STREAMS_OF_ONE: usize = 50;

/// `None` for all tenants.
type Owner = Option<TenantId>;

/// Clones share the limits.
#[derive(Clone, Default)]
pub(super) struct Seats(Arc<Mutex<HashMap<Owner, usize>>>);

/// Room for one stream, whether it catches up or follows the feed; given back when it is dropped.
pub(super) struct Seat {
    seats: Seats,
    owner: Owner,
}

impl Seats {
    pub(super) fn take(&self, owner: Owner) -> Result<Seat, Problem> {
        let mut taken = self.lock();
        let of_owner = taken.get(&owner).copied().unwrap_or(0);
        if of_owner >= MOST_STREAMS_OF_ONE {
            let whose = if owner.is_some() { "of this tenant" } else { "of all tenants together" };
            return Err(Problem::TooManyStreams(MOST_STREAMS_OF_ONE, whose));
        }
        if taken.values().sum::<usize>() >= MOST_STREAMS {
            return Err(Problem::TooManyStreams(MOST_STREAMS, "in all"));
        }
        taken.insert(owner, of_owner + 1);
        Ok(Seat { seats: self.clone(), owner })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        match taken.get(&self.owner).map_or(0, |of_owner| of_owner.saturating_sub(1)) {
            0 => taken.remove(&self.owner),
            left => taken.insert(self.owner, left),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_tenants_with_all_their_streams_leave_room_for_an_eighth() {
        let seats = Seats::default();
        let tenant = |number: usize| Some(TenantId::from(uuid::Uuid::from_u128(number as u128)));
        let greedy = |number: usize| std::iter::from_fn(move || Some(number)).map_while(|n| seats.take(tenant(n)).ok());
        let mut taken: Vec<Vec<Seat>> = (0..7).map(|number| greedy(number).collect()).collect();
        assert!(taken.iter().all(|of_one| of_one.len() == MOST_STREAMS_OF_ONE));
        let last: Vec<Seat> = greedy(7).collect();
        assert_eq!(last.len(), MOST_STREAMS - 7 * MOST_STREAMS_OF_ONE);
        assert_eq!(seats.take(None).err(), Some(Problem::TooManyStreams(MOST_STREAMS, "in all")));
        drop(taken.pop());
        assert!(seats.take(None).is_ok() && seats.take(tenant(0)).is_err());
        drop((taken, last));
        assert!(seats.lock().is_empty());
    }
}
