//! The paced subscriptions of a worker: owned, wanted, and the transitions of their breakers.
//!
//! The owner renews its row while it has work, and sends nothing that could outlast it. Decisions apply here at once;
//! a task writes them in batches.

mod breakers;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::pace::Pace;
use crate::domain::backoff::Jitter;
use crate::domain::breaker::BreakerRules;
use crate::domain::delivery::Due;
use crate::domain::id::{SubscriptionId, TenantId, WorkerId};
use crate::store::{BreakerChange, KeepRequest, Owned};

/// Limits how late a changed rate or cap takes effect.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
const KEEP_PAUSE: Duration = Duration::from_millis(20);
const MOST_KEPT: usize = 500;
const FAILURE_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
pub(super) struct OwnerRules {
    pub(super) worker: WorkerId,
    pub(super) lasting: Duration,
    /// Time that one attempt needs before the ownership ends.
    pub(super) needed: Duration,
    pub(super) most: usize,
    pub(super) breaker: BreakerRules,
    pub(super) jitter: Jitter,
}

/// What one renewal task writes and requests.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) changes: Vec<BreakerChange>,
    pub(super) dropped: Vec<SubscriptionId>,
    pub(super) keep: KeepRequest,
}

#[derive(Debug)]
pub(super) struct Kept {
    pub(super) asked: Vec<SubscriptionId>,
    pub(super) owned: Vec<Owned>,
}

#[derive(Debug)]
pub(super) struct Ownership {
    rules: OwnerRules,
    paces: HashMap<SubscriptionId, Pace>,
    /// With the earliest due time of their deliveries.
    wanted: HashMap<SubscriptionId, (TenantId, OffsetDateTime)>,
    changes: HashMap<SubscriptionId, BreakerChange>,
    /// Transitions that the running round writes.
    writing: HashSet<SubscriptionId>,
    dropped: Vec<SubscriptionId>,
    wakes: BTreeSet<(Instant, SubscriptionId)>,
    refreshes: BTreeSet<(Instant, SubscriptionId)>,
    is_keeping: bool,
    kept_at: Instant,
    settled_at: Instant,
}

impl Ownership {
    pub(super) fn new(rules: OwnerRules, now: Instant) -> Self {
        Self {
            rules,
            paces: HashMap::new(),
            wanted: HashMap::new(),
            changes: HashMap::new(),
            writing: HashSet::new(),
            dropped: Vec::new(),
            wakes: BTreeSet::new(),
            refreshes: BTreeSet::new(),
            is_keeping: false,
            kept_at: now,
            settled_at: now,
        }
    }

    pub(super) fn owned(&self) -> Vec<SubscriptionId> {
        self.paces.keys().copied().collect()
    }

    pub(super) fn pace(&self, subscription: SubscriptionId) -> Option<&Pace> {
        self.paces.get(&subscription)
    }

    pub(super) fn has_due(&mut self, subscription: SubscriptionId) -> bool {
        let pace = self.paces.get_mut(&subscription);
        pace.map(|pace| pace.has_work = true).is_some()
    }

    pub(super) fn want(&mut self, due: &Due) {
        self.wanted.entry(due.subscription).or_insert((due.tenant, due.since));
    }

    pub(super) fn refresh(&mut self, subscription: SubscriptionId, now: Instant) {
        if self.paces.contains_key(&subscription) {
            self.refreshes.insert((now, subscription));
        }
    }

    /// How many deliveries may be taken now. If none, schedules the time at which more may be.
    pub(super) fn room(&mut self, subscription: SubscriptionId, now: Instant) -> usize {
        let Some(pace) = self.paces.get_mut(&subscription) else { return 0 };
        // `take` returns nothing until the database knows the breaker.
        if self.changes.contains_key(&subscription) || self.writing.contains(&subscription) {
            return 0;
        }
        if pace.until.saturating_duration_since(now) <= self.rules.needed {
            self.refreshes.insert((now, subscription));
            return 0;
        }
        let room = pace.room(now);
        if room == 0
            && let Some(at) = pace.next(now)
        {
            self.wakes.insert((at.max(now + Duration::from_millis(1)), subscription));
        }
        room
    }

    pub(super) fn sent(&mut self, subscription: SubscriptionId, count: usize, has_more: bool, now: Instant) {
        if let Some(pace) = self.paces.get_mut(&subscription) {
            pace.sent(count, now);
            pace.has_work = has_more;
        }
    }

