//! An event: what a producer publishes, once, immutable.

use super::event_type::EventType;
use super::id::{EventId, TenantId};
use super::payload::Payload;

/// One event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Contains the time of acceptance.
    pub id: EventId,
    /// Its owner.
    pub tenant: TenantId,
    /// A producer may omit it.
    pub event_type: Option<EventType>,
    /// Its bytes.
    pub payload: Payload,
}
