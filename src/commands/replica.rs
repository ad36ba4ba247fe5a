//! Connects the parts of one process and runs them until a signal.
//!
//! Stop order: readiness fails, the API finishes its requests, intake ends, the worker sends and records what it has.

mod api_settings;
mod heartbeat;
mod tester;

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ops::Ops;
use super::sockets::{listen, raise_descriptor_limit};
use super::starting::{migrate_patiently, store, target_roots};
use super::{Failure, master_keys};
use crate::api::{self, Api, Refusals, ShownSetting};
use crate::config::Config;
use crate::domain::handoff::{Handoff, HandoffReceiver};
use crate::domain::slots::Slots;
use crate::domain::target::TargetPolicy;
use crate::http;
use crate::intake::{Intake, IntakeParts, Notifier, Outbox, OutboxRules};
use crate::sender::{Sender, SenderConfig, own_addresses};
use crate::store::{Clock, SchemaPolicy, Store};
use crate::subscriptions::{Redis, Subscriptions};
use crate::supervisor::Supervisor;
use crate::telemetry::Metrics;
use crate::tenants::Tenants;
use crate::upkeep::{Retention, SystemEvents, Upkeep, follow_clock};
use crate::worker::{Stopping, Worker, WorkerParts, WorkerRules};

use api_settings::api_settings;
use tester::tester;

const API_DRAIN: Duration = Duration::from_secs(5);
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Halves {
    pub(super) api: bool,
    pub(super) worker: bool,
}

pub(super) struct Replica {
    base: Base,
    halves: Halves,
    ops_listener: TcpListener,
    api_listener: Option<TcpListener>,
}

struct Base {
    config: Config,
    shown: Arc<[ShownSetting]>,
    store: Store,
    redis: Option<Redis>,
    clock: Clock,
    metrics: Metrics,
    slots: Slots,
    targets: TargetPolicy,
    target_roots: RootCertStore,
    notifier: Notifier,
    supervisor: Supervisor,
}

pub(super) async fn run(
    config: (Config, Arc<[ShownSetting]>),
    halves: Halves,
    metrics: Metrics,
    supervisor: Supervisor,
) -> Result<(), Failure> {
    match Replica::prepare(config, halves, metrics, supervisor).await? {
        Some(replica) => replica.run().await,
        None => Ok(()),
    }
}

impl Replica {
    /// Waits for the database, migrates it and binds the ports; `None` if it is stopped meanwhile. The settings come with
    /// what operators may see of them.
    pub(super) async fn prepare(
        config: (Config, Arc<[ShownSetting]>),
        halves: Halves,
        metrics: Metrics,
        supervisor: Supervisor,
    ) -> Result<Option<Self>, Failure> {
        let stop = supervisor.stop().clone();
        let preparing = Base::prepare(config, halves, metrics, supervisor);
        let Some(base) = stop.run_until_cancelled(preparing).await.transpose()? else { return Ok(None) };
        let ops_listener = listen(base.config.ops_listen, "POSTRIDER_OPS_LISTEN")?;
        let api_listener = if halves.api { Some(listen(base.config.listen, "POSTRIDER_LISTEN")?) } else { None };
        Ok(Some(Self { base, halves, ops_listener, api_listener }))
    }

    /// Every task that lasts belongs to the supervisor: without one of them the replica would look healthy and lose its
    /// purpose, so it stops and says why.
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { base, halves, ops_listener, api_listener } = self;
        let supervisor = base.supervisor.clone();
        let stop = supervisor.stop();
        let (store, metrics, slots) = (base.store.clone(), base.metrics.clone(), base.slots.clone());
        let ops = Ops { store: store.clone(), metrics: metrics.clone(), slots, supervisor: supervisor.clone() };
        let clock = follow_clock(base.clock.clone(), store.clone(), metrics, stop.clone());
        let mut beside = vec![
            supervisor.spawn_lasting("the ops endpoint", ops.serve(ops_listener)),
            supervisor.spawn_lasting("the look at the clock", clock),
        ];
        if halves.api {
            beside.push(supervisor.spawn_lasting("the notifier", base.notifier.clone().run(store)));
        }
        let beating = (!halves.worker)
            .then(|| supervisor.spawn_lasting("the heartbeat", heartbeat::beat(base.store.clone(), stop.clone())));
        let (handoff, receiver) =
            if halves.api && halves.worker { Some(Handoff::new(base.slots.clone())).unzip() } else { (None, None) };
        let working = halves.worker.then(|| base.start_worker(receiver));
        tracing::info!(
            api = api_listener.as_ref().and_then(|listener| listener.local_addr().ok()).map(tracing::field::display),
            ops = %base.config.ops_listen,
            worker = halves.worker,
            "running"
        );
        // Intake and the handoff end with the API, the worker after them.
        match api_listener {
            Some(listener) => base.serve_api(listener, handoff).await,
            None => stop.cancelled().await,
        }
        if let Some([worker, upkeep]) = working {
            // The supervisor has heard of a panic.
            let _ended = worker.await;
            upkeep.abort();
        }
        if let Some(beating) = beating {
            // It ends with the stop, and says goodbye.
            let _ended = beating.await;
        }
        beside.iter().for_each(JoinHandle::abort);
        base.store.close();
        tracing::info!("stopped");
        supervisor.failure().map_or(Ok(()), |reason| Err(Failure::new(reason.to_owned())))
    }
}

