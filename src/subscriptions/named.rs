//! Subscriptions by the external id that their owner gave them.
//!
//! Which subscription has an external id is remembered in this process and decides nothing: a
//! copy says itself which external id it has, every change of one raises the version, and the
//! accepting statement compares that with the row.

use std::sync::Arc;

use super::Subscriptions;
use crate::domain::external_id::ExternalId;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::subscription::Subscription;
use crate::store::StoreError;

impl Subscriptions {
    /// The id of the subscription that has this external id now.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn resolve(&self, tenant: TenantId, name: &ExternalId) -> Result<Option<SubscriptionId>, StoreError> {
        self.store.resolve_subscription(tenant, name).await
    }

    /// A copy from near by of the subscription with this external id, to be believed as
    /// little as any; `None` where there is none.
    pub async fn copy_named(&self, tenant: TenantId, name: &ExternalId) -> Option<Arc<Subscription>> {
        let id = self.copies.named(&(tenant, name.clone()))?;
        self.copy(Some(tenant), id).await.filter(|copy| copy.external_id.as_ref() == Some(name))
    }

    /// The subscription that has this external id in PostgreSQL now; `None` when nothing has
    /// it. Keeps a copy, and whose the external id is.
    ///
    /// # Errors
    /// As [`Subscriptions::read`].
    pub async fn read_named(
        &self,
        tenant: TenantId,
        name: &ExternalId,
    ) -> Result<Option<Arc<Subscription>>, StoreError> {
        let Some(id) = self.resolve(tenant, name).await? else { return Ok(None) };
        // It may have moved between the two statements: then this one no longer has it.
        let found = self.read(Some(tenant), id).await?.filter(|found| found.external_id.as_ref() == Some(name));
        if found.is_some() {
            self.copies.name((tenant, name.clone()), id);
        }
        Ok(found)
    }
}
