//! What a bare client gets from a receiver: the capacity against which a backlog is judged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::load::Load;
use crate::producer::Producer;
use crate::receiver::Receiver;

/// Room for this many events a second; loopback takes fewer.
const MOST_PER_SECOND: usize = 40_000;

/// Events a second that a client gets rid of over so many kept connections, to a receiver that
/// takes so long, measured for so many seconds.
pub(crate) async fn capacity(takes: Duration, connections: usize, seconds: usize) -> Result<f64, Failure> {
    let events = MOST_PER_SECOND * seconds;
    let receiver = Arc::new(Receiver::new(events, takes));
    let address = Arc::clone(&receiver).serve().await?;
    let producer = Producer::bare(address, &receiver, 0..events)?;
    // The connections are opened, and every part of the client is warm.
    producer.send(Load { connections, ..Load::flood(connections) }).await?;
    let until = Instant::now() + Duration::from_secs(u64::try_from(seconds)?);
    let load = Load { connections, until: Some(until), ..Load::flood(events - connections) };
    let sent = producer.send(load).await?;
    Ok(rate(&receiver.arrivals(&sent.events)))
}

/// Arrivals a second from the first to the last of them.
pub(crate) fn rate(arrivals: &[u64]) -> f64 {
    let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) else { return 0.0 };
    arrivals.len().saturating_sub(1) as f64 / (last.saturating_sub(*first).max(1) as f64 / 1e6)
}
