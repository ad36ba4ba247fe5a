//! The time limit of a request's head, which an idle connection does not have.
//!
//! hyper has one timer for both: it runs from the end of one request to the end of the next
//! head. A limit short enough for a stranger who drips bytes would close the connections
//! that a load balancer keeps open, in the very moment in which it uses them. So the
//! stream notes when a head began, and the connection looks at that from time to time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval};

/// Most time from the first byte of a head to its last; the first head of a connection
/// begins with the connection.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// How often it is looked at, and so how late the limit may strike.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// No byte of a head has come since the last request.
const IDLE: u64 = 0;
/// A request is being read or answered.
const EXCHANGING: u64 = u64::MAX;

/// What a connection is doing: idle, in an exchange, or reading a head since so many
/// milliseconds after its beginning (plus one).
#[derive(Debug, Clone)]
pub(super) struct HeadClock {
    opened: Instant,
    doing: Arc<AtomicU64>,
    exchanges: Arc<AtomicU64>,
}

/// One request and its answer on a connection. It is over when the request's body has been
/// read and the answer's body is gone: until then what comes is no head, or cannot be helped.
#[derive(Debug)]
pub(super) struct Exchange {
    clock: HeadClock,
    number: u64,
    parts_left: AtomicU8,
}

impl HeadClock {
    /// A connection that was just opened and owes a head.
    pub(super) fn start() -> Self {
        Self { opened: Instant::now(), doing: Arc::new(AtomicU64::new(1)), exchanges: Arc::default() }
    }

    /// A head is complete.
    pub(super) fn begin(&self, has_body: bool) -> Arc<Exchange> {
        let number = self.exchanges.fetch_add(1, Ordering::Relaxed) + 1;
        self.doing.store(EXCHANGING, Ordering::Relaxed);
        Arc::new(Exchange { clock: self.clone(), number, parts_left: AtomicU8::new(1 + u8::from(has_body)) })
    }

    /// Returns when a head has taken too long.
    pub(super) async fn overrun(&self) {
        let mut looks = interval(LOOK_INTERVAL);
        loop {
            looks.tick().await;
            if self.is_overdue(self.now()) {
                return;
            }
        }
    }

    fn is_overdue(&self, now: u64) -> bool {
        match self.doing.load(Ordering::Relaxed) {
            IDLE | EXCHANGING => false,
            began => u128::from(now.saturating_sub(began)) >= HEAD_LIMIT.as_millis(),
        }
    }

    fn bytes_came(&self) {
        let _only_when_idle = self.doing.compare_exchange(IDLE, self.now(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Milliseconds since the beginning, and one, so that it is never taken for idle.
    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(EXCHANGING - 2) + 1
    }
}

impl Exchange {
    /// The request's body has been read to its end, or the answer's is gone.
    pub(super) fn part_ended(&self) {
        let was_last = self.parts_left.fetch_sub(1, Ordering::Relaxed) == 1;
        // A body may be seen to have ended when the next exchange has begun already.
        if was_last && self.clock.exchanges.load(Ordering::Relaxed) == self.number {
            self.clock.doing.store(IDLE, Ordering::Relaxed);
        }
    }
}

/// An answer's body that says when it is gone.
#[derive(Debug)]
pub(super) struct Answered<B> {
    pub(super) body: B,
    pub(super) exchange: Arc<Exchange>,
}

impl<B: Body + Unpin> Body for Answered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Answered<B> {
    fn drop(&mut self) {
        self.exchange.part_ended();
    }
}

/// A stream that tells its clock when bytes come.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) stream: TcpStream,
    pub(super) clock: HeadClock,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.clock.bytes_came();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_over_time_from_its_first_byte_and_idling_or_answering_never_is() {
        let clock = HeadClock::start();
        let (soon, late) = (clock.now() + 9_000, clock.now() + 11_000);
        assert!(!clock.is_overdue(soon) && clock.is_overdue(late), "a silent stranger owes a head");
        let exchange = clock.begin(true);
        clock.bytes_came();
        assert!(!clock.is_overdue(late), "a body is no head");
        exchange.part_ended();
        clock.bytes_came();
        assert!(!clock.is_overdue(late), "nor is what comes after an early refusal");
        exchange.part_ended();
        assert!(!clock.is_overdue(late), "an idle connection stays");
        clock.bytes_came();
        let began = clock.doing.load(Ordering::Relaxed);
        clock.bytes_came();
        assert_eq!(clock.doing.load(Ordering::Relaxed), began, "a further byte buys no time");
        assert!(clock.is_overdue(late));
    }

    #[test]
    fn a_body_that_ends_late_does_not_end_the_next_exchange() {
        let clock = HeadClock::start();
        let (late_one, next) = (clock.begin(true), clock.begin(false));
        late_one.part_ended();
        late_one.part_ended();
        assert_eq!(clock.doing.load(Ordering::Relaxed), EXCHANGING);
        next.part_ended();
        assert_eq!(clock.doing.load(Ordering::Relaxed), IDLE);
    }
}
