//! A connection to a receiver. It tracks its exchanges, to distinguish a stale pooled connection from a receiver
//! that closes within a response, and lets hyper see clean heads only. It reads no bodies.

use std::collections::VecDeque;
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

use super::failure::{NoConnection, outcome_of};
use super::gate::Gate;
use super::head::HeadReader;
use super::progress::PROGRESS;
use crate::domain::outcome::Outcome;

/// Ends connections that hyper-util goes on opening after their attempt has used an idle one.
const OPENING_BUDGET: Duration = Duration::from_secs(15);
/// Most heads come in one read of this size.
const CHUNK: usize = 2_048;

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
        // The request's own task runs this, so the task-local is set.
        let progress = PROGRESS.try_with(Arc::clone).unwrap_or_default();
        let gate = self.0.gate.with(Arc::clone(&progress));
        let opening = HttpsConnector::from((gate, Arc::clone(&self.0.tls))).call(uri);
        Box::pin(async move {
            let met = timeout(OPENING_BUDGET, opening).await;
            let remote = progress.dialled();
            match met {
                Ok(Ok(stream)) => Ok(TokioIo::new(Connection::new(stream, remote))),
                Ok(Err(error)) => Err(NoConnection::within(error.as_ref())
                    .copied()
                    .unwrap_or_else(|| NoConnection::new(outcome_of(error.as_ref()), remote))),
                Err(_) => Err(NoConnection::new(Outcome::Timeout, remote)),
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
    /// Set while a head is expected; bodies pass as they are.
    head: Option<HeadReader>,
    /// What was read and cleaned, for hyper.
    ready: VecDeque<u8>,
}

impl Connection {
    fn new(stream: MaybeHttpsStream<TokioIo<TcpStream>>, remote: Option<IpAddr>) -> Self {
        let usage = Usage { remote, reused: AtomicBool::new(false), answered: AtomicBool::new(false) };
        let (usage, head) = (Arc::new(usage), Some(HeadReader::default()));
        Self { stream: TokioIo::new(stream), usage, flushed: true, used: false, head, ready: VecDeque::new() }
    }

    /// Called before the write, so that a failed write counts too.
    fn record_write(&mut self) {
        if std::mem::take(&mut self.flushed) {
            self.used = true;
            self.usage.note_request();
            self.head.get_or_insert_default();
        }
    }

    /// Reads until there is something for hyper. Nothing ready afterwards: the receiver has closed.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let (Some(reader), true) = (&mut self.head, self.ready.is_empty()) {
            let mut chunk = [0; CHUNK];
            let mut buf = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            let mut unread = buf.filled();
            if unread.is_empty() {
                break;
            }
            if self.used {
                self.usage.answered.store(true, Ordering::Release);
            }
            while let Some(clean) = reader.feed(&mut unread).map_err(io::Error::other)? {
                self.ready.extend(clean.bytes);
                if !clean.is_interim {
                    self.head = None;
                    self.ready.extend(unread);
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl connect::Connection for Connection {
    fn connected(&self) -> Connected {
        Connected::new().extra(Arc::clone(&self.usage))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.head.is_none() && self.ready.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        ready!(self.poll_head(cx))?;
        let (first, _) = self.ready.as_slices();
        let count = first.len().min(buf.remaining());
        buf.put_slice(first.get(..count).unwrap_or_default());
        self.ready.drain(..count);
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
