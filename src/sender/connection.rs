//! One connection to a receiver, TLS included, and the memory of how far its exchanges
//! came: what tells a connection that had gone stale in the pool from a receiver that
//! closed in the middle of an answer. It reads no HTTP.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{self, Connected};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;
use uuid::Uuid;

use super::TENANT;
use super::failure::NoConnection;
use super::gate::{Dialled, Gate};
use crate::domain::outcome::Outcome;

/// Longest time from the name to the end of the TLS handshake. An attempt's own deadline
/// comes first; this one ends the connections that hyper-util goes on making in the
/// background after the attempt that asked for them took an idle one.
const OPENING_BUDGET: Duration = Duration::from_secs(15);

/// What a connection has been used for so far.
#[derive(Debug)]
pub(super) struct Usage {
    /// The address dialled.
    pub(super) remote: Option<IpAddr>,
    /// A request before the current one was answered.
    reused: AtomicBool,
    /// A byte has arrived since the current request began.
    answered: AtomicBool,
}

impl Usage {
    /// Whether this connection had served an earlier request and was closed before a
    /// byte of an answer to the current one: the receiver most likely never saw it.
    /// `unsent` tells that not even its first byte was written; then whatever arrived
    /// belongs to an earlier request.
    pub(super) fn went_stale(&self, unsent: bool) -> bool {
        let answered = self.answered.load(Ordering::Acquire);
        let reused = self.reused.load(Ordering::Acquire);
        if unsent { reused || answered } else { reused && !answered }
    }

    fn note_request(&self) {
        if self.answered.swap(false, Ordering::AcqRel) {
            self.reused.store(true, Ordering::Release);
        }
    }
}

/// Opens connections through the gate and puts TLS on them where the URI asks for it.
/// hyper-util clones it twice for each request, so it is one pointer.
#[derive(Debug, Clone)]
pub(super) struct Connector(Arc<Opening>);

#[derive(Debug)]
struct Opening {
    gate: Gate,
    tls: Arc<ClientConfig>,
}

impl Connector {
    pub(super) fn new(gate: Gate, tls: ClientConfig) -> Self {
        Self(Arc::new(Opening { gate, tls: Arc::new(tls) }))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = NoConnection;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoConnection>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoConnection>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialled = Dialled::default();
        // Called while the request is polled for the first time, by its own task.
        let tenant = TENANT.try_with(|tenant| *tenant).unwrap_or_else(|_| Uuid::nil().into());
        let gate = self.0.gate.telling(Arc::clone(&dialled), tenant);
        let opening = HttpsConnector::from((gate, Arc::clone(&self.0.tls))).call(uri);
        Box::pin(async move {
            let met = timeout(OPENING_BUDGET, opening).await;
            let remote = dialled.get().copied();
            match met {
                Ok(Ok(stream)) => Ok(TokioIo::new(Connection::new(stream, remote))),
                Ok(Err(error)) => Err(NoConnection::within(error.as_ref())
                    .copied()
                    .unwrap_or_else(|| NoConnection::after_dialling(error.as_ref(), remote))),
                Err(_) => Err(NoConnection { outcome: Outcome::Timeout, remote }),
            }
        })
    }
}

/// A connection that keeps its [`Usage`].
pub(super) struct Connection {
    stream: TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>,
    usage: Arc<Usage>,
    /// All of the current request is written. hyper flushes at its end only, so the
    /// first write after a flush begins the next request.
    flushed: bool,
    /// A request has been written. What arrives before is a banner and answers nothing.
    used: bool,
}

impl Connection {
    fn new(stream: MaybeHttpsStream<TokioIo<TcpStream>>, remote: Option<IpAddr>) -> Self {
        let usage = Usage { remote, reused: AtomicBool::new(false), answered: AtomicBool::new(false) };
        Self { stream: TokioIo::new(stream), usage: Arc::new(usage), flushed: true, used: false }
    }

    /// Noted before the write, so that a write that fails belongs to its request too.
    fn note_write(&mut self) {
        if std::mem::take(&mut self.flushed) {
            self.used = true;
            self.usage.note_request();
        }
    }
}

impl connect::Connection for Connection {
    fn connected(&self) -> Connected {
        Connected::new().extra(Arc::clone(&self.usage))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if self.used && buf.filled().len() > before {
            self.usage.answered.store(true, Ordering::Release);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.note_write();
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.note_write();
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
