//! Selects the deliveries that a replay repeats.

use std::str::FromStr;

use super::event_type::{EventType, EventTypeFilter};
use super::id::EventId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Failed,
    Expired,
    Skipped,
    Cancelled,
    Succeeded,
    /// Never created: the subscription did not want this type then, and does now.
    Missed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be failed, expired, skipped, cancelled, succeeded or missed")]
pub struct NotAnEnding;

impl Ending {
    pub(crate) const ALL: [Self; 6] =
        [Self::Failed, Self::Expired, Self::Skipped, Self::Cancelled, Self::Succeeded, Self::Missed];
    /// All that ended without success, except cancelled ones.
    pub const UNDELIVERED: [Self; 3] = [Self::Failed, Self::Expired, Self::Skipped];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Succeeded => "succeeded",
            Self::Missed => "missed",
        }
    }
}

impl FromStr for Ending {
    type Err = NotAnEnding;

    fn from_str(word: &str) -> Result<Self, NotAnEnding> {
        Self::ALL.into_iter().find(|ending| ending.as_str() == word).ok_or(NotAnEnding)
    }
}

#[derive(Debug, Clone)]
pub struct Selection {
    pub statuses: Vec<Ending>,
    pub event_types: EventTypeFilter,
    pub after: EventId,
    pub below: EventId,
}

/// In `replays/look`: published to all, without a delivery.
pub(crate) const FAN_OUT: &str = "fan_out";

/// An event without a delivery is missed if the subscription would get an event of its type today. `ending` is a word of `replays/look`.
pub(crate) fn missed(ending: &str, event_type: Option<&EventType>, wanted: &EventTypeFilter) -> Option<&'static str> {
    let is_wanted = match ending {
        FAN_OUT => wanted.check(event_type).is_ok(),
        "system" => event_type.is_some_and(|name| wanted.asks_for_system_event(name)),
        _ => false,
    };
    is_wanted.then_some(Ending::Missed.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_is_read_back_from_its_word() {
        for ending in Ending::ALL {
            assert_eq!(ending.as_str().parse(), Ok(ending));
        }
        assert_eq!("pending".parse::<Ending>(), Err(NotAnEnding));
    }
}
