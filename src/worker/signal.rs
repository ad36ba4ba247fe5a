//! What the parts of a worker tell its loop.

use std::time::Instant;

use time::OffsetDateTime;
use tokio::sync::mpsc::UnboundedSender;

use super::ownership::Kept;
use crate::domain::breaker::ResponseClass;
use crate::domain::delivery::Due;
use crate::domain::id::{SubscriptionId, WorkerId};
use crate::store::{Found, Notice, StoreError};

/// One thing to know.
#[derive(Debug)]
pub(super) enum Signal {
    /// This process left deliveries due, or handed them back.
    Left(Due),
    /// A delivery of this process falls due again at this time.
    Retry(Due, Instant),
    /// A notification arrived.
    Noticed(Notice),
    /// Another worker, or nobody, is to send for these from now on: their breakers opened.
    Paced(Vec<Due>),
    /// A receiver answered a paced delivery, or it was not sent.
    Answered(Answered),
    /// A look at everything is done.
    LookedAtAll(Result<Vec<Found>, StoreError>, Instant),
    /// A round of keeping ownerships is done, or failed for these.
    Kept(Result<Kept, Vec<SubscriptionId>>, Instant),
    /// The workers that are alive, and whether one was lost whose leases may have lapsed.
    Workers(Vec<WorkerId>, bool),
}

/// What became of a delivery of an owned subscription.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    pub(super) subscription: SubscriptionId,
    pub(super) is_probe: bool,
    /// What the receiver said; `None` where nothing was sent.
    pub(super) class: Option<ResponseClass>,
}

/// The way to the loop. The channel is bounded by the slots, by the alarms, and by the events of a commit.
#[derive(Debug, Clone)]
pub(super) struct Signals(UnboundedSender<Signal>);

impl Signals {
    pub(super) fn new(sender: UnboundedSender<Signal>) -> Self {
        Self(sender)
    }

    /// Nobody listens any more when the worker stops.
    pub(super) fn send(&self, signal: Signal) {
        let _stopped = self.0.send(signal);
    }
}

/// A paced parcel on its way. It answers when it is dropped, also in a panic.
#[derive(Debug)]
pub(super) struct Ticket {
    answered: Answered,
    signals: Signals,
}

impl Ticket {
    pub(super) fn new(subscription: SubscriptionId, is_probe: bool, signals: Signals) -> Self {
        Self { answered: Answered { subscription, is_probe, class: None }, signals }
    }

    /// What the receiver said.
    pub(super) fn set_class(&mut self, class: Option<ResponseClass>) {
        self.answered.class = class;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.signals.send(Signal::Answered(self.answered));
    }
}

/// A delivery that falls due at this database time.
pub(super) fn one_due(tenant: crate::domain::id::TenantId, subscription: SubscriptionId, since: OffsetDateTime) -> Due {
    Due { tenant, subscription, rows: Some(1), since }
}