    pub(super) fn woken(&mut self, now: Instant) -> Vec<SubscriptionId> {
        let mut woken = Vec::new();
        while let Some((at, subscription)) = self.wakes.first().copied().filter(|(at, _)| *at <= now) {
            self.wakes.remove(&(at, subscription));
            woken.push(subscription);
        }
        woken
    }

    pub(super) fn next(&self) -> Option<Instant> {
        let wake = self.wakes.first().map(|(at, _)| *at);
        let has_requests = !self.wanted.is_empty() || !self.changes.is_empty() || !self.dropped.is_empty();
        let refresh = self.refreshes.first().map(|(at, _)| *at);
        let round = has_requests.then_some(self.kept_at).into_iter().chain(refresh).min();
        let round = round.filter(|_| !self.is_keeping).map(|at| at.max(self.kept_at + KEEP_PAUSE));
        [wake, round, self.settles_at()].into_iter().flatten().min()
    }

    pub(super) fn begin(&mut self, now: Instant) -> Option<Round> {
        self.settle(now);
        if self.is_keeping || now < self.kept_at + KEEP_PAUSE {
            return None;
        }
        let mut owned = Vec::new();
        while owned.len() < MOST_KEPT
            && let Some((at, subscription)) = self.refreshes.first().copied().filter(|(at, _)| *at <= now)
        {
            self.refreshes.remove(&(at, subscription));
            owned.extend(self.paces.contains_key(&subscription).then_some(subscription));
        }
        let changing: Vec<SubscriptionId> = self.changes.keys().take(MOST_KEPT).copied().collect();
        let changes: Vec<BreakerChange> = changing.iter().filter_map(|id| self.changes.remove(id)).collect();
        self.writing = changes.iter().map(|change| change.subscription).collect();
        owned.extend(&self.writing);
        owned.sort_unstable();
        owned.dedup();
        let wanted = self.wanted.iter().take(MOST_KEPT).map(|(subscription, (tenant, _))| (*tenant, *subscription));
        let wanted: Vec<_> = wanted.collect();
        let dropped = std::mem::take(&mut self.dropped);
        if owned.is_empty() && wanted.is_empty() && changes.is_empty() && dropped.is_empty() {
            return None;
        }
        (self.is_keeping, self.kept_at) = (true, now);
        let foreign = owned.iter().filter(|id| self.paces.get(id).is_some_and(|pace| pace.foreign > 0));
        let counted = foreign.copied().chain(wanted.iter().map(|(_, subscription)| *subscription)).collect();
        let OwnerRules { worker, lasting, .. } = self.rules;
        Some(Round { changes, dropped, keep: KeepRequest { worker, lasting, owned, wanted, counted } })
    }

    /// Applies the result of a round. Returns the deliveries of subscriptions that became ours.
    pub(super) fn kept(&mut self, kept: &Kept, began: Instant, since: OffsetDateTime) -> Vec<Due> {
        self.is_keeping = false;
        self.writing.clear();
        let mut gained = Vec::new();
        for owned in &kept.owned {
            let wanted = self.wanted.remove(&owned.subscription);
            if !owned.is_paced || !owned.is_active {
                // A disabled or no longer paced subscription needs no owner.
                self.paces.remove(&owned.subscription);
                self.dropped.push(owned.subscription);
                gained.extend(owned.is_active.then(|| due(owned, wanted, since)));
                continue;
            }
            let is_new = !self.paces.contains_key(&owned.subscription);
            let new = || Pace::new(owned, self.rules.most, self.rules.lasting, began);
            let pace = self.paces.entry(owned.subscription).or_insert_with(new);
            pace.apply(owned, self.rules.most, began);
            // The database had another breaker, so takes in between returned nothing.
            let is_other = !self.changes.contains_key(&owned.subscription) && pace.apply_breaker(owned, began);
            pace.has_work |= is_other;
            self.refreshes.insert((pace.refresh_at(began, REFRESH_EVERY), owned.subscription));
            self.wakes.insert((began, owned.subscription));
            gained.extend((is_new || is_other).then(|| due(owned, wanted, since)));
        }
        // Another worker owns the rest.
        let ours: HashSet<_> = kept.owned.iter().map(|owned| owned.subscription).collect();
        for subscription in kept.asked.iter().filter(|subscription| !ours.contains(subscription)) {
            self.wanted.remove(subscription);
            self.paces.remove(subscription);
        }
        gained
    }

