//! What takes part in `dead-receiver`: the processes, the healthy subscriptions, the dead one,
//! and how its backlog drains.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

use super::dead_receiver::{Drain, TAKES};
use crate::background::Background;
use crate::backlog::{self, Backlog};
use crate::failure::Failure;
use crate::lab::{Database, Lab};
use crate::producer::Producer;
use crate::receiver::Receiver;
use crate::rows;
use crate::service::{Launch, Service};
use crate::takeover::{Takeover, arrived, sends_most};
use crate::tenant::{Tenant, subscribe_all};

/// Healthy subscriptions, and events a second to all of them together.
pub(crate) const HEALTHY: usize = 100;
pub(crate) const PER_SECOND: usize = 500;
const WORKERS: usize = 2;
/// Short leases, so that what a killed worker had is soon another's, and a probe each second,
/// so that nobody waits for one.
const SETTINGS: [(&str, &str); 5] = [
    ("POSTRIDER_REQUEST_TIMEOUT", "1s"),
    ("POSTRIDER_LEASE", "6s"),
    ("POSTRIDER_BREAKER_PROBE_DELAY", "1s"),
    ("POSTRIDER_BREAKER_PROBE_MAX", "1s"),
    ("POSTRIDER_RETRY_SCHEDULE", "2s,4s,8s,16s,32s"),
];
/// Healthy events that there is room for: twenty minutes of them.
const MOST_HEALTHY: usize = 1_200 * PER_SECOND;
/// Longest wait for a breaker to turn.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);
/// Deliveries that take turns as probes, and back off in between (docs/pacing.md).
const PROBED: usize = 8;
/// What takes part.
pub(crate) struct Stage {
    pub(crate) database: Database,
    pub(crate) launch: Launch,
    api: Service,
    pub(crate) workers: Vec<Service>,
    tenants: Vec<Tenant>,
    pub(crate) background: Background,
    pub(crate) healthy: Arc<Receiver>,
    pub(crate) dead: Arc<Receiver>,
    subscription: Uuid,
}

impl Stage {
    /// Starts everything; the dead receiver has no events yet.
    pub(crate) async fn start(lab: &Lab, pending: usize) -> Result<Self, Failure> {
        let database = lab.database().await?;
        let launch = Launch::on(&database.url).with(&SETTINGS);
        let api = launch.api().await?;
        let mut workers = Vec::new();
        for _ in 0..WORKERS {
            workers.push(launch.worker().await?);
        }
        let tenants = launch.tenants(["north", "south"]).await?;
        let healthy = Arc::new(Receiver::new(MOST_HEALTHY, TAKES));
        let address = Arc::clone(&healthy).serve().await?;
        let routes = subscribe_all(&tenants, api.api, address, HEALTHY / tenants.len()).await?;
        let producer = Producer::new(api.api, routes, &healthy, 0..MOST_HEALTHY)?.insisting();
        let dead = Arc::new(Receiver::new(pending, TAKES));
        dead.set_broken(true);
        let target = (Arc::clone(&dead).serve().await?, 0);
        let first = tenants.first().ok_or_else(|| Failure::new("there is no tenant"))?;
        let subscription = first.subscribe(api.api, target, backlog::TYPE, Value::Null).await?;
        let background = Background::new(producer, PER_SECOND);
        Ok(Self { database, launch, api, workers, tenants, background, healthy, dead, subscription })
    }

    /// All processes.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Service> {
        std::iter::once(&self.api).chain(&self.workers)
    }

    /// The backlog of the dead receiver.
    pub(crate) fn backlog(&self) -> Backlog<'_> {
        let tenant = self.tenants.first().expect("the tenants were made at the start");
        Backlog { tenant, api: self.api.api, subscription: self.subscription, receiver: &self.dead }
    }

    /// Waits until the breaker of the dead receiver is in this state.
    pub(crate) async fn until_breaker(&self, state: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while rows::breaker(&self.database.client, self.subscription).await? != state {
            if Instant::now() > deadline {
                return Err(Failure::new(format!("the breaker does not become {state}")));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// The receiver comes back, and half-way the worker that sends is killed and replaced.
    /// Healthy events go on; returns which.
    pub(crate) async fn drain(&mut self, pending: usize) -> Result<(Drain, Range<usize>), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while rows::backing_off(&self.database.client, self.subscription).await? > PROBED {
            if Instant::now() > deadline {
                return Err(Failure::new("what failed before the breaker opened does not become due again"));
            }
            tokio::time::sleep(POLL).await;
        }
        let (database, subscription) = (Arc::clone(&self.database.client), self.subscription);
        let Self { workers, launch, background, dead, .. } = self;
        let draining = async {
            dead.set_broken(false);
            let began = Instant::now();
            let closing = async {
                while rows::breaker(&database, subscription).await? != "closed" {
                    tokio::time::sleep(POLL).await;
                }
                Ok::<_, Failure>(began.elapsed().as_secs_f64())
            };
            let sending = async {
                arrived(dead, pending / 2).await?;
                let sender = sends_most(workers, "delivered").await?;
                let killed = dead.now();
                workers.remove(sender).kill().await?;
                workers.push(launch.worker().await?);
                arrived(dead, pending).await?;
                Ok((killed, began.elapsed().as_secs_f64()))
            };
            let (closed, (killed, took)) = tokio::try_join!(closing, sending)?;
            let takeover = Takeover::of(&dead.arrivals(&(0..pending)), killed);
            Ok(Drain { takeover, took, closed })
        };
        background.send_during(draining).await
    }

    /// Which of the workers makes most attempts with this outcome.
    pub(crate) async fn sends_most(&self, outcome: &str) -> Result<usize, Failure> {
        sends_most(&self.workers, outcome).await
    }

    /// How far an event of the backlog arrived from its place by age, at most.
    pub(crate) fn most_out_of_order(&self, pending: usize) -> usize {
        let mut order: Vec<(u64, usize)> =
            self.dead.journeys(&(0..pending)).enumerate().map(|(number, (_, arrived))| (arrived, number)).collect();
        order.sort_unstable();
        order.iter().enumerate().map(|(place, (_, number))| place.abs_diff(*number)).max().unwrap_or(0)
    }

    /// Ends all processes in order.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        for service in self.workers.into_iter().chain([self.api]) {
            service.stop().await?;
        }
        Ok(())
    }
}
