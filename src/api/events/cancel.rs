//! Calling off what is owed of an event.

use poem_openapi::Object;
use serde::Serialize;

use super::wake_workers;
use crate::api::Api;
use crate::api::problem::Problem;
use crate::api::subscription_path::SubscriptionPath;
use crate::api::text::IdText;
use crate::domain::id::TenantId;

/// What ends.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct CancelAnswer {
    /// The event.
    webhook_id: IdText,
    /// Deliveries that ended.
    cancelled: i64,
    /// Deliveries that are under way and are cancelled unless this attempt succeeds.
    sending: i64,
}

/// Ends what is owed of an event.
///
/// # Errors
/// [`Problem`]; `EventNotFound` and `DeliveryNotFound` where there is nothing that was meant.
pub(super) async fn cancel(
    api: &Api,
    tenant: TenantId,
    webhook_id: IdText,
    subscription: Option<SubscriptionPath>,
) -> Result<CancelAnswer, Problem> {
    let event = webhook_id.0.into();
    let subscription = api.asked_subscription(tenant, subscription.as_ref()).await?;
    let cancelled = api.store.cancel(tenant, event, subscription).await?.ok_or(Problem::EventNotFound)?;
    if !cancelled.is_known {
        return Err(Problem::DeliveryNotFound);
    }
    if !cancelled.lines.is_empty() {
        match api.store.advance(&cancelled.lines).await {
            Ok(0) => {}
            Ok(_) => wake_workers(api).await,
            Err(error) => tracing::debug!(%error, "lines did not go on and wait for upkeep"),
        }
    }
    Ok(CancelAnswer { webhook_id, cancelled: cancelled.cancelled, sending: cancelled.sending })
}
