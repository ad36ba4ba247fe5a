//! Hands fresh events from intake to the worker of the same process.
//!
//! Intake reserves slots before it writes. Deliveries with a slot are created leased to this process; the others are
//! due in the queue. A crash in between is an ordinary lapsed lease.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::delivery::{Due, Parcel};
use super::id::{SubscriptionId, TenantId};
use super::slots::{Slot, Slots};

#[derive(Debug, Clone)]
pub struct Handoff {
    slots: Slots,
    channel: UnboundedSender<HandedOver>,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are leased, and a box for each would be an allocation")]
pub enum HandedOver {
    /// Leased to this process, with its reserved slot.
    Leased(Parcel, Slot),
    Left(Due),
}

pub type HandoffReceiver = UnboundedReceiver<HandedOver>;

impl Handoff {
    pub fn new(slots: Slots) -> (Self, HandoffReceiver) {
        let (channel, receiver) = unbounded_channel();
        (Self { slots, channel }, receiver)
    }

    /// A slot for a delivery with a payload of `bytes`, if one is free.
    pub(crate) fn reserve(&self, tenant: TenantId, subscription: SubscriptionId, payload: usize) -> Option<Slot> {
        if self.channel.is_closed() {
            return None;
        }
        self.slots.reserve_fresh(tenant, subscription, payload)
    }

    /// After the worker has stopped, a parcel is dropped here and its lease lapses.
    pub(crate) fn give(&self, handed_over: HandedOver) {
        let _stopped = self.channel.send(handed_over);
    }
}
