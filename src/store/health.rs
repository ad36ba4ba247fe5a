//! The health of subscriptions: failures in a row and what they have come to, of which a row
//! stands only while something is wrong, and what is held.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::breaker::{Breaker, BreakerRules};
use crate::domain::id::{SubscriptionId, TenantId, WorkerId};

/// What the attempts of a batch say of one subscription.
#[derive(Debug, Clone, Copy)]
pub struct HealthNote {
    /// Which.
    pub subscription: SubscriptionId,
    /// The version that they were made for.
    pub version: i64,
    /// Whether an attempt succeeded.
    pub succeeded: bool,
    /// Attempts that failed since.
    pub failed: u32,
    /// How long the receiver wants nothing.
    pub wait: Option<Duration>,
}

/// Most held deliveries that are counted of a subscription.
const MAX_HELD_COUNTED: i64 = 1_000;

/// How the receiver of a subscription does, and what waits for it.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// `failing`, `open`, `throttled` or `recovering`; `None` while it does well.
    pub state: Option<String>,
    /// Attempts that failed since the last success.
    pub failures: i32,
    /// When the first of them failed.
    pub failing_since: Option<OffsetDateTime>,
    /// Nothing is sent before.
    pub next_probe_at: Option<OffsetDateTime>,
    /// Deliveries that are held; 1,000 stands for that many or more.
    pub held: i64,
}

/// A turn of a breaker by the owner of its subscription's pace.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Who decides.
    pub owner: WorkerId,
    /// Of which subscription.
    pub subscription: SubscriptionId,
    /// What it is as far as the owner knows.
    pub from: Breaker,
    /// What it shall be; not closed.
    pub to: Breaker,
    /// How long nothing is sent, from now.
    pub wait: Option<Duration>,
}

impl Store {
    /// Counts what attempts met. Returns whose breaker opened or was throttled.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn note_health(
        &self,
        notes: &[HealthNote],
        rules: BreakerRules,
    ) -> Result<Vec<(SubscriptionId, String)>, StoreError> {
        let mut connection = self.queue().await?;
        let ids: Vec<Uuid> = notes.iter().map(|note| note.subscription.uuid()).collect();
        let succeeded: Vec<bool> = notes.iter().map(|note| note.succeeded).collect();
        let failed: Vec<i32> = notes.iter().map(|note| i32::try_from(note.failed).unwrap_or(i32::MAX)).collect();
        let waits: Vec<Option<f64>> = notes.iter().map(|note| note.wait.map(|wait| wait.as_secs_f64())).collect();
        let failures = i32::try_from(rules.failures).unwrap_or(i32::MAX);
        let (after, probe) = (rules.after.as_secs_f64(), rules.probe.as_secs_f64());
        let versions: Vec<i64> = notes.iter().map(|note| note.version).collect();
        let params: [Param<'_>; 8] = [
            (&ids, Type::UUID_ARRAY),
            (&succeeded, Type::BOOL_ARRAY),
            (&failed, Type::INT4_ARRAY),
            (&waits, Type::FLOAT8_ARRAY),
            (&failures, Type::INT4),
            (&after, Type::FLOAT8),
            (&probe, Type::FLOAT8),
            (&versions, Type::INT8_ARRAY),
        ];
        let rows = connection.query(&sql::NOTE_HEALTH, &params).await?;
        let turned = |row: &tokio_postgres::Row| {
            Ok((SubscriptionId::from(row.try_get::<_, Uuid>("subscription_id")?), row.try_get("state")?))
        };
        rows.iter().map(turned).collect()
    }

    /// Turns a breaker. Returns whether it is so now: not when the owner is no longer one, or
    /// the breaker is another by now.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn turn_breaker(&self, turn: &Turn) -> Result<bool, StoreError> {
        let mut connection = self.queue().await?;
        let (owner, subscription) = (turn.owner.uuid(), turn.subscription.uuid());
        let (width, probes) = match turn.to {
            Breaker::Recovering(recovery) => (Some(i32::try_from(recovery.width).unwrap_or(i32::MAX)), 0),
            Breaker::Open { probes } => (None, i32::try_from(probes).unwrap_or(i32::MAX)),
            Breaker::Closed | Breaker::Throttled => (None, 0),
        };
        let (from, to) = (turn.from.word(), turn.to.word());
        let wait = turn.wait.map(|wait| wait.as_secs_f64());
        let params: [Param<'_>; 7] = [
            (&owner, Type::UUID),
            (&subscription, Type::UUID),
            (&from, Type::TEXT),
            (&to, Type::TEXT),
            (&width, Type::INT4),
            (&probes, Type::INT4),
            (&wait, Type::FLOAT8),
        ];
        Ok(!connection.query(&sql::TURN_BREAKER, &params).await?.is_empty())
    }

    /// Closes the breaker of a subscription that has recovered. Returns whether it is closed.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn close_breaker(&self, owner: WorkerId, subscription: SubscriptionId) -> Result<bool, StoreError> {
        let mut connection = self.queue().await?;
        let (owner, subscription) = (owner.uuid(), subscription.uuid());
        let rows = connection.query(&sql::CLOSE_BREAKER, &[(&owner, Type::UUID), (&subscription, Type::UUID)]).await?;
        Ok(!rows.is_empty())
    }

    /// How these subscriptions of a tenant do.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn read_health(
        &self,
        tenant: TenantId,
        subscriptions: &[SubscriptionId],
    ) -> Result<Vec<(SubscriptionId, Health)>, StoreError> {
        let tenant = tenant.uuid();
        let subscriptions: Vec<Uuid> = subscriptions.iter().map(|subscription| subscription.uuid()).collect();
        let params: [Param<'_>; 3] =
            [(&tenant, Type::UUID), (&subscriptions, Type::UUID_ARRAY), (&MAX_HELD_COUNTED, Type::INT8)];
        let rows = self.desk().await?.query(&sql::READ_HEALTH, &params).await?;
        let health = |row: &tokio_postgres::Row| {
            let health = Health {
                state: row.try_get("state")?,
                failures: row.try_get("failures")?,
                failing_since: row.try_get("failing_since")?,
                next_probe_at: row.try_get("next_probe_at")?,
                held: row.try_get("held")?,
            };
            Ok((SubscriptionId::from(row.try_get::<_, Uuid>("subscription_id")?), health))
        };
        rows.iter().map(health).collect()
    }

    /// How many subscriptions are not well, by state.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn count_breakers(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = self.yard().await?.query(&sql::COUNT_BREAKERS, &[]).await?;
        rows.iter().map(|row| Ok((row.try_get("state")?, row.try_get("subscriptions")?))).collect()
    }

    /// Disables subscriptions that have failed for so long. Returns which.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn disable_failing(&self, after: Duration) -> Result<Vec<SubscriptionId>, StoreError> {
        let after = after.as_secs_f64();
        let rows = self.yard().await?.query(&sql::DISABLE_FAILING, &[(&after, Type::FLOAT8)]).await?;
        rows.iter().map(|row| Ok(SubscriptionId::from(row.try_get::<_, Uuid>("id")?))).collect()
    }
}
