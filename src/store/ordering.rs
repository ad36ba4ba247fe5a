//! Releases the next delivery of an ordering group.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::ordering::{OrderingGroup, OrderingKey};

/// All hints are dropped when there are more.
const MAX_HINTS: usize = 10_000;
const DISSOLVED_ROWS: i64 = 2_000;

/// Last seen positions of heads; they only save a walk over finished rows. After a restore of the database they may
/// hide rows; upkeep ignores and clears them.
#[derive(Clone, Default)]
pub(super) struct HeadHints(Arc<Mutex<HashMap<OrderingGroup, i64>>>);

impl HeadHints {
    fn of(&self, groups: &[OrderingGroup]) -> Vec<i64> {
        let hints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        groups.iter().map(|group| hints.get(group).copied().unwrap_or(0)).collect()
    }

    fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn raise(&self, heads: impl Iterator<Item = (OrderingGroup, i64)>) {
        let mut hints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (group, position) in heads {
            if hints.len() >= MAX_HINTS && !hints.contains_key(&group) {
                hints.clear();
            }
            // Concurrent results may arrive out of order.
            hints.entry(group).and_modify(|hint| *hint = position.max(*hint)).or_insert(position);
        }
    }
}

#[derive(Debug, Default)]
pub struct GroupWalk {
    pub(crate) looked_at: usize,
    pub released: usize,
    /// The last group, from which the next walk continues.
    pub(crate) last: Option<OrderingGroup>,
}

impl Store {
    /// Makes the head of each group due if it is held. Call it after a commit that adds to a group or ends its head;
    /// upkeep repairs a missed call.
    pub async fn advance(&self, groups: &[OrderingGroup]) -> Result<Vec<OrderingGroup>, StoreError> {
        let mut connection = self.queue().await?;
        let subscriptions: Vec<Uuid> = groups.iter().map(|group| group.subscription.uuid()).collect();
        let keys: Vec<&str> = groups.iter().map(|group| group.key.as_str()).collect();
        let hints = self.hints.of(groups);
        let params: [Param<'_>; 3] =
            [(&subscriptions, Type::UUID_ARRAY), (&keys, Type::TEXT_ARRAY), (&hints, Type::INT8_ARRAY)];
        let rows = connection.query(&sql::ADVANCE, &params).await?;
        let (mut heads, mut released) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in &rows {
            let group = group(row.try_get("subscription_id")?, row.try_get("ordering_key")?);
            if row.try_get::<_, bool>("is_released")? {
                released.push(group.clone());
            }
            heads.push((group, row.try_get("position")?));
        }
        self.hints.raise(heads.into_iter());
        Ok(released)
    }

    /// Advances up to `most` groups, and releases deliveries of subscriptions that are no longer ordered. `None`
    /// while another process does this.
    pub async fn advance_groups(
        &self,
        after: Option<&OrderingGroup>,
        most: usize,
    ) -> Result<Option<GroupWalk>, StoreError> {
        let mut connection = self.maintenance().await?;
        let (subscription, key) =
            after.map_or((Uuid::nil(), ""), |group| (group.subscription.uuid(), group.key.as_str()));
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let params: [Param<'_>; 4] =
            [(&subscription, Type::UUID), (&key, Type::TEXT), (&most, Type::INT8), (&DISSOLVED_ROWS, Type::INT8)];
        let rows = connection.query(&sql::ADVANCE_GROUPS, &params).await?;
        let count = |row: &Row, name: &str| {
            Ok::<_, StoreError>(row.try_get::<_, Option<i64>>(name)?.and_then(|count| usize::try_from(count).ok()))
        };
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(looked_at) = count(row, "looked_at")? else { return Ok(None) };
        let last: Option<(Uuid, String)> =
            row.try_get::<_, Option<Uuid>>("last_subscription")?.zip(row.try_get("last_key")?);
        let released = count(row, "released")?.unwrap_or(0);
        if released > 0 {
            self.hints.forget();
        }
        Ok(Some(GroupWalk { looked_at, released, last: last.map(|(subscription, key)| group(subscription, key)) }))
    }
}

pub(super) fn ended(row: &Row) -> Result<Vec<OrderingGroup>, StoreError> {
    let subscriptions: Vec<Uuid> = row.try_get("group_subscriptions")?;
    let keys: Vec<String> = row.try_get("group_keys")?;
    Ok(subscriptions.into_iter().zip(keys).map(|(subscription, key)| group(subscription, key)).collect())
}

fn group(subscription: Uuid, key: String) -> OrderingGroup {
    OrderingGroup { subscription: subscription.into(), key: OrderingKey::stored(key) }
}
