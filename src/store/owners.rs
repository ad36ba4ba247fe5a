//! Owners: the only worker that sends for a paced subscription.

use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::breaker::Breaker;
use crate::domain::id::{SubscriptionId, TenantId, WorkerId};
use crate::domain::recovery::Recovery;

#[derive(Debug, Clone)]
pub struct KeepRequest {
    pub worker: WorkerId,
    /// Duration; longer for a subscription with a longer lease.
    pub lasting: Duration,
    pub owned: Vec<SubscriptionId>,
    pub wanted: Vec<(TenantId, SubscriptionId)>,
    pub counted: Vec<SubscriptionId>,
}

#[derive(Debug, Clone, Copy)]
pub struct Owned {
    pub subscription: SubscriptionId,
    pub(crate) tenant: TenantId,
    /// Least remaining time of the ownership.
    pub(crate) lasts: Duration,
    pub(crate) is_active: bool,
    pub(crate) is_paced: bool,
    pub(crate) rate_limit: Option<u32>,
    pub(crate) max_in_flight: Option<u32>,
    pub breaker: Breaker,
    pub(crate) wait: Duration,
    pub(crate) leased: usize,
}

impl Store {
    /// Renews and claims ownerships. Returns all that the worker owns.
    pub async fn keep_owned(&self, request: &KeepRequest) -> Result<Vec<Owned>, StoreError> {
        let mut connection = self.queue().await?;
        let (worker, lasting) = (request.worker.uuid(), request.lasting.as_secs_f64());
        let ids = |ids: &[SubscriptionId]| ids.iter().map(|id| id.uuid()).collect::<Vec<_>>();
        let (owned, counted) = (ids(&request.owned), ids(&request.counted));
        let wanted: Vec<Uuid> = request.wanted.iter().map(|(_, subscription)| subscription.uuid()).collect();
        let tenants: Vec<Uuid> = request.wanted.iter().map(|(tenant, _)| tenant.uuid()).collect();
        let params: [Param<'_>; 6] = [
            (&worker, Type::UUID),
            (&lasting, Type::FLOAT8),
            (&owned, Type::UUID_ARRAY),
            (&wanted, Type::UUID_ARRAY),
            (&tenants, Type::UUID_ARRAY),
            (&counted, Type::UUID_ARRAY),
        ];
        connection.query(&sql::KEEP_OWNED, &params).await?.iter().map(owned_row).collect()
    }

    pub(crate) async fn drop_owned(
        &self,
        worker: WorkerId,
        subscriptions: &[SubscriptionId],
    ) -> Result<(), StoreError> {
        let mut connection = self.queue().await?;
        let worker = worker.uuid();
        let subscriptions: Vec<Uuid> = subscriptions.iter().map(|subscription| subscription.uuid()).collect();
        connection.query(&sql::DROP_OWNED, &[(&worker, Type::UUID), (&subscriptions, Type::UUID_ARRAY)]).await.map(drop)
    }
}

fn owned_row(row: &Row) -> Result<Owned, StoreError> {
    let whole = |name: &str| -> Result<Option<u32>, StoreError> {
        Ok(row.try_get::<_, Option<i32>>(name)?.and_then(|number| u32::try_from(number).ok()))
    };
    let seconds = |name: &str| -> Result<Duration, StoreError> {
        let seconds = row.try_get::<_, Option<f64>>(name)?.unwrap_or(0.0);
        Ok(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default())
    };
    let breaker = match row.try_get::<_, Option<&str>>("breaker")? {
        None => Breaker::Closed,
        Some("open") => Breaker::Open { probes: whole("probes")?.unwrap_or(0) },
        Some("throttled") => Breaker::Throttled,
        Some("recovering") => {
            let width = whole("width")?.and_then(|width| usize::try_from(width).ok());
            Breaker::Recovering(width.map_or(Recovery::START, Recovery::at))
        }
        Some(other) => return Err(StoreError::Unreadable(format!("the breaker '{other}'"))),
    };
    Ok(Owned {
        subscription: row.try_get::<_, Uuid>("subscription_id")?.into(),
        tenant: row.try_get::<_, Uuid>("tenant_id")?.into(),
        lasts: seconds("lasts")?,
        is_active: row.try_get("is_active")?,
        is_paced: row.try_get("is_paced")?,
        rate_limit: whole("rate_limit")?,
        max_in_flight: whole("max_in_flight")?,
        breaker,
        wait: seconds("wait_seconds")?,
        leased: usize::try_from(row.try_get::<_, i64>("leased")?).unwrap_or(0),
    })
}
