//! Notifies workers of due deliveries. They also find them by polling, and upkeep advances ordering groups.

use super::Api;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::ordering::OrderingGroup;
use crate::store::Notice;

impl Api {
    pub(super) async fn notify_workers(&self) {
        if let Err(error) = self.store.notify_due().await {
            tracing::debug!(%error, "workers were not notified and will find what is due by polling");
        }
    }

    /// Call it when the subscription's deliveries may be sent sooner, later, or elsewhere.
    pub(super) async fn notify_released(&self, tenant: TenantId, subscription: SubscriptionId) {
        if let Err(error) = self.store.notify(Notice::Released(tenant, subscription)).await {
            tracing::debug!(%error, "workers were not notified and will find what is due by polling");
        }
    }

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
