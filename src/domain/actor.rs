//! Who changes something: what the audit says of it.

use super::id::ApiKeyId;

/// Who changes something, and by which request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub who: Who,
    /// The request's id, where it is a request.
    pub request_id: Option<String>,
}

/// Who changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The bearer of a key.
    Key(ApiKeyId),
    /// Anybody: no key is required here.
    Anonymous,
    /// Somebody at the command line.
    Command,
}

impl Actor {
    /// Somebody at the command line.
    pub const COMMAND: Self = Self { who: Who::Command, request_id: None };

    /// The word of the table `audit`.
    pub fn kind(&self) -> &'static str {
        match self.who {
            Who::Key(_) => "key",
            Who::Anonymous => "anonymous",
            Who::Command => "command",
        }
    }

    /// The key, where there is one.
    pub fn key(&self) -> Option<ApiKeyId> {
        match self.who {
            Who::Key(id) => Some(id),
            Who::Anonymous | Who::Command => None,
        }
    }
}
