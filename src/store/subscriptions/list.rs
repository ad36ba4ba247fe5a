//! The subscriptions of a tenant that events are matched with, and changes of that list.

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{Store, StoreError, sql};
use crate::domain::id::{SubscriptionId, TenantId};
use crate::store::connection::Param;

#[derive(Debug, Clone)]
pub struct ListRows {
    /// Of the tenant's list, at the same moment.
    pub version: i64,
    pub living: Vec<ListRow>,
    /// Only when changes were requested.
    pub deleted: Vec<SubscriptionId>,
}

#[derive(Debug, Clone)]
pub struct ListRow {
    pub id: SubscriptionId,
    pub version: i64,
    pub event_types: Vec<String>,
    /// Text of its filter.
    pub filter: Option<String>,
    pub is_active: bool,
    pub is_ordered: bool,
}

impl Store {
    /// `Unreadable` for a tenant that does not exist.
    pub async fn all_subscriptions(&self, tenant: TenantId) -> Result<ListRows, StoreError> {
        let tenant = tenant.uuid();
        let rows = self.lookup().await?.query(&sql::ALL_SUBSCRIPTIONS, &[(&tenant, Type::UUID)]).await?;
        list_rows(&rows, |_| Ok(false))
    }

    /// What changed since this version of the list, and the current rows of these ids.
    pub async fn changed_subscriptions(
        &self,
        tenant: TenantId,
        since: i64,
        ids: &[SubscriptionId],
    ) -> Result<ListRows, StoreError> {
        let tenant = tenant.uuid();
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&since, Type::INT8), (&ids, Type::UUID_ARRAY)];
        let rows = self.lookup().await?.query(&sql::CHANGED_SUBSCRIPTIONS, &params).await?;
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
                filter: row.try_get("filter")?,
                is_active: row.try_get("is_active")?,
                is_ordered: row.try_get("is_ordered")?,
            }),
        }
    }
    Ok(list)
}
