//! Retries and cancels deliveries on request.

use std::time::Duration;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::audit::changed_by;
use super::connection::Param;
use super::{Store, StoreError, ordering, sql};
use crate::domain::actor::Actor;
use crate::domain::id::{EventId, SubscriptionId, TenantId};
use crate::domain::ordering::OrderingGroup;

#[derive(Debug, Clone, Copy)]
pub struct Chosen {
    pub tenant: TenantId,
    pub event: EventId,
    pub subscription: Option<SubscriptionId>,
}
impl Chosen {
    fn ids(&self) -> (Uuid, Uuid, Option<Uuid>) {
        (self.tenant.uuid(), self.event.uuid(), self.subscription.map(SubscriptionId::uuid))
    }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retried {
    pub retried: i64,
    /// Whether the named subscription, if any, has a delivery of the event.
    pub is_known: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Cancelled {
    pub cancelled: i64,
    /// Leased deliveries: they end if the running attempt fails.
    pub sending: i64,
    /// Whether the named subscription, if any, has a delivery of the event.
    pub is_known: bool,
    /// Ordering groups whose head may have ended.
    pub groups: Vec<OrderingGroup>,
}

impl Store {
    /// Makes deliveries of an event due now: scheduled or failed ones and, if a subscription is named, also a
    /// cancelled or successful one. `None` if there is no such event.
    pub async fn retry(
        &self,
        chosen: &Chosen,
        lifetime: Duration,
        most: i64,
        actor: &Actor,
    ) -> Result<Option<Retried>, StoreError> {
        let (tenant, event, subscription) = chosen.ids();
        let (lifetime, by) = (lifetime.as_secs_f64(), changed_by(actor));
        let params: [Param<'_>; 6] = [
            (&tenant, Type::UUID),
            (&event, Type::UUID),
            (&subscription, Type::UUID),
            (&lifetime, Type::FLOAT8),
            (&most, Type::INT8),
            (&by, Type::TEXT),
        ];
        let rows = self.interactive().await?.query(&sql::RETRY, &params).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(retried) = row.try_get("retried")? else { return Ok(None) };
        Ok(Some(Retried { retried, is_known: row.try_get("is_known")? }))
    }

    /// Ends up to `most` pending deliveries of an event. `None` if there is no such event.
    pub async fn cancel(&self, chosen: &Chosen, most: i64, actor: &Actor) -> Result<Option<Cancelled>, StoreError> {
        let (tenant, event, subscription) = chosen.ids();
        let by = changed_by(actor);
        let params: [Param<'_>; 5] = [
            (&tenant, Type::UUID),
            (&event, Type::UUID),
            (&subscription, Type::UUID),
            (&most, Type::INT8),
            (&by, Type::TEXT),
        ];
        let rows = self.interactive().await?.query(&sql::CANCEL, &params).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(cancelled) = row.try_get("cancelled")? else { return Ok(None) };
        Ok(Some(Cancelled {
            cancelled,
            sending: row.try_get("sending")?,
            is_known: row.try_get("is_known")?,
            groups: ordering::ended(row)?,
        }))
    }

    /// Ends up to `most` held deliveries per kind. Returns how many, and the ordering groups whose head may have
    /// ended.
    pub async fn cancel_held(
        &self,
        tenant: TenantId,
        subscription: SubscriptionId,
        most: i64,
        actor: &Actor,
    ) -> Result<(i64, Vec<OrderingGroup>), StoreError> {
        let (tenant, subscription, by) = (tenant.uuid(), subscription.uuid(), changed_by(actor));
        let params: [Param<'_>; 4] =
            [(&tenant, Type::UUID), (&subscription, Type::UUID), (&most, Type::INT8), (&by, Type::TEXT)];
        let rows = self.interactive().await?.query(&sql::CANCEL_HELD, &params).await?;
        let Some(row) = rows.first() else { return Ok((0, Vec::new())) };
        Ok((row.try_get("cancelled")?, ordering::ended(row)?))
    }
}
