//! Delivering an event again, because somebody asks for it.

use std::time::Duration;

use poem_openapi::Object;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use crate::api::Api;
use crate::api::problem::Problem;
use crate::domain::actor::Actor;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::TenantId;
use crate::store::Chosen;

/// What is made again.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct RetryAnswer {
    /// The event.
    webhook_id: Uuid,
    /// Deliveries that are made again or sooner.
    retried: i64,
    /// Whether some may be left because there are many: ask again.
    more: bool,
}

/// Most deliveries that one statement requeues, and as many that it makes due.
const ROWS: i64 = 2_000;
/// Most time in which a request begins such statements.
const BUDGET: Duration = Duration::from_millis(1_000);

/// Makes deliveries of an event again.
///
/// # Errors
/// [`Problem`]; `EventNotFound` and `DeliveryNotFound` where there is nothing that was meant.
pub(super) async fn retry(
    api: &Api,
    tenant: TenantId,
    webhook_id: Uuid,
    subscription: Option<SubscriptionName>,
    actor: &Actor,
) -> Result<RetryAnswer, Problem> {
    let subscription = api.asked_subscription(tenant, subscription.as_ref()).await?;
    let chosen = Chosen { tenant, event: webhook_id.into(), subscription };
    let mut answer = RetryAnswer { webhook_id, retried: 0, more: false };
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
