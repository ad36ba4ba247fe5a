//! The subscriptions with due deliveries, in memory only.
//! Tenants take turns, and so do a tenant's lanes. A lane without room leaves the rotation, so a pass costs only what
//! it takes.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::ownership::Ownership;
use crate::domain::breaker::Breaker;
use crate::domain::delivery::Due;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::share::Share;
use crate::domain::slots::{Slot, Slots};

/// About 150 bytes each. The full scan finds what has no lane.
const MAX_LANES: usize = 100_000;
const SHARE: Share = Share(4);
/// A delivery may be committed this long after its due time and the next take still sees it.
const SLACK: Duration = Duration::from_millis(250);

#[derive(Debug)]
struct Lane {
    tenant: TenantId,
    /// Earlier due times are not read.
    due_from: OffsetDateTime,
    /// `usize::MAX` = unknown.
    expected: usize,
    is_ready: bool,
}

#[derive(Debug)]
pub(super) struct Ask {
    pub(super) tenant: TenantId,
    pub(super) subscription: SubscriptionId,
    pub(super) due_from: OffsetDateTime,
    pub(super) slots: Vec<Slot>,
    pub(super) breaker: Breaker,
    pub(super) is_paced: bool,
}

#[derive(Debug)]
pub(super) struct Lanes {
    slots: Slots,
    lanes: HashMap<SubscriptionId, Lane>,
    by_tenant: HashMap<TenantId, usize>,
    ready: HashMap<TenantId, VecDeque<SubscriptionId>>,
    turns: VecDeque<TenantId>,
}

impl Lanes {
    pub(super) fn new(slots: Slots) -> Self {
        Self { slots, lanes: HashMap::new(), by_tenant: HashMap::new(), ready: HashMap::new(), turns: VecDeque::new() }
    }

    pub(super) fn expect(&mut self, due: &Due) {
        if !self.lanes.contains_key(&due.subscription) {
            let of_tenant = self.by_tenant.get(&due.tenant).copied().unwrap_or(0);
            if !SHARE.allows(of_tenant, MAX_LANES.saturating_sub(self.lanes.len())) {
                return;
            }
            self.by_tenant.insert(due.tenant, of_tenant + 1);
        }
        let due_from = due.since - SLACK;
        let new = || Lane { tenant: due.tenant, due_from, expected: 0, is_ready: false };
        let lane = self.lanes.entry(due.subscription).or_insert_with(new);
        lane.due_from = lane.due_from.min(due_from);
        lane.expected = due.rows.map_or(usize::MAX, |rows| lane.expected.saturating_add(rows));
        self.make_ready(due.subscription);
    }

    pub(super) fn make_ready(&mut self, subscription: SubscriptionId) {
        let Some(lane) = self.lanes.get_mut(&subscription).filter(|lane| !lane.is_ready) else { return };
        lane.is_ready = true;
        let queue = self.ready.entry(lane.tenant).or_default();
        if queue.is_empty() {
            self.turns.push_back(lane.tenant);
        }
        queue.push_back(subscription);
    }

    pub(super) fn forget(&mut self, subscription: SubscriptionId) {
        if self.remove(subscription).is_some() {
            self.slots.set_backlogged(subscription, false);
        }
    }

    pub(super) fn knows(&self, subscription: SubscriptionId) -> bool {
        self.lanes.contains_key(&subscription)
    }

    /// Removes a lane and returns where its due deliveries start.
    pub(super) fn remove(&mut self, subscription: SubscriptionId) -> Option<OffsetDateTime> {
        let lane = self.lanes.remove(&subscription)?;
        if let Entry::Occupied(mut of_tenant) = self.by_tenant.entry(lane.tenant) {
            *of_tenant.get_mut() -= 1;
            if *of_tenant.get() == 0 {
                of_tenant.remove();
            }
        }
        Some(lane.due_from)
    }

