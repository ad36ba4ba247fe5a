//! What producers are asked to send, and what they say of it.

use std::ops::Range;
use std::time::Instant;

use hyper::header::HeaderValue;

use crate::http::Access;
use crate::latency::Latencies;

/// Where an event is posted.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    pub(crate) path: String,
    pub(crate) access: Access,
    /// `None` for the type of the producer's events.
    pub(crate) event_type: Option<HeaderValue>,
}

impl Route {
    /// The root of a server that asks for no key: a receiver.
    pub(crate) fn bare() -> Self {
        Self { path: "/".to_owned(), access: Access::default(), event_type: None }
    }

    /// The same for events of this type.
    pub(crate) fn with_type(self, event_type: HeaderValue) -> Self {
        Self { event_type: Some(event_type), ..self }
    }
}

/// What to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Most events.
    pub(crate) events: usize,
    /// Connections over which they are sent.
    pub(crate) connections: usize,
    /// Events a second; `None` for as fast as they are answered.
    pub(crate) per_second: Option<f64>,
    /// Most events that may be accepted and not arrived; then producers wait.
    pub(crate) most_outstanding: Option<usize>,
    /// When to stop, whatever was sent.
    pub(crate) until: Option<Instant>,
}

impl Load {
    /// As fast as 64 connections allow.
    pub(crate) fn flood(events: usize) -> Self {
        Self { events, connections: 64, per_second: None, most_outstanding: None, until: None }
    }

    /// So many events a second, whatever the answers take.
    pub(crate) fn paced(events: usize, per_second: f64) -> Self {
        Self { per_second: Some(per_second), ..Self::flood(events) }
    }
}

/// What was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) events: Range<usize>,
    /// From the beginning of each request to its 202; for a fixed rate from when it was due, if
    /// no connection was free then.
    pub(crate) answers: Latencies,
    /// Answers that were no 202, where producers insist.
    pub(crate) refused: usize,
}
