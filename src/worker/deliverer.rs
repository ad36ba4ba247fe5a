//! Sends each parcel in a task of its own and reports the outcome to the recorder.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::WorkerParts;
use super::local_faults::{LocalFaults, pause_after};
use super::recorder::Inbox;
use super::signal::{CompletionGuard, Signal, Signals};
use crate::domain::attempt::{Answer, Attempt};
use crate::domain::breaker::ResponseClass;
use crate::domain::delivery::{Parcel, Report};
use crate::domain::handoff::{HandedOver, HandoffReceiver};
use crate::domain::id::{AttemptId, WorkerId};
use crate::domain::next_step::{AttemptMade, NextStep};
use crate::domain::outcome::Outcome;
use crate::domain::slots::Slot;
use crate::sender::LocalFault;

/// 2 s for reading the response body, 1 s reserve.
pub(super) const SEND_MARGIN: Duration = Duration::from_secs(3);

pub(super) struct Deliverer {
    parts: WorkerParts,
    id: WorkerId,
    random: SystemRandom,
    stop: CancellationToken,
    sending: TaskTracker,
    inbox: Inbox,
    faults: LocalFaults,
}

impl Deliverer {
    pub(super) fn new(
        (parts, id): (WorkerParts, WorkerId),
        stop: CancellationToken,
        sending: TaskTracker,
        inbox: Inbox,
    ) -> Arc<Self> {
        let (random, faults) = (SystemRandom::new(), LocalFaults::default());
        Arc::new(Self { parts, id, random, stop, sending, inbox, faults })
    }

    /// Sends what intake hands over, and signals what it left in the queue.
    pub(super) async fn receive(self: Arc<Self>, mut handoff: HandoffReceiver, signals: Signals) {
        while let Some(handed_over) = handoff.recv().await {
            match handed_over {
                HandedOver::Leased(parcel, slot) => self.send(parcel, slot, None),
                HandedOver::Left(due) => signals.send(Signal::Left(due)),
            }
        }
    }

    pub(super) fn send(self: &Arc<Self>, parcel: Parcel, mut slot: Slot, mut guard: Option<CompletionGuard>) {
        let deliverer = Arc::clone(self);
        self.sending.spawn(async move {
            let report = deliverer.deliver(parcel, &mut slot).await;
            if let Some(guard) = &mut guard {
                guard.set_class(report.attempts.last().map(|last| ResponseClass::of(&last.answer)));
            }
            drop(guard);
            deliverer.pass_on(report, slot);
        });
    }

    pub(super) fn hand_back(&self, parcel: &Parcel, slot: Slot) {
        self.pass_on(unsent(parcel, NextStep::HandBack(Duration::ZERO)), slot);
    }

    /// The slot stays reserved until the report is recorded.
    pub(super) fn pass_on(&self, report: Report, slot: Slot) {
        self.inbox.send(report, slot);
    }

    /// If the receiver had closed a kept-alive connection, one more request follows at once; it does not count as a
    /// retry.
    async fn deliver(&self, parcel: Parcel, slot: &mut Slot) -> Report {
        let span = tracing::debug_span!(
            "send",
            event = %parcel.key.event,
            subscription = %parcel.key.subscription,
            attempt = parcel.attempt_number
        );
        self.deliver_in_turn(parcel, slot).instrument(span).await
    }

    async fn deliver_in_turn(&self, parcel: Parcel, slot: &mut Slot) -> Report {
        // The semaphore is never closed. Without a permit the slots still limit what is in flight.
        let permit = tokio::select! {
            biased;
            permit = slot.requests().acquire_owned() => Some(permit),
            () = self.stop.cancelled() => None,
        };
        if permit.is_none() || !self.has_time(&parcel) {
            return unsent(&parcel, NextStep::HandBack(Duration::ZERO));
        }
        let first = match self.attempt(&parcel).await {
            Ok(first) => first,
            Err(fault) => return unsent(&parcel, self.hand_back_after(fault)),
        };
        if !first.answer.stale_connection || !self.has_time(&parcel) {
            slot.answered(first.answer.outcome.is_success());
            return self.report(&parcel, vec![first], 0);
        }
        let again = Parcel { attempt_number: parcel.attempt_number.saturating_add(1), ..parcel.clone() };
        let Ok(second) = self.attempt(&again).await else { return self.report(&parcel, vec![first], 0) };
        slot.answered(second.answer.outcome.is_success());
        self.report(&again, vec![first, second], 1)
    }

