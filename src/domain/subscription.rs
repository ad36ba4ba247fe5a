//! A subscription: where a receiver wants which events, and its secrets.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::backoff::RetrySchedule;
use super::event_type::{EventType, EventTypeFilter, NotWanted};
use super::external_id::ExternalId;
use super::id::{SubscriptionId, TenantId};
use super::policy::Policy;
use super::request_headers::RequestHeaders;
use super::rotation::Secrets;
use super::target::Target;

/// Longest description, in characters.
pub const MAX_DESCRIPTION_LENGTH: usize = 500;

/// A subscription as it stood at one version of its row.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// Its owner.
    pub tenant: TenantId,
    /// Grows by one with every write; a copy is current while the row has its version.
    pub version: i64,
    /// Where its deliveries go, and what signs them.
    pub destination: Arc<Destination>,
    /// Which events it wants.
    pub event_types: EventTypeFilter,
    /// Free text of its owner.
    pub description: Option<String>,
    /// Whether deliveries are sent.
    pub is_active: bool,
    /// Why it is not active, when postrider decided that: `gone`, `receiver`, `failing`.
    pub disabled_reason: Option<String>,
    /// Whether ingest asks for a signature.
    pub verify_ingest: bool,
    /// Its owner's own name for it.
    pub external_id: Option<ExternalId>,
    /// How it wants to be served.
    pub policy: Policy,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it was last written.
    pub updated_at: OffsetDateTime,
}

/// What sending to a subscription needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Where to.
    pub target: Target,
    /// What signs.
    pub secrets: Secrets,
    /// What requests carry beside our own headers.
    pub headers: RequestHeaders,
    /// When failed deliveries are tried again, if not as the instance does.
    pub retry_schedule: Option<RetrySchedule>,
    /// Time limit of one attempt, if not the instance's.
    pub request_timeout: Option<Duration>,
}

impl Destination {
    /// A destination without headers of its own, served as the instance's settings say.
    pub fn new(target: Target, secrets: Secrets) -> Self {
        Self { target, secrets, headers: RequestHeaders::default(), retry_schedule: None, request_timeout: None }
    }
}

impl Subscription {
    /// Whether an event of this type, or of none, is wanted.
    ///
    /// # Errors
    /// [`NotWanted`] says why not.
    pub fn check_wanted(&self, event_type: Option<&EventType>) -> Result<(), NotWanted> {
        self.event_types.check(event_type)
    }
}
