//! The gate opens all sockets to receivers and decides which addresses are allowed.
//!
//! It checks every address just before connecting, so no second lookup can differ. hyper-util's connector does not
//! ask its resolver about address literals. Proxy settings are ignored.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::failure::{NoConnection, of_connect};
use super::local_fault::Cause;
use super::progress::{Progress, Step};
use super::resolve::{Resolver, interleaved};
use crate::domain::address::{AddressClass, AddressPolicy};
use crate::domain::outcome::Outcome;
use crate::domain::target::needs_allowed_address;

/// Over all addresses of a name.
const CONNECT_BUDGET: Duration = Duration::from_secs(5);
/// RFC 8305, section 5.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

#[derive(Debug, Clone)]
pub(super) struct Gate {
    addresses: Arc<AddressPolicy>,
    resolver: Resolver,
    connect_budget: Duration,
    progress: Arc<Progress>,
}

impl Gate {
    pub(super) fn new(addresses: Arc<AddressPolicy>) -> Self {
        let resolver = Resolver::new(addresses.allows_private());
        Self { addresses, resolver, connect_budget: CONNECT_BUDGET, progress: Arc::default() }
    }

    pub(super) fn with(&self, progress: Arc<Progress>) -> Self {
        Self { progress, ..self.clone() }
    }

    async fn open(self, uri: Uri) -> Result<TcpStream, NoConnection> {
        let addresses = self.resolve(&uri).await.map_err(|cause| NoConnection::new(cause, None))?;
        self.progress.enter(Step::Connect);
        let budget = Instant::now() + self.connect_budget;
        let deadline = self.progress.deadline.map_or(budget, |deadline| deadline.min(budget));
        let (stream, address) = race(&addresses, port(&uri), deadline).await?;
        self.progress.connected(address);
        Ok(stream)
    }

