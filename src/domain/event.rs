//! An event: what a producer publishes, once, immutable.

use super::event_type::EventType;
use super::hops::Hops;
use super::id::{EventId, TenantId};
use super::payload::Payload;

#[derive(Debug, Clone)]
pub struct Event {
    /// Contains the time of acceptance.
    pub id: EventId,
    pub tenant: TenantId,
    pub event_type: Option<EventType>,
    pub payload: Payload,
    /// Before this event, on the way here.
    pub hops: Hops,
}
