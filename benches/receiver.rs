//! The receiver of the benchmark: takes its time over an answer, which is 200 unless it is
//! broken, and notes when each event arrived at each of its targets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::latency::Latencies;
use crate::payload;

/// How often somebody who waits for arrivals looks.
const POLL: Duration = Duration::from_millis(5);

/// A receiver, for events with numbers below a limit. Times are microseconds since `began`, 0 for never.
#[derive(Debug)]
pub(crate) struct Receiver {
    began: Instant,
    /// How long it takes over an answer.
    takes: Duration,
    /// Targets that each event goes to: the paths `/0`, `/1` and so on; any other is the first.
    targets: usize,
    is_broken: AtomicBool,
    sent: Vec<AtomicU64>,
    /// For each event one after the other its targets.
    arrived: Vec<AtomicU64>,
    accepted: AtomicUsize,
    delivered: AtomicUsize,
    duplicated: AtomicUsize,
    unexpected: AtomicUsize,
}

/// What a receiver knows of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Books {
    /// Deliveries that were accepted for it.
    pub(crate) accepted: usize,
    /// Different ones that arrived.
    pub(crate) delivered: usize,
    /// Arrivals of what had arrived before.
    pub(crate) duplicated: usize,
    /// Arrivals of what nobody sent.
    pub(crate) unexpected: usize,
}

impl Receiver {
    /// Room for so many events, each of which goes to one target.
    pub(crate) fn new(events: usize, takes: Duration) -> Self {
        Self::with_targets(events, 1, takes)
    }

    /// Room for so many events, each of which goes to so many targets.
    pub(crate) fn with_targets(events: usize, targets: usize, takes: Duration) -> Self {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            began: Instant::now(),
            takes,
            targets,
            is_broken: AtomicBool::new(false),
            sent: zeros(events),
            arrived: zeros(events * targets),
            accepted: AtomicUsize::new(0),
            delivered: AtomicUsize::new(0),
            duplicated: AtomicUsize::new(0),
            unexpected: AtomicUsize::new(0),
        }
    }

    /// From now on it answers 500, or 200 again.
    pub(crate) fn set_broken(&self, is_broken: bool) {
        self.is_broken.store(is_broken, Ordering::Relaxed);
    }

    /// Events that it has room for.
    pub(crate) fn room(&self) -> usize {
        self.sent.len()
    }

    /// An event is sent to the API; `late_by` where it should have been sent before.
    pub(crate) fn note_sent(&self, number: usize, late_by: Duration) {
        if let Some(sent) = self.sent.get(number) {
            sent.store(self.now().saturating_sub(micros(late_by)).max(1), Ordering::Relaxed);
        }
    }

    /// So many events were answered 202.
    pub(crate) fn note_accepted(&self, events: usize) {
        self.accepted.fetch_add(events * self.targets, Ordering::Relaxed);
    }

    /// An event, if it bears a number, is at one of the targets.
    pub(crate) fn note_arrived(&self, number: Option<usize>, target: usize) {
        let slot = number.filter(|_| target < self.targets).map(|number| number * self.targets + target);
        let count = match slot.and_then(|slot| self.arrived.get(slot)) {
            Some(time) if time.swap(self.now(), Ordering::Relaxed) > 0 => &self.duplicated,
            Some(_) => &self.delivered,
            None => &self.unexpected,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// What was accepted and what arrived so far.
    pub(crate) fn books(&self) -> Books {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        Books {
            accepted: count(&self.accepted),
            delivered: count(&self.delivered),
            duplicated: count(&self.duplicated),
            unexpected: count(&self.unexpected),
        }
    }

    /// Deliveries that were accepted and have not arrived.
    pub(crate) fn outstanding(&self) -> usize {
        self.accepted.load(Ordering::Relaxed).saturating_sub(self.delivered.load(Ordering::Relaxed))
    }

    /// Of these events, how many deliveries arrived.
    pub(crate) fn arrived(&self, events: &Range<usize>) -> usize {
        self.times(events).count()
    }

    /// When deliveries of these events arrived, in microseconds since the receiver began, sorted.
    pub(crate) fn arrivals(&self, events: &Range<usize>) -> Vec<u64> {
        let mut times: Vec<u64> = self.times(events).collect();
        times.sort_unstable();
        times
    }

    /// When each of these events was sent and arrived, in microseconds; for one target.
    pub(crate) fn journeys(&self, events: &Range<usize>) -> impl Iterator<Item = (u64, u64)> {
        let pairs = self.sent.iter().zip(&self.arrived).skip(events.start).take(events.len());
        pairs
            .map(|(sent, arrived)| (sent.load(Ordering::Relaxed), arrived.load(Ordering::Relaxed)))
            .filter(|(_, arrived)| *arrived > 0)
    }

    /// From the beginning of the request to the API until arrival; for one target.
    pub(crate) fn latencies(&self, events: &Range<usize>) -> Latencies {
        self.journeys(events).map(|(sent, arrived)| arrived.saturating_sub(sent)).collect()
    }

    /// The same, with those that were sent and have not arrived: until now.
    pub(crate) fn latencies_so_far(&self, events: &Range<usize>) -> Latencies {
        let now = self.now();
        let pairs = self.sent.iter().zip(&self.arrived).skip(events.start).take(events.len());
        let times = pairs.map(|(sent, arrived)| (sent.load(Ordering::Relaxed), arrived.load(Ordering::Relaxed)));
        let until = |(sent, arrived): (u64, u64)| if arrived > 0 { arrived } else { now }.saturating_sub(sent);
        times.filter(|(sent, _)| *sent > 0).map(until).collect()
    }

    /// Microseconds since the receiver began, at least 1.
    pub(crate) fn now(&self) -> u64 {
        micros(self.began.elapsed()).max(1)
    }

    /// Waits until all of these events have arrived, so long at most.
    pub(crate) async fn drain(&self, events: &Range<usize>, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.arrived(events) < events.len() * self.targets && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
    }

    /// Serves on loopback until the runtime ends.
    pub(crate) async fn serve(self: Arc<Self>) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = Arc::clone(&self);
                let _ = stream.set_nodelay(true);
                tokio::spawn(async move {
                    let service = service_fn(move |request| Arc::clone(&receiver).take(request));
                    // A connection that the service closes is its business.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(address)
    }

    async fn take(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
        let target = request.uri().path().trim_start_matches('/').parse::<usize>().unwrap_or(0);
        let mut response = Response::new(Empty::new());
        // Where whoever sent it is gone in the middle, nothing has arrived.
        let Ok(body) = request.into_body().collect().await else { return Ok(response) };
        let body = body.to_bytes();
        if self.is_broken.load(Ordering::Relaxed) {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        } else {
            self.note_arrived(payload::number(&body), target);
        }
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        Ok(response)
    }

    fn times(&self, events: &Range<usize>) -> impl Iterator<Item = u64> {
        let slots = events.start * self.targets..events.end * self.targets;
        let times = self.arrived.get(slots).unwrap_or_default();
        times.iter().map(|time| time.load(Ordering::Relaxed)).filter(|time| *time > 0)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
