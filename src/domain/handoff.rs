//! The handoff: how `serve` spares a fresh event the way through the claim.
//!
//! Intake reserves worker slots before it writes; events with a slot are born leased to
//! this process and go to its worker from memory after their commit. The channel is
//! bounded by the slots, and a crash between commit and send is an ordinary lapsed lease.
//! A process without a worker has no handoff, and then every event is due at once.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::delivery::Parcel;
use super::id::SubscriptionId;
use super::slots::{Slot, Slots};

/// One slot in so many is kept from the handoff, so that a stream of fresh events never
/// starves retries and deliveries of other processes.
const SPARED_DIVISOR: usize = 4;

/// The sending half, held by intake.
#[derive(Debug, Clone)]
pub struct Handoff {
    slots: Slots,
    lane: UnboundedSender<HandedOver>,
}

/// A parcel that was born leased to this process, with the slot reserved for it.
#[derive(Debug)]
pub struct HandedOver {
    /// The delivery.
    pub parcel: Parcel,
    /// Its place in flight.
    pub slot: Slot,
}

/// The receiving half, held by the worker.
pub type HandoffReceiver = UnboundedReceiver<HandedOver>;

impl Handoff {
    /// Both halves, over the worker's slots.
    pub fn new(slots: Slots) -> (Self, HandoffReceiver) {
        let (lane, receiver) = unbounded_channel();
        (Self { slots, lane }, receiver)
    }

    /// A slot for a delivery to this subscription, if the worker has one to spare.
    pub fn reserve(&self, subscription: SubscriptionId) -> Option<Slot> {
        if self.lane.is_closed() {
            return None;
        }
        self.slots.take_waiting(subscription, self.slots.limits().total / SPARED_DIVISOR)
    }

    /// Gives a committed, born-leased parcel to the worker. Where the worker has stopped
    /// in between, the parcel is dropped here and its lease lapses as after a crash.
    pub fn give(&self, handed_over: HandedOver) {
        let _refused = self.lane.send(handed_over);
    }
}
