//! Claiming: due deliveries become leased ones, oldest first, whatever others hold.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::sealed::{self, SealedSecrets};
use super::{Store, StoreError, lines, policy, sql};
use crate::domain::backoff::RetrySchedule;
use crate::domain::delivery::DeliveryKey;
use crate::domain::id::{EventId, LeaseToken, SubscriptionId};
use crate::domain::ordering::{Line, OrderingKey};

/// What a claimer wants.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Most deliveries to lease.
    pub most: usize,
    /// Most due rows to examine, from `most` up.
    pub reach: usize,
    /// Proof of the leases.
    pub token: LeaseToken,
    /// How long they last, where a subscription's own time limit asks for no longer one.
    pub lease: Duration,
    /// Nothing due before this is looked at.
    pub floor: OffsetDateTime,
    /// Whether lapsed leases are taken.
    pub take_lapsed: bool,
    /// Attempts allowed where a subscription has no schedule of its own.
    pub max_attempts: u16,
    /// Deliveries of events with a smaller id have expired.
    pub expired_before: EventId,
    /// Busy subscriptions, each with the deliveries that there is room for.
    pub busy: Vec<(SubscriptionId, usize)>,
    /// Most deliveries of any other subscription.
    pub room: usize,
}

/// A delivery that the claim leased.
#[derive(Debug)]
pub struct Claimed {
    /// Which delivery.
    pub key: DeliveryKey,
    /// Attempts counted, this one included.
    pub attempts: u16,
    /// Of these, how many used up no step of the schedule.
    pub free_attempts: u16,
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
    /// The line it is the head of, where it is in one.
    pub ordering_key: Option<OrderingKey>,
    /// Attempts after which the head of a line makes room for the next.
    pub skip_after: Option<u16>,
}

/// What a claim brought.
#[derive(Debug, Default)]
pub struct Claim {
    /// The leased deliveries.
    pub claimed: Vec<Claimed>,
    /// Due rows examined; as many as `reach` means that more may be due.
    pub examined: usize,
    /// The database's time of the look.
    pub looked_at: Option<OffsetDateTime>,
    /// Everything due before this was taken or is another's.
    pub reached: Option<OffsetDateTime>,
    /// Attempts found cut off by a lapsed lease.
    pub cut_off: usize,
    /// Deliveries held for whoever owns their subscription's pace.
    pub paced: usize,
    /// Subscriptions of which rows were parked, because they are full here.
    pub parked: Vec<SubscriptionId>,
    /// Lines whose head was ended.
    pub lines: Vec<Line>,
}

impl Store {
    /// Leases due deliveries to the request's token.
    ///
    /// # Errors
    /// [`StoreError`]; a claim whose answer was lost is an ordinary lapsed lease.
    pub async fn claim(&self, request: &ClaimRequest) -> Result<Claim, StoreError> {
        let mut connection = self.queue().await?;
        let (most, reach, room) = (count(request.most), count(request.reach), count(request.room));
        let (token, lease) = (request.token.uuid(), request.lease.as_secs_f64());
        let max_attempts = i16::try_from(request.max_attempts).unwrap_or(i16::MAX);
        let expired_before = request.expired_before.uuid();
        let busy: Vec<Uuid> = request.busy.iter().map(|(subscription, _)| subscription.uuid()).collect();
        let rooms: Vec<i32> = request.busy.iter().map(|(_, room)| i32::try_from(*room).unwrap_or(i32::MAX)).collect();
        let room = i32::try_from(room).unwrap_or(i32::MAX);
        let params: [Param<'_>; 11] = [
            (&most, Type::INT8),
            (&reach, Type::INT8),
            (&token, Type::UUID),
            (&lease, Type::FLOAT8),
            (&request.floor, Type::TIMESTAMPTZ),
            (&request.take_lapsed, Type::BOOL),
            (&max_attempts, Type::INT2),
            (&expired_before, Type::UUID),
            (&busy, Type::UUID_ARRAY),
            (&rooms, Type::INT4_ARRAY),
            (&room, Type::INT4),
        ];
        let rows = connection.query(&sql::CLAIM, &params).await?;
        let mut claim = Claim::default();
        for row in &rows {
            if claim.looked_at.is_none() {
                claim = summary(row)?;
            }
            if let Some(tenant) = row.try_get::<_, Option<Uuid>>("tenant_id")? {
                claim.claimed.push(claimed(row, tenant, row.try_get("looked_at")?)?);
            }
        }
        Ok(claim)
    }
}

fn summary(row: &Row) -> Result<Claim, StoreError> {
    let parked: Vec<Uuid> = row.try_get("parked")?;
    Ok(Claim {
        claimed: Vec::new(),
        examined: usize::try_from(row.try_get::<_, i64>("examined")?).unwrap_or(0),
        looked_at: Some(row.try_get("looked_at")?),
        reached: row.try_get("reached")?,
        cut_off: usize::try_from(row.try_get::<_, i64>("cut_off")?).unwrap_or(0),
        paced: usize::try_from(row.try_get::<_, i64>("paced")?).unwrap_or(0),
        parked: parked.into_iter().map(SubscriptionId::from).collect(),
        lines: lines::ended(row)?,
    })
}

pub(super) fn claimed(row: &Row, tenant: Uuid, looked_at: OffsetDateTime) -> Result<Claimed, StoreError> {
    Ok(Claimed {
        key: DeliveryKey {
            tenant: tenant.into(),
            event: row.try_get::<_, Uuid>("event_id")?.into(),
            subscription: row.try_get::<_, Uuid>("subscription_id")?.into(),
        },
        attempts: u16::try_from(row.try_get::<_, i16>("attempts")?).unwrap_or(0),
        free_attempts: u16::try_from(row.try_get::<_, i16>("free_attempts")?).unwrap_or(0),
        event_type: row.try_get("event_type")?,
        payload: row.try_get("payload")?,
        target_url: row.try_get("target_url")?,
        secrets: sealed::secrets(row, looked_at)?,
        headers: row.try_get("sealed_headers")?,
        retry_schedule: policy::schedule(row)?,
        request_timeout: policy::request_timeout(row)?,
        subscription_version: row.try_get("version")?,
        ordering_key: row.try_get::<_, Option<String>>("ordering_key")?.map(OrderingKey::stored),
        skip_after: row
            .try_get::<_, Option<i32>>("skip_after_attempts")?
            .map(|attempts| u16::try_from(attempts).unwrap_or(u16::MAX)),
    })
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
