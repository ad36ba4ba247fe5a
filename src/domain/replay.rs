//! What a replay makes again: deliveries of one subscription, by how they ended and when
//! their events were accepted.

use std::str::FromStr;

use super::event_type::EventTypeFilter;
use super::id::EventId;

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its schedule ended, or its receiver or its address forbade more.
    Failed,
    /// Its time was over.
    Expired,
    /// Its line went on without it.
    Skipped,
    /// Somebody cancelled it.
    Cancelled,
    /// A receiver answered 2xx.
    Succeeded,
    /// It never was: an event for all who want it that its subscription did not get, and whose
    /// type it wants now.
    Missed,
}

/// The text is no word for how a delivery ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be failed, expired, skipped, cancelled, succeeded or missed")]
pub struct NotAnEnding;

impl Ending {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Failed, Self::Expired, Self::Skipped, Self::Cancelled, Self::Succeeded, Self::Missed];
    /// Without success, and not because somebody wanted it so.
    pub const UNDELIVERED: [Self; 3] = [Self::Failed, Self::Expired, Self::Skipped];

    /// The word, as it stands in the database and the API.
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

/// Which deliveries of a subscription are made again.
#[derive(Debug, Clone)]
pub struct Selection {
    /// How they ended; at least one.
    pub statuses: Vec<Ending>,
    /// Which types their events have.
    pub event_types: EventTypeFilter,
    /// Of events after this id.
    pub after: EventId,
    /// And before this one.
    pub below: EventId,
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
