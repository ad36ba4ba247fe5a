//! The accept loop of every listener. It limits connections, heads and idle time, and stops in order.
//! poem's own server has no timer for heads, no limit on connections, and spins when descriptors run out.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod activity;
mod beginning;
mod connections;
mod request_body;

pub use beginning::Beginning;
pub use request_body::RequestBody;

use activity::{Activity, Answered, Watched};
use connections::{Connections, Permit};

/// Connections waiting to be accepted; the system may lower it (`net.core.somaxconn`).
const BACKLOG: u32 = 4_096;
/// Above the 60 s of common load balancers, so that they close first.
const IDLE_LIMIT: Duration = Duration::from_secs(75);
/// More returns 431.
const MAX_HEADERS: usize = 100;
/// Above the API's 64 KiB of headers, so that a target over 65,534 bytes returns 414, not 431.
const MAX_BUFFER_BYTES: usize = 96 * 1_024;
/// After an error of the system, such as no free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// It may go on for hours, ten times a second.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct Stopping {
    /// Every response closes its connection from now on, so that load balancers can move away.
    pub announced: CancellationToken,
    /// No new connections from now on; idle ones are closed.
    pub closing: CancellationToken,
    /// Time limit for running requests after that.
    pub drain: Duration,
}

impl Stopping {
    pub fn never() -> Self {
        Self { announced: CancellationToken::new(), closing: CancellationToken::new(), drain: Duration::ZERO }
    }
}

/// Who is at the other end of the connection; an extension of each request. Behind a load balancer, that one.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart need not wait for old connections.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stopping`, then finishes running requests.
pub async fn serve<A, Answering, B>(listener: TcpListener, max_connections: usize, stopping: Stopping, answer: A)
where
    A: Fn(Request<RequestBody>) -> Answering + Clone + Send + Sync + 'static,
    Answering: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Unpin + Send + 'static,
{
    let connections = Connections::new(max_connections);
    let tasks = TaskTracker::new();
    let cut = CancellationToken::new();
    let accept = async || {
        let (stream, address) = listener.accept().await?;
        io::Result::Ok(((stream, Peer(address)), connections.admit(stopping.closing.child_token()).await))
    };
    let mut last_logged: Option<Instant> = None;
    while let Some(accepted) = stopping.closing.run_until_cancelled(accept()).await {
        match accepted {
            Ok((stream, permit)) => {
                let serving = connection(stream, permit, stopping.announced.clone(), answer.clone());
                tasks.spawn(cut.clone().run_until_cancelled_owned(serving));
            }
            // The peer has already closed the connection.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if last_logged.is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
                    last_logged = Some(Instant::now());
                    tracing::error!(%error, "connections cannot be accepted; they wait");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(stopping.drain, tasks.wait()).await.is_err() {
        tracing::warn!(open = tasks.len(), "connections are cut at the end of the drain time");
        cut.cancel();
        tasks.wait().await;
    }
}

async fn connection<A, Answering, B>(
    (stream, peer): (TcpStream, Peer),
    permit: Permit,
    announced: CancellationToken,
    answer: A,
) where
    A: Fn(Request<RequestBody>) -> Answering,
    Answering: Future<Output = Response<B>>,
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Unpin + 'static,
{
    // Responses are small and complete; waiting to fill a packet only delays them.
    let _best_effort = stream.set_nodelay(true);
    let activity: &Arc<Activity> = permit.activity();
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let exchange = Activity::begin(activity, !request.body().is_end_stream());
        let answering = answer(RequestBody::wrap(request, Arc::clone(&exchange)));
        let announced = &announced;
        async move {
            let mut response = answering.await;
            if announced.is_cancelled() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| Answered { body, exchange }))
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_LIMIT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(Watched { stream, activity: Arc::clone(activity) }), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = activity.overrun() => {
            tracing::debug!("a connection was closed: its head took too long");
            return;
        }
        () = permit.closing() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
