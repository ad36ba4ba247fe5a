//! The producers of the benchmark: many connections that send numbered events, as fast as
//! they can or at a fixed rate.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};

use crate::failure::Failure;
use crate::http::{self, Connection};
use crate::load::{Load, Route, Sent};
use crate::payload::Template;
use crate::receiver::Receiver;

/// The size of a payload unless a scenario says otherwise, in bytes.
pub(crate) const PAYLOAD_BYTES: usize = 760;
/// The type of events that go to one subscription alone.
pub(crate) const PLAIN: &str = "bench.event";
/// Pause before an event that was refused is sent again.
const PAUSE: Duration = Duration::from_millis(100);
/// How often a producer looks whether it may go on.
const POLL: Duration = Duration::from_millis(1);

/// The events of one producer: where they go and how they are made.
#[derive(Debug)]
struct Stream {
    to: SocketAddr,
    /// Each event in turn goes to the next of them.
    routes: Vec<Route>,
    event_type: &'static str,
    template: Template,
    /// Whether an event that is refused is sent again until it is accepted, with the same
    /// idempotency key.
    insists: bool,
    receiver: Arc<Receiver>,
    next: AtomicUsize,
    /// One past the number of the last event.
    end: usize,
}

/// Sends events of a range of numbers, one load after the other.
#[derive(Debug)]
pub(crate) struct Producer {
    stream: Arc<Stream>,
    connections: Mutex<Vec<Connection>>,
}

/// What one connection met.
#[derive(Debug, Default)]
struct Tally {
    latencies: Vec<u64>,
    refused: usize,
}

impl Producer {
    /// Sends the events of these numbers to these routes of a server; they arrive at this receiver.
    pub(crate) fn new(
        to: SocketAddr,
        routes: Vec<Route>,
        receiver: &Arc<Receiver>,
        numbers: Range<usize>,
    ) -> Result<Self, Failure> {
        if numbers.end > receiver.room() {
            return Err(Failure::new("the receiver has no room for so many events"));
        }
        let stream = Stream {
            to,
            routes,
            event_type: PLAIN,
            template: Template::new(PAYLOAD_BYTES),
            insists: false,
            receiver: Arc::clone(receiver),
            next: AtomicUsize::new(numbers.start),
            end: numbers.end,
        };
        Ok(Self { stream: Arc::new(stream), connections: Mutex::default() })
    }

    /// Straight to the receiver, as a client without a service between would.
    pub(crate) fn bare(to: SocketAddr, receiver: &Arc<Receiver>, numbers: Range<usize>) -> Result<Self, Failure> {
        Self::new(to, vec![Route::bare()], receiver, numbers)
    }

    /// The same with events of another type.
    pub(crate) fn with_type(mut self, event_type: &'static str) -> Self {
        self.stream_mut().event_type = event_type;
        self
    }

    /// The same with payloads of this size, in bytes.
    pub(crate) fn with_payload(mut self, bytes: usize) -> Self {
        self.stream_mut().template = Template::new(bytes);
        self
    }

    /// The same, sending again what is refused.
    pub(crate) fn insisting(mut self) -> Self {
        self.stream_mut().insists = true;
        self
    }

    /// Another one for the same routes and receiver, with numbers of its own.
    pub(crate) fn sibling(&self, numbers: Range<usize>) -> Result<Self, Failure> {
        Self::new(self.stream.to, self.stream.routes.clone(), &self.stream.receiver, numbers)
    }

