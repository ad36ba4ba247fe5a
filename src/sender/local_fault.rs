//! Faults of this machine. They say nothing about the receiver, and nothing reaches it.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::domain::outcome::Outcome;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LocalFault {
    #[error("no free file descriptor: raise the limit (ulimit -n, LimitNOFILE) of this process or machine")]
    Descriptors,
    #[error("no free local port: widen net.ipv4.ip_local_port_range, or send from more machines")]
    Ports,
    #[error("the kernel has no memory for sockets")]
    Memory,
    /// EPERM or EACCES of `connect`: a rule for outgoing packets, a route that prohibits, or a sandbox.
    #[error("a rule of this machine (firewall, route, sandbox) forbids the connection")]
    Forbidden,
    #[error("too many DNS lookups wait for answers; check the resolver of this machine")]
    Lookups,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Cause {
    #[error("{0}")]
    Receiver(Outcome),
    #[error("{0}")]
    Local(LocalFault),
}

impl From<Outcome> for Cause {
    fn from(outcome: Outcome) -> Self {
        Self::Receiver(outcome)
    }
}

// Of Linux; the standard library has no kinds for them.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOBUFS: i32 = 105;

impl LocalFault {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Descriptors => "descriptors",
            Self::Ports => "ports",
            Self::Memory => "memory",
            Self::Forbidden => "forbidden",
            Self::Lookups => "lookups",
        }
    }

    /// Of any call that needs a new socket or file.
    pub(super) fn of(error: &io::Error) -> Option<Self> {
        match (error.raw_os_error(), error.kind()) {
            (Some(EMFILE | ENFILE), _) => Some(Self::Descriptors),
            (Some(ENOBUFS), _) | (_, ErrorKind::OutOfMemory) => Some(Self::Memory),
            _ => None,
        }
    }

    pub(super) fn of_connect(error: &io::Error, address: SocketAddr) -> Option<Self> {
        match error.kind() {
            // Without an address of the family the error is the same, and then there is no route.
            ErrorKind::AddrNotAvailable => has_source_for(address).then_some(Self::Ports),
            ErrorKind::PermissionDenied => Some(Self::Forbidden),
            _ => Self::of(error),
        }
    }

    /// The C library reports a lookup that could open no socket in several ways, also as a name that is unknown.
    pub(super) fn of_lookup(error: &io::Error) -> Option<Self> {
        Self::of(error).or_else(|| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).err().as_ref().and_then(Self::of))
    }
}

/// UDP has ports of its own, and to connect sends nothing.
fn has_source_for(address: SocketAddr) -> bool {
    let socket = match address {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
    };
    socket.and_then(|socket| socket.connect(address)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn met(errno: i32, address: &str) -> Option<LocalFault> {
        LocalFault::of_connect(&io::Error::from_raw_os_error(errno), address.parse().unwrap())
    }

    #[test]
    fn what_this_machine_lacks_is_not_the_receivers_failure() {
        for (errno, fault) in [
            (23, Some(LocalFault::Descriptors)),
            (24, Some(LocalFault::Descriptors)),
            (105, Some(LocalFault::Memory)),
            (12, Some(LocalFault::Memory)),
            (99, Some(LocalFault::Ports)),
            (1, Some(LocalFault::Forbidden)),
            (13, Some(LocalFault::Forbidden)),
            (111, None),
            (110, None),
            (101, None),
            (113, None),
        ] {
            assert_eq!(met(errno, "127.0.0.1:9"), fault, "{errno}");
        }
    }

    /// A documentation address: nothing is routed there unless the machine has a route for all of IPv6.
    #[test]
    fn a_machine_without_ipv6_lacks_a_route_and_no_port() {
        let has_ipv6 = has_source_for("[2001:db8::1]:9".parse().unwrap());
        assert_eq!(met(99, "[2001:db8::1]:9"), has_ipv6.then_some(LocalFault::Ports));
    }
}
