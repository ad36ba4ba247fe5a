//! Many healthy subscriptions that are sent to at a fixed pace, whatever else goes on.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::load::{PLAIN, Producer};
use crate::service::Service;
use crate::sink::Sink;
use crate::{Bench, drain};

/// Subscriptions, each of which gets every hundredth event.
pub(crate) const HEALTHY: usize = 100;
/// Events a second, to all of them together.
pub(crate) const PER_SECOND: u32 = 500;
/// Events that there is room for: twenty minutes of them.
const MOST_EVENTS: usize = 600_000;

/// The subscriptions and what has been sent to them.
pub(crate) struct Crowd {
    producer: Producer,
    next: AtomicUsize,
}

impl Crowd {
    /// Makes the subscriptions.
    pub(crate) async fn gather(bench: &Bench, api: &Service) -> Result<Self, Failure> {
        let sink = Arc::new(Sink::new(MOST_EVENTS));
        let receiver = Arc::clone(&sink).serve().await?;
        let mut paths = Vec::with_capacity(HEALTHY);
        for _ in 0..HEALTHY {
            let id = api.subscribe(receiver, 0, PLAIN, Value::Null).await?;
            paths.push(format!("/ingest/{id}"));
        }
        let producer = Producer { insists: true, ..bench.producer(api, paths, PLAIN, sink) };
        Ok(Self { producer, next: AtomicUsize::new(0) })
    }

    /// Sends for so many seconds, and until all has arrived; returns what it sent.
    pub(crate) async fn send_for(&self, seconds: usize) -> Result<Range<usize>, Failure> {
        let range = self.send(seconds * PER_SECOND as usize).await?;
        drain(&self.producer.sink, &range).await;
        Ok(range)
    }

    /// Sends as long as something else goes on; returns what that met, and what was sent.
    pub(crate) async fn send_during<T>(
        &self,
        other: impl Future<Output = Result<T, Failure>>,
    ) -> Result<(T, Range<usize>), Failure> {
        let over = CancellationToken::new();
        let start = self.next.load(Ordering::Relaxed);
        let sending = async {
            // Also where the other is over at once: there is something to see of it.
            loop {
                self.send(PER_SECOND as usize).await?;
                if over.is_cancelled() {
                    return Ok::<_, Failure>(());
                }
            }
        };
        let other = async {
            let met = other.await;
            over.cancel();
            met
        };
        let (sent, met) = tokio::join!(sending, other);
        let met = met?;
        sent?;
        Ok((met, start..self.next.load(Ordering::Relaxed)))
    }

    async fn send(&self, events: usize) -> Result<Range<usize>, Failure> {
        let start = self.next.fetch_add(events, Ordering::Relaxed);
        if start + events > MOST_EVENTS {
            return Err(Failure::new("it takes too long: no room for more events".to_owned()));
        }
        self.producer.paced(start..start + events, PER_SECOND).await?;
        Ok(start..start + events)
    }

    /// Latencies of events of these ranges, from the producer's request to the receiver, sorted.
    pub(crate) fn latencies<const N: usize>(&self, ranges: [Range<usize>; N]) -> Vec<u64> {
        let mut latencies: Vec<u64> =
            ranges.into_iter().flat_map(|range| self.producer.sink.latencies(range)).collect();
        latencies.sort_unstable();
        latencies
    }

    /// Events accepted, delivered, and arrivals that were one too many.
    pub(crate) fn books(&self) -> (usize, usize, usize) {
        let sent = 0..self.next.load(Ordering::Relaxed);
        let sink = &self.producer.sink;
        let unexpected = sink.strangers.load(Ordering::Relaxed);
        (sent.len(), sink.arrived(&sent), sink.duplicates.load(Ordering::Relaxed) + unexpected)
    }
}
