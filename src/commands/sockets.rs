//! The ports of a process, and how many descriptors it may have.

use tokio::net::{TcpListener, TcpSocket};

use super::Failure;

/// Connections that the system keeps until they are accepted, or as many as it allows
/// (`net.core.somaxconn`). Those beyond wait, or are reset without an answer.
const BACKLOG: u32 = 4_096;

/// Listens on the address that this setting names.
pub(super) fn listen(address: std::net::SocketAddr, setting: &str) -> Result<TcpListener, Failure> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let bound = socket.and_then(|socket| {
        // As the usual bind does, so that a restart need not wait for old connections.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    });
    bound.map_err(|error| Failure::new(format!("{setting}: cannot listen on {address}: {error}")))
}

/// Connections to many receivers need many descriptors; the soft limit is often 1,024.
pub(super) fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_err() {
        tracing::debug!("the limit of open descriptors stays as it is");
    }
}
