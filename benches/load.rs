//! The producers of the benchmark: a closed loop at a fixed concurrency, or a fixed pace.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::failure::Failure;
use crate::sink::Sink;

/// The type of events that go to one subscription alone.
pub(crate) const PLAIN: &str = "bench.event";

/// Pause before an event that was refused is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// Where and what producers send: to the API, or for the floor straight to the receiver.
#[derive(Debug, Clone)]
pub(crate) struct Producer {
    pub(crate) api: SocketAddr,
    /// Each event in turn goes to the next of them.
    pub(crate) paths: Vec<String>,
    pub(crate) event_type: &'static str,
    pub(crate) payload_bytes: usize,
    /// Whether an event that is refused is sent again until it is accepted, with the same
    /// idempotency key, as producers should.
    pub(crate) insists: bool,
    pub(crate) sink: Arc<Sink>,
}

/// What the producers met.
#[derive(Debug, Default)]
pub(crate) struct Produced {
    /// Events answered 2xx.
    pub(crate) accepted: usize,
    /// Requests answered otherwise or not at all.
    pub(crate) refused: usize,
    /// Latency of each request in microseconds, sorted.
    pub(crate) latencies: Vec<u64>,
    /// Time from the first request to the last answer.
    pub(crate) took: Duration,
}

impl Produced {
    /// Joins what was met in another slice.
    pub(crate) fn join(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.took += other.took;
        self.latencies.extend(other.latencies);
        self.latencies.sort_unstable();
    }
}

impl Producer {
    /// Sends events of this range as fast as `concurrency` connections allow.
    pub(crate) async fn closed_loop(&self, range: Range<usize>, concurrency: usize) -> Result<Produced, Failure> {
        let next = Arc::new(AtomicUsize::new(range.start));
        let began = Instant::now();
        let mut lines = Vec::new();
        for _ in 0..concurrency {
            let (producer, next, end) = (self.clone(), Arc::clone(&next), range.end);
            lines.push(tokio::spawn(async move {
                let mut line = connect(producer.api).await?;
                let mut produced = Produced::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return Ok::<_, Failure>(produced);
                    }
                    producer.send(&mut line, number, &mut produced).await?;
                }
            }));
        }
        gather(lines, began).await
    }

    /// Sends events of this range at so many a second, whatever the answers take.
    pub(crate) async fn paced(&self, range: Range<usize>, per_second: u32) -> Result<Produced, Failure> {
        const LINES: usize = 32;
        let began = Instant::now();
        let mut lines = Vec::new();
        for offset in 0..LINES {
            let (producer, range) = (self.clone(), range.clone());
            lines.push(tokio::spawn(async move {
                let mut line = connect(producer.api).await?;
                let mut produced = Produced::default();
                for number in range.clone().skip(offset).step_by(LINES) {
                    let position = u32::try_from(number - range.start).unwrap_or(u32::MAX);
                    let due = began + Duration::from_secs(1) * position / per_second;
                    tokio::time::sleep_until(due.into()).await;
                    producer.send(&mut line, number, &mut produced).await?;
                }
                Ok::<_, Failure>(produced)
            }));
        }
        gather(lines, began).await
    }

    async fn send(&self, line: &mut Line, number: usize, produced: &mut Produced) -> Result<(), Failure> {
        self.sink.note_sent(number);
        let began = Instant::now();
        let mut accepted = self.post(line, number).await?;
        while self.insists && !accepted {
            tokio::time::sleep(PAUSE).await;
            accepted = self.post(line, number).await?;
        }
        produced.latencies.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        if accepted {
            produced.accepted += 1;
        } else {
            produced.refused += 1;
        }
        Ok(())
    }

    /// Sends an event once; returns whether it was accepted.
    async fn post(&self, line: &mut Line, number: usize) -> Result<bool, Failure> {
        let path = self.paths.get(number % self.paths.len().max(1)).map_or("/", String::as_str);
        let mut request = Request::post(path);
        if self.insists {
            request = request.header("idempotency-key", number.to_string());
        }
        let request = request
            .header("host", "localhost")
            .header("content-type", "application/json")
            .header("x-event-type", self.event_type)
            .body(Full::new(Sink::payload(number, self.payload_bytes)))?;
        let response = line.send_request(request).await?;
        let accepted = response.status().is_success();
        response.into_body().collect().await?;
        Ok(accepted)
    }
}

type Line = SendRequest<Full<Bytes>>;

/// One connection to the API.
async fn connect(api: SocketAddr) -> Result<Line, Failure> {
    let stream = TcpStream::connect(api).await.map_err(|error| Failure::new(format!("{api}: {error}")))?;
    let _ = stream.set_nodelay(true);
    let (line, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(line)
}

/// Posts a JSON document and returns the answer's text.
pub(crate) async fn post(api: SocketAddr, path: &str, document: String) -> Result<String, Failure> {
    let request = Request::post(path).header("host", "localhost").header("content-type", "application/json");
    ask(api, request.body(Full::from(document))).await
}

/// Gets a text.
pub(crate) async fn get(server: SocketAddr, path: &str) -> Result<String, Failure> {
    ask(server, Request::get(path).header("host", "localhost").body(Full::default())).await
}

async fn ask(server: SocketAddr, request: hyper::http::Result<Request<Full<Bytes>>>) -> Result<String, Failure> {
    let request = request?;
    let answer: Response<_> = connect(server).await?.send_request(request).await?;
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

async fn gather(
    lines: Vec<tokio::task::JoinHandle<Result<Produced, Failure>>>,
    began: Instant,
) -> Result<Produced, Failure> {
    let mut all = Produced::default();
    for line in lines {
        let produced = line.await??;
        all.accepted += produced.accepted;
        all.refused += produced.refused;
        all.latencies.extend(produced.latencies);
    }
    if all.refused > 0 {
        return Err(Failure::new(format!("{} of {} events were refused", all.refused, all.refused + all.accepted)));
    }
    all.took = began.elapsed();
    all.latencies.sort_unstable();
    Ok(all)
}
