//! What a subscription wants, for replays to those that match now.

use serde_json::Value;
use uuid::Uuid;

use crate::domain::event_type::EventTypeFilter;
use crate::domain::filter::Filter;
use crate::store::{ListRow, StoreError};

/// The subscriptions that may get the events of a selection without statuses; `None` for all.
pub(super) fn recipients(only: &str) -> Option<Vec<Uuid>> {
    let only: Value = serde_json::from_str(only).ok()?;
    if only.get("status").is_some() {
        return None;
    }
    let ids = only.get("subscription_id")?.as_array()?;
    Some(ids.iter().filter_map(|id| id.as_str()?.parse().ok()).collect())
}

/// Which events a subscription wants.
pub(super) struct Wish {
    pub(super) types: EventTypeFilter,
    pub(super) filter: Option<Filter>,
}

impl Wish {
    pub(super) fn of(row: &ListRow) -> Result<Self, StoreError> {
        let types = EventTypeFilter::stored(&row.event_types);
        let types = types.map_err(|rule| StoreError::Unreadable(format!("an event type: {rule}")))?;
        let filter = row.filter.as_deref().map(Filter::parse).transpose();
        let filter = filter.map_err(|rule| StoreError::Unreadable(format!("a filter: {rule}")))?;
        Ok(Self { types, filter })
    }
}
