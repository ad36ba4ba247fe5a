//! Starts a task per parcel and passes reports to the recorder.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::deliverer::Deliverer;
use super::recorder::Inbox;
use super::signal::CompletionGuard;
use crate::domain::breaker::ResponseClass;
use crate::domain::delivery::{Parcel, Report};
use crate::domain::handoff::{HandedOver, HandoffReceiver};
use crate::domain::next_step::NextStep;
use crate::domain::slots::Slot;
use crate::worker::signal::{Signal, Signals};

#[derive(Clone)]
pub(super) struct Dispatcher {
    deliverer: Arc<Deliverer>,
    sending: TaskTracker,
    inbox: Inbox,
}

impl Dispatcher {
    pub(super) fn new(deliverer: Arc<Deliverer>, sending: TaskTracker, inbox: Inbox) -> Self {
        Self { deliverer, sending, inbox }
    }

    pub(super) fn send(&self, parcel: Parcel, mut slot: Slot, mut guard: Option<CompletionGuard>) {
        let dispatcher = self.clone();
        self.sending.spawn(async move {
            let report = dispatcher.deliverer.deliver(parcel, &mut slot).await;
            if let Some(guard) = &mut guard {
                guard.set_class(report.attempts.last().map(|last| ResponseClass::of(&last.answer)));
            }
            drop(guard);
            dispatcher.report(report, slot);
        });
    }

    pub(super) fn hand_back(&self, parcel: &Parcel, slot: Slot) {
        self.report(unsent(parcel, NextStep::HandBack), slot);
    }

    /// The slot stays reserved until the report is recorded.
    pub(super) fn report(&self, report: Report, slot: Slot) {
        self.inbox.send(report, slot);
    }

    pub(super) async fn receive(self, mut handoff: HandoffReceiver, signals: Signals) {
        while let Some(handed_over) = handoff.recv().await {
            match handed_over {
                HandedOver::Leased(parcel, slot) => self.send(parcel, slot, None),
                HandedOver::Left(due) => signals.send(Signal::Left(due)),
            }
        }
    }
}

pub(super) fn unsent(parcel: &Parcel, step: NextStep) -> Report {
    let unsent = Report::unsent(parcel.key, parcel.lease.token, parcel.subscription_version, step);
    Report { event_type: parcel.event_type.clone(), ordering_key: parcel.ordering_key.clone(), ..unsent }
}
