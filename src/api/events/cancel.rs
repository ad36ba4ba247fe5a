//! Cancels pending deliveries of an event.

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

/// Cancelled deliveries.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct CancelAnswer {
    /// The event.
    webhook_id: Uuid,
    /// Deliveries that ended.
    cancelled: i64,
    /// In flight; they are cancelled unless this attempt succeeds.
    sending: i64,
    /// Whether deliveries may be left: repeat the request.
    more: bool,
}

const ROWS: i64 = 2_000;
/// No further statement begins after this.
const BUDGET: Duration = Duration::from_millis(1_000);

pub(super) async fn cancel(
    api: &Api,
    tenant: TenantId,
    webhook_id: Uuid,
    subscription: Option<SubscriptionName>,
    actor: &Actor,
) -> Result<CancelAnswer, Problem> {
    let subscription = api.asked_subscription(tenant, subscription.as_ref()).await?;
    let event = outbox::published(api, tenant, webhook_id.into()).await?;
    let chosen = Chosen { tenant, event, subscription };
    let mut answer = CancelAnswer { webhook_id: event.uuid(), cancelled: 0, sending: 0, more: false };
    let began = Instant::now();
    loop {
        let part = api.store.cancel(&chosen, ROWS, actor).await?.ok_or(Problem::EventNotFound)?;
        if !part.is_known {
            return Err(Problem::DeliveryNotFound);
        }
        api.advance(&part.groups).await;
        answer.cancelled += part.cancelled;
        answer.sending += part.sending;
        answer.more = part.cancelled + part.sending >= ROWS;
        if !answer.more || began.elapsed() > BUDGET {
            return Ok(answer);
        }
    }
}
