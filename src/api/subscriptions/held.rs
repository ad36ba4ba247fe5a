//! Dropping what is held for a subscription.

use std::time::Duration;

use tokio::time::Instant;

use super::answer::HeldCancelled;
use crate::api::Api;
use crate::api::problem::Problem;
use crate::domain::actor::Actor;
use crate::domain::id::{SubscriptionId, TenantId};

/// Most held deliveries that one statement ends.
const ROWS: i64 = 2_000;
/// Most time in which a request begins such statements.
const BUDGET: Duration = Duration::from_millis(1_000);

/// Ends held deliveries, as many as there is time for.
///
/// # Errors
/// [`Problem`] from the database; what ended before stays so.
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
