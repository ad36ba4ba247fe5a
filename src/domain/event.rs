//! An event: what a producer publishes, once, immutable.

use super::event_type::EventType;
use super::id::{EventId, TenantId};
use super::payload::Payload;

/// An event that is about to be accepted or has been.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its id, which carries the time of its acceptance.
    pub id: EventId,
    /// Its owner.
    pub tenant: TenantId,
    /// What kind it is; a producer may leave it out.
    pub event_type: Option<EventType>,
    /// The bytes.
    pub payload: Payload,
}
