//! The listener: connections, their limits, and their end.
//!
//! poem is the router only. Its own server sets no header timer, ignores accept errors in a
//! loop that burns a core when descriptors run out, and has no cap on connections.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::endpoint::Endpoint;
use poem::http::uri::Scheme;
use poem::http::{HeaderValue, header};
use poem::web::{LocalAddr, RemoteAddr};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Api;
use super::head_limit::{Answered, HeadClock, Watched};
use super::routes::Routes;

/// Most connections at once; further ones wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 1_024;
/// Most time that a connection idles between two requests. Above the 60 s of common load
/// balancers, so that they close first and never send into a connection that is going.
const IDLE_LIMIT: Duration = Duration::from_secs(75);
/// Most header fields; more is answered 431.
const MAX_HEADERS: usize = 100;
/// Most bytes of a request's head that are buffered. Above the 64 KiB that `routes` allows
/// for headers, so that a target over 65,534 bytes is answered 414 and not 431.
const MAX_BUFFER_BYTES: usize = 96 * 1_024;
/// Pause after the system refuses a connection, as when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How an API stops: first in words, then in deeds.
#[derive(Debug, Clone)]
pub struct Stopping {
    /// From here on every answer closes its connection, and everything is answered as before,
    /// so that a load balancer has time to look elsewhere.
    pub announced: CancellationToken,
    /// From here on nothing new is accepted, and idle connections are closed.
    pub closing: CancellationToken,
    /// Most time for the requests under way after that.
    pub drain: Duration,
}

/// Answers requests until it is told to stop; then finishes those under way and returns.
pub async fn serve(listener: TcpListener, api: Api, stopping: Stopping) {
    let (shutdown, drain) = (stopping.closing.clone(), stopping.drain);
    let routes = Arc::new(Routes::new(api));
    let beside = {
        let (routes, shutdown) = (Arc::clone(&routes), shutdown.clone());
        tokio::spawn(async move { routes.beside(&shutdown).await })
    };
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    loop {
        let accepting = async {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, slot)
        };
        let (accepted, slot) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accepting => accepted,
        };
        match accepted {
            Ok((stream, remote)) => {
                let serving = connection(stream, remote, Arc::clone(&routes), stopping.clone());
                let cut = cut.clone();
                connections.spawn(async move {
                    tokio::select! {
                        () = serving => {}
                        () = cut.cancelled() => {}
                    }
                    drop(slot);
                });
            }
            // The stranger is gone before we looked: nothing is wrong here.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(drain, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections are cut at the end of the drain time");
        cut.cancel();
        connections.wait().await;
    }
    // It ended with `shutdown`, or soon after; a panic in it is logged and changes nothing.
    let _ended = beside.await;
}

async fn connection(stream: TcpStream, remote: SocketAddr, routes: Arc<Routes>, stopping: Stopping) {
    // Answers are small and whole; waiting to fill a packet only delays them.
    let _best_effort = stream.set_nodelay(true);
    let local = LocalAddr(stream.local_addr().unwrap_or(remote).into());
    let remote = RemoteAddr(remote.into());
    let clock = HeadClock::start();
    let stream = Watched { stream, clock: clock.clone() };
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let exchange = clock.begin(!request.body().is_end_stream());
        let (routes, announced) = (Arc::clone(&routes), stopping.announced.clone());
        let mut request = poem::Request::from((request, local.clone(), remote.clone(), Scheme::HTTP));
        request.extensions_mut().insert(Arc::clone(&exchange));
        async move {
            let mut answer = hyper::Response::from(routes.get_response(request).await);
            if announced.is_cancelled() {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer.map(|body| Answered { body, exchange }))
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_LIMIT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = clock.overrun() => {
            tracing::debug!("a connection was closed: its head took too long");
            return;
        }
        () = stopping.closing.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        // What strangers send, or fail to, is no fault of ours.
        tracing::debug!(%error, "a connection ended early");
    }
}
