//! A receiver that is dead, and after a while comes back: until then it answers 500 at once,
//! then 200 after a moment. It notes in which order events arrived and how many requests it
//! had at once.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::StatusCode;

use crate::sink;

/// How long it takes over an answer when it is back: long enough to have more than one
/// request at once.
const TAKES: Duration = Duration::from_millis(5);

/// The receiver, for events that are numbered by age.
#[derive(Debug)]
pub(crate) struct Comeback {
    is_back: AtomicBool,
    at_once: AtomicUsize,
    refused: AtomicUsize,
    seen: Mutex<Seen>,
}

/// What it has seen since it is back.
#[derive(Debug, Default)]
struct Seen {
    has_arrived: Vec<bool>,
    /// Numbers in the order of their first arrival.
    order: Vec<usize>,
    /// How many requests there were at once as each came.
    at_once: Vec<usize>,
    duplicates: usize,
    strangers: usize,
}

/// What arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Books {
    /// Different events.
    pub(crate) delivered: usize,
    /// Arrivals of events that had arrived before.
    pub(crate) duplicated: usize,
    /// Arrivals of what nobody sent.
    pub(crate) unexpected: usize,
}

/// A request that is there; whoever sent it may be gone before it is answered.
struct Unanswered<'a>(&'a AtomicUsize);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Comeback {
    /// Dead, with so many events to come.
    pub(crate) fn new(events: usize) -> Self {
        let seen = Seen { has_arrived: vec![false; events], ..Seen::default() };
        let (at_once, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { is_back: AtomicBool::new(false), at_once, refused, seen: Mutex::new(seen) }
    }

    /// Serves on loopback until the runtime ends.
    pub(crate) async fn serve(self: Arc<Self>) -> std::io::Result<SocketAddr> {
        sink::serve(move |_, number| Arc::clone(&self).answer(number)).await
    }

    async fn answer(self: Arc<Self>, number: Option<usize>) -> StatusCode {
        if !self.is_back.load(Ordering::Relaxed) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        let at_once = self.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        let _unanswered = Unanswered(&self.at_once);
        self.seen().note(number, at_once);
        tokio::time::sleep(TAKES).await;
        StatusCode::OK
    }

    /// From now on it takes what comes.
    pub(crate) fn come_back(&self) {
        self.is_back.store(true, Ordering::Relaxed);
    }

    /// Requests that it refused while it was dead.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// What arrived so far.
    pub(crate) fn books(&self) -> Books {
        let seen = self.seen();
        Books { delivered: seen.order.len(), duplicated: seen.duplicates, unexpected: seen.strangers }
    }

    /// Most requests at once while these arrived, counted from its return.
    pub(crate) fn most_at_once(&self, arrivals: Range<usize>) -> usize {
        self.seen().at_once.iter().skip(arrivals.start).take(arrivals.len()).copied().max().unwrap_or(0)
    }

    /// How far an event was from its place by age, at most.
    pub(crate) fn most_out_of_order(&self) -> usize {
        self.seen().order.iter().enumerate().map(|(place, number)| place.abs_diff(*number)).max().unwrap_or(0)
    }

    /// How many events were farther than this from their place by age.
    pub(crate) fn farther_than(&self, places: usize) -> usize {
        self.seen().order.iter().enumerate().filter(|(place, number)| place.abs_diff(**number) > places).count()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn note(&mut self, number: Option<usize>, at_once: usize) {
        self.at_once.push(at_once);
        match number.and_then(|number| Some((number, self.has_arrived.get_mut(number)?))) {
            Some((_, true)) => self.duplicates += 1,
            Some((number, has_arrived)) => {
                *has_arrived = true;
                self.order.push(number);
            }
            None => self.strangers += 1,
        }
    }
}
