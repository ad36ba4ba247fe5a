//! Delivering an event again, because somebody asks for it.

use poem_openapi::Object;
use serde::Serialize;

use super::wake_workers;
use crate::api::Api;
use crate::api::problem::Problem;
use crate::api::subscription_path::SubscriptionPath;
use crate::api::text::IdText;
use crate::domain::id::TenantId;

/// What is made again.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct RetryAnswer {
    /// The event.
    webhook_id: IdText,
    /// Deliveries that are made again or sooner.
    retried: i64,
}

/// Makes deliveries of an event again.
///
/// # Errors
/// [`Problem`]; `EventNotFound` and `DeliveryNotFound` where there is nothing that was meant.
pub(super) async fn retry(
    api: &Api,
    tenant: TenantId,
    webhook_id: IdText,
    subscription: Option<SubscriptionPath>,
) -> Result<RetryAnswer, Problem> {
    let event = webhook_id.0.into();
    let subscription = api.asked_subscription(tenant, subscription.as_ref()).await?;
    let asked = api.store.retry(tenant, event, subscription, api.settings.delivery_lifetime).await?;
    let retried = asked.ok_or(Problem::EventNotFound)?;
    if !retried.is_known {
        return Err(Problem::DeliveryNotFound);
    }
    if retried.retried > 0 {
        wake_workers(api).await;
    }
    Ok(RetryAnswer { webhook_id, retried: retried.retried })
}
