//! Resolves the id or external id of a subscription.

use uuid::Uuid;

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

    /// Of one tenant, or of any: an external id is unique within a tenant only.
    pub(super) async fn asked_subscriptions(
        &self,
        tenant: Option<TenantId>,
        names: &[SubscriptionName],
    ) -> Result<Vec<Uuid>, Problem> {
        let mut ids = Vec::with_capacity(names.len());
        for name in names {
            let id = match (name, tenant) {
                (SubscriptionName::Id(id), _) => *id,
                (SubscriptionName::External(_), Some(tenant)) => self.subscription_id(tenant, name).await?,
                (SubscriptionName::External(_), None) => {
                    let rule = "must be an id where Postrider-Tenant is *: external ids belong to one tenant";
                    return Err(Problem::field("/query/subscription_id", "invalid_id", rule));
                }
            };
            if !ids.contains(&id.uuid()) {
                ids.push(id.uuid());
            }
        }
        Ok(ids)
    }
}
