//! Finds subscriptions with due deliveries. Changes and locks nothing.

use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::delivery::Due;

#[derive(Debug, Clone, Copy)]
pub struct Found {
    pub(crate) due: Due,
    /// Whether its deliveries may be taken: it is active, or deleted so that they end.
    pub(crate) is_active: bool,
    /// Whether only its owner may take them.
    pub(crate) is_paced: bool,
    /// Least time for which the oldest has been due.
    pub(crate) overdue: Duration,
}

#[derive(Debug)]
pub struct Look {
    pub(crate) found: Vec<Found>,
    /// Rows read; if the limit was reached there may be more.
    pub(crate) rows: usize,
    pub(crate) reached: Option<OffsetDateTime>,
    /// When the next unleased delivery falls due.
    pub(crate) next_due: Option<OffsetDateTime>,
    pub(crate) at: OffsetDateTime,
}

impl Store {
    /// Unleased deliveries due from `due_from` until now or `until`.
    pub(crate) async fn find(
        &self,
        due_from: OffsetDateTime,
        until: Option<OffsetDateTime>,
        most: usize,
    ) -> Result<Look, StoreError> {
        let mut connection = self.queue().await?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let params: [Param<'_>; 3] = [(&due_from, Type::TIMESTAMPTZ), (&until, Type::TIMESTAMPTZ), (&most, Type::INT8)];
        let rows = connection.query(&sql::FIND, &params).await?;
        let Some((last, lanes)) = rows.split_last() else {
            return Err(StoreError::Unreadable("a look has no row".to_owned()));
        };
        let found = |row: &Row| found(row, count(row)?);
        Ok(Look {
            found: lanes.iter().map(found).collect::<Result<_, _>>()?,
            rows: count(last)?.unwrap_or(0),
            reached: last.try_get("due_since")?,
            next_due: last.try_get("next_due")?,
            at: last.try_get("looked_at")?,
        })
    }

    /// Every subscription with due deliveries or lapsed leases.
    pub(crate) async fn find_all(&self) -> Result<Vec<Found>, StoreError> {
        // Pinned plans like the queue, but a longer time limit.
        let mut connection = self.sweep().await?;
        connection.query(&sql::FIND_ALL, &[]).await?.iter().map(|row| found(row, None)).collect()
    }
}

fn found(row: &Row, rows: Option<usize>) -> Result<Found, StoreError> {
    let since: OffsetDateTime = row.try_get("due_since")?;
    let looked_at: OffsetDateTime = row.try_get("looked_at")?;
    Ok(Found {
        due: Due {
            tenant: row.try_get::<_, Uuid>("tenant_id")?.into(),
            subscription: row.try_get::<_, Uuid>("subscription_id")?.into(),
            rows,
            since,
        },
        is_active: row.try_get("is_active")?,
        is_paced: row.try_get("is_paced")?,
        overdue: Duration::try_from(looked_at - since).unwrap_or_default(),
    })
}

fn count(row: &Row) -> Result<Option<usize>, StoreError> {
    Ok(row.try_get::<_, Option<i64>>("rows")?.and_then(|rows| usize::try_from(rows).ok()))
}
