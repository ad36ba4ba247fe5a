//! The gate opens all sockets to receivers and decides which addresses are allowed.
//!
//! It checks every address just before connecting, so no second lookup can differ. hyper-util's connector does not
//! ask its resolver about address literals. Proxy settings are ignored.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::failure::{NoConnection, of_connect};
use super::resolve::{Resolver, interleaved};
use crate::domain::address::{AddressClass, AddressPolicy};
use crate::domain::id::TenantId;
use crate::domain::outcome::Outcome;
use crate::domain::target::needs_allowed_address;

/// Over all addresses of a name.
const CONNECT_BUDGET: Duration = Duration::from_secs(5);
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// Tells the caller the connected address, also if TLS fails on it.
pub(super) type Dialled = Arc<OnceLock<IpAddr>>;

#[derive(Debug, Clone)]
pub(super) struct Gate {
    addresses: Arc<AddressPolicy>,
    resolver: Resolver,
    connect_budget: Duration,
    dialled: Dialled,
    tenant: TenantId,
}

impl Gate {
    pub(super) fn new(addresses: Arc<AddressPolicy>) -> Self {
        let (dialled, tenant) = (Dialled::default(), TenantId::from(Uuid::nil()));
        Self { addresses, resolver: Resolver::new(), connect_budget: CONNECT_BUDGET, dialled, tenant }
    }

    pub(super) fn telling(&self, dialled: Dialled, tenant: TenantId) -> Self {
        Self { dialled, tenant, ..self.clone() }
    }

    async fn open(self, uri: Uri) -> Result<TcpStream, NoConnection> {
        let addresses = self.resolve(&uri).await.map_err(NoConnection::before_dialling)?;
        let deadline = Instant::now() + self.connect_budget;
        let mut met = NoConnection::before_dialling(Outcome::DnsNoAddress);
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            // An equal share per address: a dead first address leaves time for the next.
            let share = deadline.saturating_duration_since(Instant::now()) / left.max(1);
            left = left.saturating_sub(1);
            match timeout(share, dial(SocketAddr::new(address, port(&uri)))).await {
                Ok(Ok(stream)) => {
                    let _first = self.dialled.set(address);
                    return Ok(stream);
                }
                Ok(Err(outcome)) => met = NoConnection { outcome, remote: Some(address) },
                Err(_) => met = NoConnection { outcome: Outcome::ConnectTimeout, remote: Some(address) },
            }
        }
        Err(met)
    }

    pub(super) async fn resolve(&self, uri: &Uri) -> Result<Vec<IpAddr>, Outcome> {
        let host = uri.host().ok_or(Outcome::BlockedAddress)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match bare.unwrap_or(host).parse::<IpAddr>() {
            Ok(literal) => self.check_literal(literal.to_canonical()),
            // Brackets around anything but an IPv6 address are no host name.
            Err(_) if bare.is_some() => Err(Outcome::BlockedAddress),
            Err(_) => {
                let answer = self.resolver.lookup(host, self.tenant).await?;
                check_answer(&self.addresses, host, &answer)?;
                Ok(interleaved(&answer))
            }
        }
    }

    fn check_literal(&self, literal: IpAddr) -> Result<Vec<IpAddr>, Outcome> {
        match self.addresses.classify(literal) {
            AddressClass::Blocked => Err(Outcome::BlockedAddress),
            AddressClass::Public | AddressClass::Allowed => Ok(vec![literal]),
        }
    }
}

/// One forbidden address rejects the whole answer: a mix of public and private addresses is an attack or a mistake.
fn check_answer(policy: &AddressPolicy, host: &str, answer: &[IpAddr]) -> Result<(), Outcome> {
    let must_be_allowed = needs_allowed_address(host);
    let is_allowed = |address: &IpAddr| match policy.classify(*address) {
        // An IPv4-mapped IPv6 address in DNS is suspicious.
        _ if *address != address.to_canonical() => false,
        AddressClass::Blocked => false,
        AddressClass::Public => !must_be_allowed,
        AddressClass::Allowed => true,
    };
    if answer.iter().all(is_allowed) { Ok(()) } else { Err(Outcome::BlockedAddress) }
}

