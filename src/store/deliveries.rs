//! What people ask of deliveries: to be made again at once, or to end.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::connection::Param;
use super::{Store, StoreError, lines, sql};
use crate::domain::id::{EventId, SubscriptionId, TenantId};
use crate::domain::ordering::Line;

/// What became of a wish to have deliveries of an event made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retried {
    /// Deliveries that are due now because of it, or held where their subscription is.
    pub retried: i64,
    /// Whether the event makes a delivery to the subscription that was named, if one was.
    pub is_known: bool,
}

/// What became of a wish to have deliveries of an event end.
#[derive(Debug, Clone, Default)]
pub struct Cancelled {
    /// Deliveries that ended.
    pub cancelled: i64,
    /// Deliveries that are under way, and end when their attempt has failed.
    pub sending: i64,
    /// Whether the event makes a delivery to the subscription that was named, if one was.
    pub is_known: bool,
    /// Lines that may go on.
    pub lines: Vec<Line>,
}

impl Store {
    /// Makes deliveries of an event due now, of this subscription or of all: those that wait for
    /// their time or ended without success; of one subscription also one that was cancelled or
    /// succeeded. At most so many of both kinds. What is made again lives for `lifetime`. `None` where there is no such event.
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
        let rows = self.desk().await?.query(&sql::RETRY, &params).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Retried { retried: row.try_get("retried")?, is_known: row.try_get("is_known")? }))
    }

    /// Ends what is still owed of an event, to this subscription or to all, at most so many. `None` where there
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
        let rows = self.desk().await?.query(&sql::CANCEL, &params).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Cancelled {
            cancelled: row.try_get("cancelled")?,
            sending: row.try_get("sending")?,
            is_known: row.try_get("is_known")?,
            lines: lines::ended(row)?,
        }))
    }

    /// Ends held deliveries of a subscription, at most so many. Returns how many, and the lines
    /// that may go on.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn cancel_held(
        &self,
        tenant: TenantId,
        subscription: SubscriptionId,
        most: i64,
    ) -> Result<(i64, Vec<Line>), StoreError> {
        let (tenant, subscription) = (tenant.uuid(), subscription.uuid());
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&subscription, Type::UUID), (&most, Type::INT8)];
        let rows = self.desk().await?.query(&sql::CANCEL_HELD, &params).await?;
        let Some(row) = rows.first() else { return Ok((0, Vec::new())) };
        Ok((row.try_get("cancelled")?, lines::ended(row)?))
    }
}
