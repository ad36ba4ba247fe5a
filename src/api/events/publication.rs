//! An event as a request asks for it, before anybody has looked whom it is for.

use std::time::Duration;

use time::OffsetDateTime;

use crate::api::problem::{FieldError, Problem};
use crate::domain::event_type::EventType;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::SubscriptionId;
use crate::domain::idempotency::{Fingerprint, IdempotencyKey};
use crate::domain::ordering::OrderingKey;
use crate::domain::payload::Payload;
use crate::domain::timing::{InvalidTiming, Timing};

/// An event as a request asks for it, each part valid by itself.
#[derive(Debug, Clone)]
pub(super) struct Publication {
    pub(super) event_type: Option<EventType>,
    pub(super) payload: Payload,
    /// The one subscription it is for; `None` for all who want it.
    pub(super) address: Option<SubscriptionName>,
    pub(super) times: Times,
    /// Why it is refused by now, unless it repeats a request that was accepted.
    pub(super) over: Option<Problem>,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) ordering_key: Option<OrderingKey>,
}

/// When an event is to be delivered: as it was asked for, and what follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    asked: [Option<OffsetDateTime>; 2],
    pub(super) timing: Timing,
    is_over: bool,
}

/// Which of the times breaks which rule.
#[derive(Debug, Clone, Copy)]
pub(super) enum TimesError {
    /// A time by itself.
    Timing(InvalidTiming),
    /// A line has no times.
    Ordered,
}

impl Publication {
    /// What it is, addressed to the subscription with this id if it is.
    pub(super) fn fingerprint(&self, address: Option<SubscriptionId>) -> Fingerprint {
        let Self { event_type, payload, times, ordering_key, .. } = self;
        Fingerprint::of_publish(address, event_type.as_ref(), times.asked, payload.bytes(), ordering_key.as_ref())
    }

    /// Whether it has a key, and the problem is one of this moment: time goes on, and
    /// subscriptions are disabled, deleted, changed and made.
    pub(super) fn may_have_been_taken(&self, problem: &Problem) -> bool {
        let is_of_now = matches!(
            problem,
            Problem::SubscriptionDisabled
                | Problem::SubscriptionNotFound
                | Problem::EventTypeMissing
                | Problem::EventTypeNotWanted
                | Problem::TooManyRecipients
        );
        self.key.is_some() && (is_of_now || self.over.as_ref() == Some(problem))
    }
}

impl Times {
    /// `deliver_at` and `expires_at`, asked for now; what joins a line is delivered when its
    /// turn has come. Times whose end is over may have been good when the request was sent first.
    ///
    /// # Errors
    /// [`TimesError`] names the one and its rule.
    pub(super) fn new(
        asked: [Option<OffsetDateTime>; 2],
        is_ordered: bool,
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Result<Self, TimesError> {
        let [deliver_at, expires_at] = asked;
        if is_ordered && deliver_at.is_some() {
            return Err(TimesError::Ordered);
        }
        match Timing::new(deliver_at, expires_at, now, lifetime) {
            Ok(timing) => Ok(Self { asked, timing, is_over: false }),
            Err(InvalidTiming::Over) => Ok(Self { asked, timing: Timing::default(), is_over: true }),
            Err(rule) => Err(TimesError::Timing(rule)),
        }
    }

    /// The rule that they break by now.
    pub(super) fn over(&self) -> Option<TimesError> {
        self.is_over.then_some(TimesError::Timing(InvalidTiming::Over))
    }
}

impl TimesError {
    /// The error of a field below this pointer.
    pub(super) fn at(self, pointer: &str) -> FieldError {
        let (name, code, detail) = match self {
            Self::Timing(rule @ InvalidTiming::TooFarAhead(_)) => ("deliver_at", "too_far_ahead", rule.to_string()),
            Self::Timing(rule @ InvalidTiming::Over) => ("expires_at", "in_the_past", rule.to_string()),
            Self::Timing(rule @ InvalidTiming::BeforeDelivery) => ("expires_at", "before_delivery", rule.to_string()),
            Self::Ordered => ("deliver_at", "ordered", "must not be given together with an ordering key".to_owned()),
        };
        FieldError { pointer: format!("{pointer}/{name}"), code, detail }
    }
}
