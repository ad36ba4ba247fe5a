//! What a producer asks to publish, and why it may be refused.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use crate::domain::event_type::{EventType, NotWanted};
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::idempotency::{Fingerprint, IdempotencyKey};
use crate::domain::ordering::OrderingKey;
use crate::domain::payload::Payload;
use crate::domain::signature::{InvalidSignature, SignatureHeaders};
use crate::domain::timing::{InvalidTiming, Timing};
use crate::store::StoreError;

/// An event as a request asks for it, each part valid by itself.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    /// Whom it is for.
    pub(crate) to: To,
    /// What kind it is.
    pub event_type: Option<EventType>,
    /// The bytes.
    pub payload: Payload,
    /// When it is to be delivered.
    pub times: Times,
    /// The producer's promise that a repeated request is the same one.
    pub key: Option<IdempotencyKey>,
    /// What keeps it in order with others, where a subscription is ordered.
    pub ordering_key: Option<OrderingKey>,
}

/// Whom an event is for.
#[derive(Debug, Clone)]
pub(crate) enum To {
    /// Every subscription of the tenant that wants it.
    All(TenantId),
    /// One subscription, which has to want it.
    One(Address),
}

/// One subscription, as a request names it.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Its tenant; `None` where only a signature says who asks.
    pub tenant: Option<TenantId>,
    /// Its id or external id.
    pub name: SubscriptionName,
    /// The signature of the request, where the subscription may ask for one.
    pub signature: Option<SignatureHeaders>,
}

/// When an event is to be delivered: as it was asked for, and what follows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    asked: [Option<OffsetDateTime>; 2],
    timing: Timing,
    is_over: bool,
}

/// Why an event is not accepted. Nothing of it is stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    /// The subscription is unknown, deleted, or another tenant's.
    #[error("there is no such subscription")]
    NotFound,
    /// The subscription it is addressed to takes no events now.
    #[error("the subscription is disabled")]
    Disabled,
    /// The subscription asks for a signature that the request does not have.
    #[error(transparent)]
    Signature(#[from] InvalidSignature),
    /// The subscription it is addressed to does not want it.
    #[error("the subscription does not want events of this type")]
    NotWanted(NotWanted),
    /// More subscriptions want it than one event may go to.
    #[error("too many subscriptions want this event")]
    TooManyRecipients,
    /// Its time is over.
    #[error("expires_at has passed")]
    Over,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The tenant published as much as it may.
    #[error("the limit publish_per_second of {limit} is reached")]
    RateLimited {
        /// Events a second.
        limit: u32,
        /// When the next event may come.
        retry_after: Duration,
    },
    /// The database is away, the queue to it is full, or the clocks are too far apart.
    #[error("events cannot be accepted now: {0}")]
    Unavailable(&'static str),
    /// The database refused a statement.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
    /// The audience was found in copies that are out of date. It never leaves intake.
    #[error("a subscription has changed")]
    Changed,
}

impl Refusal {
    /// Whether the database is away.
    pub(super) fn is_unavailable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_unavailable())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl Publication {
    /// Whose event it is; `None` where a signature alone will tell.
    pub(super) fn tenant(&self) -> Option<TenantId> {
        match &self.to {
            To::All(tenant) => Some(*tenant),
            To::One(address) => address.tenant,
        }
    }

    /// What has to be equal for a repeated key to mean the same request.
    pub(super) fn fingerprint(&self, address: Option<SubscriptionId>) -> Fingerprint {
        let Self { event_type, payload, times, ordering_key, .. } = self;
        let is_ingest = matches!(&self.to, To::One(Address { signature: Some(_), .. }));
        let route = if is_ingest { "ingest" } else { "publish" };
        Fingerprint::of(route, address, event_type.as_ref(), times.asked, payload.bytes(), ordering_key.as_ref())
    }

    /// Whether an identical request may have been accepted before, when this refusal did not hold yet.
    pub(super) fn may_repeat(&self, refusal: &Refusal) -> bool {
        let came_with_time = matches!(
            refusal,
            Refusal::NotFound | Refusal::Disabled | Refusal::NotWanted(_) | Refusal::TooManyRecipients | Refusal::Over
        );
        self.key.is_some() && came_with_time
    }
}

impl Times {
    /// `deliver_at` and `expires_at`, asked for now. Times that are over may have been good when the request was sent
    /// first, so [`Refusal::Over`] comes later.
    ///
    /// # Errors
    /// [`InvalidTiming`] names the rule.
    pub(crate) fn new(
        asked: [Option<OffsetDateTime>; 2],
        is_ordered: bool,
        now: OffsetDateTime,
        lifetime: Duration,
    ) -> Result<Self, InvalidTiming> {
        let [deliver_at, expires_at] = asked;
        if is_ordered && deliver_at.is_some() {
            return Err(InvalidTiming::Ordered);
        }
        match Timing::new(deliver_at, expires_at, now, lifetime) {
            Ok(timing) => Ok(Self { asked, timing, is_over: false }),
            Err(InvalidTiming::Over) => Ok(Self { asked, timing: Timing::default(), is_over: true }),
            Err(rule) => Err(rule),
        }
    }

    /// When the deliveries are due, and when they end.
    pub(super) fn timing(&self) -> Timing {
        self.timing
    }

    /// Whether their end has passed.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }
}
