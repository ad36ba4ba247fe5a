//! One HTTP request made for a delivery: one row of the log.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use time::OffsetDateTime;

use super::detail::Detail;
use super::id::AttemptId;
use super::outcome::Outcome;
use super::trigger::Trigger;

pub(crate) const MAX_RESPONSE_BODY_BYTES: usize = 16 * 1_024;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Directives {
    /// `disable`: send nothing more to the subscription.
    pub(crate) disable: bool,
    /// `abort-message`: do not send this event again.
    pub(crate) abort_message: bool,
}

impl Directives {
    /// A comma-separated list, in any case. Unknown words are ignored, so that words can be added.
    pub(crate) fn parse<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut directives = Self::default();
        for word in values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii) {
            directives.disable |= word.eq_ignore_ascii_case(b"disable");
            directives.abort_message |= word.eq_ignore_ascii_case(b"abort-message");
        }
        directives
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub outcome: Outcome,
    pub status: Option<u16>,
    /// What came instead of a status line, escaped and cut.
    pub first_line: Option<String>,
    /// The first bytes of the body.
    pub body: Bytes,
    /// How long the receiver asked to wait.
    pub retry_after: Option<Duration>,
    pub directives: Directives,
    pub remote: Option<IpAddr>,
    /// From name lookup to the last byte read.
    pub duration: Duration,
    /// A kept-alive connection closed before any response: the receiver most likely never saw the request, and one
    /// more attempt follows at once.
    pub stale_connection: bool,
    /// What is kept besides, if it is.
    pub detail: Option<Box<Detail>>,
}

impl Answer {
    /// Nothing came back.
    pub fn without_response(outcome: Outcome) -> Self {
        Self {
            outcome,
            status: None,
            first_line: None,
            body: Bytes::new(),
            retry_after: None,
            directives: Directives::default(),
            remote: None,
            duration: Duration::ZERO,
            stale_connection: false,
            detail: None,
        }
    }

    /// For people; `None` for a success.
    pub(crate) fn message(&self) -> Option<String> {
        match &self.first_line {
            Some(line) => {
                Some(format!("{}: the answer begins with no HTTP status line, but with \"{line}\"", self.outcome))
            }
            None => self.outcome.message(self.status),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Attempt {
    /// Contains `started_at`.
    pub id: AttemptId,
    /// 1 for the first attempt of the delivery.
    pub number: u32,
    /// By the database's clock.
    pub started_at: OffsetDateTime,
    pub trigger: Trigger,
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
