//! One connection: what it may do, what it did, and where that may bring a delivery.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use postrider::domain::attempt::{Answer, Attempt, Wishes};
use postrider::domain::breaker::Breaker;
use postrider::domain::delivery::{DeliveryKey, Report};
use postrider::domain::event::Event;
use postrider::domain::id::{AttemptId, EventId, LeaseToken, ReplayId, SubscriptionId, TenantId, WorkerId};
use postrider::domain::next_step::{EndReason, NextStep};
use postrider::domain::ordering::Line;
use postrider::domain::outcome::Outcome;
use postrider::domain::payload::Payload;
use postrider::domain::replay::{Ending, Selection};
use postrider::domain::timing::Timing;
use postrider::store::{
    AcceptItem, AcceptVerdict, ClaimRequest, DrawRequest, NewDelivery, NewReplay, Store, StoreError,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::deed::Done;
use super::dice::Dice;
use super::{LEASE, MAX_ATTEMPTS, Model, store_of};
use crate::support::rig::Rig;

const TENANT: &str = "00000000-0000-7000-8000-000000000000";
/// The lines of the subscription that is ordered.
const KEYS: [&str; 2] = ["left", "right"];
/// Five days: past every retention the model asks for.
const OLD: Duration = Duration::from_secs(5 * 86_400);
pub(super) const RETENTION: Duration = Duration::from_secs(3 * 86_400);

/// A delivery in an actor's hands.
#[derive(Clone)]
struct Parcel {
    key: DeliveryKey,
    token: LeaseToken,
    attempts: u16,
}

/// What an actor is about to do.
pub(super) enum Plan {
    Accept(Vec<AcceptItem>, LeaseToken),
    Claim(Box<ClaimRequest>),
    Record(Vec<Report>),
    Crash,
    Release(Vec<(SubscriptionId, usize)>),
    ReleaseOwnerless,
    Advance(Vec<Line>),
    Draw(Vec<(SubscriptionId, usize)>),
    Cancel(DeliveryKey),
    CancelHeld(SubscriptionId, i64),
    Retry(DeliveryKey),
    Replay(SubscriptionId, Vec<Ending>),
    Switch(SubscriptionId, bool),
    Delete(SubscriptionId),
    Retain,
}

/// One connection to the queue.
pub(super) struct Actor {
    store: Store,
    tenant: TenantId,
    /// The worker that it is, where a pace has one owner.
    id: WorkerId,
    hands: Vec<Parcel>,
}

impl Actor {
    pub(super) fn new(rig: &Rig) -> Self {
        Self {
            store: store_of(rig),
            tenant: TENANT.parse().unwrap(),
            id: WorkerId::from(Uuid::new_v4()),
            hands: Vec::new(),
        }
    }

    /// What it held is lost: the leases lapse.
    pub(super) fn forget(&mut self) {
        self.hands.clear();
    }

    pub(super) fn choose(&mut self, model: &Model, dice: &mut Dice) -> Plan {
        let ids: Vec<SubscriptionId> = model.subscriptions.keys().copied().collect();
        let any = ids[dice.below(ids.len())];
        match dice.below(36) {
            26..=28 => Plan::Draw(dice.some(&ids, 7).into_iter().map(|id| (id, 1 + dice.below(4))).collect()),
            29..=30 => self.of_one(model, dice, Plan::Cancel),
            31 => Plan::CancelHeld(any, 1 + i64::try_from(dice.below(3)).unwrap()),
            32..=33 => self.of_one(model, dice, Plan::Retry),
            34..=35 => Plan::Replay(
                any,
                [vec![Ending::Succeeded], vec![Ending::Failed, Ending::Cancelled]][dice.below(2)].clone(),
            ),
            0..=4 => self.plan_accept(model, &ids, dice),
            5..=10 => Plan::Claim(Box::new(request(1 + dice.below(6), dice.some(&ids, 2)))),
            11..=17 => {
                let parcels = dice.some(&self.hands, 6);
                let reports = parcels.iter().map(|parcel| report(parcel, dice)).collect();
                // Some are kept and reported a second time, late.
                let kept = |parcel: &Parcel| parcels.iter().all(|sent| sent.token != parcel.token);
                if !dice.one_in(4) {
                    self.hands.retain(kept);
                }
                Plan::Record(reports)
            }
            18 => Plan::Crash,
            19 => Plan::Release(dice.some(&ids, 5).into_iter().map(|id| (id, 1 + dice.below(4))).collect()),
            20 => Plan::ReleaseOwnerless,
            24..=25 => Plan::Advance(KEYS.map(|key| Line { subscription: ids[0], key: key.parse().unwrap() }).to_vec()),
            21 => Plan::Switch(any, dice.one_in(2)),
            22 if dice.one_in(12) => Plan::Delete(any),
            _ if dice.one_in(4) => Plan::Retain,
            _ => Plan::ReleaseOwnerless,
        }
    }

    /// Something to do with one delivery, whatever has become of it.
    fn of_one(&self, model: &Model, dice: &mut Dice, plan: impl Fn(DeliveryKey) -> Plan) -> Plan {
        let keys: Vec<_> = model.deliveries.keys().copied().collect();
        // Mostly a young one: of the old ones nothing is left.
        let young = keys.len().saturating_sub(if dice.one_in(3) { keys.len() } else { 12 });
        keys.get(young + dice.below(keys.len() - young)).copied().map_or(Plan::ReleaseOwnerless, plan)
    }

    fn plan_accept(&self, model: &Model, ids: &[SubscriptionId], dice: &mut Dice) -> Plan {
        let token = LeaseToken::from(Uuid::new_v4());
        let items = (0..1 + dice.below(4)).map(|_| {
            let age = if dice.one_in(4) { OLD } else { Duration::ZERO };
            let mut to = dice.some(ids, 3);
            if to.is_empty() {
                to.push(ids[dice.below(ids.len())]);
            }
            AcceptItem {
                event: Event {
                    id: EventId::at(OffsetDateTime::now_utc() - age),
                    tenant: self.tenant,
                    event_type: None,
                    payload: Payload::parse(Bytes::from_static(b"{}")).unwrap(),
                },
                key: None,
                list_version: None,
                timing: Timing::default(),
                ordering_key: Some(KEYS[dice.below(KEYS.len())].parse().unwrap()),
                deliveries: to.into_iter().map(|subscription| delivery(model, ids, subscription, dice)).collect(),
            }
        });
        Plan::Accept(items.collect(), token)
    }

    pub(super) async fn perform(&mut self, plan: Plan) -> Done {
        match plan {
            Plan::Accept(items, token) => self.accept(&items, token).await,
            Plan::Claim(request) => self.claim(&request).await,
            Plan::Record(reports) => self.record(reports).await,
            Plan::Crash => {
                self.forget();
                Done::Nothing
            }
            Plan::Release(room) => {
                self.store.release(&room).await.unwrap();
                Done::Released(room.into_iter().map(|(subscription, _)| subscription).collect())
            }
            Plan::ReleaseOwnerless => self.release_ownerless().await,
            Plan::Advance(lines) => {
                self.store.advance(&lines).await.unwrap();
                Done::Advanced(lines.into_iter().map(|line| line.subscription).collect())
            }
            Plan::Switch(subscription, is_active) => self.switch(subscription, is_active).await,
            Plan::Draw(rooms) => self.draw(rooms).await,
            Plan::Cancel(key) => {
                let cancelled = self.store.cancel(self.tenant, key.event, Some(key.subscription), 100).await.unwrap();
                cancelled.map_or(Done::Nothing, |_| Done::Cancelled(key))
            }
            Plan::CancelHeld(subscription, most) => {
                self.store.cancel_held(self.tenant, subscription, most).await.unwrap();
                Done::CancelledHeld(subscription)
            }
            Plan::Retry(key) => {
                self.store.retry(self.tenant, key.event, Some(key.subscription), LEASE, 100).await.unwrap();
                Done::Retried(key)
            }
            Plan::Replay(subscription, statuses) => self.replay(subscription, statuses).await,
            Plan::Delete(subscription) => {
                self.store.delete_subscription(self.tenant, subscription).await.unwrap();
                Done::Nothing
            }
            Plan::Retain => {
                self.store.retain(RETENTION, RETENTION).await.unwrap();
                Done::Retained
            }
        }
    }

    async fn accept(&mut self, items: &[AcceptItem], token: LeaseToken) -> Done {
        let verdicts = match self.store.accept(items, token, LEASE).await {
            // An event of a day that retention has taken.
            Err(StoreError::NoPartition) => return Done::Nothing,
            verdicts => verdicts.unwrap(),
        };
        let (mut keys, mut leased, mut ordered) = (Vec::new(), BTreeMap::new(), Vec::new());
        for item in items.iter().filter(|item| verdicts.verdicts.contains(&(item.event.id, AcceptVerdict::Accepted))) {
            for delivery in &item.deliveries {
                let key =
                    DeliveryKey { tenant: self.tenant, event: item.event.id, subscription: delivery.subscription };
                keys.push(key);
                if delivery.is_ordered {
                    ordered.push(key);
                }
                if delivery.leased && !verdicts.notes.contains_key(&(item.event.id, delivery.subscription)) {
                    leased.insert(key, token.uuid());
                    self.hands.push(Parcel { key, token, attempts: 1 });
                }
            }
        }
        Done::Accepted { keys, leased, ordered }
    }

    async fn claim(&mut self, request: &ClaimRequest) -> Done {
        let claim = self.store.claim(request).await.unwrap();
        let mut claimed = BTreeMap::new();
        for taken in claim.claimed {
            claimed.insert(taken.key, (request.token.uuid(), taken.attempts));
            self.hands.push(Parcel { key: taken.key, token: request.token, attempts: taken.attempts });
        }
        Done::Claimed { claimed, full: request.busy.iter().map(|(subscription, _)| *subscription).collect() }
    }

    async fn draw(&mut self, rooms: Vec<(SubscriptionId, usize)>) -> Done {
        self.store.take_paces(self.id, LEASE, 64, &[]).await.unwrap();
        let token = LeaseToken::from(Uuid::new_v4());
        let request = DrawRequest {
            owner: self.id,
            token,
            lease: LEASE,
            expired_before: request(0, Vec::new()).expired_before,
            rooms: rooms.into_iter().map(|(subscription, most)| (subscription, most, Breaker::RECOVERY)).collect(),
        };
        let mut claimed = BTreeMap::new();
        for taken in self.store.draw(&request).await.unwrap().claimed {
            claimed.insert(taken.key, (token.uuid(), taken.attempts));
            self.hands.push(Parcel { key: taken.key, token, attempts: taken.attempts });
        }
        Done::Drawn(claimed)
    }

    /// The first step of a replay, which is large enough for all of it.
    async fn replay(&mut self, subscription: SubscriptionId, statuses: Vec<Ending>) -> Done {
        let now = OffsetDateTime::now_utc();
        let selection = Selection {
            statuses: statuses.clone(),
            event_types: Default::default(),
            after: EventId::floor(OffsetDateTime::UNIX_EPOCH),
            below: EventId::floor(now + OLD),
        };
        let new = NewReplay { tenant: self.tenant, id: ReplayId::at(now), subscription, selection, rate: 10_000 };
        let replay = self.store.create_replay(&new, i64::MAX).await.unwrap().unwrap();
        self.store.step_replay((self.tenant, replay.id), LEASE, 10_000).await.unwrap();
        Done::Replayed(subscription, statuses.into_iter().map(Ending::as_str).collect())
    }

    async fn record(&mut self, reports: Vec<Report>) -> Done {
        // As the recorder does it, where another changed a row meanwhile.
        while let Err(error) = self.store.record(&reports).await {
            assert!(matches!(error, StoreError::Deadlock), "{error}");
        }
        let logged = |report: &Report| i64::try_from(report.attempts.len()).unwrap();
        Done::Recorded(reports.iter().map(|report| (report.key, report.token, report.step, logged(report))).collect())
    }

    /// Everything that can be had, for the end of a run.
    pub(super) async fn claim_all(&mut self) -> Done {
        self.claim(&request(1_000, Vec::new())).await
    }

    /// Everything in hand arrived.
    pub(super) async fn succeed(&mut self) -> Done {
        let reports = self.hands.iter().map(|parcel| report_of(parcel, NextStep::Done)).collect();
        self.hands.clear();
        self.record(reports).await
    }

    pub(super) async fn release_ownerless(&mut self) -> Done {
        self.store.release_ownerless(1_000).await.unwrap();
        Done::ReleasedOwnerless
    }

    /// The heads of all lines, as upkeep lets them go on.
    pub(super) async fn advance(&self, subscription: SubscriptionId) -> Done {
        let lines = KEYS.map(|key| Line { subscription, key: key.parse().unwrap() });
        self.store.advance(&lines).await.unwrap();
        Done::Advanced(vec![subscription])
    }

    async fn switch(&mut self, subscription: SubscriptionId, is_active: bool) -> Done {
        let row = self.store.read_subscription(self.tenant, subscription).await.unwrap();
        if let Some(row) = row {
            self.store.replace_subscription(&postrider::store::StoredSubscription { is_active, ..row }).await.unwrap();
        }
        Done::Nothing
    }
}

/// The first subscription wants every event in its line, as intake would ask for it.
fn delivery(model: &Model, ids: &[SubscriptionId], subscription: SubscriptionId, dice: &mut Dice) -> NewDelivery {
    let is_ordered = subscription == ids[0];
    NewDelivery {
        subscription,
        version: model.subscriptions[&subscription].version,
        leased: !is_ordered && dice.one_in(2),
        is_ordered,
    }
}

fn request(most: usize, full: Vec<SubscriptionId>) -> ClaimRequest {
    ClaimRequest {
        most,
        reach: most,
        token: LeaseToken::from(Uuid::new_v4()),
        lease: LEASE,
        floor: OffsetDateTime::UNIX_EPOCH,
        take_lapsed: true,
        max_attempts: MAX_ATTEMPTS,
        expired_before: EventId::floor(OffsetDateTime::now_utc() - 10 * OLD),
        busy: full.into_iter().map(|subscription| (subscription, 0)).collect(),
        room: 1_000,
    }
}

fn report(parcel: &Parcel, dice: &mut Dice) -> Report {
    let step = match dice.below(11) {
        0..=3 => NextStep::Done,
        4 | 5 => NextStep::RetryIn(Duration::from_secs(3_600)),
        6 => NextStep::GiveUp(EndReason::Exhausted),
        7 | 8 => NextStep::HandBack,
        9 => NextStep::Pace,
        _ => NextStep::Park,
    };
    report_of(parcel, step)
}

fn report_of(parcel: &Parcel, step: NextStep) -> Report {
    let outcome = match step {
        NextStep::Done => Some(Outcome::Delivered),
        NextStep::RetryIn(_) | NextStep::GiveUp(_) => Some(Outcome::Http5xx),
        NextStep::HandBack | NextStep::Park | NextStep::Pace => None,
    };
    let began = Instant::now();
    let attempt = |outcome| Attempt {
        id: AttemptId::at(OffsetDateTime::now_utc()),
        number: parcel.attempts,
        started_at: OffsetDateTime::now_utc(),
        answer: Answer {
            outcome,
            status: None,
            body: Bytes::new(),
            retry_after: None,
            remote: None,
            duration: began.elapsed(),
            stale_connection: false,
            wishes: Wishes::default(),
        },
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
