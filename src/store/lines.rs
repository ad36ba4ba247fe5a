//! Lines: letting the next delivery of an ordering key have its turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::ordering::{Line, OrderingKey};

/// Most lines whose floor is remembered; beyond, remembering starts afresh.
const MAX_FLOORS: usize = 10_000;

/// Places of heads, as they were last seen: nothing of the line is left below. They only spare
/// a walk over finished rows. Where the database was brought back to an earlier state they hide
/// rows; upkeep, which looks without them, lets those lines go on and forgets the floors.
#[derive(Clone, Default)]
pub(super) struct Floors(Arc<Mutex<HashMap<Line, i64>>>);

impl Floors {
    fn of(&self, lines: &[Line]) -> Vec<i64> {
        let floors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|line| floors.get(line).copied().unwrap_or(0)).collect()
    }

    fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn learn(&self, heads: impl Iterator<Item = (Line, i64)>) {
        let mut floors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (line, place) in heads {
            if floors.len() >= MAX_FLOORS && !floors.contains_key(&line) {
                floors.clear();
            }
            // Of two looks under way at once the later one may be learned from first.
            floors.entry(line).and_modify(|floor| *floor = place.max(*floor)).or_insert(place);
        }
    }
}

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
        let floors = self.floors.of(lines);
        let params: [Param<'_>; 3] =
            [(&subscriptions, Type::UUID_ARRAY), (&keys, Type::TEXT_ARRAY), (&floors, Type::INT8_ARRAY)];
        let rows = connection.query(&sql::ADVANCE, &params).await?;
        let (mut heads, mut released) = (Vec::with_capacity(rows.len()), 0);
        for row in &rows {
            heads.push((line(row.try_get("subscription_id")?, row.try_get("ordering_key")?), row.try_get("position")?));
            released += usize::from(row.try_get::<_, bool>("is_released")?);
        }
        self.floors.learn(heads.into_iter());
        Ok(released)
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
        let released = count("released")?;
        if released > 0 {
            self.floors.forget();
        }
        Ok(Sweep {
            examined: count("examined")?,
            released,
            last: last.map(|(subscription, key)| line(subscription, key)),
        })
    }
}

/// The lines of a row that has subscriptions and keys of those whose head ended.
pub(super) fn ended(row: &Row) -> Result<Vec<Line>, StoreError> {
    let subscriptions: Vec<Uuid> = row.try_get("line_subscriptions")?;
    let keys: Vec<String> = row.try_get("line_keys")?;
    Ok(subscriptions.into_iter().zip(keys).map(|(subscription, key)| line(subscription, key)).collect())
}

/// The line of these columns.
fn line(subscription: Uuid, key: String) -> Line {
    Line { subscription: subscription.into(), key: OrderingKey::stored(key) }
}
