//! Searches: pages of deliveries, events and attempts of one tenant or all, newest first.
//!
//! A page examines a bounded number of rows in a bounded time; then it says how far it came.

mod attempts;
mod deliveries;
mod events;
mod waiting;

pub(crate) use attempts::AttemptSearch;
pub(crate) use deliveries::{DeliveryFilter, FoundDelivery};
pub(in crate::store) use events::event_row;
pub(crate) use events::{EventRow, EventSearch, FoundEvent};
pub(crate) use waiting::Named;

use time::OffsetDateTime;
use uuid::Uuid;

/// Rows of one page, found or not.
const MAX_EXAMINED: i64 = 10_000;
/// After its first row. The interactive pool stops a statement after 1.3 s.
const MAX_EXAMINING_MS: f64 = 150.0;

/// Rows of a page.
#[derive(Debug, Clone)]
pub(crate) struct Searched<T, K> {
    pub(crate) rows: Vec<T>,
    /// What was examined last, if a limit ended the search.
    pub(crate) examined_to: Option<K>,
}

impl<T, K> Default for Searched<T, K> {
    fn default() -> Self {
        Self { rows: Vec::new(), examined_to: None }
    }
}

/// What every search can be narrowed by; an empty list means all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Common {
    pub(crate) subscriptions: Vec<Uuid>,
    pub(crate) statuses: Vec<&'static str>,
    pub(crate) event_types: Vec<String>,
    pub(crate) since: Option<OffsetDateTime>,
    pub(crate) until: Option<OffsetDateTime>,
}

/// SQL's null for "all".
pub(super) fn given<T>(list: &[T]) -> Option<&[T]> {
    (!list.is_empty()).then_some(list)
}
