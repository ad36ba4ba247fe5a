//! A producer's event before it is accepted, and the reasons for a refusal.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::FromOutbox;
use crate::domain::event_type::{EventType, NotWanted};
use crate::domain::external_id::SubscriptionName;
use crate::domain::hops::Hops;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::idempotency::{Fingerprint, IdempotencyKey};
use crate::domain::ordering::OrderingKey;
use crate::domain::payload::Payload;
use crate::domain::provider::ProducerHeaders;
use crate::domain::schema::Mismatch;
use crate::domain::signature::InvalidSignature;
use crate::domain::timing::{InvalidTiming, Timing};
use crate::store::StoreError;

/// Each part is valid by itself.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    pub(crate) to: To,
    pub event_type: Option<EventType>,
    pub payload: Payload,
    pub hops: Hops,
    pub times: Times,
    /// Equal for repetitions of a request.
    pub key: Option<IdempotencyKey>,
    pub ordering_key: Option<OrderingKey>,
    pub from_outbox: Option<FromOutbox>,
}

#[derive(Debug, Clone)]
pub(crate) enum To {
    /// Every interested subscription of the tenant.
    All(TenantId),
    /// One subscription, which must accept its type.
    One(Address),
}

#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// `None` if only a signature identifies the sender.
    pub tenant: Option<TenantId>,
    pub name: SubscriptionName,
    /// Of a request to `/ingest`; its signature is verified if the subscription requires one.
    pub headers: Option<Arc<ProducerHeaders>>,
}

/// Requested times and the resulting ones.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    asked: [Option<OffsetDateTime>; 2],
    timing: Timing,
    is_over: bool,
}

/// Nothing of the event is stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refusal {
    #[error("there is no such subscription")]
    NotFound,
    /// The tenant was deleted a moment ago.
    #[error("there is no such tenant")]
    NoTenant,
    /// The addressed subscription is disabled.
    #[error("the subscription is disabled")]
    Disabled,
    /// The required signature is missing or wrong.
    #[error(transparent)]
    Signature(#[from] InvalidSignature),
    #[error("the subscription does not want events of this type")]
    NotWanted(NotWanted),
    #[error("the subscription's filter does not match the payload")]
    FilteredOut,
    #[error("the payload breaks the schema of its type{}", first(.0))]
    SchemaMismatch(Vec<Mismatch>),
    #[error("too many subscriptions want this event")]
    TooManyRecipients,
    #[error("expires_at has passed")]
    Over,
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The publish rate of the tenant is used up.
    #[error("the limit publish_per_second of {limit} is reached")]
    RateLimited { limit: u32, retry_after: Duration },
    #[error("events cannot be accepted now: {0}")]
    Unavailable(&'static str),
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
    /// The audience was found in stale copies. Never leaves intake.
    #[error("a subscription has changed")]
    Changed,
    /// Another process has the row of the outbox, or one before it in its ordering group waits. Never leaves intake.
    #[error("the row of the outbox cannot be taken now")]
    NotTaken,
}

fn first(mismatches: &[Mismatch]) -> String {
    mismatches.first().map(|Mismatch { pointer, rule }| format!(": {pointer}: {rule}")).unwrap_or_default()
}

impl Refusal {
    /// The API's code of a refusal that lasts; `None` if a later try may succeed.
    pub(crate) fn lasting_code(&self) -> Option<&'static str> {
        match self {
            Self::NotFound => Some("subscription_not_found"),
            Self::NoTenant => Some("tenant_not_found"),
            Self::Disabled => Some("subscription_disabled"),
            Self::Signature(_) => Some("signature_invalid"),
            Self::NotWanted(NotWanted::TypeMissing) => Some("event_type_missing"),
            Self::NotWanted(NotWanted::TypeNotWanted) => Some("event_type_not_wanted"),
            Self::FilteredOut => Some("filtered_out"),
            Self::SchemaMismatch(_) => Some("schema_mismatch"),
            Self::TooManyRecipients => Some("too_many_recipients"),
            Self::Over => Some("validation_failed"),
            Self::KeyReused => Some("idempotency_key_reused"),
            Self::RateLimited { .. } | Self::Unavailable(_) | Self::Store(_) | Self::Changed | Self::NotTaken => None,
        }
    }

    /// Whether the database does not answer.
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
    /// The same event of another tenant.
    pub(crate) fn of_tenant(mut self, tenant: TenantId) -> Self {
        match &mut self.to {
            To::All(of) => *of = tenant,
            To::One(address) => address.tenant = Some(tenant),
        }
        self
    }

    /// `None` if only the signature will tell.
    pub(crate) fn tenant(&self) -> Option<TenantId> {
        match &self.to {
            To::All(tenant) => Some(*tenant),
            To::One(address) => address.tenant,
        }
    }

    /// Must be equal for a repeated key to mean the same request.
    pub(super) fn fingerprint(&self, address: Option<SubscriptionId>) -> Fingerprint {
        let Self { event_type, payload, times, ordering_key, .. } = self;
        let is_ingest = matches!(&self.to, To::One(Address { headers: Some(_), .. }));
        let route = if is_ingest { "ingest" } else { "publish" };
        if self.key.as_ref().is_some_and(IdempotencyKey::is_of_provider) {
            return Fingerprint::of(route, address, None, [None, None], b"", None);
        }
        Fingerprint::of(route, address, event_type.as_ref(), times.asked, payload.bytes(), ordering_key.as_ref())
    }

    /// Whether an identical request may have been accepted earlier, when this reason did not apply yet.
    pub(super) fn may_repeat(&self, refusal: &Refusal) -> bool {
        let came_with_time = matches!(
            refusal,
            Refusal::NotFound
                | Refusal::Disabled
                | Refusal::NotWanted(_)
                | Refusal::FilteredOut
                | Refusal::SchemaMismatch(_)
                | Refusal::TooManyRecipients
                | Refusal::Over
        );
        self.key.is_some() && came_with_time
    }
}

impl Times {
    /// Accepts times in the past, because an identical request may have been accepted in time: [`Refusal::Over`]
    /// comes later.
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

    pub(super) fn timing(&self) -> Timing {
        self.timing
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }
}
