//! One service under load: its processes, two tenants with subscriptions to one receiver, and
//! what its events have cost. Scenarios load one or compare several, slice by slice in turn,
//! so that whatever else the machine does meets all of them.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::counts::Counts;
use crate::failure::Failure;
use crate::lab::{Database, Lab};
use crate::latency::Latencies;
use crate::ledger::Ledger;
use crate::load::{Load, Sent};
use crate::meter::{Meter, Spent};
use crate::producer::{PAYLOAD_BYTES, Producer};
use crate::receiver::Receiver;
use crate::service::{Launch, Service};
use crate::tenant::{Tenant, subscribe_all};

/// Names of the tenants.
const TENANTS: [&str; 2] = ["north", "south"];
/// Longest wait for the last deliveries of a slice.
const DRAIN_LIMIT: Duration = Duration::from_secs(120);

/// In which processes the service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processes {
    /// One `serve`: most events are born leased and sent from memory.
    Serve,
    /// One `api` and so many `worker`s: each event is left due and taken.
    Apart(usize),
}

/// What there is to load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) processes: Processes,
    /// How long the receiver takes over an answer.
    pub(crate) takes: Duration,
    /// Subscriptions of all tenants together; one alone belongs to the first.
    pub(crate) subscriptions: usize,
    /// Events in all.
    pub(crate) events: usize,
    /// Size of each payload, in bytes.
    pub(crate) payload_bytes: usize,
}

impl Plan {
    /// One `serve` and payloads of the usual size.
    pub(crate) fn serve(takes: Duration, subscriptions: usize, events: usize) -> Self {
        Self { processes: Processes::Serve, takes, subscriptions, events, payload_bytes: PAYLOAD_BYTES }
    }

    /// The same in other processes.
    pub(crate) fn in_processes(self, processes: Processes) -> Self {
        Self { processes, ..self }
    }
}

/// A service under load.
pub(crate) struct Deployment {
    pub(crate) database: Database,
    pub(crate) launch: Launch,
    /// The one that accepts stands first.
    pub(crate) services: Vec<Service>,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) receiver: Arc<Receiver>,
    pub(crate) producer: Producer,
    /// What all measured slices have spent.
    pub(crate) spent: Spent,
    at_start: Counts,
}

/// What a slice of a load met and spent.
pub(crate) struct Slice {
    pub(crate) sent: Sent,
    pub(crate) spent: Spent,
}

impl Deployment {
    /// Starts the service on a new database.
    pub(crate) async fn start(lab: &Lab, plan: Plan, settings: &[(&str, &str)]) -> Result<Self, Failure> {
        let database = lab.database().await?;
        let launch = Launch::on(&database.url).with(settings);
        Self::launch(database, launch, plan).await
    }

    /// Starts the service of this launch. Schema, tenants and subscriptions were made by a process
    /// that has stopped, so they are not in the counts.
    pub(crate) async fn launch(database: Database, launch: Launch, plan: Plan) -> Result<Self, Failure> {
        let first = launch.serve().await?;
        let tenants = launch.tenants(TENANTS).await?;
        let receiver = Arc::new(Receiver::new(plan.events, plan.takes));
        let address = Arc::clone(&receiver).serve().await?;
        let of_each = plan.subscriptions.div_ceil(tenants.len());
        let mut routes = subscribe_all(&tenants, first.api, address, of_each).await?;
        routes.truncate(plan.subscriptions);
        first.stop().await?;
        let at_start = Counts::read(&database).await?;
        let services = launch.processes(plan.processes).await?;
        let api = services.first().map(|service| service.api).ok_or_else(|| Failure::new("nothing was started"))?;
        let producer = Producer::new(api, routes, &receiver, 0..plan.events)?.with_payload(plan.payload_bytes);
        Ok(Self { database, launch, services, tenants, receiver, producer, spent: Spent::default(), at_start })
    }

    /// Sends, and waits until all has arrived.
    pub(crate) async fn send(&self, load: Load) -> Result<Sent, Failure> {
        let sent = self.producer.send(load).await?;
        self.receiver.drain(&sent.events, DRAIN_LIMIT).await;
        Ok(sent)
    }

    /// Sends, and measures what all of it spent until it had arrived.
    pub(crate) async fn slice(&mut self, lab: &Lab, load: Load) -> Result<Slice, Failure> {
        let meter = Meter::new(lab, &self.database, &self.services)?;
        let (before, began) = (meter.read().await?, Instant::now());
        let sent = self.send(load).await?;
        let spent = meter.since(&before, sent.events.len(), began.elapsed()).await?;
        self.spent += spent;
        Ok(Slice { sent, spent })
    }

    /// The process that accepts.
    pub(crate) fn first(&self) -> Result<&Service, Failure> {
        self.services.first().ok_or_else(|| Failure::new("no service runs"))
    }

    /// From the producer's request to the receiver.
    pub(crate) fn latencies(&self, events: &Range<usize>) -> Latencies {
        self.receiver.latencies(events)
    }

    /// Ends all processes in order; what they sent is recorded then. Returns what the database
    /// counted from their start to their stop, and removes it.
    pub(crate) async fn stop(&mut self) -> Result<Counts, Failure> {
        for service in self.services.drain(..) {
            service.stop().await?;
        }
        let counts = Counts::read(&self.database).await?.since(&self.at_start);
        self.database.remove().await?;
        Ok(counts)
    }

    /// Ends all processes and starts them anew, so that counts begin here.
    pub(crate) async fn restart(&mut self, processes: Processes) -> Result<(), Failure> {
        for service in self.services.drain(..) {
            service.stop().await?;
        }
        self.at_start = Counts::read(&self.database).await?;
        self.services = self.launch.processes(processes).await?;
        let api = self.first()?.api;
        self.producer.turn_to(api);
        Ok(())
    }

    /// What was accepted and what arrived.
    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::of([&*self.receiver])
    }
}

impl Launch {
    /// Starts these processes, the one that accepts first: it brings the schema up.
    pub(crate) async fn processes(&self, processes: Processes) -> Result<Vec<Service>, Failure> {
        match processes {
            Processes::Serve => Ok(vec![self.serve().await?]),
            Processes::Apart(workers) => {
                let mut services = vec![self.api().await?];
                for _ in 0..workers {
                    services.push(self.worker().await?);
                }
                Ok(services)
            }
        }
    }
}
