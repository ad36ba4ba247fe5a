//! A worker is lost while it sends a backlog: how soon and how fast the others go on.

use std::time::{Duration, Instant};

use crate::bare;
use crate::failure::Failure;
use crate::receiver::Receiver;
use crate::service::Service;

/// How long all workers are watched to find the one that sends most.
const WATCH: Duration = Duration::from_millis(500);
/// Longest time without an arrival, and longest wait for a worker that sends.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(5);
/// The last arrivals are those of leases that the killed worker held: they come when these have
/// lapsed and say nothing of the rate. A worker leases as many as wait and are sent to one subscription, and those that
/// were answered and are not recorded.
const LEASED: usize = 512;

/// Arrivals around the loss of a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Takeover {
    /// Arrivals a second before it, without the first fifth, which may be a slow start.
    pub(crate) before: f64,
    /// Arrivals a second after the longest pause.
    pub(crate) after: f64,
    /// Longest time without an arrival after it, in seconds.
    pub(crate) pause: f64,
}

impl Takeover {
    /// Of arrivals, sorted, of which some came before the loss. Times are in microseconds.
    pub(crate) fn of(arrivals: &[u64], lost_at: u64) -> Self {
        let lost = arrivals.partition_point(|time| *time <= lost_at);
        let before = arrivals.get(arrivals.len() / 5..lost).unwrap_or_default();
        let last = arrivals.len().saturating_sub(LEASED).max(lost);
        let after = arrivals.get(lost.saturating_sub(1)..last).unwrap_or_default();
        let pauses = after.windows(2).enumerate().map(|(place, pair)| match pair {
            [one, next] => (next - one, place + 1),
            _ => (0, 0),
        });
        let (pause, resumed) = pauses.max().unwrap_or((0, 0));
        let after = after.get(resumed..).unwrap_or_default();
        Self { before: bare::rate(before), after: bare::rate(after), pause: pause as f64 / 1e6 }
    }
}

/// Waits until so many different events have arrived.
pub(crate) async fn arrived(receiver: &Receiver, events: usize) -> Result<(), Failure> {
    let mut seen = (0, Instant::now());
    loop {
        let delivered = receiver.books().delivered;
        if delivered >= events {
            return Ok(());
        }
        if delivered > seen.0 {
            seen = (delivered, Instant::now());
        }
        if seen.1.elapsed() > PATIENCE {
            return Err(Failure::new(format!("the backlog does not drain: {delivered} of {events} arrived")));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until a worker makes attempts with this outcome; returns the one that makes most.
pub(crate) async fn sends_most(workers: &[Service], outcome: &str) -> Result<usize, Failure> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let mut made = Vec::with_capacity(workers.len());
        for worker in workers {
            made.push(worker.attempts(outcome).await?);
        }
        tokio::time::sleep(WATCH).await;
        for (worker, before) in workers.iter().zip(&mut made) {
            *before = worker.attempts(outcome).await? - *before;
        }
        let most = made.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1));
        if let Some((worker, 1.0..)) = most.map(|(worker, made)| (worker, *made)) {
            return Ok(worker);
        }
    }
    Err(Failure::new(format!("no worker makes attempts with the outcome {outcome}")))
}
