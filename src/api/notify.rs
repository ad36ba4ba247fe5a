//! Notifying workers of what a request has made due. A hint: they find by polling what they are
//! not notified of, and upkeep advances ordering groups that were not.

use super::Api;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::ordering::OrderingGroup;
use crate::store::Notice;

impl Api {
    /// Deliveries fell due just now.
    pub(super) async fn notify_workers(&self) {
        if let Err(error) = self.store.notify_due().await {
            tracing::debug!(%error, "workers were not notified and will find what is due by polling");
        }
    }

    /// What is pending of a subscription may be sent otherwise than before: sooner, later, or elsewhere.
    pub(super) async fn notify_released(&self, tenant: TenantId, subscription: SubscriptionId) {
        if let Err(error) = self.store.notify(Notice::Released(tenant, subscription)).await {
            tracing::debug!(%error, "workers were not notified and will find what is due by polling");
        }
    }

    /// The heads of these ordering groups may have ended.
    pub(super) async fn advance(&self, groups: &[OrderingGroup]) {
        if groups.is_empty() {
            return;
        }
        match self.store.advance(groups).await {
            Ok(released) if released.is_empty() => {}
            Ok(_) => self.notify_workers().await,
            Err(error) => tracing::debug!(%error, "ordering groups were not advanced; upkeep will do it"),
        }
    }
}
