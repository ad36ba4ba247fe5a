//! The main loop of a worker: find subscriptions with due deliveries, take as many as there is room for, send.
//! It waits only for `find` and `take`; full scan, ownerships and recording run in their own tasks.

mod keep;
mod take;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::rand::SystemRandom;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::WorkerParts;
use super::deliverer::{Deliverer, SEND_MARGIN, random_fraction};
use super::finder::{Finder, MOST_ROWS, REACH_BACK};
use super::full_scan::FullScan;
use super::lanes::Lanes;
use super::outage::Outage;
use super::ownership::{OwnerRules, Ownership};
use super::peers::Peers;
use super::signal::{Signal, Signals};
use super::timers::RetryTimers;
use crate::domain::id::{SubscriptionId, WorkerId};
use crate::store::{Found, Notice, StoreError};

const FAILURE_PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Fetcher {
    parts: WorkerParts,
    id: WorkerId,
    deliverer: Arc<Deliverer>,
    outage: Outage,
    signals: Signals,
    inbox: UnboundedReceiver<Signal>,
    lanes: Lanes,
    owned: Ownership,
    finder: Finder,
    full_scan: FullScan,
    timers: RetryTimers,
    peers: Peers,
    random: SystemRandom,
    resumes_at: Option<Instant>,
    tasks: JoinSet<()>,
    is_broken: bool,
}

impl Fetcher {
    pub(super) fn new(
        parts: WorkerParts,
        id: WorkerId,
        deliverer: Arc<Deliverer>,
        outage: Outage,
        (signals, inbox): (Signals, UnboundedReceiver<Signal>),
    ) -> Self {
        let now = Instant::now();
        let rules = OwnerRules {
            worker: id,
            lasting: parts.rules.lease,
            needed: parts.rules.request_timeout + SEND_MARGIN,
            most: parts.slots.limits().per_subscription,
            breaker: parts.rules.breaker,
            jitter: parts.rules.retries.jitter,
        };
        Self {
            lanes: Lanes::new(parts.slots.clone()),
            owned: Ownership::new(rules, now),
            finder: Finder::new(parts.clock.now(), now),
            full_scan: FullScan::new(now),
            timers: RetryTimers::default(),
            peers: Peers::new(id),
            random: SystemRandom::new(),
            resumes_at: None,
            tasks: JoinSet::new(),
            is_broken: false,
            parts,
            id,
            deliverer,
            outage,
            signals,
            inbox,
        }
    }

