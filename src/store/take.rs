//! Taking: due deliveries of named subscriptions become leased ones.

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
use crate::domain::id::{LeaseToken, SubscriptionId, TenantId, WorkerId};
use crate::domain::ordering::OrderingKey;

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct TakeRequest {
    /// Proof of the leases.
    pub token: LeaseToken,
    /// How long they last, where a subscription's own time limit asks for no longer one.
    pub lease: Duration,
    /// Who asks: of a paced subscription only its owner gets any.
    pub worker: WorkerId,
    /// Whether lapsed leases are taken over.
    pub takes_lapsed: bool,
    /// Most bytes of payload; the first delivery may be larger.
    pub most_bytes: usize,
    /// Of which subscriptions.
    pub asks: Vec<TakeAsk>,
}

/// What a worker asks of one subscription.
#[derive(Debug, Clone, Copy)]
pub struct TakeAsk {
    /// Its owner.
    pub tenant: TenantId,
    /// Which.
    pub subscription: SubscriptionId,
    /// Most deliveries.
    pub most: usize,
    /// Nothing that fell due before is looked at.
    pub due_from: OffsetDateTime,
    /// Its breaker as the worker knows it: where it is another, nothing is taken.
    pub breaker: Breaker,
}

/// A delivery that was taken.
#[derive(Debug)]
pub struct TakenDelivery {
    /// Which delivery.
    pub key: DeliveryKey,
    /// Attempts counted, this one included.
    pub attempts: u32,
    /// Of these, how many used up no step of the schedule.
    pub free_attempts: u32,
    /// When it ends.
    pub end: End,
    /// Whether its subscription is deleted.
    pub is_deleted: bool,
    /// When it fell due.
    pub was_due: OffsetDateTime,
    /// Whether its attempt before was cut off.
    pub is_cut_off: bool,
    /// The event's type.
    pub event_type: Option<String>,
    /// The event's bytes.
    pub payload: Vec<u8>,
    /// Where to.
    pub target_url: String,
    /// What signs it, sealed.
    pub secrets: SealedSecrets,
    /// What the request carries beside our own headers, sealed.
    pub headers: Option<Vec<u8>>,
    /// When it is tried again, if the subscription says so.
    pub retry_schedule: Option<RetrySchedule>,
    /// Time limit of the attempt, if the subscription has one.
    pub request_timeout: Option<Duration>,
    /// Version of the subscription that these were read from.
    pub subscription_version: i64,
    /// The key of its ordering group, where it is the head of one.
    pub ordering_key: Option<OrderingKey>,
    /// Attempts after which the head of an ordering group is skipped.
    pub skip_after: Option<u32>,
}

/// What a take brought.
#[derive(Debug, Default)]
pub struct Take {
    /// The deliveries, of each subscription the longest due first.
    pub deliveries: Vec<TakenDelivery>,
    /// Whether more were due that the bytes did not suffice for.
    pub is_cut_short: bool,
}

impl Store {
    /// Leases due deliveries to the request's token.
    ///
    /// # Errors
    /// [`StoreError`]; a take whose answer was lost is an ordinary lapsed lease.
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
        end: if is_cancelled { End::Cancelled } else { expires_at.map_or(End::WithLifetime, End::At) },
        is_deleted: row.try_get("is_deleted")?,
        was_due: row.try_get("was_due")?,
        is_cut_off: row.try_get("is_cut_off")?,
        event_type: row.try_get("event_type")?,
        payload: row.try_get("payload")?,
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
