//! One connection: what it may do to the queue, and what it does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use postrider::domain::actor::Actor as By;
use postrider::domain::attempt::{Answer, Attempt};
use postrider::domain::breaker::Breaker;
use postrider::domain::delivery::{DeliveryKey, Report};
use postrider::domain::end::{EndReason, Taken};
use postrider::domain::event::Event;
use postrider::domain::hops::Hops;
use postrider::domain::id::{AttemptId, EventId, LeaseToken, ReplayId, SubscriptionId, TenantId, WorkerId};
use postrider::domain::next_step::NextStep;
use postrider::domain::ordering::OrderingGroup;
use postrider::domain::outcome::Outcome;
use postrider::domain::payload::Payload;
use postrider::domain::replay::{Ending, Selection};
use postrider::domain::timing::Timing;
use postrider::domain::trigger::Trigger;
use postrider::store::{
    AcceptItem, Chosen, Decision, KeepRequest, NewDelivery, NewReplay, Store, StoreError, TakeAsk, TakeRequest,
    TakenDelivery,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::effects::Done;
use super::random::Random;
use super::{LEASE, Model};
use crate::support::rig::Rig;

const TENANT: &str = "00000000-0000-7000-8000-000000000000";
/// The ordering keys of the subscription that is ordered.
const KEYS: [&str; 2] = ["left", "right"];
/// Five days: past every retention the model asks for.
const OLD: Duration = Duration::from_secs(5 * 86_400);
pub(super) const RETENTION: Duration = Duration::from_secs(3 * 86_400);

/// A delivery that an actor has leased.
#[derive(Clone)]
struct Parcel {
    key: DeliveryKey,
    token: LeaseToken,
    attempts: u32,
    /// Why it ends instead of being sent.
    ends: Option<EndReason>,
}

/// What an actor is about to do.
pub(super) enum Plan {
    Accept(Vec<AcceptItem>, LeaseToken),
    Take { from: Vec<SubscriptionId>, most: usize },
    Record(Vec<Report>),
    Crash,
    Advance(Vec<OrderingGroup>),
    AdvanceGroups,
    Cancel(DeliveryKey),
    CancelHeld(SubscriptionId, i64),
    Retry(DeliveryKey),
    Replay(SubscriptionId, Vec<Ending>),
    Switch(SubscriptionId, bool),
    Delete(SubscriptionId),
    Expire,
    Retain,
}

/// One connection to the queue.
pub(super) struct Actor {
    /// Its own: two actors meet in the database alone.
    store: Store,
    tenant: TenantId,
    /// The worker that it is, where a subscription has one owner.
    id: WorkerId,
    leased: Vec<Parcel>,
}

impl Actor {
    pub(super) fn new(rig: &Rig) -> Self {
        Self {
            store: rig.database.store(),
            tenant: TENANT.parse().unwrap(),
            id: WorkerId::from(Uuid::new_v4()),
            leased: Vec::new(),
        }
    }

    /// It is lost: its leases lapse.
    pub(super) fn forget(&mut self) {
        self.leased.clear();
    }

    pub(super) fn choose(&mut self, model: &Model, random: &mut Random) -> Plan {
        let ids: Vec<SubscriptionId> = model.subscriptions.keys().copied().collect();
        let any = ids[random.below(ids.len())];
        match random.below(36) {
            0..=5 => self.plan_accept(model, &ids, random),
            6..=14 => Plan::Take { from: random.some(&ids, 7), most: 1 + random.below(5) },
            15..=21 => self.plan_record(random),
            22 => Plan::Crash,
            23..=24 => Plan::Advance(KEYS.map(|key| group(ids[0], key)).to_vec()),
            25 => Plan::AdvanceGroups,
            26..=27 => self.of_one(model, random, Plan::Cancel),
            28 => Plan::CancelHeld(any, 1 + i64::try_from(random.below(3)).unwrap()),
            29..=30 => self.of_one(model, random, Plan::Retry),
            31..=32 => Plan::Replay(
                any,
                [vec![Ending::Succeeded], vec![Ending::Failed, Ending::Cancelled]][random.below(2)].clone(),
            ),
            33 => Plan::Switch(any, random.one_in(2)),
            34 if random.one_in(12) => Plan::Delete(any),
            35 if random.one_in(2) => Plan::Expire,
            _ if random.one_in(4) => Plan::Retain,
            _ => Plan::AdvanceGroups,
        }
    }

    /// Something to do with one delivery, whatever has become of it.
    fn of_one(&self, model: &Model, random: &mut Random, plan: impl Fn(DeliveryKey) -> Plan) -> Plan {
        let keys: Vec<_> = model.deliveries.keys().copied().collect();
        // Mostly a young one: of the old ones nothing is left.
        let young = keys.len().saturating_sub(if random.one_in(3) { keys.len() } else { 12 });
        keys.get(young + random.below(keys.len() - young)).copied().map_or(Plan::AdvanceGroups, plan)
    }

    fn plan_accept(&self, model: &Model, ids: &[SubscriptionId], random: &mut Random) -> Plan {
        let token = LeaseToken::from(Uuid::new_v4());
        let items = (0..1 + random.below(4)).map(|_| {
            let age = if random.one_in(4) { OLD } else { Duration::ZERO };
            let mut to = random.some(ids, 3);
            if to.is_empty() {
                to.push(ids[random.below(ids.len())]);
            }
            AcceptItem {
                event: Event {
                    id: EventId::at(OffsetDateTime::now_utc() - age, Uuid::new_v4().into_bytes()),
                    tenant: self.tenant,
                    event_type: None,
                    payload: Payload::parse(Bytes::from_static(b"{}")).unwrap(),
                    hops: Hops::default(),
                },
                key: None,
                is_from_outbox: false,
                list_version: None,
                timing: Timing::default(),
                ordering_key: Some(KEYS[random.below(KEYS.len())].parse().unwrap()),
                deliveries: to.into_iter().map(|subscription| delivery(model, ids, subscription, random)).collect(),
            }
        });
        Plan::Accept(items.collect(), token)
    }

    fn plan_record(&mut self, random: &mut Random) -> Plan {
        let parcels = random.some(&self.leased, 6);
        let reports = parcels.iter().map(|parcel| report(parcel, random)).collect();
        // Some are kept and reported a second time, late.
        if !random.one_in(4) {
            self.leased
                .retain(|parcel| parcels.iter().all(|sent| (sent.key, sent.token) != (parcel.key, parcel.token)));
        }
        Plan::Record(reports)
    }

    pub(super) async fn perform(&mut self, plan: Plan) -> Done {
        match plan {
            Plan::Accept(items, token) => self.accept(&items, token).await,
            Plan::Take { from, most } => self.take(&from, most).await,
            Plan::Record(reports) => self.record(reports).await,
            Plan::Crash => {
                self.forget();
                Done::Nothing
            }
            Plan::Advance(groups) => {
                self.store.advance(&groups).await.unwrap();
                Done::Advanced(groups.into_iter().map(|group| group.subscription).collect())
            }
            Plan::AdvanceGroups => self.advance_groups().await,
            Plan::Switch(subscription, is_active) => self.switch(subscription, is_active).await,
            Plan::Cancel(key) => {
                let cancelled = self.store.cancel(&self.chosen(key), 100, &By::COMMAND).await.unwrap();
                cancelled.map_or(Done::Nothing, |_| Done::Cancelled(key))
            }
            Plan::CancelHeld(subscription, most) => {
                self.store.cancel_held(self.tenant, subscription, most, &By::COMMAND).await.unwrap();
                Done::CancelledHeld(subscription)
            }
            Plan::Retry(key) => {
                self.store.retry(&self.chosen(key), LEASE, 100, &By::COMMAND).await.unwrap();
                Done::Retried(key)
            }
            Plan::Replay(subscription, statuses) => self.replay(subscription, statuses).await,
            Plan::Delete(subscription) => {
                self.store.delete_subscription(self.tenant, subscription, &By::COMMAND).await.unwrap();
                Done::Nothing
            }
            Plan::Expire => {
                let old = EventId::lower_bound(OffsetDateTime::now_utc() - RETENTION);
                self.store.expire(old, None, 1_000).await.unwrap();
                Done::Expired
            }
            Plan::Retain => {
                self.store.retain(RETENTION, RETENTION).await.unwrap();
                Done::Retained
            }
        }
    }

    async fn accept(&mut self, items: &[AcceptItem], token: LeaseToken) -> Done {
        let answer = match self.store.accept(items, token, LEASE).await {
            // An event of a day that retention has taken.
            Err(StoreError::NoPartition) => return Done::Nothing,
            answer => answer.unwrap(),
        };
        let (mut keys, mut leased, mut ordered) = (Vec::new(), BTreeMap::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            if answer.decisions[index] != Decision::Accepted {
                continue;
            }
            for (number, delivery) in item.deliveries.iter().enumerate() {
                let key =
                    DeliveryKey { event: item.event.id, subscription: delivery.subscription, tenant: self.tenant };
                keys.push(key);
                if delivery.is_ordered {
                    ordered.push(key);
                }
                if delivery.leased && !answer.released.contains(&(index, number)) {
                    leased.insert(key, token.uuid());
                    self.leased.push(Parcel { key, token, attempts: 1, ends: None });
                }
            }
        }
        Done::Accepted { keys, leased, ordered }
    }

    /// Of all that it can own it takes what there is room for, as a worker would.
    async fn take(&mut self, from: &[SubscriptionId], most: usize) -> Done {
        let keep = KeepRequest {
            worker: self.id,
            lasting: LEASE,
            owned: Vec::new(),
            wanted: from.iter().map(|subscription| (self.tenant, *subscription)).collect(),
            counted: Vec::new(),
        };
        let owned = self.store.keep_owned(&keep).await.unwrap();
        let breaker = |of: &SubscriptionId| {
            owned.iter().find(|owned| owned.subscription == *of).map_or(Breaker::Closed, |owned| owned.breaker)
        };
        let ask = |subscription: &SubscriptionId| TakeAsk {
            tenant: self.tenant,
            subscription: *subscription,
            most,
            due_from: OffsetDateTime::UNIX_EPOCH,
            breaker: breaker(subscription),
        };
        let token = LeaseToken::from(Uuid::new_v4());
        let request = TakeRequest {
            token,
            lease: LEASE,
            worker: self.id,
            takes_lapsed: true,
            most_bytes: 1_000,
            asks: from.iter().map(ask).collect(),
        };
        let mut taken = BTreeMap::new();
        for delivery in self.store.take(&request).await.unwrap().deliveries {
            taken.insert(delivery.key, (token.uuid(), delivery.attempts));
            self.leased.push(Parcel { key: delivery.key, token, attempts: delivery.attempts, ends: ends(&delivery) });
        }
        Done::Taken { taken, owned: owned.iter().map(|owned| owned.subscription).collect() }
    }

    /// The first step of a replay, which is large enough for all of it.
    async fn replay(&mut self, subscription: SubscriptionId, statuses: Vec<Ending>) -> Done {
        let now = OffsetDateTime::now_utc();
        let selection = Selection {
            statuses: statuses.clone(),
            event_types: Default::default(),
            after: EventId::lower_bound(OffsetDateTime::UNIX_EPOCH),
            below: EventId::lower_bound(now + OLD),
        };
        let new = NewReplay {
            tenant: self.tenant,
            id: ReplayId::at(now, Uuid::new_v4().into_bytes()),
            subscription,
            selection,
            rate: 10_000,
        };
        let replay = self.store.create_replay(&new, i64::MAX, &By::COMMAND).await.unwrap().unwrap();
        self.store.step_replay((self.tenant, replay.id), LEASE, 10_000).await.unwrap();
        Done::Replayed(subscription, statuses.into_iter().map(Ending::as_str).collect())
    }

    async fn record(&mut self, reports: Vec<Report>) -> Done {
        // As the recorder does it, where another changed a row meanwhile.
        let mut tries = 0;
        while let Err(error) = self.store.record(&reports).await {
            tries += 1;
            assert!(matches!(error, StoreError::Deadlock) && tries < 20, "{error}");
        }
        let logged = |report: &Report| i64::try_from(report.attempts.len()).unwrap();
        Done::Recorded(reports.iter().map(|report| (report.key, report.token, report.step, logged(report))).collect())
    }

    /// Everything that can be had, for the end of a run.
    pub(super) async fn take_all(&mut self, model: &Model) -> Done {
        let ids: Vec<SubscriptionId> = model.subscriptions.keys().copied().collect();
        self.take(&ids, 1_000).await
    }

    /// Everything that is leased arrived, or ends.
    pub(super) async fn succeed(&mut self) -> Done {
        let step = |parcel: &Parcel| parcel.ends.map_or(NextStep::Done, NextStep::GiveUp);
        let reports = self.leased.iter().map(|parcel| report_of(parcel, step(parcel))).collect();
        self.leased.clear();
        self.record(reports).await
    }

    /// Every group, as upkeep lets them go on.
    pub(super) async fn advance_groups(&self) -> Done {
        self.store.advance_groups(None, 1_000).await.unwrap();
        Done::AdvancedGroups
    }

    fn chosen(&self, key: DeliveryKey) -> Chosen {
        Chosen { tenant: self.tenant, event: key.event, subscription: Some(key.subscription) }
    }

    async fn switch(&mut self, subscription: SubscriptionId, is_active: bool) -> Done {
        let row = self.store.read_subscription(self.tenant, subscription).await.unwrap();
        if let Some(row) = row {
            self.store
                .replace_subscription(&postrider::store::StoredSubscription { is_active, ..row }, &By::COMMAND)
                .await
                .unwrap();
        }
        Done::Nothing
    }
}

fn group(subscription: SubscriptionId, key: &str) -> OrderingGroup {
    OrderingGroup { subscription, key: key.parse().unwrap() }
}

/// The first subscription wants every event in order, as intake would ask for it.
fn delivery(model: &Model, ids: &[SubscriptionId], subscription: SubscriptionId, random: &mut Random) -> NewDelivery {
    let is_ordered = subscription == ids[0];
    NewDelivery {
        subscription,
        version: model.subscriptions[&subscription].version,
        leased: !is_ordered && random.one_in(2),
        is_ordered,
    }
}

/// As the worker decides it; no delivery is too old for the model or has failed too often.
fn ends(delivery: &TakenDelivery) -> Option<EndReason> {
    let taken = Taken {
        event: delivery.key.event,
        is_deleted: delivery.is_deleted,
        is_cut_off: delivery.is_cut_off,
        end: delivery.end,
        counted: delivery.attempts - 1,
        max_attempts: u32::MAX,
    };
    taken.ends(OffsetDateTime::now_utc(), 10 * OLD)
}

fn report(parcel: &Parcel, random: &mut Random) -> Report {
    let step = match random.below(9) {
        0..=3 => NextStep::Done,
        4 | 5 => NextStep::RetryIn(Duration::from_secs(3_600)),
        6 => NextStep::GiveUp(EndReason::Exhausted),
        _ => NextStep::HandBack(Duration::ZERO),
    };
    report_of(parcel, parcel.ends.map_or(step, NextStep::GiveUp))
}

fn report_of(parcel: &Parcel, step: NextStep) -> Report {
    let outcome = match step {
        NextStep::Done => Some(Outcome::Delivered),
        NextStep::RetryIn(_) | NextStep::GiveUp(EndReason::Exhausted) => Some(Outcome::Http5xx),
        NextStep::HandBack(_) | NextStep::GiveUp(_) => None,
    };
    let began = Instant::now();
    let attempt = |outcome| Attempt {
        id: AttemptId::at(OffsetDateTime::now_utc(), Uuid::new_v4().into_bytes()),
        number: parcel.attempts,
        started_at: OffsetDateTime::now_utc(),
        trigger: Trigger::Fresh,
        answer: Answer { duration: began.elapsed(), ..Answer::without_response(outcome) },
    };
    Report {
        key: parcel.key,
        token: parcel.token,
        subscription_version: 1,
        event_type: None,
        ordering_key: None,
        attempts: outcome.map(attempt).into_iter().collect(),
        free_attempts: 0,
        step,
    }
}
