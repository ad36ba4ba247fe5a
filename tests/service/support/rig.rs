//! Intake, queue and worker over a database of their own, without HTTP in front: for
//! stories that step the queue and look at its tables.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider::domain::address::AddressPolicy;
use postrider::domain::audience::Audience;
use postrider::domain::backoff::Jitter;
use postrider::domain::breaker::BreakerRules;
use postrider::domain::detail::KeepDetail;
use postrider::domain::event_type::EventTypeFilter;
use postrider::domain::handoff::{Handoff, HandoffReceiver};
use postrider::domain::hops::Hops;
use postrider::domain::id::{EventId, SubscriptionId, TenantId};
use postrider::domain::idempotency::Fingerprint;
use postrider::domain::keyring::{Keyring, SealContext};
use postrider::domain::next_step::RetryPolicy;
use postrider::domain::payload::Payload;
use postrider::domain::secret::Secret;
use postrider::domain::slots::{SlotLimits, Slots};
use postrider::domain::subscription::{Destination, Subscription};
use postrider::domain::target::Target;
use postrider::domain::timing::Timing;
use postrider::intake::{Accepted, Intake, IntakeParts, Notifier, Refusal, Submission};
use postrider::sender::{Sender, SenderConfig};
use postrider::store::Store;
use postrider::subscriptions::Subscriptions;
use postrider::supervisor::Supervisor;
use postrider::telemetry::Metrics;
use postrider::tenants::Tenants;
use postrider::worker::{Stopping, Worker, WorkerParts, WorkerRules};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::database::Database;
use super::receiver::Receiver;
use super::wait::until;

/// The secret of every subscription of a rig.
pub(crate) const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// A queue with everything around it but the API.
pub(crate) struct Rig {
    pub(crate) database: Database,
    pub(crate) receiver: Receiver,
    pub(crate) client: Client,
    pub(crate) parts: WorkerParts,
    pub(crate) notifier: Notifier,
}

/// Whether a worker has nothing to do now: nothing is leased, and what is due waits for its subscription to be enabled,
/// for a probe or for a receiver that asked to wait.
const SETTLED: &str = "
    select not exists (
        select 1
        from deliveries as d
        inner join subscriptions as s on s.id = d.subscription_id
        left join subscription_health as h on h.subscription_id = s.id
        where (d.lease is not null and (d.next_attempt_at > now() or d.next_attempt_at < now() - interval '5 seconds'))
            or (
                d.lease is null
                and d.next_attempt_at <= now()
                and (s.deleted_at is not null or (s.is_active and coalesce(h.probe_at <= now(), true)))
            )
    )";

impl Rig {
    /// A rig with the default limits and a schedule of two retries.
    pub(crate) async fn new() -> Self {
        Self::with_slots(64, 64).await
    }

    /// A rig with so many slots, and requests at a time to one subscription.
    pub(crate) async fn with_slots(total: usize, per_subscription: usize) -> Self {
        let limits = SlotLimits { total, bytes: 1 << 30, per_subscription };
        let database = Database::new().await;
        let store = database.store();
        let clock = store.clock();
        until("the database's clock is known", async || clock.measure(&store).await.ok()).await;
        let parts = WorkerParts {
            store,
            sender: Sender::new(SenderConfig {
                request_timeout: Duration::from_secs(5),
                addresses: Arc::new(AddressPolicy {
                    allow: vec!["127.0.0.0/8".parse().unwrap()],
                    ..AddressPolicy::default()
                }),
                max_idle_per_host: 8,
                keep: KeepDetail::All,
            }),
            keyring: Arc::new(Keyring::parse(&Keyring::entry("test", [7; 32])).unwrap()),
            clock,
            slots: Slots::new(limits),
            metrics: Metrics::new(),
            rules: WorkerRules {
                lease: Duration::from_secs(20),
                request_timeout: Duration::from_secs(5),
                retries: RetryPolicy { schedule: "10s,20s".parse().unwrap(), jitter: Jitter::new(0.0).unwrap() },
                lifetime: Duration::from_secs(96 * 3_600),
                breaker: BreakerRules {
                    failures: 10,
                    after: Duration::from_secs(30),
                    probe: Duration::from_secs(30),
                    probe_max: Duration::from_secs(600),
                },
            },
        };
        let client = database.client().await;
        Self { client, receiver: Receiver::new().await, database, parts, notifier: Notifier::default() }
    }

    /// A worker over the rig's parts.
    pub(crate) fn worker(&self) -> Worker {
        Worker::new(self.parts.clone())
    }

    /// A worker that works until the value goes or the story stops it.
    pub(crate) fn working(&self) -> Working {
        let token = CancellationToken::new();
        let stopping = Stopping { supervisor: Supervisor::new(token.clone()), grace: Duration::from_secs(5) };
        let running = tokio::spawn(self.worker().run(None, stopping));
        let notifying = tokio::spawn(self.notifier.clone().run(self.parts.store.clone()));
        Working { stop: token.drop_guard(), running, notifying }
    }

    /// Lets workers work until there is nothing to do now, and stops each in order.
    pub(crate) async fn settle(&self) {
        let is_settled = async || self.client.query_one(SETTLED, &[]).await.unwrap().get::<_, bool>(0);
        loop {
            let working = self.working();
            until("the worker has nothing to do", async || is_settled().await.then_some(())).await;
            working.stop().await;
            // The last thing that it recorded may have made another delivery due.
            if is_settled().await {
                break;
            }
        }
    }

