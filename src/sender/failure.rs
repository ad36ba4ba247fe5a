//! From the errors of sockets, TLS and HTTP to the one word of an outcome.
//!
//! The whole chain of causes is read, outermost first, and the first cause that says
//! something decides. Error texts go nowhere: they may show a stranger's insides.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::IpAddr;

use rustls::pki_types::InvalidDnsNameError;
use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use crate::domain::outcome::Outcome;

/// How webpki words that a certificate authority's own certificate was presented, which
/// is what the usual one-line recipe for a self-signed certificate makes.
const CA_AS_END_ENTITY: &str = "CaUsedAsEndEntity";

/// Why there is no connection.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{outcome}")]
pub(super) struct NoConnection {
    /// The word for it.
    pub(super) outcome: Outcome,
    /// The address last dialled, if it came to that.
    pub(super) remote: Option<IpAddr>,
}

impl NoConnection {
    /// Nothing was dialled.
    pub(super) fn before_dialling(outcome: Outcome) -> Self {
        Self { outcome, remote: None }
    }

    /// Dialling, or the TLS handshake after it, ended with this error.
    pub(super) fn after_dialling(error: &(dyn Error + 'static), remote: Option<IpAddr>) -> Self {
        Self { outcome: outcome_of(error), remote }
    }

    /// The decision of our own side in this chain of causes, if it holds one.
    pub(super) fn within<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        causes(error).find_map(|cause| cause.downcast_ref())
    }
}

/// The outcome of an attempt that ended with this error before a complete head.
pub(super) fn outcome_of(error: &(dyn Error + 'static)) -> Outcome {
    // Whatever hyper does not explain further is an answer that it cannot read.
    causes(error).find_map(of_cause).unwrap_or(Outcome::BadResponse)
}

/// The outcome of a TCP connect that failed with this error.
pub(super) fn of_connect(error: &io::Error) -> Outcome {
    match error.kind() {
        ErrorKind::ConnectionRefused => Outcome::ConnectRefused,
        ErrorKind::TimedOut => Outcome::ConnectTimeout,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => Outcome::Reset,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Outcome::ConnectUnreachable,
        _ => {
            // Out of descriptors, out of ports, a local firewall: ours to repair.
            tracing::warn!(%error, "cannot dial");
            Outcome::ConnectUnreachable
        }
    }
}

/// Whether hyper handed the request back without having written any of it.
pub(super) fn is_unsent(error: &(dyn Error + 'static)) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_canceled)
}

/// An error and everything beneath it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |cause| beneath(*cause))
}

/// An `io::Error` hides the error that it wraps from `source()`, so it is asked for it.
fn beneath<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}

fn of_cause(cause: &(dyn Error + 'static)) -> Option<Outcome> {
    if let Some(decided) = cause.downcast_ref::<NoConnection>() {
        return Some(decided.outcome);
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
    // No certificate can be valid for a name that is none.
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
        // Where the connection ended with an error, that one is beneath and says more.
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
