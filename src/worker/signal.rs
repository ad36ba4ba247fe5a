//! Messages to the main loop.

use std::time::Instant;

use time::OffsetDateTime;
use tokio::sync::mpsc::UnboundedSender;

use super::ownership::Kept;
use crate::domain::breaker::ResponseClass;
use crate::domain::delivery::Due;
use crate::domain::id::{SubscriptionId, WorkerId};
use crate::store::{Found, Notice, StoreError};

#[derive(Debug)]
pub(super) enum Signal {
    /// This process left deliveries due or handed them back.
    Left(Due),
    /// A retry of this process falls due at this time.
    Retry(Due, Instant),
    Notified(Notice),
    /// Their breakers opened: an owner sends from now on.
    Paced(Vec<Due>),
    Answered(Answered),
    FullScanDone(Result<Vec<Found>, StoreError>, Instant),
    Kept(Result<Kept, Vec<SubscriptionId>>, Instant),
    /// All workers alive, and whether one was lost.
    Workers(Vec<WorkerId>, bool),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    pub(super) subscription: SubscriptionId,
    pub(super) is_probe: bool,
    /// `None` if nothing was sent.
    pub(super) class: Option<ResponseClass>,
}

/// Bounded by the slots, the timers, and the events of a commit.
#[derive(Debug, Clone)]
pub(super) struct Signals(UnboundedSender<Signal>);

impl Signals {
    pub(super) fn new(sender: UnboundedSender<Signal>) -> Self {
        Self(sender)
    }

    /// Fails only after the loop has ended.
    pub(super) fn send(&self, signal: Signal) {
        let _stopped = self.0.send(signal);
    }
}

/// A paced delivery in flight. Dropping it reports the result, even after a panic.
#[derive(Debug)]
pub(super) struct CompletionGuard {
    answered: Answered,
    signals: Signals,
}

impl CompletionGuard {
    pub(super) fn new(subscription: SubscriptionId, is_probe: bool, signals: Signals) -> Self {
        Self { answered: Answered { subscription, is_probe, class: None }, signals }
    }

    pub(super) fn set_class(&mut self, class: Option<ResponseClass>) {
        self.answered.class = class;
    }
}

impl Drop for CompletionGuard {
    fn drop(&mut self) {
        self.signals.send(Signal::Answered(self.answered));
    }
}

pub(super) fn one_due(tenant: crate::domain::id::TenantId, subscription: SubscriptionId, since: OffsetDateTime) -> Due {
    Due { tenant, subscription, rows: Some(1), since }
}
