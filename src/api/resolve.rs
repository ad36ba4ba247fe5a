//! Resolves the id or external id of a subscription.

use super::Api;
use super::problem::Problem;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::{SubscriptionId, TenantId};

impl Api {
    pub(super) async fn subscription_id(
        &self,
        tenant: TenantId,
        name: &SubscriptionName,
    ) -> Result<SubscriptionId, Problem> {
        self.subscriptions.resolve(tenant, name).await?.ok_or(Problem::SubscriptionNotFound)
    }

    pub(super) async fn asked_subscription(
        &self,
        tenant: TenantId,
        name: Option<&SubscriptionName>,
    ) -> Result<Option<SubscriptionId>, Problem> {
        match name {
            Some(name) => self.subscription_id(tenant, name).await.map(Some),
            None => Ok(None),
        }
    }
}
