//! A request on its way through the accepting statement.

use std::collections::HashSet;

use super::writer::Pending;
use crate::domain::id::{EventId, SubscriptionId};
use crate::domain::slots::Slot;
use crate::store::{AcceptItem, KeyOwner};

/// A request that has its event and, for each of its deliveries for which the worker had one
/// to spare, a slot.
pub(super) struct Entry {
    pub(super) pending: Pending,
    pub(super) item: AcceptItem,
    pub(super) slots: Vec<Option<Slot>>,
}

impl Entry {
    /// Frees the slots of deliveries that are not leased after all: whoever owns the pace of
    /// their subscription, maybe another process, sends them.
    pub(super) fn give_back(&mut self, withheld: &HashSet<(EventId, SubscriptionId)>) {
        if withheld.is_empty() {
            return;
        }
        for (delivery, slot) in self.item.deliveries.iter().zip(&mut self.slots) {
            if withheld.contains(&(self.item.event.id, delivery.subscription)) {
                *slot = None;
            }
        }
    }

    /// The owner of its key, and whether it was accepted for the same request.
    pub(super) fn owner<'a>(&self, owners: &'a [KeyOwner]) -> Option<(&'a KeyOwner, bool)> {
        let (key, print) = self.item.key.as_ref()?;
        let tenant = self.item.event.tenant;
        let owner = owners.iter().find(|owner| owner.tenant == tenant && owner.key == key.as_str())?;
        Some((owner, owner.fingerprint == print.as_bytes()))
    }
}
