//! The receiver of the benchmark: answers 200 at once and notes when each event arrived at
//! each of its targets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Where the sequence number stands in a payload: `{"n":"0000000000",`.
const NUMBER: Range<usize> = 6..16;

/// What arrived, by sequence number. Times are microseconds since `began`, 0 for never.
#[derive(Debug)]
pub(crate) struct Sink {
    began: Instant,
    /// Targets that each event goes to: the paths `/0`, `/1` and so on; `/` is the first.
    targets: usize,
    sent: Vec<AtomicU64>,
    /// For each event one after the other its targets.
    arrived: Vec<AtomicU64>,
    pub(crate) requests: AtomicUsize,
    pub(crate) duplicates: AtomicUsize,
    pub(crate) strangers: AtomicUsize,
}

impl Sink {
    /// Room for so many events, each of which goes to one target.
    pub(crate) fn new(events: usize) -> Self {
        Self::wide(events, 1)
    }

    /// Room for so many events, each of which goes to so many targets.
    pub(crate) fn wide(events: usize, targets: usize) -> Self {
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Self {
            began: Instant::now(),
            targets,
            sent: zeros(events),
            arrived: zeros(events * targets),
            requests: AtomicUsize::new(0),
            duplicates: AtomicUsize::new(0),
            strangers: AtomicUsize::new(0),
        }
    }

    /// A payload of this size, with the sequence number in front.
    pub(crate) fn payload(number: usize, bytes: usize) -> Bytes {
        let head = format!("{{\"n\":\"{number:010}\",\"type\":\"bench.event\",\"data\":\"");
        let filling = "x".repeat(bytes.saturating_sub(head.len() + 2));
        Bytes::from(format!("{head}{filling}\"}}"))
    }

    /// The event is about to be sent to the API.
    pub(crate) fn note_sent(&self, number: usize) {
        if let Some(sent) = self.sent.get(number) {
            sent.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Deliveries that are owed for a range of events.
    pub(crate) fn owed(&self, events: &Range<usize>) -> usize {
        events.len() * self.targets
    }

    /// Of these, how many arrived.
    pub(crate) fn arrived(&self, events: &Range<usize>) -> usize {
        let slots = events.start * self.targets..events.end * self.targets;
        self.arrived.get(slots).map_or(0, |times| times.iter().filter(|time| time.load(Ordering::Relaxed) > 0).count())
    }

    /// All that is owed, and all that arrived.
    pub(crate) fn books(&self) -> (usize, usize) {
        let events = 0..self.sent.len();
        (self.owed(&events), self.arrived(&events))
    }

    /// From the beginning of the request to the API until arrival, in microseconds, sorted;
    /// for events that go to one target.
    pub(crate) fn latencies(&self, range: Range<usize>) -> Vec<u64> {
        let pairs = self.sent.iter().zip(&self.arrived).skip(range.start).take(range.len());
        let times = pairs.map(|(sent, arrived)| (sent.load(Ordering::Relaxed), arrived.load(Ordering::Relaxed)));
        let mut latencies: Vec<u64> =
            times.filter(|(_, arrived)| *arrived > 0).map(|(sent, arrived)| arrived.saturating_sub(sent)).collect();
        latencies.sort_unstable();
        latencies
    }

    /// Serves on loopback until the runtime ends.
    pub(crate) async fn serve(self: Arc<Self>) -> std::io::Result<SocketAddr> {
        serve(move |target, number| {
            self.requests.fetch_add(1, Ordering::Relaxed);
            self.note_arrived(number, target);
            std::future::ready(StatusCode::OK)
        })
        .await
    }

    /// An event, if it bears a number, is at one of the targets.
    pub(crate) fn note_arrived(&self, number: Option<usize>, target: usize) {
        let slot = number.filter(|_| target < self.targets).map(|number| number * self.targets + target);
        match slot.and_then(|slot| self.arrived.get(slot)) {
            Some(time) => {
                if time.swap(self.now(), Ordering::Relaxed) > 0 {
                    self.duplicates.fetch_add(1, Ordering::Relaxed);
                }
            }
            None => {
                self.strangers.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }
}

/// Serves on loopback until the runtime ends. Each request is answered by this function of its
/// target and of the number that its event bears.
pub(crate) async fn serve<F, A>(answer: F) -> std::io::Result<SocketAddr>
where
    F: Fn(usize, Option<usize>) -> A + Clone + Send + 'static,
    A: Future<Output = StatusCode> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                let service = service_fn(move |request| take(request, answer.clone()));
                // A connection that the service closes is its business.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}

async fn take<F, A>(request: Request<Incoming>, answer: F) -> Result<Response<Empty<Bytes>>, Infallible>
where
    F: Fn(usize, Option<usize>) -> A,
    A: Future<Output = StatusCode>,
{
    let target = request.uri().path().trim_start_matches('/').parse::<usize>().unwrap_or(0);
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let number = body.get(NUMBER).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
    let mut response = Response::new(Empty::new());
    *response.status_mut() = answer(target, number).await;
    Ok(response)
}
