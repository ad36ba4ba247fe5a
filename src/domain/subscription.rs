//! A subscription: which events go to which receiver, and its secrets.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::backoff::RetrySchedule;
use super::event_type::{EventType, EventTypeFilter, NotWanted};
use super::external_id::ExternalId;
use super::filter::Filter;
use super::id::{SubscriptionId, TenantId};
use super::ingest::Ingest;
use super::policy::Policy;
use super::provider::ProducerHeaders;
use super::request_headers::RequestHeaders;
use super::rotation::Secrets;
use super::signature::InvalidSignature;
use super::target::Target;

pub(crate) const MAX_DESCRIPTION_LENGTH: usize = 500;

#[derive(Debug, Clone)]
pub struct Subscription {
    pub id: SubscriptionId,
    pub tenant: TenantId,
    /// Grows with every write; a copy is current while the row has its version.
    pub version: i64,
    pub destination: Arc<Destination>,
    pub event_types: EventTypeFilter,
    /// Conditions on the payload.
    pub filter: Option<Filter>,
    pub description: Option<String>,
    pub is_active: bool,
    /// `gone`, `receiver` or `failing` by postrider, or who disabled it and when.
    pub disabled_reason: Option<String>,
    /// Whether `/ingest` requires a signature.
    pub verify_ingest: bool,
    pub external_id: Option<ExternalId>,
    pub policy: Policy,
    /// What it says of its producer.
    pub ingest: Ingest,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub(crate) target: Target,
    pub(crate) secrets: Secrets,
    pub(crate) headers: RequestHeaders,
    pub(crate) retry_schedule: Option<RetrySchedule>,
    /// Time limit of one attempt; `None` = the instance's.
    pub(crate) request_timeout: Option<Duration>,
}

impl Destination {
    /// Without own headers and options.
    pub fn new(target: Target, secrets: Secrets) -> Self {
        Self { target, secrets, headers: RequestHeaders::default(), retry_schedule: None, request_timeout: None }
    }
}

impl Subscription {
    /// With the secret of `ingest`, or else with each of its own that is live.
    pub(crate) fn verify(
        &self,
        headers: &ProducerHeaders,
        body: &[u8],
        now: OffsetDateTime,
    ) -> Result<(), InvalidSignature> {
        let (scheme, form) = self.ingest.signed_by(headers)?;
        let now_unix = now.unix_timestamp();
        match &self.ingest.secret {
            Some(secret) => scheme.verify(headers, [secret], form, body, now_unix),
            None => scheme.verify(headers, self.destination.secrets.live(now), form, body, now_unix),
        }
    }

    pub(crate) fn check_wanted(&self, event_type: Option<&EventType>) -> Result<(), NotWanted> {
        self.event_types.check(event_type)
    }
}
