//! What people ask of deliveries: to be retried at once, or to be cancelled.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::connection::Param;
use super::{Store, StoreError, ordering, sql};
use crate::domain::id::{EventId, SubscriptionId, TenantId};
use crate::domain::ordering::OrderingGroup;

/// Result of a retry request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retried {
    /// Deliveries that are due now because of it.
    pub retried: i64,
    /// Whether the event makes a delivery to the subscription that was named, if one was.
    pub is_known: bool,
}

/// Result of a cancel request.
#[derive(Debug, Clone, Default)]
pub struct Cancelled {
    /// Deliveries that ended.
    pub cancelled: i64,
    /// Deliveries that are leased, and end when their attempt has failed.
    pub sending: i64,
    /// Whether the event makes a delivery to the subscription that was named, if one was.
    pub is_known: bool,
    /// Ordering groups whose head may have ended.
    pub groups: Vec<OrderingGroup>,
}

impl Store {
    /// Makes deliveries of an event due now, of this subscription or of all: those that wait for
    /// their time or ended without success; of one subscription also one that was cancelled or
    /// succeeded. At most so many of both kinds. What is requeued lives for `lifetime`. `None` where there is no such
    /// event.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn retry(
        &self,
        tenant: TenantId,
        event: EventId,
        subscription: Option<SubscriptionId>,
        lifetime: Duration,
        most: i64,
    ) -> Result<Option<Retried>, StoreError> {
        let (tenant, event, lifetime) = (tenant.uuid(), event.uuid(), lifetime.as_secs_f64());
        let subscription = subscription.map(SubscriptionId::uuid);
        let params: [Param<'_>; 5] = [
            (&tenant, Type::UUID),
            (&event, Type::UUID),
            (&subscription, Type::UUID),
            (&lifetime, Type::FLOAT8),
            (&most, Type::INT8),
        ];
        let rows = self.interactive().await?.query(&sql::RETRY, &params).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(retried) = row.try_get("retried")? else { return Ok(None) };
        Ok(Some(Retried { retried, is_known: row.try_get("is_known")? }))
    }

    /// Ends pending deliveries of an event, to this subscription or to all, at most so many. `None` where there
    /// is no such event.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn cancel(
        &self,
        tenant: TenantId,
        event: EventId,
        subscription: Option<SubscriptionId>,
        most: i64,
    ) -> Result<Option<Cancelled>, StoreError> {
        let (tenant, event) = (tenant.uuid(), event.uuid());
        let subscription = subscription.map(SubscriptionId::uuid);
        let params: [Param<'_>; 4] =
            [(&tenant, Type::UUID), (&event, Type::UUID), (&subscription, Type::UUID), (&most, Type::INT8)];
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

    /// Ends held deliveries of a subscription, at most so many of each kind. Returns how many, and the ordering groups
    /// whose head may have ended.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn cancel_held(
        &self,
        tenant: TenantId,
        subscription: SubscriptionId,
        most: i64,
    ) -> Result<(i64, Vec<OrderingGroup>), StoreError> {
        let (tenant, subscription) = (tenant.uuid(), subscription.uuid());
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&subscription, Type::UUID), (&most, Type::INT8)];
        let rows = self.interactive().await?.query(&sql::CANCEL_HELD, &params).await?;
        let Some(row) = rows.first() else { return Ok((0, Vec::new())) };
        Ok((row.try_get("cancelled")?, ordering::ended(row)?))
    }
}
