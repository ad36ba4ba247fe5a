//! A connection to a receiver. It tracks its exchanges, to distinguish a stale pooled connection from a receiver
//! that closes within a response. It parses no HTTP.

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

/// Ends connections that hyper-util goes on opening after their attempt has used an idle one.
const OPENING_BUDGET: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(super) struct Usage {
    pub(super) remote: Option<IpAddr>,
    reused: AtomicBool,
    answered: AtomicBool,
}

impl Usage {
    /// Whether the receiver closed a reused connection before it answered. `unsent`: not even its first byte was
    /// written.
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

/// hyper-util clones the connector twice per request, so it is one pointer.
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
        // The request's own task runs this, so the task-local is set.
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

pub(super) struct Connection {
    stream: TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>,
    usage: Arc<Usage>,
    /// hyper flushes only at the end of a request, so the first write after a flush begins the next one.
    flushed: bool,
    /// Bytes that arrive before the first request answer nothing.
    used: bool,
}

impl Connection {
    fn new(stream: MaybeHttpsStream<TokioIo<TcpStream>>, remote: Option<IpAddr>) -> Self {
        let usage = Usage { remote, reused: AtomicBool::new(false), answered: AtomicBool::new(false) };
        Self { stream: TokioIo::new(stream), usage: Arc::new(usage), flushed: true, used: false }
    }

    /// Called before the write, so that a failed write counts too.
    fn record_write(&mut self) {
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
        self.record_write();
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.record_write();
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
