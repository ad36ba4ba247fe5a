//! The handoff: how `serve` spares a fresh event the way through the queue.
//!
//! Intake reserves worker slots before it writes; deliveries with a slot are born leased to this process and go
//! to its worker from memory after their commit. Of those that are left due the worker is told, so that it need
//! not look for them. The channel is bounded by the slots and by the events of a commit, and a crash between
//! commit and send is an ordinary lapsed lease. A process without a worker has no handoff, and then every delivery
//! is due at once.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::delivery::{Due, Parcel};
use super::id::{SubscriptionId, TenantId};
use super::slots::{Slot, Slots};

/// The sending half, held by intake.
#[derive(Debug, Clone)]
pub struct Handoff {
    slots: Slots,
    channel: UnboundedSender<HandedOver>,
}

/// What intake tells the worker after a commit.
#[derive(Debug)]
pub enum HandedOver {
    /// A parcel that was born leased to this process, with the slot reserved for it.
    Leased(Parcel, Slot),
    /// Deliveries that are due now and that nobody has leased.
    Left(Due),
}

/// The receiving half, held by the worker.
pub type HandoffReceiver = UnboundedReceiver<HandedOver>;

impl Handoff {
    /// Both halves, over the worker's slots.
    pub fn new(slots: Slots) -> (Self, HandoffReceiver) {
        let (channel, receiver) = unbounded_channel();
        (Self { slots, channel }, receiver)
    }

    /// A slot for a delivery of so many bytes to this subscription, if the worker has one to spare.
    pub fn reserve(&self, tenant: TenantId, subscription: SubscriptionId, payload: usize) -> Option<Slot> {
        if self.channel.is_closed() {
            return None;
        }
        self.slots.reserve_fresh(tenant, subscription, payload)
    }

    /// Tells the worker. Where it has stopped in between, a parcel is dropped here and its lease lapses as
    /// after a crash.
    pub fn give(&self, handed_over: HandedOver) {
        let _stopped = self.channel.send(handed_over);
    }
}
