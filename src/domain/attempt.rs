//! One HTTP request made for a delivery: one row of the delivery log.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;

use super::id::AttemptId;
use super::outcome::Outcome;

/// Most bytes of a response body that are read and kept.
pub const MAX_RESPONSE_BODY_BYTES: usize = 16 * 1_024;

/// What a receiver can ask for in the `webhook-delivery` headers of its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Directives {
    /// `disable`: nothing more is to be sent to the subscription.
    pub disable: bool,
    /// `abort-message`: this event is not to be sent again.
    pub abort_message: bool,
}

impl Directives {
    /// The directives in these header values: each is a comma-separated list, in upper or lower case.
    /// Unknown words are ignored, so that new ones can be added.
    pub fn parse<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut directives = Self::default();
        for word in values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii) {
            directives.disable |= word.eq_ignore_ascii_case(b"disable");
            directives.abort_message |= word.eq_ignore_ascii_case(b"abort-message");
        }
        directives
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
    pub directives: Directives,
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
    pub number: u32,
    /// When it began, by the database's clock.
    pub started_at: OffsetDateTime,
    /// What it met.
    pub answer: Answer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_lists_of_words_in_any_case_over_any_number_of_headers() {
        let both = Directives { disable: true, abort_message: true };
        let cases: [(&[&str], Directives); 8] = [
            (&[], Directives::default()),
            (&["disable"], Directives { disable: true, ..Directives::default() }),
            (&[" Abort-Message "], Directives { abort_message: true, ..Directives::default() }),
            (&["Disable, abort-message"], both),
            (&["abort-message", "DISABLE"], both),
            (&["later,,disable ,"], Directives { disable: true, ..Directives::default() }),
            (&["disabled", "abort message", "disable; now", ""], Directives::default()),
            (&["\u{e9}"], Directives::default()),
        ];
        for (values, directives) in cases {
            assert_eq!(Directives::parse(values.iter().map(|value| value.as_bytes())), directives, "{values:?}");
        }
    }
}
