//! Who gets which events of a tenant, with the version of their list; and what makes such a list current again.

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Store, StoreError, sql};
use crate::domain::id::{SubscriptionId, TenantId};
use crate::store::connection::Param;

/// Rows of a list, and the version that the list has with them.
#[derive(Debug, Clone)]
pub struct ListRows {
    /// Of the tenant's list, as of the same moment.
    pub version: i64,
    /// Those that are not deleted.
    pub living: Vec<ListRow>,
    /// Those that are deleted, where only what changed was asked for.
    pub deleted: Vec<SubscriptionId>,
}

/// What decides whether a subscription gets an event.
#[derive(Debug, Clone)]
pub struct ListRow {
    /// Which one.
    pub id: SubscriptionId,
    /// The version of its row.
    pub version: i64,
    /// Its patterns, as stored.
    pub event_types: Vec<String>,
    /// Whether deliveries are sent.
    pub is_active: bool,
    /// Whether it wants events with an ordering key one after the other.
    pub is_ordered: bool,
}

impl Store {
    /// Every subscription of a tenant that is not deleted, by id.
    ///
    /// # Errors
    /// [`StoreError`] from the database; `Unreadable` for a tenant that does not exist.
    pub async fn all_subscriptions(&self, tenant: TenantId) -> Result<ListRows, StoreError> {
        let tenant = tenant.uuid();
        let rows = self.interactive().await?.query(&sql::ALL_SUBSCRIPTIONS, &[(&tenant, Type::UUID)]).await?;
        list_rows(&rows, |_| Ok(false))
    }

    /// What changed since the list had this version, and the subscriptions with these ids as they are now.
    ///
    /// # Errors
    /// As [`Self::all_subscriptions`].
    pub async fn changed_subscriptions(
        &self,
        tenant: TenantId,
        since: i64,
        ids: &[SubscriptionId],
    ) -> Result<ListRows, StoreError> {
        let tenant = tenant.uuid();
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&since, Type::INT8), (&ids, Type::UUID_ARRAY)];
        let rows = self.interactive().await?.query(&sql::CHANGED_SUBSCRIPTIONS, &params).await?;
        list_rows(&rows, |row| row.try_get("is_deleted"))
    }
}

fn list_rows(
    rows: &[Row],
    is_deleted: impl Fn(&Row) -> Result<bool, tokio_postgres::Error>,
) -> Result<ListRows, StoreError> {
    let first = rows.first().ok_or_else(|| StoreError::Unreadable("a tenant has no row".to_owned()))?;
    let mut list =
        ListRows { version: first.try_get("subscriptions_version")?, living: Vec::new(), deleted: Vec::new() };
    for row in rows {
        match row.try_get::<_, Option<Uuid>>("id")? {
            None => {}
            Some(id) if is_deleted(row)? => list.deleted.push(id.into()),
            Some(id) => list.living.push(ListRow {
                id: id.into(),
                version: row.try_get("version")?,
                event_types: row.try_get("event_types")?,
                is_active: row.try_get("is_active")?,
                is_ordered: row.try_get("is_ordered")?,
            }),
        }
    }
    Ok(list)
}
