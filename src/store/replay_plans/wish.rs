//! What a subscription wants, for replays to those that match now.

use crate::domain::event_type::EventTypeFilter;
use crate::domain::filter::Filter;
use crate::store::{ListRow, StoreError};

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
