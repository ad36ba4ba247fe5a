//! Who changes something: what the audit says of it.

use super::id::ApiKeyId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub who: Who,
    pub request_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Key(ApiKeyId),
    /// Somebody in a portal session, by its id.
    Portal(ApiKeyId),
    Anonymous,
    Command,
}

impl Actor {
    pub const COMMAND: Self = Self { who: Who::Command, request_id: None };

    pub fn kind(&self) -> &'static str {
        match self.who {
            Who::Key(_) => "key",
            Who::Portal(_) => "portal",
            Who::Anonymous => "anonymous",
            Who::Command => "command",
        }
    }

    /// The key or the portal session.
    pub fn key(&self) -> Option<ApiKeyId> {
        match self.who {
            Who::Key(id) | Who::Portal(id) => Some(id),
            Who::Anonymous | Who::Command => None,
        }
    }
}
