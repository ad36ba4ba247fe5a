//! Failures in a row and breakers. A row exists only while something is wrong.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::breaker::{Breaker, BreakerRules};
use crate::domain::id::{SubscriptionId, TenantId, WorkerId};

#[derive(Debug, Clone, Copy)]
pub struct HealthReport {
    pub(crate) subscription: SubscriptionId,
    pub(crate) version: i64,
    pub(crate) succeeded: bool,
    /// Failures since the last success.
    pub(crate) failed: u32,
    pub(crate) wait: Option<Duration>,
}

#[derive(Debug, Clone)]
pub struct BreakerOpened {
    pub(crate) subscription: SubscriptionId,
    pub(crate) tenant: TenantId,
    pub(crate) state: String,
}

const MAX_HELD_COUNTED: i64 = 1_000;

#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    /// `failing`, `open`, `throttled` or `recovering`; `None` if healthy.
    pub(crate) state: Option<String>,
    pub(crate) failures: i32,
    pub(crate) failing_since: Option<OffsetDateTime>,
    pub(crate) next_probe_at: Option<OffsetDateTime>,
    /// At most 1,000 are counted.
    pub(crate) held: i64,
}

#[derive(Debug, Clone, Copy)]
pub struct BreakerChange {
    pub(crate) subscription: SubscriptionId,
    /// The state that the owner knows.
    pub(crate) from: Breaker,
    pub(crate) to: Breaker,
    /// How long to send nothing.
    pub(crate) wait: Option<Duration>,
}

impl Store {
    /// Counts results of attempts. Returns the breakers that opened or were throttled.
    pub(crate) async fn record_health(
        &self,
        reports: &[HealthReport],
        rules: BreakerRules,
    ) -> Result<Vec<BreakerOpened>, StoreError> {
        let mut connection = self.queue().await?;
        let ids: Vec<Uuid> = reports.iter().map(|report| report.subscription.uuid()).collect();
        let succeeded: Vec<bool> = reports.iter().map(|report| report.succeeded).collect();
        let failed: Vec<i32> = reports.iter().map(|report| i32::try_from(report.failed).unwrap_or(i32::MAX)).collect();
        let waits: Vec<Option<f64>> = reports.iter().map(|report| report.wait.map(|wait| wait.as_secs_f64())).collect();
        let failures = i32::try_from(rules.failures).unwrap_or(i32::MAX);
        let (after, probe) = (rules.after.as_secs_f64(), rules.probe.as_secs_f64());
        let versions: Vec<i64> = reports.iter().map(|report| report.version).collect();
        let params: [Param<'_>; 8] = [
            (&ids, Type::UUID_ARRAY),
            (&succeeded, Type::BOOL_ARRAY),
            (&failed, Type::INT4_ARRAY),
            (&waits, Type::FLOAT8_ARRAY),
            (&versions, Type::INT8_ARRAY),
            (&failures, Type::INT4),
            (&after, Type::FLOAT8),
            (&probe, Type::FLOAT8),
        ];
        let rows = connection.query(&sql::RECORD_HEALTH, &params).await?;
        let changed = |row: &tokio_postgres::Row| {
            Ok(BreakerOpened {
                subscription: row.try_get::<_, Uuid>("subscription_id")?.into(),
                tenant: row.try_get::<_, Uuid>("tenant_id")?.into(),
                state: row.try_get("state")?,
            })
        };
        rows.iter().map(changed).collect()
    }

    /// Changes breakers. Skips those that the worker no longer owns or that have changed meanwhile.
    pub(crate) async fn change_breakers(
        &self,
        owner: WorkerId,
        changes: &[BreakerChange],
    ) -> Result<Vec<SubscriptionId>, StoreError> {
        let (closing, others): (Vec<&BreakerChange>, Vec<&BreakerChange>) =
            changes.iter().partition(|change| change.to == Breaker::Closed);
        let mut changed = Vec::new();
        if !closing.is_empty() {
            changed.extend(self.close_breakers(owner, &closing).await?);
        }
        if !others.is_empty() {
            changed.extend(self.write_changes(owner, &others).await?);
        }
        Ok(changed)
    }

