//! Repeats deliveries of an event on request.

use std::time::Duration;

use poem_openapi::Object;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use crate::api::Api;
use crate::api::outbox;
use crate::api::problem::Problem;
use crate::domain::actor::Actor;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::TenantId;
use crate::store::Chosen;

/// Repeated deliveries.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct RetryAnswer {
    /// The event.
    webhook_id: Uuid,
    /// Deliveries that are repeated, or made due now.
    retried: i64,
    /// Whether deliveries may be left: repeat the request.
    more: bool,
}

const ROWS: i64 = 2_000;
/// No further statement begins after this.
const BUDGET: Duration = Duration::from_millis(1_000);

pub(super) async fn retry(
    api: &Api,
    tenant: TenantId,
    webhook_id: Uuid,
    subscription: Option<SubscriptionName>,
    actor: &Actor,
) -> Result<RetryAnswer, Problem> {
    let subscription = api.asked_subscription(tenant, subscription.as_ref()).await?;
    let event = outbox::published(api, tenant, webhook_id.into()).await?;
    let chosen = Chosen { tenant, event, subscription };
    let mut answer = RetryAnswer { webhook_id: event.uuid(), retried: 0, more: false };
    let began = Instant::now();
    loop {
        let part = api.store.retry(&chosen, api.settings.delivery_lifetime, ROWS, actor).await?;
        let part = part.ok_or(Problem::EventNotFound)?;
        if !part.is_known {
            return Err(Problem::DeliveryNotFound);
        }
        if part.retried > 0 {
            api.notify_workers().await;
        }
        answer.retried += part.retried;
        answer.more = part.retried >= ROWS;
        if !answer.more || began.elapsed() > BUDGET {
            return Ok(answer);
        }
    }
}