    /// To another server from now on.
    pub(crate) fn turn_to(&mut self, server: SocketAddr) {
        self.stream_mut().to = server;
        self.connections.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn stream_mut(&mut self) -> &mut Stream {
        Arc::get_mut(&mut self.stream).expect("no load is in flight, and nothing else shares it")
    }

    /// Where its events arrive.
    pub(crate) fn receiver(&self) -> &Receiver {
        &self.stream.receiver
    }

    /// Sends, and returns after the last answer.
    ///
    /// # Errors
    /// [`Failure`] where an event was refused, or there are no numbers left.
    pub(crate) async fn send(&self, load: Load) -> Result<Sent, Failure> {
        let start = self.stream.next.load(Ordering::Relaxed);
        let end = start + load.events;
        if end > self.stream.end {
            return Err(Failure::new("the scenario sends more events than it has numbers for"));
        }
        let mut connections = self.open(load.connections.min(load.events)).await?;
        let began = Instant::now();
        let working = connections.drain(..).map(|connection| {
            let stream = Arc::clone(&self.stream);
            tokio::spawn(async move { stream.work(connection, load, start..end, began).await })
        });
        let working: Vec<_> = working.collect();
        let (mut latencies, mut refused) = (Vec::new(), 0);
        for work in working {
            let (connection, tally) = work.await??;
            latencies.extend(tally.latencies);
            refused += tally.refused;
            connections.push(connection);
        }
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).extend(connections);
        let end = self.stream.next.load(Ordering::Relaxed).min(end);
        self.stream.next.store(end, Ordering::Relaxed);
        if refused > 0 && !self.stream.insists {
            return Err(Failure::new(format!("{refused} of {} events were refused", latencies.len())));
        }
        Ok(Sent { events: start..end, answers: latencies.into_iter().collect(), refused })
    }

    /// So many connections: those that are left from the load before, and new ones.
    async fn open(&self, count: usize) -> Result<Vec<Connection>, Failure> {
        let mut connections = {
            let mut kept = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            kept.retain(Connection::is_ready);
            let first = kept.len().saturating_sub(count);
            kept.split_off(first)
        };
        while connections.len() < count {
            connections.push(http::connect(self.stream.to).await?);
        }
        Ok(connections)
    }
}

impl Stream {
    /// One connection's share of a load.
    async fn work(
        &self,
        mut connection: Connection,
        load: Load,
        numbers: Range<usize>,
        began: Instant,
    ) -> Result<(Connection, Tally), Failure> {
        let mut tally = Tally::default();
        while self.may_send(&load).await {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                break;
            }
            let late_by = match load.per_second {
                Some(rate) => wait_until(began + Duration::from_secs_f64((number - numbers.start) as f64 / rate)).await,
                None => Duration::ZERO,
            };
            // The service closes what was idle for long.
            if connection.is_closed() {
                connection = http::connect(self.to).await?;
            }
            self.send(&mut connection, number, late_by, &mut tally).await?;
        }
        Ok((connection, tally))
    }

    /// Waits until there is room; false where the time is over.
    async fn may_send(&self, load: &Load) -> bool {
        let is_over = || load.until.is_some_and(|until| Instant::now() >= until);
        while !is_over() && load.most_outstanding.is_some_and(|most| self.receiver.outstanding() >= most) {
            tokio::time::sleep(POLL).await;
        }
        !is_over()
    }

    async fn send(
        &self,
        connection: &mut Connection,
        number: usize,
        late_by: Duration,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        self.receiver.note_sent(number, late_by);
        let began = Instant::now();
        let mut is_accepted = self.post(connection, number).await?;
        while self.insists && !is_accepted {
            tally.refused += 1;
            tokio::time::sleep(PAUSE).await;
            is_accepted = self.post(connection, number).await?;
        }
        let took = began.elapsed() + late_by;
        tally.latencies.push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.receiver.note_accepted(usize::from(is_accepted));
        tally.refused += usize::from(!is_accepted);
        Ok(())
    }

    /// Sends an event once; returns whether it was accepted.
    async fn post(&self, connection: &mut Connection, number: usize) -> Result<bool, Failure> {
        let route = self.routes.get(number % self.routes.len().max(1));
        let route = route.ok_or_else(|| Failure::new("there is nowhere to send to"))?;
        let mut request = route.access.add_to(Request::post(&route.path).header(HOST, "localhost"));
        request = match &route.event_type {
            Some(event_type) => request.header("x-event-type", event_type),
            None => request.header("x-event-type", self.event_type),
        };
        if self.insists {
            request = request.header("idempotency-key", number.to_string());
        }
        let body = Full::new(self.template.numbered(number));
        let response = connection.send_request(request.header(CONTENT_TYPE, "application/json").body(body)?).await?;
        let is_accepted = response.status().is_success();
        response.into_body().collect().await?;
        Ok(is_accepted)
    }
}

/// Waits for this moment; returns how long it is past, if it was before the call.
async fn wait_until(due: Instant) -> Duration {
    let late_by = Instant::now().saturating_duration_since(due);
    if late_by.is_zero() {
        tokio::time::sleep_until(due.into()).await;
    }
    late_by
}