    /// Runs until `stop` is cancelled or one of its tasks panics. Returns the owned subscriptions.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> Vec<SubscriptionId> {
        let mut has_taken = false;
        while !stop.is_cancelled() && !self.is_broken {
            if !has_taken {
                self.wait(stop).await;
            }
            self.apply_all();
            self.apply_time(Instant::now());
            self.find().await;
            self.start_full_scan();
            self.keep_owned();
            has_taken = self.take(stop).await;
            self.parts.metrics.lanes.set(self.lanes.len() as f64);
        }
        self.owned.owned()
    }

    async fn wait(&mut self, stop: &CancellationToken) {
        let times = [Some(self.finder.next()), self.full_scan.next(), self.owned.next(), self.timers.next()];
        let next = times.into_iter().flatten().chain(self.resumes_at).min();
        let until = tokio::time::Instant::from_std(next.unwrap_or_else(Instant::now));
        tokio::select! {
            () = stop.cancelled() => {}
            Some(signal) = self.inbox.recv() => self.apply(signal),
            () = self.parts.slots.freed() => {}
            Some(ended) = self.tasks.join_next() => self.is_broken |= ended.is_err(),
            () = tokio::time::sleep_until(until) => {}
        }
    }

    fn apply_all(&mut self) {
        while let Ok(signal) = self.inbox.try_recv() {
            self.apply(signal);
        }
        while let Some(ended) = self.tasks.try_join_next() {
            self.is_broken |= ended.is_err();
        }
        for subscription in self.parts.slots.with_room() {
            self.lanes.make_ready(subscription);
        }
    }

    fn apply(&mut self, signal: Signal) {
        let now = Instant::now();
        match signal {
            Signal::Left(due) => {
                self.owned.has_due(due.subscription);
                self.lanes.expect(&due);
            }
            Signal::Retry(due, at) => self.timers.set(due, at, now),
            Signal::Notified(Notice::DueSince(since)) => self.finder.ask(since),
            Signal::Notified(Notice::Anything) => {
                self.finder.ask_for_anything();
                self.full_scan.hurry(now);
            }
            // These rows may have fallen due before every later look.
            Signal::Notified(Notice::Released(_, subscription)) => {
                self.owned.refresh(subscription, now);
                self.full_scan.hurry(now);
            }
            Signal::Paced(dues) => {
                for mut due in dues {
                    due.since =
                        self.lanes.remove(due.subscription).map_or(due.since, |due_from| due_from.min(due.since));
                    if self.owned.has_due(due.subscription) {
                        self.owned.refresh(due.subscription, now);
                        self.lanes.expect(&due);
                    } else {
                        self.owned.want(&due);
                    }
                }
            }
            Signal::Answered(answered) => {
                self.owned.answered(&answered, random_fraction(&self.random), now);
                self.lanes.make_ready(answered.subscription);
            }
            Signal::FullScanDone(Ok(found), began) => {
                self.full_scan.done(began, now);
                let waiting = found.iter().filter(|found| found.is_active && !found.is_paced);
                let oldest = waiting.map(|found| found.overdue).max().unwrap_or_default();
                self.parts.metrics.oldest_due.set(oldest.as_secs_f64());
                self.found(&found, now);
            }
            Signal::FullScanDone(Err(error), _) => {
                tracing::debug!(%error, "the full scan failed");
                self.full_scan.failed(now);
            }
            Signal::Kept(Ok(kept), began) => {
                let gained = self.owned.kept(&kept, began, self.parts.clock.now() - REACH_BACK);
                if !gained.is_empty() {
                    self.full_scan.hurry(now);
                }
                for due in gained {
                    self.lanes.expect(&due);
                }
            }
            Signal::Kept(Err(asked), _) => self.owned.not_kept(&asked, now),
            Signal::Workers(alive, is_one_lost) => {
                self.peers.set_alive(alive);
                // The leases of the lost worker may lapse.
                if is_one_lost {
                    self.full_scan.hurry(now);
                }
            }
        }
    }

    fn apply_time(&mut self, now: Instant) {
        for due in self.timers.expired(now) {
            self.owned.has_due(due.subscription);
            self.lanes.expect(&due);
        }
        for subscription in self.owned.woken(now) {
            self.lanes.make_ready(subscription);
        }
        if self.resumes_at.is_some_and(|at| at <= now) {
            self.resumes_at = None;
        }
    }

    async fn find(&mut self) {
        let began = Instant::now();
        let Some(span) = self.finder.begin(began) else { return };
        match self.parts.store.find(span.due_from, span.until, MOST_ROWS).await {
            Ok(look) => {
                let now = Instant::now();
                if self.finder.done(span, &look, now, random_fraction(&self.random)) {
                    self.full_scan.hurry(now);
                }
                self.found(&look.found, now);
            }
            Err(error) => {
                self.failed(&error, "looking for due deliveries");
                self.finder.failed(span, Instant::now(), FAILURE_PAUSE);
            }
        }
    }

    /// Adds lanes for what was found, unless another worker takes it first.
    fn found(&mut self, found: &[Found], now: Instant) {
        for found in found.iter().filter(|found| found.is_active) {
            let (subscription, left) = (found.due.subscription, self.peers.wait_before(found));
            if found.is_paced && !self.owned.has_due(subscription) {
                if left.is_zero() {
                    self.lanes.forget(subscription);
                    self.owned.want(&found.due);
                }
            } else if found.is_paced || left.is_zero() || self.lanes.knows(subscription) {
                self.lanes.expect(&found.due);
            } else {
                self.finder.look_again(found.due.since, now + left);
            }
        }
    }

    fn start_full_scan(&mut self) {
        let began = Instant::now();
        if !self.full_scan.begin(began) {
            return;
        }
        let (store, signals) = (self.parts.store.clone(), self.signals.clone());
        self.tasks.spawn(async move { signals.send(Signal::FullScanDone(store.find_all().await, began)) });
    }

    fn failed(&mut self, error: &StoreError, doing: &'static str) {
        self.resumes_at = Some(Instant::now() + FAILURE_PAUSE);
        if self.outage.report() {
            tracing::warn!(%error, doing, "the database is not available; the worker retries");
        }
    }
}
