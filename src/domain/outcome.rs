//! Outcomes of attempts. Failures of receivers are data, not errors.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A 2xx head in time.
    Delivered,
    /// A final 1xx head.
    Http1xx,
    /// A redirect; not followed.
    Http3xx,
    /// A 4xx head.
    Http4xx,
    Http5xx,
    /// A status outside 100 to 599.
    HttpOther,
    /// No complete head before the deadline.
    Timeout,
    ConnectTimeout,
    ConnectRefused,
    ConnectUnreachable,
    Reset,
    ClosedEarly,
    BadResponse,
    ResponseTooLarge,
    TlsUntrusted,
    /// Certificate expired or not yet valid.
    TlsExpired,
    TlsName,
    TlsInvalid,
    TlsVersion,
    TlsProtocol,
    TlsAlert,
    DnsFailed,
    DnsNoAddress,
    DnsTimeout,
    /// Address not allowed.
    BlockedAddress,
    /// The worker was lost before it recorded the outcome.
    Unknown,
}

impl Outcome {
    pub const ALL: [Self; 26] = [
        Self::Delivered,
        Self::Http1xx,
        Self::Http3xx,
        Self::Http4xx,
        Self::Http5xx,
        Self::HttpOther,
        Self::Timeout,
        Self::ConnectTimeout,
        Self::ConnectRefused,
        Self::ConnectUnreachable,
        Self::Reset,
        Self::ClosedEarly,
        Self::BadResponse,
        Self::ResponseTooLarge,
        Self::TlsUntrusted,
        Self::TlsExpired,
        Self::TlsName,
        Self::TlsInvalid,
        Self::TlsVersion,
        Self::TlsProtocol,
        Self::TlsAlert,
        Self::DnsFailed,
        Self::DnsNoAddress,
        Self::DnsTimeout,
        Self::BlockedAddress,
        Self::Unknown,
    ];

    pub fn of_status(status: u16) -> Self {
        match status {
            100..=199 => Self::Http1xx,
            200..=299 => Self::Delivered,
            300..=399 => Self::Http3xx,
            400..=499 => Self::Http4xx,
            500..=599 => Self::Http5xx,
            _ => Self::HttpOther,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Http1xx => "http_1xx",
            Self::Http3xx => "http_3xx",
            Self::Http4xx => "http_4xx",
            Self::Http5xx => "http_5xx",
            Self::HttpOther => "http_other",
            Self::Timeout => "timeout",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectUnreachable => "connect_unreachable",
            Self::Reset => "reset",
            Self::ClosedEarly => "closed_early",
            Self::BadResponse => "bad_response",
            Self::ResponseTooLarge => "response_too_large",
            Self::TlsUntrusted => "tls_untrusted",
            Self::TlsExpired => "tls_expired",
            Self::TlsName => "tls_name",
            Self::TlsInvalid => "tls_invalid",
            Self::TlsVersion => "tls_version",
            Self::TlsProtocol => "tls_protocol",
            Self::TlsAlert => "tls_alert",
            Self::DnsFailed => "dns_failed",
            Self::DnsNoAddress => "dns_no_address",
            Self::DnsTimeout => "dns_timeout",
            Self::BlockedAddress => "blocked_address",
            Self::Unknown => "unknown",
        }
    }

    pub(crate) fn is_success(self) -> bool {
        self == Self::Delivered
    }

    /// For people; `None` for a success.
    pub(crate) fn message(self, status: Option<u16>) -> Option<String> {
        let sentence = match (self, status) {
            (Self::Delivered, _) => return None,
            (Self::Http3xx, Some(status)) => format!("the receiver answered {status}; redirects are not followed"),
            (_, Some(status)) => format!("the receiver answered {status}"),
            (other, None) => other.sentence().to_owned(),
        };
        Some(format!("{self}: {sentence}"))
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Delivered => "the receiver has it",
            Self::Http1xx | Self::Http3xx | Self::Http4xx | Self::Http5xx | Self::HttpOther => {
                "the receiver did not answer 2xx"
            }
            Self::Timeout => "no complete answer within the time limit",
            Self::ConnectTimeout => "no connection within the time limit",
            Self::ConnectRefused => "the receiver refused the connection",
            Self::ConnectUnreachable => "there is no route to the receiver",
            Self::Reset => "the receiver reset the connection",
            Self::ClosedEarly => "the receiver closed the connection before answering",
            Self::BadResponse => "the answer is not valid HTTP",
            Self::ResponseTooLarge => "the head of the answer is larger than 256 KiB",
            Self::TlsUntrusted => "the certificate is not signed by a trusted authority",
            Self::TlsExpired => "the certificate is expired or not yet valid",
            Self::TlsName => "the certificate is for another name",
            Self::TlsInvalid => "the certificate is not valid for this use",
            Self::TlsVersion => "no TLS version from 1.2 in common",
            Self::TlsProtocol => "the receiver does not speak TLS on this port",
            Self::TlsAlert => "the receiver ended the TLS handshake",
            Self::DnsFailed => "the name could not be resolved",
            Self::DnsNoAddress => "the name has no address",
            Self::DnsTimeout => "no DNS answer within the time limit",
            Self::BlockedAddress => "the target leads to an address that is not to be dialled",
            Self::Unknown => "the worker was lost before the outcome was recorded",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_begins_with_the_word() {
        assert_eq!(Outcome::Http5xx.message(Some(500)).as_deref(), Some("http_5xx: the receiver answered 500"));
        assert_eq!(Outcome::Delivered.message(Some(200)), None);
        for outcome in Outcome::ALL {
            let message = outcome.message(None);
            assert!(outcome.is_success() || message.is_some_and(|text| text.starts_with(outcome.as_str())));
        }
    }

    #[test]
    fn every_status_has_an_outcome_and_only_2xx_succeeds() {
        for status in 0..=999 {
            assert_eq!(Outcome::of_status(status).is_success(), (200..300).contains(&status), "{status}");
        }
    }
}