async fn dial(address: SocketAddr) -> Result<TcpStream, Outcome> {
    let connected = |stream: TcpStream| -> io::Result<(TcpStream, SocketAddr)> {
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?;
        Ok((stream, peer))
    };
    let (stream, peer) = TcpStream::connect(address).await.and_then(connected).map_err(|error| of_connect(&error))?;
    // Sends nothing if something redirected the connection.
    if (peer.ip(), peer.port()) == (address.ip(), address.port()) { Ok(stream) } else { Err(Outcome::BlockedAddress) }
}

fn port(uri: &Uri) -> u16 {
    let usual = if uri.scheme_str() == Some("https") { HTTPS_PORT } else { HTTP_PORT };
    uri.port_u16().unwrap_or(usual)
}

impl tower_service::Service<Uri> for Gate {
    type Response = TokioIo<TcpStream>;
    type Error = NoConnection;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoConnection>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoConnection>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let gate = self.clone();
        Box::pin(async move { gate.open(uri).await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allow: &[&str], host: &str, answer: &[&str]) -> Result<(), Outcome> {
        let allow = allow.iter().map(|net| net.parse().unwrap()).collect();
        let policy = AddressPolicy { allow, ..AddressPolicy::default() };
        let answer: Vec<IpAddr> = answer.iter().map(|ip| ip.parse().unwrap()).collect();
        check_answer(&policy, host, &answer)
    }

    const BLOCKED: Result<(), Outcome> = Err(Outcome::BlockedAddress);

    #[test]
    fn one_blocked_address_condemns_the_whole_answer() {
        assert_eq!(check(&[], "a.example", &["1.1.1.1", "2606:4700::1111"]), Ok(()));
        assert_eq!(check(&[], "a.example", &["1.1.1.1", "10.0.0.1"]), BLOCKED);
        assert_eq!(check(&[], "a.example", &["1.1.1.1", "::1"]), BLOCKED);
        assert_eq!(check(&["10.0.0.0/8"], "a.example", &["1.1.1.1", "10.0.0.1"]), Ok(()));
    }

    #[test]
    fn an_answer_in_the_ipv6_spelling_of_ipv4_is_refused_even_where_the_address_is_open() {
        assert_eq!(check(&[], "a.example", &["::ffff:1.1.1.1"]), BLOCKED);
        assert_eq!(check(&["127.0.0.0/8"], "localhost", &["::ffff:127.0.0.1"]), BLOCKED);
    }

    #[test]
    fn inside_names_lead_to_opened_addresses_only() {
        for name in ["localhost", "backend", "a.internal", "x.svc.cluster.local"] {
            assert_eq!(check(&["10.0.0.0/8"], name, &["10.0.0.1"]), Ok(()), "{name}");
            assert_eq!(check(&["10.0.0.0/8"], name, &["10.0.0.1", "1.1.1.1"]), BLOCKED, "{name}");
            assert_eq!(check(&[], name, &["1.1.1.1"]), BLOCKED, "{name}");
        }
    }

    /// A listener whose queue is full drops further connections.
    #[tokio::test]
    async fn an_address_that_keeps_silent_is_a_connect_timeout() {
        const MOMENT: Duration = Duration::from_millis(100);
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(queued) = timeout(MOMENT, TcpStream::connect(address)).await {
            queue.push(queued.unwrap());
        }
        let allow = vec!["127.0.0.0/8".parse().unwrap()];
        let gate = Gate::new(Arc::new(AddressPolicy { allow, ..AddressPolicy::default() }));
        let hurried = Gate { connect_budget: MOMENT, ..gate };
        let met = hurried.open(format!("http://{address}/").parse().unwrap()).await.unwrap_err();
        assert_eq!((met.outcome, met.remote), (Outcome::ConnectTimeout, Some(address.ip())));
    }

    #[tokio::test]
    async fn unusual_spellings_of_an_address_are_checked_by_the_address() {
        let gate = Gate::new(Arc::new(AddressPolicy::default()));
        for host in
            ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "2130706433", "0x7f.1", "127.1", "0"]
        {
            let uri = format!("http://{host}:9/").parse().unwrap();
            let met = gate.clone().open(uri).await.unwrap_err();
            let refused = matches!(met.outcome, Outcome::BlockedAddress | Outcome::DnsFailed);
            assert!(refused && met.remote.is_none(), "{host}: {met:?}");
        }
    }
}
