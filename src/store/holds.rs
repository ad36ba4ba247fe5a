//! Holds: who may keep deliveries parked, and the way out of it.

use std::time::Duration;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::id::{SubscriptionId, WorkerId};

/// Reason of rows parked because their subscription is full in one worker.
const IN_FLIGHT: &str = "in_flight";
/// Most parked rows of a paced subscription that one statement gives to its owner, where there is
/// no room for more.
const MOST_PACED: i32 = 2_000;

impl Store {
    /// Makes up to so many parked deliveries of each subscription due now; where it is paced by
    /// now they become those of its owner instead. Returns how many each had; one that had
    /// fewer than asked has no more.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn release(&self, room: &[(SubscriptionId, usize)]) -> Result<Vec<(SubscriptionId, usize)>, StoreError> {
        let mut connection = self.queue().await?;
        let subscriptions: Vec<Uuid> = room.iter().map(|(subscription, _)| subscription.uuid()).collect();
        let most: Vec<i32> = room.iter().map(|(_, most)| i32::try_from(*most).unwrap_or(i32::MAX)).collect();
        let params: [Param<'_>; 4] = [
            (&subscriptions, Type::UUID_ARRAY),
            (&most, Type::INT4_ARRAY),
            (&IN_FLIGHT, Type::TEXT),
            (&MOST_PACED, Type::INT4),
        ];
        let rows = connection.query(&sql::RELEASE, &params).await?;
        let released = |row: &tokio_postgres::Row| {
            let count: i64 = row.try_get("released")?;
            Ok((SubscriptionId::from(row.try_get::<_, Uuid>("subscription_id")?), usize::try_from(count).unwrap_or(0)))
        };
        rows.iter().map(released).collect()
    }

    /// States that this worker lives and will release what it parked.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn renew_holds(
        &self,
        parked: &[SubscriptionId],
        owner: WorkerId,
        lasting: Duration,
    ) -> Result<(), StoreError> {
        let mut connection = self.desk().await?;
        let subscriptions: Vec<Uuid> = parked.iter().map(|subscription| subscription.uuid()).collect();
        let (owner, lasting) = (owner.uuid(), lasting.as_secs_f64());
        let params: [Param<'_>; 4] = [
            (&subscriptions, Type::UUID_ARRAY),
            (&IN_FLIGHT, Type::TEXT),
            (&owner, Type::UUID),
            (&lasting, Type::FLOAT8),
        ];
        connection.query(&sql::RENEW_HOLDS, &params).await.map(drop)
    }

    /// Ends this worker's holds of these subscriptions.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn drop_holds(&self, subscriptions: &[SubscriptionId], owner: WorkerId) -> Result<(), StoreError> {
        let mut connection = self.desk().await?;
        let subscriptions: Vec<Uuid> = subscriptions.iter().map(|subscription| subscription.uuid()).collect();
        let owner = owner.uuid();
        let params: [Param<'_>; 3] =
            [(&subscriptions, Type::UUID_ARRAY), (&IN_FLIGHT, Type::TEXT), (&owner, Type::UUID)];
        connection.query(&sql::DROP_HOLDS, &params).await.map(drop)
    }
}
