//! The time limit of a request's head, which an idle connection does not have.
//!
//! hyper has one timer for both: it runs from the end of one request to the end of the next
//! head. A limit short enough for a stranger who drips bytes would close the connections
//! that a load balancer keeps open, in the very moment in which it uses them. So the
//! stream notes when a head began, and the connection looks at that from time to time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

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
/// A request is being answered.
const ANSWERING: u64 = u64::MAX;

/// What a connection is doing: idle, answering, or reading a head since so many
/// milliseconds after its beginning (plus one).
#[derive(Debug, Clone)]
pub(super) struct HeadClock {
    opened: Instant,
    doing: Arc<AtomicU64>,
}

impl HeadClock {
    /// A connection that was just opened and owes a head.
    pub(super) fn start() -> Self {
        Self { opened: Instant::now(), doing: Arc::new(AtomicU64::new(1)) }
    }

    /// A head is complete; what is read from here on is not one, until `answered`.
    pub(super) fn answering(&self) {
        self.doing.store(ANSWERING, Ordering::Relaxed);
    }

    /// The answer is made.
    pub(super) fn answered(&self) {
        self.doing.store(IDLE, Ordering::Relaxed);
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
            IDLE | ANSWERING => false,
            began => u128::from(now.saturating_sub(began)) >= HEAD_LIMIT.as_millis(),
        }
    }

    fn bytes_came(&self) {
        let _only_when_idle = self.doing.compare_exchange(IDLE, self.now(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Milliseconds since the beginning, and one, so that it is never taken for idle.
    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(ANSWERING - 2) + 1
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
        clock.answering();
        clock.bytes_came();
        assert!(!clock.is_overdue(late), "a body is no head");
        clock.answered();
        assert!(!clock.is_overdue(late), "an idle connection stays");
        clock.bytes_came();
        let began = clock.doing.load(Ordering::Relaxed);
        clock.bytes_came();
        assert_eq!(clock.doing.load(Ordering::Relaxed), began, "a further byte buys no time");
        assert!(clock.is_overdue(late));
    }
}
