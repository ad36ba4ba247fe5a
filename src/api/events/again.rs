//! An event whose deliveries are made again, or end, because somebody asks for it.

use poem_openapi::Object;
use serde::Serialize;

use crate::api::Api;
use crate::api::problem::Problem;
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

/// Makes deliveries of an event again.
///
/// # Errors
/// [`Problem`]; `EventNotFound` and `DeliveryNotFound` where there is nothing that was meant.
pub(super) async fn retry(
    api: &Api,
    tenant: TenantId,
    webhook_id: IdText,
    subscription: Option<IdText>,
) -> Result<RetryAnswer, Problem> {
    let (event, subscription) = (webhook_id.0.into(), subscription.map(|id| id.0.into()));
    let asked = api.store.retry(tenant, event, subscription, api.settings.delivery_lifetime).await?;
    let retried = asked.ok_or(Problem::EventNotFound)?;
    if !retried.is_known {
        return Err(Problem::DeliveryNotFound);
    }
    if retried.retried > 0 {
        wake(api).await;
    }
    Ok(RetryAnswer { webhook_id, retried: retried.retried })
}

/// Ends what is owed of an event.
///
/// # Errors
/// As [`retry`].
pub(super) async fn cancel(
    api: &Api,
    tenant: TenantId,
    webhook_id: IdText,
    subscription: Option<IdText>,
) -> Result<CancelAnswer, Problem> {
    let (event, subscription) = (webhook_id.0.into(), subscription.map(|id| id.0.into()));
    let cancelled = api.store.cancel(tenant, event, subscription).await?.ok_or(Problem::EventNotFound)?;
    if !cancelled.is_known {
        return Err(Problem::DeliveryNotFound);
    }
    if !cancelled.lines.is_empty() {
        match api.store.advance(&cancelled.lines).await {
            Ok(0) => {}
            Ok(_) => wake(api).await,
            Err(error) => tracing::debug!(%error, "lines did not go on and wait for upkeep"),
        }
    }
    Ok(CancelAnswer { webhook_id, cancelled: cancelled.cancelled, sending: cancelled.sending })
}

/// Workers find by polling what they are not told of.
async fn wake(api: &Api) {
    if let Err(error) = api.store.notify_due().await {
        tracing::debug!(%error, "workers were not woken and will find what is due by polling");
    }
}