    pub(super) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Chooses what to take now and reserves the slots: up to `most` deliveries, tenants in turn.
    pub(super) fn asks(&mut self, owned: &mut Ownership, most: usize, now: Instant) -> Vec<Ask> {
        let (mut asks, mut left, mut without_share) = (Vec::new(), most, Vec::new());
        while left > 0 {
            let Some(tenant) = self.turns.pop_front() else { break };
            let Some(subscription) = self.ready.get_mut(&tenant).and_then(VecDeque::pop_front) else { continue };
            let ask = self.ask(tenant, subscription, owned, left, now);
            let has_share = !matches!(&ask, Some(ask) if ask.slots.is_empty());
            if let Some(ask) = ask.filter(|_| has_share) {
                left -= ask.slots.len();
                asks.push(ask);
            }
            let Some(queue) = self.ready.get_mut(&tenant) else { continue };
            if !has_share {
                queue.push_front(subscription);
                without_share.push(tenant);
            } else if queue.is_empty() {
                self.ready.remove(&tenant);
            } else {
                self.turns.push_back(tenant);
            }
        }
        if !without_share.is_empty() {
            self.slots.await_any();
        }
        self.turns.extend(without_share);
        asks
    }

    /// `None` if the lane has no room; without slots if its tenant has used its share.
    fn ask(
        &mut self,
        tenant: TenantId,
        subscription: SubscriptionId,
        owned: &mut Ownership,
        most: usize,
        now: Instant,
    ) -> Option<Ask> {
        let lane = self.lanes.get_mut(&subscription)?;
        let slots = &self.slots;
        let pace = owned.pace(subscription);
        let (is_paced, breaker) = (pace.is_some(), pace.map_or(Breaker::Closed, |pace| pace.breaker));
        let paced = if is_paced { owned.room(subscription, now) } else { usize::MAX };
        let wanted = paced.min(lane.expected);
        let room = if wanted == 0 { 0 } else { slots.room_for(subscription, wanted) };
        if room == 0 {
            lane.is_ready = false;
            // A lane that waits for its pace is woken by a timer.
            if wanted > 0 {
                slots.set_backlogged(subscription, true);
                slots.await_room(subscription, wanted);
            }
            return None;
        }
        slots.set_backlogged(subscription, room < lane.expected);
        let slots = slots.reserve(tenant, subscription, room.min(most));
        // A lane waits for its take to return, unless it got no slot.
        lane.is_ready = slots.is_empty();
        Some(Ask { tenant, subscription, due_from: lane.due_from, slots, breaker, is_paced })
    }

