//! A request on its way through the accepting statement.

use super::writer::Pending;
use crate::domain::id::SubscriptionId;
use crate::domain::ordering::Line;
use crate::domain::slots::Slot;
use crate::store::{AcceptItem, KeyOwner, Note, Notes};

/// A request that has its event and, for each of its deliveries for which the worker had one
/// to spare, a slot.
pub(super) struct Entry {
    pub(super) pending: Pending,
    pub(super) item: AcceptItem,
    pub(super) slots: Vec<Option<Slot>>,
}

/// What an accepting statement made of an entry.
pub(super) struct Written {
    /// How many deliveries it has.
    pub(super) deliveries: usize,
    /// The lines that its deliveries may have joined.
    pub(super) lines: Vec<Line>,
    /// Subscriptions that stand otherwise than its audience has them.
    pub(super) outdated: Vec<SubscriptionId>,
}

impl Entry {
    /// What was written of it. Frees the slots of deliveries that are not leased after all:
    /// whoever finds them, maybe another process, sends them.
    pub(super) fn written(&mut self, notes: &Notes) -> Written {
        let event = self.item.event.id;
        let mut written = Written {
            deliveries: self.item.deliveries.len(),
            lines: self.item.lines().collect(),
            outdated: Vec::new(),
        };
        if notes.is_empty() {
            return written;
        }
        for (delivery, slot) in self.item.deliveries.iter().zip(&mut self.slots) {
            if notes.contains_key(&(event, delivery.subscription)) {
                *slot = None;
            }
        }
        for ((_, subscription), note) in notes.iter().filter(|((of, _), _)| *of == event) {
            match note {
                Note::Withheld => continue,
                Note::Changed => {}
                Note::Gone => written.deliveries = written.deliveries.saturating_sub(1),
                Note::Added => written.deliveries += 1,
            }
            written.outdated.push(*subscription);
            // Whether it is ordered only its row knows: a line that there is not does no harm.
            let line = self.item.ordering_key.clone().map(|key| Line { subscription: *subscription, key });
            written.lines.extend(line);
        }
        written
    }

    /// The owner of its key, and whether it was accepted for the same request.
    pub(super) fn owner<'a>(&self, owners: &'a [KeyOwner]) -> Option<(&'a KeyOwner, bool)> {
        let (key, print) = self.item.key.as_ref()?;
        let tenant = self.item.event.tenant;
        let owner = owners.iter().find(|owner| owner.tenant == tenant && owner.key == key.as_str())?;
        Some((owner, owner.fingerprint == print.as_bytes()))
    }
}
