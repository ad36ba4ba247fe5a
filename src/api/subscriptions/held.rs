//! Cancels held deliveries of a subscription.

use std::time::Duration;

use tokio::time::Instant;

use super::answer::HeldCancelled;
use crate::api::Api;
use crate::api::problem::Problem;
use crate::domain::actor::Actor;
use crate::domain::id::{SubscriptionId, TenantId};

const ROWS: i64 = 2_000;
/// No further statement begins after this.
const BUDGET: Duration = Duration::from_millis(1_000);

/// As many as there is time for. After an error, what ended before stays ended.
pub(super) async fn cancel(
    api: &Api,
    tenant: TenantId,
    id: SubscriptionId,
    actor: &Actor,
) -> Result<HeldCancelled, Problem> {
    let (began, mut cancelled) = (Instant::now(), 0);
    loop {
        let (ended, groups) = api.store.cancel_held(tenant, id, ROWS, actor).await?;
        cancelled += ended;
        api.advance(&groups).await;
        if ended < ROWS || began.elapsed() > BUDGET {
            break;
        }
    }
    let left = api.store.read_health(tenant, &[id]).await?;
    let more = left.first().is_some_and(|(_, health)| health.held > 0);
    Ok(HeldCancelled { subscription_id: id.uuid(), cancelled, more })
}
