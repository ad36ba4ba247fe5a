//! A request on its way through the accepting statement.

use time::OffsetDateTime;

use super::Pending;
use crate::domain::delivery::Due;
use crate::domain::id::SubscriptionId;
use crate::domain::ordering::OrderingGroup;
use crate::domain::slots::Slot;
use crate::store::AcceptItem;

/// A pending request and one optional reserved slot per delivery.
pub(super) struct Entry {
    pub(super) pending: Pending,
    pub(super) item: AcceptItem,
    pub(super) slots: Vec<Option<Slot>>,
    /// Deliveries that were to be created leased and are not.
    pub(super) released: Vec<usize>,
    /// Deliveries whose subscription was edited since the audience was matched.
    pub(super) edited: Vec<usize>,
}

impl Entry {
    /// Frees the slots of deliveries that are not leased after all; another process may take them.
    pub(super) fn release(&mut self) {
        for number in &self.released {
            if let Some(slot) = self.slots.get_mut(*number) {
                *slot = None;
            }
        }
    }

    /// Subscriptions with another version than in the audience.
    pub(super) fn edited_subscriptions(&self) -> Vec<SubscriptionId> {
        let recipients = &self.pending.submission.audience.recipients;
        self.edited.iter().filter_map(|number| recipients.get(*number)).map(|recipient| recipient.id).collect()
    }

    /// Only the row knows whether an edited subscription is ordered; a group that does not exist does no harm.
    pub(super) fn groups(&self) -> Vec<OrderingGroup> {
        let edited = self.item.ordering_key.iter().flat_map(|key| {
            self.edited_subscriptions().into_iter().map(|subscription| OrderingGroup { subscription, key: key.clone() })
        });
        self.item.groups().chain(edited).collect()
    }

    /// Unleased due deliveries, except released ones: those are paced or edited, and the finder finds them.
    pub(super) fn left(&self, since: OffsetDateTime) -> impl Iterator<Item = Due> {
        let is_due = self.item.timing.deliver_at().is_none();
        let recipients = self.pending.submission.audience.recipients.iter();
        let tenant = self.item.event.tenant;
        let has_key = self.item.ordering_key.is_some();
        recipients.zip(&self.slots).enumerate().filter_map(move |(number, (recipient, slot))| {
            let waits = !recipient.is_active || (has_key && recipient.is_ordered);
            let is_left = is_due && slot.is_none() && !waits && !self.released.contains(&number);
            is_left.then_some(Due { tenant, subscription: recipient.id, rows: Some(1), since })
        })
    }
}
