//! The loop of a worker: find which subscriptions have something due, take of those that have room, send.
//!
//! A row stays where it is until it is taken; what stands in its way (a full subscription, a rate, a breaker, its
//! tenant's share) only keeps its lane from being asked for. Three of the four things that wait for the database
//! (looking at everything, keeping ownerships, recording) are tasks of their own; the loop itself waits for `find`
//! and `take` alone.

mod keep;
mod take;

use std::time::{Duration, Instant};

use ring::rand::SystemRandom;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::WorkerParts;
use super::alarms::Alarms;
use super::deliverer::{SEND_MARGIN, roll};
use super::dispatcher::Dispatcher;
use super::finder::{Finder, MOST_ROWS, REACH_BACK};
use super::full_look::FullLook;
use super::lanes::Lanes;
use super::outage::Outage;
use super::ownership::{OwnerRules, Ownership};
use super::peers::Peers;
use super::signal::{Signal, Signals};
use crate::domain::id::{SubscriptionId, WorkerId};
use crate::store::{Found, Notice, StoreError};

/// Pause after a statement that failed.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);

/// What a worker knows and does about due deliveries.
pub(super) struct Fetcher {
    parts: WorkerParts,
    id: WorkerId,
    dispatcher: Dispatcher,
    outage: Outage,
    signals: Signals,
    inbox: UnboundedReceiver<Signal>,
    lanes: Lanes,
    owned: Ownership,
    finder: Finder,
    full_look: FullLook,
    alarms: Alarms,
    peers: Peers,
    random: SystemRandom,
    /// Nothing is taken before: a statement failed.
    resumes_at: Option<Instant>,
    /// Looks at everything, and rounds of keeping.
    tasks: JoinSet<()>,
    is_broken: bool,
}

impl Fetcher {
    pub(super) fn new(
        parts: WorkerParts,
        id: WorkerId,
        dispatcher: Dispatcher,
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
            full_look: FullLook::new(now),
            alarms: Alarms::default(),
            peers: Peers::new(id),
            random: SystemRandom::new(),
            resumes_at: None,
            tasks: JoinSet::new(),
            is_broken: false,
            parts,
            id,
            dispatcher,
            outage,
            signals,
            inbox,
        }
    }

    /// Works until told to stop, or until one of its tasks breaks off; returns the paced subscriptions that it owns.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> Vec<SubscriptionId> {
        let mut has_taken = false;
        while !stop.is_cancelled() && !self.is_broken {
            if !has_taken {
                self.wait(stop).await;
            }
            self.apply_all();
            self.apply_time(Instant::now());
            self.find().await;
            self.look_at_everything();
            self.keep_owned();
            has_taken = self.take(stop).await;
            self.parts.metrics.lanes.set(self.lanes.len() as f64);
        }
        self.owned.owned()
    }

    /// Waits for a signal, for room, or for the time of something.
    async fn wait(&mut self, stop: &CancellationToken) {
        let times = [Some(self.finder.next()), self.full_look.next(), self.owned.next(), self.alarms.next()];
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
        for subscription in self.parts.slots.roomy() {
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
            Signal::Retry(due, at) => self.alarms.set(due, at, now),
            Signal::Noticed(Notice::DueSince(since)) => self.finder.ask(since),
            Signal::Noticed(Notice::Anything) => {
                self.finder.ask_for_anything();
                self.full_look.hurry(now);
            }
            // Its rows are older than any look.
            Signal::Noticed(Notice::Released(_, subscription)) => {
                self.owned.refresh(subscription, now);
                self.full_look.hurry(now);
            }
            Signal::Paced(dues) => {
                for mut due in dues {
                    due.since =
                        self.lanes.set_aside(due.subscription).map_or(due.since, |due_from| due_from.min(due.since));
                    if self.owned.has_due(due.subscription) {
                        self.owned.refresh(due.subscription, now);
                        self.lanes.expect(&due);
                    } else {
                        self.owned.want(&due);
                    }
                }
            }
            Signal::Answered(answered) => {
                self.owned.answered(&answered, roll(&self.random), now);
                self.lanes.make_ready(answered.subscription);
            }
            Signal::LookedAtAll(Ok(found), began) => {
                self.full_look.done(began, now);
                let waiting = found.iter().filter(|found| found.is_active && !found.is_paced);
                let oldest = waiting.map(|found| found.overdue).max().unwrap_or_default();
                self.parts.metrics.oldest_due.set(oldest.as_secs_f64());
                self.found(&found, now);
            }
            Signal::LookedAtAll(Err(error), _) => {
                tracing::debug!(%error, "not everything was looked at");
                self.full_look.failed(now);
            }
            Signal::Kept(Ok(kept), began) => {
                let won = self.owned.kept(&kept, began, self.parts.clock.now() - REACH_BACK);
                if !won.is_empty() {
                    self.full_look.hurry(now);
                }
                for due in won {
                    self.lanes.expect(&due);
                }
            }
            Signal::Kept(Err(asked), _) => self.owned.not_kept(&asked, now),
            Signal::Workers(alive, is_one_lost) => {
                self.peers.are(alive);
                // Its leases may lapse.
                if is_one_lost {
                    self.full_look.hurry(now);
                }
            }
        }
    }

    /// What time alone makes due.
    fn apply_time(&mut self, now: Instant) {
        for due in self.alarms.gone_off(now) {
            self.owned.has_due(due.subscription);
            self.lanes.expect(&due);
        }
        for subscription in self.owned.awake(now) {
            self.lanes.make_ready(subscription);
        }
        if self.resumes_at.is_some_and(|at| at <= now) {
            self.resumes_at = None;
        }
    }

    /// Looks for what fell due, if it is time.
    async fn find(&mut self) {
        let began = Instant::now();
        let Some(span) = self.finder.begin(began) else { return };
        match self.parts.store.find(span.due_from, span.until, MOST_ROWS).await {
            Ok(look) => {
                let now = Instant::now();
                if self.finder.done(span, &look, now, roll(&self.random)) {
                    self.full_look.hurry(now);
                }
                self.found(&look.found, now);
            }
            Err(error) => {
                self.failed(&error, "looking for due deliveries");
                self.finder.failed(span, Instant::now(), FAILURE_PAUSE);
            }
        }
    }

    /// Remembers what is for this worker to take of what was found.
    fn found(&mut self, found: &[Found], now: Instant) {
        for found in found.iter().filter(|found| found.is_active) {
            let (subscription, left) = (found.due.subscription, self.peers.leaves(found));
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

    /// Looks at everything, in a task of its own, if it is time.
    fn look_at_everything(&mut self) {
        let began = Instant::now();
        if !self.full_look.begin(began) {
            return;
        }
        let (store, signals) = (self.parts.store.clone(), self.signals.clone());
        self.tasks.spawn(async move { signals.send(Signal::LookedAtAll(store.find_all().await, began)) });
    }

    /// A statement failed: nothing is taken for a moment.
    fn failed(&mut self, error: &StoreError, doing: &'static str) {
        self.resumes_at = Some(Instant::now() + FAILURE_PAUSE);
        if self.outage.report() {
            tracing::warn!(%error, doing, "the database is not available to the worker");
        }
    }
}