    pub(super) async fn resolve(&self, uri: &Uri) -> Result<Vec<IpAddr>, Cause> {
        let host = uri.host().ok_or(Outcome::BlockedAddress)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match bare.unwrap_or(host).parse::<IpAddr>() {
            Ok(literal) => Ok(self.check_literal(literal.to_canonical())?),
            // Brackets around anything but an IPv6 address are no host name.
            Err(_) if bare.is_some() => Err(Outcome::BlockedAddress.into()),
            Err(_) => {
                let progress = &self.progress;
                progress.enter(Step::WaitsForLookup);
                let answer = self.resolver.lookup(host, progress.tenant, || progress.enter(Step::Lookup)).await?;
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

/// Happy eyeballs (RFC 8305): the next address is tried after a moment or a failure, beside those before. The first
/// connection wins; dropping the others closes them.
async fn race(addresses: &[IpAddr], port: u16, deadline: Instant) -> Result<(TcpStream, IpAddr), NoConnection> {
    let mut waiting = addresses.iter().copied();
    let mut dialling = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        let started = waiting.next().map(|address| dialling.push(dial(SocketAddr::new(address, port))));
        let next = if started.is_some() { deadline.min(Instant::now() + NEXT_ADDRESS_AFTER) } else { deadline };
        match timeout_at(next, dialling.next()).await {
            Ok(Some(Ok(connected))) => return Ok(connected),
            Ok(Some(Err(failure))) => failures.push(failure),
            Ok(None) => break,
            Err(_) if Instant::now() < deadline => {}
            Err(_) => {
                failures.push(NoConnection::new(Outcome::ConnectTimeout, addresses.first().copied()));
                break;
            }
        }
    }
    // The failure that says most about the receiver.
    let telling = failures.into_iter().min_by_key(|failure| match failure.cause {
        Cause::Receiver(Outcome::ConnectUnreachable) => 3,
        Cause::Local(_) => 2,
        Cause::Receiver(Outcome::ConnectTimeout) => 1,
        Cause::Receiver(_) => 0,
    });
    Err(telling.unwrap_or_else(|| NoConnection::new(Outcome::DnsNoAddress, None)))
}

async fn dial(address: SocketAddr) -> Result<(TcpStream, IpAddr), NoConnection> {
    let connected = |stream: TcpStream| -> io::Result<(TcpStream, SocketAddr)> {
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?;
        Ok((stream, peer))
    };
    let failed = |cause| NoConnection::new(cause, Some(address.ip()));
    let met = TcpStream::connect(address).await.and_then(connected);
    let (stream, peer) = met.map_err(|error| failed(of_connect(&error, address)))?;
    // Sends nothing if something redirected the connection.
    if (peer.ip(), peer.port()) == (address.ip(), address.port()) {
        Ok((stream, address.ip()))
    } else {
        Err(failed(Outcome::BlockedAddress.into()))
    }
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

    const MOMENT: Duration = Duration::from_millis(100);

    /// A listener whose queue is full drops further connections, as a dead address does.
    async fn silent() -> (SocketAddr, impl Sized) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(queued) = tokio::time::timeout(MOMENT, TcpStream::connect(address)).await {
            queue.push(queued.unwrap());
        }
        (address, (listener, queue))
    }

    #[tokio::test]
    async fn an_address_that_keeps_silent_is_a_connect_timeout() {
        let (address, _queue) = silent().await;
        let allow = vec!["127.0.0.0/8".parse().unwrap()];
        let gate = Gate::new(Arc::new(AddressPolicy { allow, ..AddressPolicy::default() }));
        let hurried = Gate { connect_budget: MOMENT, ..gate };
        let met = hurried.open(format!("http://{address}/").parse().unwrap()).await.unwrap_err();
        assert_eq!((met.cause, met.remote), (Outcome::ConnectTimeout.into(), Some(address.ip())));
    }

    #[tokio::test]
    async fn a_dead_first_address_costs_a_moment_and_a_refusing_one_nothing() {
        let (dead, _queue) = silent().await;
        let alive = tokio::net::TcpListener::bind(SocketAddr::new([127, 0, 0, 4].into(), dead.port())).await.unwrap();
        let ip = |last| IpAddr::from([127, 0, 0, last]);
        // 2 s: the limit of an attempt with which the second address was never reached.
        for addresses in [vec![dead.ip(), ip(4)], vec![ip(2), ip(3), dead.ip(), ip(4)], vec![ip(4), dead.ip()]] {
            let deadline = Instant::now() + Duration::from_secs(2);
            let (stream, address) = race(&addresses, dead.port(), deadline).await.unwrap();
            assert_eq!((address, stream.peer_addr().unwrap()), (ip(4), alive.local_addr().unwrap()), "{addresses:?}");
        }
    }

    #[tokio::test]
    async fn of_several_failures_the_one_that_says_most_is_told() {
        let (dead, _queue) = silent().await;
        let refusing = IpAddr::from([127, 0, 0, 2]);
        let met = |addresses: Vec<IpAddr>| async move {
            race(&addresses, dead.port(), Instant::now() + NEXT_ADDRESS_AFTER + MOMENT).await.unwrap_err()
        };
        let refused = met(vec![dead.ip(), refusing]).await;
        assert_eq!((refused.cause, refused.remote), (Outcome::ConnectRefused.into(), Some(refusing)));
        assert_eq!(met(vec![dead.ip()]).await.cause, Outcome::ConnectTimeout.into());
        assert_eq!(met(vec![]).await.cause, Outcome::DnsNoAddress.into());
    }

    #[tokio::test]
    async fn unusual_spellings_of_an_address_are_checked_by_the_address() {
        let gate = Gate::new(Arc::new(AddressPolicy::default()));
        for host in
            ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "2130706433", "0x7f.1", "127.1", "0"]
        {
            let uri = format!("http://{host}:9/").parse().unwrap();
            let met = gate.clone().open(uri).await.unwrap_err();
            let refused = matches!(met.cause, Cause::Receiver(Outcome::BlockedAddress | Outcome::DnsFailed));
            assert!(refused && met.remote.is_none(), "{host}: {met:?}");
        }
    }
}
