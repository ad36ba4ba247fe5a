//! All subscriptions of a tenant, with the version of their list; and what makes a list of
//! them current again.

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::row::stored;
use super::{Store, StoreError, StoredSubscription, sql};
use crate::domain::id::{SubscriptionId, TenantId};
use crate::store::connection::Param;

/// Rows of a list, and the version that the list has with them.
#[derive(Debug, Clone)]
pub struct ListRows {
    /// Of the tenant's list, as of the same moment.
    pub version: i64,
    /// Those that are not deleted.
    pub living: Vec<StoredSubscription>,
}

impl Store {
    /// Every subscription of a tenant that is not deleted, by id.
    ///
    /// # Errors
    /// [`StoreError`] from the database; `Unreadable` for a tenant that there is not.
    pub async fn all_subscriptions(&self, tenant: TenantId) -> Result<ListRows, StoreError> {
        let tenant = tenant.uuid();
        let rows = self.interactive().await?.query(&sql::ALL_SUBSCRIPTIONS, &[(&tenant, Type::UUID)]).await?;
        let there = |row: &&Row| row.try_get::<_, Option<Uuid>>("id").is_ok_and(|id| id.is_some());
        let living = rows.iter().filter(there).map(stored).collect::<Result<_, _>>()?;
        Ok(ListRows { version: version(&rows)?, living })
    }

    /// What changed in who gets an event since the list of the tenant had this version, and
    /// the subscriptions with these ids as they stand; and the ids of those that are deleted.
    ///
    /// # Errors
    /// As [`Self::all_subscriptions`].
    pub async fn changed_subscriptions(
        &self,
        tenant: TenantId,
        since: i64,
        ids: &[SubscriptionId],
    ) -> Result<(ListRows, Vec<SubscriptionId>), StoreError> {
        let tenant = tenant.uuid();
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&since, Type::INT8), (&ids, Type::UUID_ARRAY)];
        let rows = self.interactive().await?.query(&sql::CHANGED_SUBSCRIPTIONS, &params).await?;
        let (mut living, mut deleted) = (Vec::new(), Vec::new());
        for row in &rows {
            match row.try_get::<_, Option<Uuid>>("id")? {
                Some(id) if row.try_get("is_deleted")? => deleted.push(id.into()),
                Some(_) => living.push(stored(row)?),
                None => {}
            }
        }
        Ok((ListRows { version: version(&rows)?, living }, deleted))
    }
}

fn version(rows: &[Row]) -> Result<i64, StoreError> {
    let first = rows.first().ok_or_else(|| StoreError::Unreadable("a tenant has no row".to_owned()))?;
    Ok(first.try_get("subscriptions_version")?)
}
