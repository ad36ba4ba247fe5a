//! The way back from a drawn parcel to the pacer, whatever becomes of it.

use tokio::sync::mpsc::UnboundedSender;

use crate::domain::breaker::Met;
use crate::domain::delivery::Report;
use crate::domain::id::SubscriptionId;
use crate::domain::next_step::{EndReason, NextStep};

/// What became of a parcel that was drawn; `None` where nothing was sent.
pub(super) struct Answered {
    pub(super) subscription: SubscriptionId,
    pub(super) is_probe: bool,
    pub(super) met: Option<Met>,
}

/// A drawn parcel on its way. It answers when it is dropped, also in a panic.
pub(in crate::worker) struct Ticket {
    pub(super) answered: Option<Answered>,
    pub(super) answers: UnboundedSender<Answered>,
}

impl Ticket {
    /// Learns from the report what the receiver said. A probe that failed uses up no step of
    /// the schedule and goes back to where it was, unless the receiver ended or refused it: an
    /// event that it answers with a 4xx is told from a receiver that is away.
    pub(in crate::worker) fn learn(&mut self, mut report: Report) -> Report {
        let Some(answered) = &mut self.answered else { return report };
        answered.met = report.attempts.last().map(|last| Met::of(&last.answer));
        let goes_on = match report.step {
            NextStep::RetryIn(_) => true,
            NextStep::GiveUp(reason) => matches!(reason, EndReason::Exhausted | EndReason::SkipAfterAttempts),
            _ => false,
        };
        if answered.is_probe && goes_on && answered.met != Some(Met::Refusal) {
            report.step = NextStep::Pace;
            report.free_attempts = u16::try_from(report.attempts.len()).unwrap_or(u16::MAX);
        }
        if report.step == NextStep::HandBack {
            report.step = NextStep::Pace;
        }
        report
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(answered) = self.answered.take() {
            // Nobody listens any more when the worker stops.
            let _stopped = self.answers.send(answered);
        }
    }
}