    async fn write_changes(
        &self,
        owner: WorkerId,
        changes: &[&BreakerChange],
    ) -> Result<Vec<SubscriptionId>, StoreError> {
        let mut connection = self.queue().await?;
        let owner = owner.uuid();
        let ids: Vec<Uuid> = changes.iter().map(|change| change.subscription.uuid()).collect();
        let from: Vec<Option<&str>> = changes.iter().map(|change| change.from.word()).collect();
        let to: Vec<Option<&str>> = changes.iter().map(|change| change.to.word()).collect();
        let whole = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
        let widths: Vec<Option<i32>> = changes.iter().map(|change| change.to.width().map(whole)).collect();
        let probes: Vec<i32> =
            changes.iter().map(|change| i32::try_from(change.to.failed_probes()).unwrap_or(i32::MAX)).collect();
        let waits: Vec<Option<f64>> = changes.iter().map(|change| change.wait.map(|wait| wait.as_secs_f64())).collect();
        let params: [Param<'_>; 7] = [
            (&owner, Type::UUID),
            (&ids, Type::UUID_ARRAY),
            (&from, Type::TEXT_ARRAY),
            (&to, Type::TEXT_ARRAY),
            (&widths, Type::INT4_ARRAY),
            (&probes, Type::INT4_ARRAY),
            (&waits, Type::FLOAT8_ARRAY),
        ];
        subscriptions(&connection.query(&sql::CHANGE_BREAKERS, &params).await?)
    }

    async fn close_breakers(
        &self,
        owner: WorkerId,
        changes: &[&BreakerChange],
    ) -> Result<Vec<SubscriptionId>, StoreError> {
        let mut connection = self.queue().await?;
        let owner = owner.uuid();
        let ids: Vec<Uuid> = changes.iter().map(|change| change.subscription.uuid()).collect();
        let params: [Param<'_>; 2] = [(&owner, Type::UUID), (&ids, Type::UUID_ARRAY)];
        subscriptions(&connection.query(&sql::CLOSE_BREAKERS, &params).await?)
    }

    pub(crate) async fn read_health(
        &self,
        tenant: TenantId,
        subscriptions: &[SubscriptionId],
    ) -> Result<Vec<(SubscriptionId, Health)>, StoreError> {
        let tenant = tenant.uuid();
        let subscriptions: Vec<Uuid> = subscriptions.iter().map(|subscription| subscription.uuid()).collect();
        let params: [Param<'_>; 3] =
            [(&tenant, Type::UUID), (&subscriptions, Type::UUID_ARRAY), (&MAX_HELD_COUNTED, Type::INT8)];
        let rows = self.interactive().await?.query(&sql::READ_HEALTH, &params).await?;
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

    pub(crate) async fn count_breakers(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let rows = self.maintenance().await?.query(&sql::COUNT_BREAKERS, &[]).await?;
        rows.iter().map(|row| Ok((row.try_get("state")?, row.try_get("subscriptions")?))).collect()
    }

    pub async fn disable_failing(&self, after: Duration) -> Result<Vec<SubscriptionId>, StoreError> {
        let (after, stamp) = (after.as_secs_f64(), self.version_stamp());
        let params: [Param<'_>; 2] = [(&after, Type::FLOAT8), (&stamp, Type::INT8)];
        let rows = self.maintenance().await?.query(&sql::DISABLE_FAILING, &params).await?;
        rows.iter().map(|row| Ok(SubscriptionId::from(row.try_get::<_, Uuid>("id")?))).collect()
    }
}

fn subscriptions(rows: &[tokio_postgres::Row]) -> Result<Vec<SubscriptionId>, StoreError> {
    rows.iter().map(|row| Ok(row.try_get::<_, Uuid>("subscription_id")?.into())).collect()
}
