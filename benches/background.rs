//! A steady load beside something else: healthy events that are sent at a fixed rate, second
//! by second, and timed.

use std::ops::Range;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::latency::Latencies;
use crate::load::Load;
use crate::producer::Producer;

/// Longest wait for the last arrivals of a phase, unless a scenario says otherwise.
const PATIENCE: Duration = Duration::from_secs(120);

/// Events at a fixed rate.
pub(crate) struct Background {
    pub(crate) producer: Producer,
    pub(crate) per_second: usize,
    /// Longest wait for the last arrivals of a phase.
    pub(crate) patience: Duration,
}

impl Background {
    /// So many events a second.
    pub(crate) fn new(producer: Producer, per_second: usize) -> Self {
        Self { producer, per_second, patience: PATIENCE }
    }

    /// Sends for so many seconds, and until all has arrived; returns what it sent.
    pub(crate) async fn send_for(&self, seconds: usize) -> Result<Range<usize>, Failure> {
        let load = Load::paced(seconds * self.per_second, self.per_second as f64);
        let sent = self.producer.send(load).await?.events;
        self.producer.receiver().drain(&sent, self.patience).await;
        Ok(sent)
    }

    /// Sends as long as something else goes on, a second at least; returns what that met, and
    /// what was sent.
    pub(crate) async fn send_during<T>(
        &self,
        other: impl Future<Output = Result<T, Failure>>,
    ) -> Result<(T, Range<usize>), Failure> {
        let over = CancellationToken::new();
        let sending = async {
            let second = Load::paced(self.per_second, self.per_second as f64);
            let mut events = self.producer.send(second).await?.events;
            while !over.is_cancelled() {
                events.end = self.producer.send(second).await?.events.end;
            }
            Ok::<_, Failure>(events)
        };
        let other = async {
            let met = other.await;
            over.cancel();
            met
        };
        let (sent, met) = tokio::join!(sending, other);
        let (sent, met) = (sent?, met?);
        self.producer.receiver().drain(&sent, self.patience).await;
        Ok((met, sent))
    }

    /// From the producer's request to the receiver; of what has not arrived, until now.
    pub(crate) fn latencies(&self, events: &Range<usize>) -> Latencies {
        self.producer.receiver().latencies_so_far(events)
    }
}