impl Base {
    async fn prepare(
        (config, shown): (Config, Arc<[ShownSetting]>),
        halves: Halves,
        metrics: Metrics,
        supervisor: Supervisor,
    ) -> Result<Self, Failure> {
        raise_descriptor_limit();
        let store = store(&config.database)?;
        let policy = if config.database.migrate { SchemaPolicy::MigrateOrFollow } else { SchemaPolicy::CheckOnly };
        migrate_patiently(&store, policy).await?;
        master_keys::check(&store, &config.keyring, config.start.strict).await?;
        let clock = store.clock();
        clock.measure(&store).await.map_err(Failure::from)?;
        let slots = Slots::new(config.slots());
        let targets = config.targets(own_addresses());
        let target_roots = target_roots(config.ca_file.as_deref())?;
        // The worker gets subscriptions with its deliveries, not from Redis.
        let redis_url = config.redis_url.as_ref().filter(|_| halves.api);
        let ca_file = config.redis_ca_file.as_deref();
        let redis = redis_url.map(|url| Redis::connect(&url.0, ca_file, metrics.clone(), &supervisor)).transpose();
        let redis = redis.map_err(|rule| Failure::new(format!("REDIS_URL: {rule}")))?;
        Ok(Self {
            config,
            shown,
            store,
            redis,
            clock,
            metrics,
            slots,
            targets,
            target_roots,
            notifier: Notifier::default(),
            supervisor,
        })
    }

    fn sender_config(&self) -> SenderConfig {
        SenderConfig {
            request_timeout: self.config.request_timeout,
            addresses: Arc::new(self.targets.addresses.clone()),
            max_idle_per_host: self.config.max_in_flight_per_subscription,
            keep: self.config.attempt_detail,
        }
    }

    fn start_worker(&self, handoff: Option<HandoffReceiver>) -> [JoinHandle<()>; 2] {
        let config = &self.config;
        let sender = Sender::with_roots(self.sender_config(), self.target_roots.clone());
        let worker = Worker::new(WorkerParts {
            store: self.store.clone(),
            sender,
            keyring: Arc::clone(&config.keyring),
            clock: self.clock.clone(),
            slots: self.slots.clone(),
            metrics: self.metrics.clone(),
            rules: WorkerRules {
                lease: config.lease(),
                request_timeout: config.request_timeout,
                retries: config.retries(),
                lifetime: config.delivery_lifetime,
                breaker: config.breaker.rules(),
            },
        });
        let upkeep = Upkeep {
            store: self.store.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            lifetime: config.delivery_lifetime,
            disable_after: config.breaker.disable_after,
            system_events: SystemEvents {
                warn_after: config.system_events.warn_after.clone(),
                report_interval: config.system_events.report_interval,
            },
            retention: Retention {
                payloads: config.payload_retention,
                log: config.log_retention,
                audit: config.audit_retention,
                refusals: config.refusal_retention,
            },
        };
        let stopping = Stopping { supervisor: self.supervisor.clone(), grace: config.shutdown_grace() };
        [
            self.supervisor.spawn_lasting("the worker", worker.run(handoff, stopping)),
            self.supervisor.spawn_lasting("upkeep", upkeep.run(self.supervisor.stop().clone())),
        ]
    }

    async fn serve_api(&self, listener: TcpListener, handoff: Option<Handoff>) {
        let config = &self.config;
        let subscriptions =
            Subscriptions::new(self.store.clone(), Arc::clone(&config.keyring), self.redis.clone(), config.cache_bytes);
        let tenants = Tenants::new(self.store.clone(), self.clock.clone());
        let (intake, writing) = Intake::start(IntakeParts {
            tenants: tenants.clone(),
            publish_per_second: config.publish_per_second,
            queue_bytes: config.publish_queue_bytes,
            subscriptions: subscriptions.clone(),
            store: self.store.clone(),
            clock: self.clock.clone(),
            handoff,
            notifier: self.notifier.clone(),
            lease: config.lease(),
            metrics: self.metrics.clone(),
            supervisor: self.supervisor.clone(),
        });
        let rules = OutboxRules { max_payload_bytes: config.max_payload_bytes, lifetime: config.delivery_lifetime };
        let outbox = Outbox::new(intake.clone(), rules, self.metrics.clone());
        let publishing = outbox.run(self.supervisor.stop().clone());
        let publishing = self.supervisor.spawn_lasting("publishing from the outbox", publishing);
        let (store, clock, metrics) = (self.store.clone(), self.clock.clone(), self.metrics.clone());
        let refusals = Refusals::new(store, clock, metrics, config.refusals_per_tenant);
        let (stop, closing) = (self.supervisor.stop(), CancellationToken::new());
        let api = Api {
            settings: api_settings(config, self.targets.clone(), Arc::clone(&self.shown)),
            store: self.store.clone(),
            tenants,
            subscriptions,
            intake,
            tester: tester(self.sender_config(), self.target_roots.clone(), self.metrics.clone(), closing.clone()),
            refusals,
            tasks: TaskTracker::new(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        };
        let stopping = http::Stopping { announced: stop.clone(), closing: closing.clone(), drain: API_DRAIN };
        let serving = api::serve(listener, api, stopping, self.supervisor.clone());
        let serving = self.supervisor.spawn_lasting("the API", serving);
        let noticing = async {
            stop.cancelled().await;
            tokio::time::sleep(config.shutdown_notice).await;
            closing.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ended = serving => {}
            () = noticing => {}
        }
        // After a panic of the API its connections may still hold the intake.
        let _late = tokio::time::timeout(API_DRAIN, async { tokio::join!(publishing, writing) }).await;
    }
}