    /// Transitions of a failed round are lost and read again.
    pub(super) fn not_kept(&mut self, asked: &[SubscriptionId], now: Instant) {
        (self.is_keeping, self.kept_at) = (false, now + FAILURE_PAUSE);
        self.writing.clear();
        for subscription in asked {
            self.refresh(*subscription, now);
        }
    }
}

fn due(owned: &Owned, wanted: Option<(TenantId, OffsetDateTime)>, since: OffsetDateTime) -> Due {
    let since = wanted.map_or(since, |(_, since)| since);
    Due { tenant: owned.tenant, subscription: owned.subscription, rows: None, since }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::breaker::{Breaker, ResponseClass};
    use crate::worker::signal::Answered;
    use uuid::Uuid;

    const MOMENT: Duration = Duration::from_millis(30);
    const SINCE: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    pub(in crate::worker) fn ownership() -> Ownership {
        let rules = OwnerRules {
            worker: WorkerId::from(Uuid::from_u128(1)),
            lasting: Duration::from_secs(25),
            needed: Duration::from_secs(12),
            most: 64,
            breaker: BreakerRules {
                failures: 10,
                after: Duration::from_secs(30),
                probe: Duration::from_secs(30),
                probe_max: Duration::from_secs(600),
            },
            jitter: Jitter::new(0.0).unwrap(),
        };
        Ownership::new(rules, Instant::now())
    }

    /// The tenant is the subscription's number divided by 100.
    pub(in crate::worker) fn paced(subscription: u128, max_in_flight: u32) -> Owned {
        Owned {
            subscription: Uuid::from_u128(subscription).into(),
            tenant: Uuid::from_u128(subscription / 100).into(),
            lasts: Duration::from_secs(25),
            is_active: true,
            is_paced: true,
            rate_limit: None,
            max_in_flight: Some(max_in_flight),
            breaker: Breaker::Closed,
            wait: Duration::ZERO,
            leased: 0,
        }
    }

    pub(in crate::worker) fn own(ownership: &mut Ownership, owned: &[Owned], now: Instant) -> Vec<Due> {
        let asked = owned.iter().map(|owned| owned.subscription).collect();
        ownership.kept(&Kept { asked, owned: owned.to_vec() }, now, SINCE)
    }

    fn answer(subscription: SubscriptionId, class: ResponseClass) -> Answered {
        Answered { subscription, is_probe: true, class: Some(class) }
    }

    #[test]
    fn what_is_wanted_is_asked_for_in_one_round_and_what_is_ours_may_be_sent() {
        let (mut ownership, now) = (ownership(), Instant::now() + MOMENT);
        let since = OffsetDateTime::UNIX_EPOCH + Duration::from_secs(7);
        for subscription in [100, 101] {
            let Owned { tenant, subscription, .. } = paced(subscription, 5);
            ownership.want(&Due { tenant, subscription, rows: None, since });
        }
        let round = ownership.begin(now).unwrap();
        assert_eq!(round.keep.wanted.len(), 2);
        assert!(ownership.begin(now + MOMENT).is_none(), "one at a time");
        let asked = round.keep.wanted.iter().map(|(_, subscription)| *subscription).collect();
        let due = ownership.kept(&Kept { asked, owned: vec![paced(100, 5)] }, now, SINCE);
        assert_eq!((due.len(), due[0].since), (1, since));
        assert_eq!(ownership.room(paced(100, 5).subscription, now), 5);
        assert_eq!(ownership.room(paced(101, 5).subscription, now), 0);
        assert!(ownership.wanted.is_empty());
    }

    #[test]
    fn nothing_is_sent_that_may_outlast_its_ownership() {
        let (mut ownership, now) = (ownership(), Instant::now() + MOMENT);
        let subscription = paced(100, 5).subscription;
        own(&mut ownership, &[paced(100, 5)], now);
        let late = now + Duration::from_secs(14);
        assert_eq!(ownership.room(subscription, late), 0);
        assert_eq!(ownership.begin(late).unwrap().keep.owned, [subscription]);
        own(&mut ownership, &[paced(100, 5)], late);
        assert_eq!(ownership.room(subscription, late), 5);
    }

    #[test]
    fn a_probe_that_succeeds_begins_a_recovery_once_the_database_knows_it() {
        let (mut ownership, now) = (ownership(), Instant::now() + MOMENT);
        let open = Owned { breaker: Breaker::Open { probes: 0 }, ..paced(100, 64) };
        let subscription = open.subscription;
        own(&mut ownership, &[open], now);
        assert_eq!(ownership.room(subscription, now), 1);
        ownership.sent(subscription, 1, true, now);
        ownership.answered(&answer(subscription, ResponseClass::Success), 0.5, now);
        assert_eq!(ownership.room(subscription, now), 0, "a take would bring nothing yet");
        let round = ownership.begin(now + MOMENT).unwrap();
        assert_eq!((round.changes.len(), round.changes[0].to), (1, Breaker::RECOVERY));
        assert_eq!(ownership.room(subscription, now + MOMENT), 0);
        own(&mut ownership, &[Owned { breaker: Breaker::RECOVERY, ..open }], now + MOMENT);
        assert_eq!(ownership.room(subscription, now + MOMENT), 2);
        assert!(ownership.woken(now + MOMENT).contains(&subscription));
    }

    #[test]
    fn a_probe_that_fails_is_followed_by_a_later_one() {
        let (mut ownership, now) = (ownership(), Instant::now() + MOMENT);
        let open = Owned { breaker: Breaker::Open { probes: 0 }, ..paced(100, 64) };
        own(&mut ownership, &[open], now);
        ownership.sent(open.subscription, 1, true, now);
        ownership.answered(&answer(open.subscription, ResponseClass::Failure), 0.5, now);
        let round = ownership.begin(now + MOMENT).unwrap();
        assert_eq!(round.changes[0].to, Breaker::Open { probes: 1 });
        assert_eq!(round.changes[0].wait, Some(Duration::from_secs(60)));
    }

    #[test]
    fn a_breaker_that_another_process_opened_is_followed_and_its_deliveries_are_asked_for_again() {
        let (mut ownership, now) = (ownership(), Instant::now() + MOMENT);
        assert_eq!(own(&mut ownership, &[paced(100, 5)], now).len(), 1);
        assert!(own(&mut ownership, &[paced(100, 5)], now).is_empty());
        let open = Owned { breaker: Breaker::Open { probes: 0 }, wait: Duration::from_secs(9), ..paced(100, 5) };
        assert_eq!(own(&mut ownership, &[open], now).len(), 1);
        assert_eq!(ownership.room(open.subscription, now), 0);
        assert_eq!(ownership.room(open.subscription, now + Duration::from_secs(9)), 1);
    }

    #[test]
    fn a_round_that_failed_is_repeated_after_a_pause_and_its_transitions_are_read_anew() {
        let (mut ownership, now) = (ownership(), Instant::now() + MOMENT);
        let open = Owned { breaker: Breaker::Open { probes: 0 }, ..paced(100, 64) };
        own(&mut ownership, &[open], now);
        ownership.answered(&answer(open.subscription, ResponseClass::Success), 0.5, now);
        let round = ownership.begin(now + MOMENT).unwrap();
        ownership.not_kept(&round.keep.owned, now + MOMENT);
        assert!(ownership.begin(now + 2 * MOMENT).is_none());
        let later = now + MOMENT + FAILURE_PAUSE + KEEP_PAUSE;
        assert_eq!(ownership.begin(later).unwrap().keep.owned, [open.subscription]);
        assert_eq!(own(&mut ownership, &[open], later).len(), 1, "it is still open there");
    }

    #[test]
    fn what_needs_no_owner_any_more_is_given_up_and_left_to_everybody() {
        let (mut ownership, now) = (ownership(), Instant::now() + MOMENT);
        own(&mut ownership, &[paced(100, 5), paced(101, 5)], now);
        let free = Owned { is_paced: false, ..paced(100, 5) };
        let disabled = Owned { is_active: false, ..paced(101, 5) };
        let due = own(&mut ownership, &[free, disabled], now);
        assert_eq!((due.len(), due[0].subscription), (1, free.subscription));
        assert!(ownership.owned().is_empty());
        assert_eq!(ownership.begin(now + MOMENT).unwrap().dropped, [free.subscription, disabled.subscription]);
    }

    #[test]
    fn an_ownership_without_work_is_given_up_after_a_while() {
        let (mut ownership, now) = (ownership(), Instant::now() + MOMENT);
        own(&mut ownership, &[paced(100, 5)], now);
        ownership.sent(paced(100, 5).subscription, 0, false, now);
        let round = ownership.begin(now + Duration::from_secs(9)).unwrap();
        assert!(round.dropped.is_empty());
        own(&mut ownership, &[paced(100, 5)], now + Duration::from_secs(9));
        assert_eq!(ownership.begin(now + Duration::from_secs(11)).unwrap().dropped, [paced(100, 5).subscription]);
    }
}
