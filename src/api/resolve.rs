//! Which subscription a request means, that names one by its id or its external id.

use super::Api;
use super::problem::Problem;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::{SubscriptionId, TenantId};

impl Api {
    /// The id of the tenant's subscription that has this name.
    ///
    /// # Errors
    /// [`Problem::SubscriptionNotFound`] where nothing has this external id.
    pub(super) async fn subscription_id(
        &self,
        tenant: TenantId,
        name: &SubscriptionName,
    ) -> Result<SubscriptionId, Problem> {
        self.subscriptions.resolve(tenant, name).await?.ok_or(Problem::SubscriptionNotFound)
    }

    /// The same where a request may name one.
    ///
    /// # Errors
    /// As [`Self::subscription_id`].
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
