//! Paces: who alone sends for a subscription, and what it draws.

use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::claim::{Claimed, claimed};
use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::breaker::Breaker;
use crate::domain::id::{EventId, LeaseToken, SubscriptionId, WorkerId};
use crate::domain::recovery::Recovery;

/// What an owner wants to draw.
#[derive(Debug, Clone)]
pub struct DrawRequest {
    /// Who draws.
    pub owner: WorkerId,
    /// Proof of the leases.
    pub token: LeaseToken,
    /// How long they last.
    pub lease: Duration,
    /// Deliveries of events with a smaller id have expired.
    pub expired_before: EventId,
    /// Subscriptions, each with the most deliveries to lease, and its breaker as the owner
    /// knows it: where it is another, nothing is leased.
    pub rooms: Vec<(SubscriptionId, usize, Breaker)>,
}

/// How a subscription stands when it is drawn from.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Which.
    pub subscription: SubscriptionId,
    /// Most requests a second.
    pub rate_limit: Option<u32>,
    /// Most requests at a time.
    pub max_in_flight: Option<u32>,
    /// Its breaker.
    pub breaker: Breaker,
    /// How long nothing is sent.
    pub wait: Duration,
}

/// What a draw brought.
#[derive(Debug, Default)]
pub struct Drawn {
    /// Of the subscriptions asked for, those that are owned and active.
    pub standings: Vec<Standing>,
    /// The leased deliveries, those of older events first.
    pub claimed: Vec<Claimed>,
}

impl Store {
    /// Takes at most so many subscriptions with held deliveries and no owner, and prolongs
    /// those owned, for this long or as long as their own leases. Returns all that the owner
    /// owns from now on, and for how long.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn take_paces(
        &self,
        owner: WorkerId,
        lasting: Duration,
        most: usize,
        owned: &[SubscriptionId],
    ) -> Result<Vec<(SubscriptionId, Duration)>, StoreError> {
        let mut connection = self.queue().await?;
        let (owner, lasting, most) = (owner.uuid(), lasting.as_secs_f64(), i64::try_from(most).unwrap_or(i64::MAX));
        let owned: Vec<Uuid> = owned.iter().map(|subscription| subscription.uuid()).collect();
        let params: [Param<'_>; 4] =
            [(&owner, Type::UUID), (&lasting, Type::FLOAT8), (&most, Type::INT8), (&owned, Type::UUID_ARRAY)];
        let rows = connection.query(&sql::TAKE_PACES, &params).await?;
        let taken = |row: &Row| {
            let lasts = Duration::try_from_secs_f64(row.try_get::<_, f64>("lasts")?).unwrap_or_default();
            Ok((SubscriptionId::from(row.try_get::<_, Uuid>("subscription_id")?), lasts))
        };
        rows.iter().map(taken).collect()
    }

    /// Gives up the pace of these subscriptions: another may send at once.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn drop_paces(&self, owner: WorkerId, subscriptions: &[SubscriptionId]) -> Result<(), StoreError> {
        let mut connection = self.queue().await?;
        let owner = owner.uuid();
        let subscriptions: Vec<Uuid> = subscriptions.iter().map(|subscription| subscription.uuid()).collect();
        connection.query(&sql::DROP_PACES, &[(&owner, Type::UUID), (&subscriptions, Type::UUID_ARRAY)]).await.map(drop)
    }

    /// Leases held deliveries of subscriptions whose pace the owner owns.
    ///
    /// # Errors
    /// [`StoreError`]; a draw whose answer was lost is an ordinary lapsed lease.
    pub async fn draw(&self, request: &DrawRequest) -> Result<Drawn, StoreError> {
        let mut connection = self.queue().await?;
        let (owner, token, lease) = (request.owner.uuid(), request.token.uuid(), request.lease.as_secs_f64());
        let expired_before = request.expired_before.uuid();
        let ids: Vec<Uuid> = request.rooms.iter().map(|(subscription, _, _)| subscription.uuid()).collect();
        let most: Vec<i32> =
            request.rooms.iter().map(|(_, most, _)| i32::try_from(*most).unwrap_or(i32::MAX)).collect();
        let breakers: Vec<&str> =
            request.rooms.iter().map(|(_, _, breaker)| breaker.word().unwrap_or_default()).collect();
        let passed_over: Vec<i32> = request.rooms.iter().map(|(_, _, breaker)| breaker.passes_over()).collect();
        let params: [Param<'_>; 8] = [
            (&owner, Type::UUID),
            (&token, Type::UUID),
            (&lease, Type::FLOAT8),
            (&expired_before, Type::UUID),
            (&ids, Type::UUID_ARRAY),
            (&most, Type::INT4_ARRAY),
            (&breakers, Type::TEXT_ARRAY),
            (&passed_over, Type::INT4_ARRAY),
        ];
        let mut drawn = Drawn::default();
        for row in &connection.query(&sql::DRAW, &params).await? {
            let standing = standing(row)?;
            if drawn.standings.iter().all(|known| known.subscription != standing.subscription) {
                drawn.standings.push(standing);
            }
            if let Some(tenant) = row.try_get::<_, Option<Uuid>>("tenant_id")? {
                drawn.claimed.push(claimed(row, tenant, row.try_get("looked_at")?)?);
            }
        }
        Ok(drawn)
    }
}

fn standing(row: &Row) -> Result<Standing, StoreError> {
    let whole = |name: &str| -> Result<Option<u32>, StoreError> {
        Ok(row.try_get::<_, Option<i32>>(name)?.and_then(|number| u32::try_from(number).ok()))
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
    let wait = row.try_get::<_, Option<f64>>("probe_in")?.unwrap_or(0.0);
    Ok(Standing {
        subscription: row.try_get::<_, Uuid>("paced_id")?.into(),
        rate_limit: whole("rate_limit")?,
        max_in_flight: whole("max_in_flight")?,
        breaker,
        wait: Duration::try_from_secs_f64(wait.max(0.0)).unwrap_or_default(),
    })
}
