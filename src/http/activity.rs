//! Tracks what a connection does, and limits the time of a request's head.
//!
//! hyper has one timer from the end of a request to the end of the next head: a limit short enough for a peer that
//! drips bytes would also close idle connections of load balancers.

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

/// From the first byte to the last; for the first head from the start of the connection.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// The limit may apply this much late.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// A busy client's next request may be on its way, so younger idle connections are not closed for others.
const LEAST_IDLE: Duration = Duration::from_millis(100);
/// The same for a connection without a request.
const LEAST_SILENT: Duration = Duration::from_secs(1);

/// State and start time share one number, so that no lock is needed.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    state: AtomicU64,
    exchanges: AtomicU64,
}

const SILENT: u64 = 0;
const HEAD: u64 = 1;
const EXCHANGING: u64 = 2;
const IDLE: u64 = 3;
const STATES: u64 = 4;

#[derive(Debug)]
pub(super) struct Exchange {
    activity: Arc<Activity>,
    number: u64,
    parts_left: AtomicU8,
}

impl Activity {
    pub(super) fn start() -> Self {
        Self { opened: Instant::now(), state: AtomicU64::new(SILENT), exchanges: AtomicU64::new(0) }
    }

    pub(super) fn begin(this: &Arc<Self>, has_body: bool) -> Arc<Exchange> {
        let number = this.exchanges.fetch_add(1, Ordering::Relaxed) + 1;
        this.state.store(EXCHANGING, Ordering::Relaxed);
        Arc::new(Exchange { activity: Arc::clone(this), number, parts_left: AtomicU8::new(1 + u8::from(has_body)) })
    }

    pub(super) async fn overrun(&self) {
        let mut looks = interval(LOOK_INTERVAL);
        loop {
            looks.tick().await;
            if self.is_overdue(self.now()) {
                return;
            }
        }
    }

    /// `None` if it may not be closed for another connection.
    pub(super) fn idle_for(&self) -> Option<u64> {
        self.idle_at(self.now())
    }

    fn idle_at(&self, now: u64) -> Option<u64> {
        let (state, lasts) = self.state(now);
        let least = match state {
            IDLE => LEAST_IDLE,
            SILENT => LEAST_SILENT,
            _ => return None,
        };
        (u128::from(lasts) >= least.as_millis()).then_some(lasts)
    }

    fn is_overdue(&self, now: u64) -> bool {
        let (state, lasts) = self.state(now);
        matches!(state, SILENT | HEAD) && u128::from(lasts) >= HEAD_LIMIT.as_millis()
    }

    fn bytes_came(&self) {
        let seen = self.state.load(Ordering::Relaxed);
        let next = match seen % STATES {
            SILENT => HEAD,
            IDLE => self.now() * STATES + HEAD,
            _ => return,
        };
        let _unless_it_changed = self.state.compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn state(&self, now: u64) -> (u64, u64) {
        let state = self.state.load(Ordering::Relaxed);
        (state % STATES, now.saturating_sub(state / STATES))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or_default()
    }
}

impl Exchange {
    pub(super) fn part_ended(&self) {
        let was_last = self.parts_left.fetch_sub(1, Ordering::Relaxed) == 1;
        // The end of a body may be seen after the next exchange has begun.
        if was_last && self.activity.exchanges.load(Ordering::Relaxed) == self.number {
            self.activity.state.store(self.activity.now() * STATES + IDLE, Ordering::Relaxed);
        }
    }
}

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

#[derive(Debug)]
pub(super) struct Watched {
    pub(super) stream: TcpStream,
    pub(super) activity: Arc<Activity>,
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
            self.activity.bytes_came();
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

    fn state(activity: &Activity) -> u64 {
        activity.state(0).0
    }

    #[test]
    fn a_head_is_over_time_from_its_first_byte_and_idling_or_answering_never_is() {
        let activity = Arc::new(Activity::start());
        let (soon, late) = (activity.now() + 9_000, activity.now() + 11_000);
        assert!(!activity.is_overdue(soon) && activity.is_overdue(late), "a silent peer owes a head");
        let exchange = Activity::begin(&activity, true);
        activity.bytes_came();
        assert!(!activity.is_overdue(late), "a body is no head");
        exchange.part_ended();
        activity.bytes_came();
        assert!(!activity.is_overdue(late), "nor is what comes after an early refusal");
        exchange.part_ended();
        assert!(!activity.is_overdue(late), "an idle connection stays");
        activity.bytes_came();
        let began = activity.state.load(Ordering::Relaxed);
        activity.bytes_came();
        assert_eq!(activity.state.load(Ordering::Relaxed), began, "a further byte buys no time");
        assert!(activity.is_overdue(late));
    }

    #[test]
    fn only_idle_connections_are_closed_and_not_at_once() {
        let activity = Arc::new(Activity::start());
        let (soon, late) = (activity.now() + 90, activity.now() + 1_100);
        assert!(activity.idle_at(soon).is_none() && activity.idle_at(late).is_some(), "silent since it was opened");
        activity.bytes_came();
        assert_eq!(activity.idle_at(late), None, "it reads a head");
        let exchange = Activity::begin(&activity, false);
        assert_eq!(activity.idle_at(late), None, "it answers");
        exchange.part_ended();
        assert!(activity.idle_at(soon).is_none() && activity.idle_at(late).is_some(), "it idles");
    }

    #[test]
    fn a_body_that_ends_late_does_not_end_the_next_exchange() {
        let activity = Arc::new(Activity::start());
        let (late_one, next) = (Activity::begin(&activity, true), Activity::begin(&activity, false));
        late_one.part_ended();
        late_one.part_ended();
        assert_eq!(state(&activity), EXCHANGING);
        next.part_ended();
        assert_eq!(state(&activity), IDLE);
    }
}
