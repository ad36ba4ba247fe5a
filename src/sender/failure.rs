//! Maps errors of sockets, TLS and HTTP to outcomes.
//! The first known cause decides. Error texts are dropped, because they may reveal internals of receivers.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use rustls::pki_types::InvalidDnsNameError;
use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use super::head::BadHead;
use super::local_fault::{Cause, LocalFault};
use crate::domain::outcome::Outcome;

/// How webpki reports a CA certificate used as a server certificate, which the usual one-line command for a
/// self-signed certificate creates.
const CA_AS_END_ENTITY: &str = "CaUsedAsEndEntity";

#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{cause}")]
pub(super) struct NoConnection {
    pub(super) cause: Cause,
    pub(super) remote: Option<IpAddr>,
}

impl NoConnection {
    pub(super) fn new(cause: impl Into<Cause>, remote: Option<IpAddr>) -> Self {
        Self { cause: cause.into(), remote }
    }

    pub(super) fn within<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        causes(error).find_map(|cause| cause.downcast_ref())
    }
}

pub(super) fn outcome_of(error: &(dyn Error + 'static)) -> Outcome {
    // hyper explains everything else; the rest is a malformed response.
    causes(error).find_map(of_cause).unwrap_or(Outcome::BadResponse)
}

/// What came instead of a status line.
pub(super) fn instead_of_status_line(error: &(dyn Error + 'static)) -> Option<String> {
    causes(error).find_map(|cause| match cause.downcast_ref()? {
        BadHead::NoStatusLine(line) => Some(line.clone()),
        BadHead::TooLarge => None,
    })
}

pub(super) fn of_connect(error: &io::Error, address: SocketAddr) -> Cause {
    if let Some(fault) = LocalFault::of_connect(error, address) {
        return Cause::Local(fault);
    }
    Cause::Receiver(match error.kind() {
        ErrorKind::ConnectionRefused => Outcome::ConnectRefused,
        ErrorKind::TimedOut => Outcome::ConnectTimeout,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Outcome::Reset,
        _ => Outcome::ConnectUnreachable,
    })
}

pub(super) fn is_unsent(error: &(dyn Error + 'static)) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_canceled)
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| beneath(*cause))
}

/// `io::Error` hides the wrapped error from `source()`.
fn beneath<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}

fn of_cause(cause: &(dyn Error + 'static)) -> Option<Outcome> {
    if let Some(bad) = cause.downcast_ref::<BadHead>() {
        return Some(if *bad == BadHead::TooLarge { Outcome::ResponseTooLarge } else { Outcome::BadResponse });
    }
    if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
        return Some(of_tls(tls));
    }
    if let Some(http) = cause.downcast_ref::<hyper::Error>() {
        return of_http(http);
    }
    if let Some(io) = cause.downcast_ref::<io::Error>() {
        return of_io(io);
    }
    // No certificate is valid for an invalid name.
    cause.is::<InvalidDnsNameError>().then_some(Outcome::TlsName)
}

fn of_http(error: &hyper::Error) -> Option<Outcome> {
    if error.is_parse_too_large() {
        Some(Outcome::ResponseTooLarge)
    } else if error.is_parse() {
        Some(Outcome::BadResponse)
    } else if error.is_incomplete_message() || error.is_closed() {
        Some(Outcome::ClosedEarly)
    } else if error.is_canceled() {
        // The cause of a closed connection is more precise.
        let says_more = error.source().is_some_and(|beneath| beneath.is::<hyper::Error>());
        (!says_more).then_some(Outcome::ClosedEarly)
    } else {
        None
    }
}

fn of_io(error: &io::Error) -> Option<Outcome> {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Some(Outcome::Reset),
        ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof | ErrorKind::NotConnected => Some(Outcome::ClosedEarly),
        ErrorKind::TimedOut => Some(Outcome::Timeout),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Some(Outcome::ConnectUnreachable),
        _ => None,
    }
}

fn of_tls(error: &rustls::Error) -> Outcome {
    match error {
        rustls::Error::InvalidCertificate(certificate) => of_certificate(certificate),
        rustls::Error::NoCertificatesPresented => Outcome::TlsInvalid,
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
        | rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => Outcome::TlsVersion,
        rustls::Error::AlertReceived(_) => Outcome::TlsAlert,
        _ => Outcome::TlsProtocol,
    }
}

fn of_certificate(error: &CertificateError) -> Outcome {
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Outcome::TlsExpired,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Outcome::TlsName,
        CertificateError::UnknownIssuer => Outcome::TlsUntrusted,
        CertificateError::Other(other) if other.0.to_string() == CA_AS_END_ENTITY => Outcome::TlsUntrusted,
        _ => Outcome::TlsInvalid,
    }
}
