//! One HTTP request made for a delivery: one row of the delivery log.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;

use super::id::AttemptId;
use super::outcome::Outcome;

/// Most bytes of a response body that are read and kept.
pub const MAX_RESPONSE_BODY_BYTES: usize = 16 * 1_024;

/// What a receiver can ask for in the `webhook-delivery` header of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// `disable`: nothing more is to be sent to the subscription.
    Disable,
    /// `abort-message`: this event is not to be sent again.
    AbortMessage,
}

impl Wish {
    /// The wish in this header value; `None` for any other.
    pub fn parse(value: &[u8]) -> Option<Self> {
        match value.trim_ascii() {
            b"disable" => Some(Self::Disable),
            b"abort-message" => Some(Self::AbortMessage),
            _ => None,
        }
    }
}

/// What a receiver did with one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What the request met.
    pub outcome: Outcome,
    /// Status of the final head, if one arrived.
    pub status: Option<u16>,
    /// First bytes of the body, at most [`MAX_RESPONSE_BODY_BYTES`], as they came.
    pub body: Bytes,
    /// How long the receiver asked us to wait.
    pub retry_after: Option<Duration>,
    /// What else it asked for.
    pub wish: Option<Wish>,
    /// The address that was dialled.
    pub remote: Option<IpAddr>,
    /// From the first step (name lookup) to the last byte read.
    pub duration: Duration,
    /// A kept-alive connection was closed before any byte of an answer: the receiver
    /// most likely never saw the request, so one further attempt follows at once.
    pub stale_connection: bool,
}

/// One row of the delivery log, ready to be written.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its id, which carries `started_at`.
    pub id: AttemptId,
    /// 1 for the first attempt of the delivery.
    pub number: u16,
    /// When it began, by the database's clock.
    pub started_at: OffsetDateTime,
    /// What it met.
    pub answer: Answer,
}
