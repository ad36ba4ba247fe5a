//! Binds ports and raises the limit of file descriptors.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::Failure;
use crate::http;

/// `setting` names the address in error messages.
pub(super) fn listen(address: SocketAddr, setting: &str) -> Result<TcpListener, Failure> {
    http::bind(address).map_err(|error| Failure::new(format!("{setting}: cannot listen on {address}: {error}")))
}

/// What the limit can be raised to; `None`: no limit.
pub(super) fn descriptor_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum
}

/// Many receivers need many descriptors; the soft limit is often 1,024.
pub(super) fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_err() {
        tracing::debug!("the limit of open descriptors stays as it is");
    }
}
