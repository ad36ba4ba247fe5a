//! Reads roll-ups, and what waits now, for the API's analytics.

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::id::TenantId;

/// Most deliveries of a summary that are examined. More than twice the most that is counted.
const MOST_EXAMINED: i64 = 25_000;

/// Whose roll-ups are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    One(TenantId),
    /// All tenants, added up.
    Together,
    /// Each of all tenants.
    Each,
}

/// Where the numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RollupSource {
    /// By outcome, for 48 hours.
    Minutes,
    /// By outcome.
    Hours,
    /// By hour and event type.
    Types,
    /// By hour, subscription and event type.
    Subscriptions,
    /// Attempts, by minute, subscription, event type and outcome.
    Log,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct RollupsAsk {
    pub(crate) source: RollupSource,
    pub(crate) whose: Whose,
    pub(crate) subscription: Option<Uuid>,
    pub(crate) since: OffsetDateTime,
    pub(crate) until: OffsetDateTime,
    /// Rows, or attempts of the log.
    pub(crate) most: i64,
    /// Of [`Whose::Each`] by minute or hour: the busiest, and one more if there are more.
    pub(crate) most_tenants: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct RollupRow {
    pub(crate) at: OffsetDateTime,
    pub(crate) tenant: Uuid,
    pub(crate) subscription: Option<Uuid>,
    /// Empty without a type.
    pub(crate) event_type: Option<String>,
    /// Empty for accepted events.
    pub(crate) outcome: Option<String>,
    pub(crate) accepted: i64,
    pub(crate) attempts: i64,
    pub(crate) delivered: i64,
    pub(crate) started: i64,
    pub(crate) first_attempt: Vec<i64>,
    pub(crate) delivery: Vec<i64>,
    /// As many rows as may be were read: the oldest time may be incomplete.
    pub(crate) more: bool,
}

/// Up to which time roll-ups, and the log, are complete.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) rollups: OffsetDateTime,
    pub(crate) log: OffsetDateTime,
}

/// What waits now. Each count stops a little above the most that is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backlog {
    pub(crate) pending: i64,
    pub(crate) held: i64,
    pub(crate) failing: i64,
    /// 0 if nothing is due.
    pub(crate) oldest_due_seconds: f64,
    /// Not all deliveries were examined.
    pub(crate) is_cut: bool,
}

impl RollupSource {
    fn word(self) -> &'static str {
        match self {
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Types => "types",
            Self::Subscriptions => "subscriptions",
            Self::Log => "log",
        }
    }
}

impl Store {
    /// Newest first.
    pub(crate) async fn read_rollups(&self, ask: &RollupsAsk) -> Result<Vec<RollupRow>, StoreError> {
        let source = ask.source.word();
        let tenant = match ask.whose {
            Whose::One(tenant) => Some(tenant.uuid()),
            Whose::Together => Some(Uuid::nil()),
            Whose::Each => None,
        };
        let most_tenants = i64::try_from(ask.most_tenants).unwrap_or(i64::MAX);
        let params: [Param<'_>; 7] = [
            (&source, Type::TEXT),
            (&tenant, Type::UUID),
            (&ask.subscription, Type::UUID),
            (&ask.since, Type::TIMESTAMPTZ),
            (&ask.until, Type::TIMESTAMPTZ),
            (&ask.most, Type::INT8),
            (&most_tenants, Type::INT8),
        ];
        let found = self.interactive().await?.query(&sql::READ_ROLLUPS, &params).await?;
        let is_cut = i64::try_from(found.len()).unwrap_or(i64::MAX) >= ask.most;
        found.iter().map(|row| rollup_row(row, is_cut)).collect()
    }

    pub(crate) async fn rollup_progress(&self) -> Result<Progress, StoreError> {
        let rows = self.interactive().await?.query(&sql::ROLLUP_PROGRESS, &[]).await?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("rollup_progress has no row".to_owned()))?;
        Ok(Progress { rollups: row.try_get("folded_until")?, log: row.try_get("complete_before")? })
    }

    /// `tenant` is `None` for all.
    pub(crate) async fn backlog(&self, tenant: Option<TenantId>, most: i64) -> Result<Backlog, StoreError> {
        let tenant = tenant.map(TenantId::uuid);
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&most, Type::INT8), (&MOST_EXAMINED, Type::INT8)];
        let rows = self.interactive().await?.query(&sql::SUMMARISE_DELIVERIES, &params).await?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("a summary without a row".to_owned()))?;
        Ok(Backlog {
            pending: row.try_get("pending")?,
            held: row.try_get("held")?,
            failing: row.try_get("failing")?,
            oldest_due_seconds: row.try_get("oldest_due_seconds")?,
            is_cut: row.try_get("is_cut")?,
        })
    }
}

fn rollup_row(row: &Row, is_cut: bool) -> Result<RollupRow, StoreError> {
    Ok(RollupRow {
        at: row.try_get("at")?,
        tenant: row.try_get("tenant_id")?,
        subscription: row.try_get("subscription_id")?,
        event_type: row.try_get("event_type")?,
        outcome: row.try_get("outcome")?,
        accepted: row.try_get("accepted")?,
        attempts: row.try_get("attempts")?,
        delivered: row.try_get("delivered")?,
        started: row.try_get("started")?,
        first_attempt: row.try_get("first_attempt")?,
        delivery: row.try_get("delivery")?,
        more: is_cut || row.try_get("more")?,
    })
}