    /// Updates a lane after a take. Returns whether more may be due. `is_cut_short`: the byte limit ended the take.
    pub(super) fn took(
        &mut self,
        subscription: SubscriptionId,
        asked: usize,
        got: usize,
        last_due: Option<OffsetDateTime>,
        is_cut_short: bool,
    ) -> bool {
        let Some(lane) = self.lanes.get_mut(&subscription) else { return false };
        if let Some(last_due) = last_due {
            lane.due_from = lane.due_from.max(last_due - SLACK);
        }
        if lane.expected != usize::MAX {
            lane.expected = lane.expected.saturating_sub(got);
        }
        if (got < asked && !is_cut_short) || lane.expected == 0 {
            self.forget(subscription);
            return false;
        }
        self.make_ready(subscription);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::slots::SlotLimits;
    use crate::worker::ownership::tests::{own, ownership, paced};
    use uuid::Uuid;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn lanes(total: usize, per_subscription: usize) -> Lanes {
        Lanes::new(Slots::new(SlotLimits { total, bytes: 1 << 30, per_subscription }))
    }

    /// The tenant is the subscription's number divided by 100.
    fn due(subscription: u128, rows: Option<usize>) -> Due {
        Due {
            tenant: Uuid::from_u128(subscription / 100).into(),
            subscription: Uuid::from_u128(subscription).into(),
            rows,
            since: NOW,
        }
    }

    fn asked(asks: &[Ask]) -> Vec<(u128, usize)> {
        asks.iter().map(|ask| (ask.subscription.uuid().as_u128(), ask.slots.len())).collect()
    }

    fn asks(lanes: &mut Lanes, most: usize) -> Vec<Ask> {
        lanes.asks(&mut ownership(), most, Instant::now())
    }

    #[test]
    fn tenants_take_turns_and_so_do_the_subscriptions_of_each() {
        let mut lanes = lanes(10_000, 64);
        for subscription in [100, 101, 102, 200] {
            lanes.expect(&due(subscription, Some(3)));
        }
        assert_eq!(asked(&asks(&mut lanes, 1_000)), [(100, 3), (200, 3), (101, 3), (102, 3)]);
    }

    #[test]
    fn a_take_is_not_larger_than_it_may_be_and_the_next_goes_on_where_it_ended() {
        let mut lanes = lanes(10_000, 64);
        for subscription in [100, 200, 300] {
            lanes.expect(&due(subscription, None));
        }
        assert_eq!(asked(&asks(&mut lanes, 150)), [(100, 128), (200, 22)]);
        assert_eq!(asked(&asks(&mut lanes, 150)), [(300, 128)]);
        assert!(asks(&mut lanes, 150).is_empty());
    }

    #[test]
    fn a_full_subscription_waits_until_half_of_its_requests_fit() {
        let mut lanes = lanes(10_000, 8);
        let subscription = due(100, None).subscription;
        lanes.expect(&due(100, None));
        let mut first = asks(&mut lanes, 1_000);
        assert_eq!(asked(&first), [(100, 16)]);
        assert!(lanes.took(subscription, 16, 16, Some(NOW), false));
        assert!(asks(&mut lanes, 1_000).is_empty());
        first[0].slots.truncate(13);
        assert!(lanes.slots.with_room().is_empty());
        first[0].slots.truncate(12);
        assert_eq!(lanes.slots.with_room(), [subscription]);
        lanes.make_ready(subscription);
        assert_eq!(asked(&asks(&mut lanes, 1_000)), [(100, 4)]);
    }

    #[test]
    fn a_tenant_without_a_share_waits_at_the_head_of_the_turns_and_the_others_pass() {
        let mut lanes = lanes(40, 64);
        lanes.expect(&due(100, None));
        let mut of_one = asks(&mut lanes, 1_000);
        assert_eq!(asked(&of_one), [(100, 32)]);
        lanes.took(due(100, None).subscription, 32, 32, Some(NOW), false);
        lanes.expect(&due(200, Some(2)));
        assert_eq!(asked(&asks(&mut lanes, 1_000)), [(200, 2)]);
        of_one[0].slots.truncate(20);
        assert!(!asks(&mut lanes, 1_000).is_empty());
    }

    #[test]
    fn a_lane_is_forgotten_when_a_take_brought_less_than_was_asked_for_unless_it_was_cut_short() {
        let mut lanes = lanes(10_000, 64);
        let subscription = due(100, None).subscription;
        lanes.expect(&due(100, None));
        drop(asks(&mut lanes, 1_000));
        assert!(lanes.took(subscription, 128, 100, Some(NOW), true));
        drop(asks(&mut lanes, 1_000));
        assert!(!lanes.took(subscription, 128, 127, Some(NOW), false));
        assert!(!lanes.knows(subscription));
        lanes.expect(&due(100, Some(1)));
        drop(asks(&mut lanes, 1_000));
        assert!(!lanes.took(subscription, 1, 1, Some(NOW), false), "all that was expected came");
    }

    #[test]
    fn the_due_time_follows_takes_and_goes_back_for_earlier_rows() {
        let mut lanes = lanes(10_000, 64);
        let (subscription, later) = (due(100, None).subscription, NOW + Duration::from_secs(60));
        lanes.expect(&due(100, None));
        drop(asks(&mut lanes, 1_000));
        lanes.took(subscription, 128, 128, Some(later), false);
        assert_eq!(asks(&mut lanes, 1_000)[0].due_from, later - SLACK);
        lanes.took(subscription, 128, 128, Some(later), false);
        lanes.expect(&due(100, Some(1)));
        assert_eq!(asks(&mut lanes, 1_000)[0].due_from, NOW - SLACK);
    }

    #[test]
    fn of_a_paced_subscription_no_more_is_asked_for_than_its_pace_allows() {
        let mut lanes = lanes(10_000, 64);
        let now = Instant::now();
        let mut owned = ownership();
        let subscription = due(100, None).subscription;
        own(&mut owned, &[paced(100, 5)], now);
        lanes.expect(&due(100, None));
        let ask = lanes.asks(&mut owned, 1_000, now);
        assert!(ask[0].is_paced);
        assert_eq!(asked(&ask), [(100, 5)]);
        owned.sent(subscription, 5, true, now);
        lanes.took(subscription, 5, 5, Some(NOW), false);
        assert!(lanes.asks(&mut owned, 1_000, now).is_empty(), "it is full");
    }
}
