//! Leases due deliveries of given subscriptions.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::sealed::{self, SealedSecrets};
use super::{Store, StoreError, policy, sql};
use crate::domain::backoff::RetrySchedule;
use crate::domain::breaker::Breaker;
use crate::domain::delivery::DeliveryKey;
use crate::domain::end::End;
use crate::domain::hops::Hops;
use crate::domain::id::{LeaseToken, SubscriptionId, TenantId, WorkerId};
use crate::domain::ordering::OrderingKey;

#[derive(Debug, Clone)]
pub struct TakeRequest {
    pub token: LeaseToken,
    /// Duration; longer for a subscription with a longer time limit.
    pub lease: Duration,
    /// The worker: only the owner takes from a paced subscription.
    pub worker: WorkerId,
    /// Whether to take over lapsed leases.
    pub takes_lapsed: bool,
    /// Limit of payload bytes; the first delivery may exceed it.
    pub most_bytes: usize,
    pub asks: Vec<TakeAsk>,
}

#[derive(Debug, Clone, Copy)]
pub struct TakeAsk {
    pub tenant: TenantId,
    pub subscription: SubscriptionId,
    pub most: usize,
    /// Earlier due times are not read.
    pub due_from: OffsetDateTime,
    /// The breaker that the worker knows; if it differs, nothing is taken.
    pub breaker: Breaker,
}

#[derive(Debug)]
pub struct TakenDelivery {
    pub key: DeliveryKey,
    /// Includes this attempt.
    pub attempts: u32,
    pub(crate) free_attempts: u32,
    /// Of the row; `None` where it follows from the number of the attempt.
    pub(crate) trigger: Option<String>,
    pub end: End,
    pub is_deleted: bool,
    /// When it fell due.
    pub(crate) was_due: OffsetDateTime,
    pub is_cut_off: bool,
    pub(crate) event_type: Option<String>,
    pub(crate) payload: Vec<u8>,
    /// `None`: `application/json`.
    pub(crate) content_type: Option<String>,
    pub(crate) hops: Hops,
    pub(crate) target_url: String,
    pub(crate) secrets: SealedSecrets,
    pub(crate) headers: Option<Vec<u8>>,
    pub(crate) retry_schedule: Option<RetrySchedule>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) subscription_version: i64,
    pub(crate) ordering_key: Option<OrderingKey>,
    pub(crate) skip_after: Option<u32>,
}

#[derive(Debug, Default)]
pub struct Take {
    /// Oldest due time first, per subscription.
    pub deliveries: Vec<TakenDelivery>,
    /// Whether the byte limit left due deliveries behind.
    pub(crate) is_cut_short: bool,
}

impl Store {
    /// If the response is lost, the leases lapse.
    pub async fn take(&self, request: &TakeRequest) -> Result<Take, StoreError> {
        let mut connection = self.queue().await?;
        let (token, worker, lease) = (request.token.uuid(), request.worker.uuid(), request.lease.as_secs_f64());
        let most_bytes = i64::try_from(request.most_bytes).unwrap_or(i64::MAX);
        let column = |value: fn(&TakeAsk) -> Uuid| request.asks.iter().map(value).collect::<Vec<_>>();
        let (ids, tenants) = (column(|ask| ask.subscription.uuid()), column(|ask| ask.tenant.uuid()));
        let most: Vec<i32> = request.asks.iter().map(|ask| i32::try_from(ask.most).unwrap_or(i32::MAX)).collect();
        let due_from: Vec<OffsetDateTime> = request.asks.iter().map(|ask| ask.due_from).collect();
        let breakers: Vec<&str> = request.asks.iter().map(|ask| ask.breaker.word().unwrap_or_default()).collect();
        let params: [Param<'_>; 10] = [
            (&token, Type::UUID),
            (&lease, Type::FLOAT8),
            (&worker, Type::UUID),
            (&request.takes_lapsed, Type::BOOL),
            (&most_bytes, Type::INT8),
            (&ids, Type::UUID_ARRAY),
            (&tenants, Type::UUID_ARRAY),
            (&most, Type::INT4_ARRAY),
            (&due_from, Type::TIMESTAMPTZ_ARRAY),
            (&breakers, Type::TEXT_ARRAY),
        ];
        let rows = connection.query(&sql::TAKE, &params).await?;
        let is_cut_short = rows.first().map(|row| row.try_get("is_cut_short")).transpose()?.unwrap_or(false);
        Ok(Take { deliveries: rows.iter().map(taken).collect::<Result<_, _>>()?, is_cut_short })
    }
}

fn taken(row: &Row) -> Result<TakenDelivery, StoreError> {
    let whole = |name: &str| Ok::<_, StoreError>(u32::try_from(row.try_get::<_, i32>(name)?).unwrap_or(0));
    let expires_at: Option<OffsetDateTime> = row.try_get("expires_at")?;
    let is_cancelled: bool = row.try_get("is_cancelled")?;
    Ok(TakenDelivery {
        key: DeliveryKey {
            event: row.try_get::<_, Uuid>("event_id")?.into(),
            subscription: row.try_get::<_, Uuid>("subscription_id")?.into(),
            tenant: row.try_get::<_, Uuid>("tenant_id")?.into(),
        },
        attempts: whole("attempts")?,
        free_attempts: whole("free_attempts")?,
        trigger: row.try_get("trigger")?,
        end: if is_cancelled { End::Cancelled } else { expires_at.map_or(End::WithLifetime, End::At) },
        is_deleted: row.try_get("is_deleted")?,
        was_due: row.try_get("was_due")?,
        is_cut_off: row.try_get("is_cut_off")?,
        event_type: row.try_get("event_type")?,
        payload: row.try_get("payload")?,
        content_type: row.try_get("content_type")?,
        hops: Hops::of_stored(row.try_get("hops")?),
        target_url: row.try_get("target_url")?,
        secrets: sealed::secrets(row, row.try_get("taken_at")?)?,
        headers: row.try_get("sealed_headers")?,
        retry_schedule: policy::schedule(row)?,
        request_timeout: policy::request_timeout(row)?,
        subscription_version: row.try_get("version")?,
        ordering_key: row.try_get::<_, Option<String>>("ordering_key")?.map(OrderingKey::stored),
        skip_after: row.try_get::<_, Option<i32>>("skip_after_attempts")?.and_then(|most| u32::try_from(most).ok()),
    })
}