    /// An intake, with the handoff's other half where it has one.
    pub(crate) fn intake(&self, handoff: bool) -> (Intake, Option<HandoffReceiver>) {
        let (handoff, receiver) =
            if handoff { Some(Handoff::new(self.parts.slots.clone())).unzip() } else { (None, None) };
        let subscriptions =
            Subscriptions::new(self.parts.store.clone(), Arc::clone(&self.parts.keyring), None, 1 << 20);
        let (intake, _) = Intake::start(IntakeParts {
            tenants: Tenants::new(self.parts.store.clone(), self.parts.clock.clone()),
            publish_per_second: None,
            queue_bytes: 64 << 20,
            subscriptions,
            store: self.parts.store.clone(),
            clock: self.parts.clock.clone(),
            handoff,
            notifier: self.notifier.clone(),
            lease: self.parts.rules.lease,
            metrics: self.parts.metrics.clone(),
            supervisor: Supervisor::default(),
        });
        (intake, receiver)
    }

    /// The next step of every replay, as if the last were a second ago.
    pub(crate) async fn step_replays(&self) {
        self.sql("update replays set stepped_at = 'epoch'").await;
        for replay in self.store().running_replays(10).await.unwrap() {
            self.store().step_replay(replay, self.parts.rules.lifetime, 1_000).await.unwrap();
        }
    }

    /// A subscription of the default tenant that wants everything, to the rig's receiver.
    pub(crate) async fn subscription(&self) -> Arc<Subscription> {
        self.subscription_to(&self.receiver.url()).await
    }

    /// The same of a tenant that is new.
    pub(crate) async fn subscription_of_another_tenant(&self) -> Arc<Subscription> {
        let tenant = TenantId::from(Uuid::now_v7());
        self.sql(&format!("insert into tenants (id, name) values ('{tenant}', '{tenant}')")).await;
        self.subscription_of(tenant, &self.receiver.url()).await
    }

    /// A subscription of the default tenant with this target, written past every check.
    pub(crate) async fn subscription_to(&self, target: &str) -> Arc<Subscription> {
        self.subscription_of("00000000-0000-7000-8000-000000000000".parse().unwrap(), target).await
    }

    async fn subscription_of(&self, tenant: TenantId, target: &str) -> Arc<Subscription> {
        let id = SubscriptionId::from(Uuid::now_v7());
        let secret = Secret::parse(SECRET).unwrap();
        let sealed = self.parts.keyring.seal(&secret, SealContext { tenant, subscription: id }, [1; 32]);
        let insert = "insert into subscriptions (tenant_id, id, target_url, secret, verify_ingest) values ($1, $2, $3, $4, false)";
        self.client.execute(insert, &[&tenant.uuid(), &id.uuid(), &target, &sealed]).await.unwrap();
        Arc::new(Subscription {
            id,
            tenant,
            version: 1,
            destination: Arc::new(Destination::new(Target::stored(target.to_owned()), secret.into())),
            event_types: EventTypeFilter::default(),
            filter: None,
            description: None,
            is_active: true,
            disabled_reason: None,
            verify_ingest: false,
            external_id: None,
            policy: Default::default(),
            ingest: Default::default(),
            created_at: OffsetDateTime::now_utc(),
            updated_at: OffsetDateTime::now_utc(),
        })
    }

    /// Accepts one event without a handoff.
    pub(crate) async fn accept(&self, subscription: &Arc<Subscription>, payload: &[u8]) -> EventId {
        submit(&self.intake(false).0, subscription, payload, None).await.unwrap().event
    }

    /// Rows of a table.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.client.query_one(&format!("select count(*) from {table}"), &[]).await.unwrap().get(0)
    }

    /// The outcomes in the log, oldest attempt first.
    pub(crate) async fn outcomes(&self) -> Vec<String> {
        let rows = self.client.query("select outcome from attempts order by id", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Runs a statement that moves rows: the clock of every story.
    pub(crate) async fn sql(&self, statement: &str) -> u64 {
        self.client.execute(statement, &[]).await.unwrap()
    }

    /// Store of the rig.
    pub(crate) fn store(&self) -> &Store {
        &self.parts.store
    }
}

/// A worker at work.
pub(crate) struct Working {
    stop: DropGuard,
    running: JoinHandle<()>,
    notifying: JoinHandle<()>,
}

impl Working {
    /// Stops it in order.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.running.await.unwrap();
        self.notifying.abort();
    }
}

/// Submits an event to an intake.
pub(crate) async fn submit(
    intake: &Intake,
    subscription: &Arc<Subscription>,
    payload: &[u8],
    key: Option<&str>,
) -> Result<Accepted, Refusal> {
    let print = Fingerprint::of("ingest", Some(subscription.id), None, [None, None], payload, None);
    intake
        .accept(Submission {
            audience: Audience::one(subscription),
            event_type: None,
            payload: Payload::parse(Bytes::copy_from_slice(payload)).unwrap(),
            hops: Hops::default(),
            timing: Timing::default(),
            ordering_key: None,
            key: key.map(|key| (key.parse().unwrap(), print)),
            from_outbox: None,
        })
        .await
}
