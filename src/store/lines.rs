//! Lines: letting the next delivery of an ordering key have its turn.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::ordering::{Line, OrderingKey};

/// What a look along the lines found.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Lines looked at.
    pub examined: usize,
    /// Of these, lines whose head became due.
    pub released: usize,
    /// The last one, after which the next look begins; `None` where there was none.
    pub last: Option<Line>,
}

impl Store {
    /// Makes the head of each line due if it waits for its turn. Returns how many did. To be
    /// called after the commit that added to a line or ended its head; where that fails,
    /// upkeep does it.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn advance(&self, lines: &[Line]) -> Result<usize, StoreError> {
        let mut connection = self.queue().await?;
        let subscriptions: Vec<Uuid> = lines.iter().map(|line| line.subscription.uuid()).collect();
        let keys: Vec<&str> = lines.iter().map(|line| line.key.as_str()).collect();
        let params: [Param<'_>; 2] = [(&subscriptions, Type::UUID_ARRAY), (&keys, Type::TEXT_ARRAY)];
        let rows = connection.query(&sql::ADVANCE, &params).await?;
        let released: i64 = rows.first().map(|row| row.try_get("released")).transpose()?.unwrap_or(0);
        Ok(usize::try_from(released).unwrap_or(0))
    }

    /// The same for up to `most` lines, whichever come after this one, or the first of all.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn advance_lines(&self, after: Option<&Line>, most: usize) -> Result<Sweep, StoreError> {
        // A connection of the queue: its plan must not depend on how full the queue was.
        let mut connection = self.queue().await?;
        let (subscription, key) = after.map_or((Uuid::nil(), ""), |line| (line.subscription.uuid(), line.key.as_str()));
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let params: [Param<'_>; 3] = [(&subscription, Type::UUID), (&key, Type::TEXT), (&most, Type::INT8)];
        let rows = connection.query(&sql::ADVANCE_LINES, &params).await?;
        let Some(row) = rows.first() else { return Ok(Sweep::default()) };
        let count = |name: &str| Ok::<_, StoreError>(usize::try_from(row.try_get::<_, i64>(name)?).unwrap_or(0));
        let last: Option<(Uuid, String)> =
            row.try_get::<_, Option<Uuid>>("subscription_id")?.zip(row.try_get("ordering_key")?);
        Ok(Sweep {
            examined: count("examined")?,
            released: count("released")?,
            last: last.map(|(subscription, key)| line(subscription, key)),
        })
    }
}

/// The line of these columns.
pub(super) fn line(subscription: Uuid, key: String) -> Line {
    Line { subscription: subscription.into(), key: OrderingKey::stored(key) }
}
