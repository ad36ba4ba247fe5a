//! A connection to a receiver. It tracks its exchanges, to distinguish a stale pooled connection from a receiver
//! that closes within a response, and lets hyper see clean heads only. It reads no bodies.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{self, Connected};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use super::failure::{NoConnection, outcome_of};
use super::gate::Gate;
use super::head::{HeadReader, KeptHead};
use super::progress::{PROGRESS, Progress};
use crate::domain::detail::KeepDetail;
use crate::domain::outcome::Outcome;

/// Ends connections that hyper-util goes on opening after their attempt has used an idle one.
const OPENING_BUDGET: Duration = Duration::from_secs(15);
/// Most heads come in one read of this size.
const CHUNK: usize = 2_048;

#[derive(Debug)]
pub(super) struct Usage {
    /// Of the attempt that opened it.
    opening: Arc<Progress>,
    reused: AtomicBool,
    answered: AtomicBool,
    heard: Mutex<Heard>,
}

/// Of the latest response.
#[derive(Debug, Default)]
struct Heard {
    first_byte: Option<Instant>,
    head: Option<KeptHead>,
}

impl Usage {
    fn new(opening: Arc<Progress>) -> Self {
        let (reused, answered, heard) = (AtomicBool::new(false), AtomicBool::new(false), Mutex::default());
        Self { opening, reused, answered, heard }
    }

    pub(super) fn remote(&self) -> Option<IpAddr> {
        self.opening.dialled()
    }

    /// Whether this attempt opened the connection, and used it first.
    pub(super) fn is_opened_by(&self, progress: &Arc<Progress>) -> bool {
        Arc::ptr_eq(&self.opening, progress)
    }

    /// When the response to the latest request began.
    pub(super) fn first_byte(&self) -> Option<Instant> {
        let first_byte = self.heard.lock().unwrap_or_else(PoisonError::into_inner).first_byte;
        first_byte.filter(|_| self.answered.load(Ordering::Acquire))
    }

    /// The head of the latest response, if it was kept.
    pub(super) fn take_head(&self) -> Option<KeptHead> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).head.take()
    }

    fn note_first_byte(&self) {
        if !self.answered.swap(true, Ordering::AcqRel) {
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).first_byte = Some(Instant::now());
        }
    }

    fn note_head(&self, head: Option<KeptHead>) {
        if let Some(head) = head {
            self.heard.lock().unwrap_or_else(PoisonError::into_inner).head = Some(head);
        }
    }

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
    keep: KeepDetail,
}

impl Connector {
    pub(super) fn new(gate: Gate, tls: ClientConfig, keep: KeepDetail) -> Self {
        Self(Arc::new(Opening { gate, tls: Arc::new(tls), keep }))
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
        let (gate, keep) = (self.0.gate.with(Arc::clone(&progress)), self.0.keep);
        let opening = HttpsConnector::from((gate, Arc::clone(&self.0.tls))).call(uri);
        Box::pin(async move {
            let met = timeout(OPENING_BUDGET, opening).await;
            let remote = progress.dialled();
            match met {
                Ok(Ok(stream)) => {
                    if matches!(stream, MaybeHttpsStream::Https(_)) {
                        progress.secured();
                    }
                    Ok(TokioIo::new(Connection::new(stream, progress, keep)))
                }
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
    keep: KeepDetail,
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
    fn new(stream: MaybeHttpsStream<TokioIo<TcpStream>>, opening: Arc<Progress>, keep: KeepDetail) -> Self {
        let (usage, head) = (Arc::new(Usage::new(opening)), Some(HeadReader::new(keep)));
        Self { stream: TokioIo::new(stream), usage, keep, flushed: true, used: false, head, ready: VecDeque::new() }
    }

    /// Called before the write, so that a failed write counts too.
    fn record_write(&mut self) {
        if std::mem::take(&mut self.flushed) {
            self.used = true;
            self.usage.note_request();
            self.head.get_or_insert_with(|| HeadReader::new(self.keep));
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
                self.usage.note_first_byte();
            }
            while let Some(clean) = reader.feed(&mut unread).map_err(io::Error::other)? {
                self.ready.extend(clean.bytes);
                if !clean.is_interim {
                    self.usage.note_head(clean.kept);
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