    fn has_time(&self, parcel: &Parcel) -> bool {
        let limit = parcel.destination.request_timeout.unwrap_or(self.parts.rules.request_timeout);
        parcel.lease.has(limit + SEND_MARGIN, Instant::now())
    }

    fn hand_back_after(&self, fault: LocalFault) -> NextStep {
        self.faults.report(fault, &self.parts.metrics);
        NextStep::HandBack(pause_after(fault, random_fraction(&self.random)))
    }

    async fn attempt(&self, parcel: &Parcel) -> Result<Attempt, LocalFault> {
        let started_at = self.parts.clock.now();
        let mut answer = self.parts.sender.send(parcel, started_at).await?;
        if let Some(detail) = &mut answer.detail {
            detail.worker = Some(self.id);
        }
        self.count(parcel, &answer);
        let id = AttemptId::at(started_at, uuid::Uuid::new_v4().into_bytes());
        Ok(Attempt { id, number: parcel.attempt_number, started_at, trigger: parcel.trigger, answer })
    }

    fn count(&self, parcel: &Parcel, answer: &Answer) {
        let metrics = &self.parts.metrics;
        metrics.attempts.with_label_values(&[answer.outcome.as_str()]).inc();
        if let (true, Some(accepted_at)) = (answer.outcome.is_success(), parcel.key.event.accepted_at()) {
            metrics.latency.observe((self.parts.clock.now() - accepted_at).as_seconds_f64().max(0.0));
        }
        let duration_ms = u64::try_from(answer.duration.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(outcome = %answer.outcome, status = answer.status, duration_ms, "attempt");
    }

    /// `free`: attempts that do not count as retries.
    fn report(&self, parcel: &Parcel, attempts: Vec<Attempt>, free: u32) -> Report {
        let step = attempts.last().map_or(NextStep::HandBack(Duration::ZERO), |last| {
            let made = AttemptMade {
                outcome: last.answer.outcome,
                status: last.answer.status,
                retry_after: last.answer.retry_after,
                directives: last.answer.directives,
                target_is_address: last.answer.outcome == Outcome::BlockedAddress
                    && parcel.destination.target.names_an_address(),
                counted: last.number.saturating_sub(parcel.free_attempts).saturating_sub(free),
            };
            let skip_after = parcel.skip_after.filter(|_| parcel.ordering_key.is_some());
            let own = parcel.destination.retry_schedule.as_ref();
            self.parts
                .rules
                .retries
                .next_step(own, made, random_fraction(&self.random))
                .or_skip(made.counted, skip_after)
        });
        if let NextStep::GiveUp(reason) = step {
            tracing::info!(
                event = %parcel.key.event,
                subscription = %parcel.key.subscription,
                reason = reason.as_str(),
                "delivery ended without success"
            );
        }
        Report { attempts, free_attempts: free, ..unsent(parcel, step) }
    }
}

fn unsent(parcel: &Parcel, step: NextStep) -> Report {
    let unsent = Report::unsent(parcel.key, parcel.lease.token, parcel.subscription_version, step);
    Report { event_type: parcel.event_type.clone(), ordering_key: parcel.ordering_key.clone(), ..unsent }
}

pub(super) fn random_fraction(random: &SystemRandom) -> f64 {
    let mut bytes = [0; 4];
    match random.fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        // 0.5 leaves every delay as it is in the schedule.
        Err(_) => 0.5,
    }
}
