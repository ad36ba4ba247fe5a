//! Pace: subscriptions for which one worker alone sends, at a rate, a few at a time, or not
//! at all for a while.
//!
//! Deliveries of a paced subscription are held and never fall due by themselves. A worker
//! takes a pace, *draws* the oldest ones as fast as rate, cap and breaker allow, and sends
//! them like claimed ones. As nobody else sends meanwhile, all of that is arithmetic in this
//! process, and exact over all replicas. A pace lasts as a lease does and is prolonged while
//! this lives; nothing is sent that may outlast it.

mod line;
mod ticket;
mod turns;

pub(super) use ticket::Ticket;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::claim::open_parcel;
use super::deliver::SEND_MARGIN;
use super::{Office, Settled, WorkerParts, unsent};
use crate::domain::breaker::Breaker;
use crate::domain::delivery::{Lease, Parcel};
use crate::domain::id::{EventId, LeaseToken, SubscriptionId, WorkerId};
use crate::domain::next_step::NextStep;
use crate::domain::policy;
use crate::store::{DrawRequest, Drawn, StoreError};
use line::Line;
use ticket::Answered;

/// Time between two looks for subscriptions that nobody sends for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same where there was news.
const LOOK_SOON: Duration = Duration::from_millis(100);
/// Time between two draws that only news asks for.
const NEWS_PAUSE: Duration = Duration::from_millis(20);
/// Time in which answers gather before the next draw.
const PAUSE: Duration = Duration::from_millis(5);
/// Time until the next draw where there was no slot or no database for one.
const STARVED_PAUSE: Duration = Duration::from_millis(100);
/// How long after its last delivery a pace is kept.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often owned subscriptions are looked at whatever the news.
const GLANCE_EVERY: Duration = Duration::from_secs(1);
/// Most subscriptions taken in one look, so that replicas share them.
const MOST_TAKEN: usize = 64;
/// Most deliveries of one subscription in a draw.
const MOST_DRAWN: usize = 256;

/// Keeps the pace of the subscriptions that this worker owns.
pub(super) struct Pacer {
    parts: WorkerParts,
    office: Office,
    owner: WorkerId,
    news: Arc<Notify>,
    lines: BTreeMap<SubscriptionId, Line>,
    looked_at: Instant,
    drew_on_news: Option<Instant>,
    glanced_at: Instant,
    has_news: bool,
    /// What was to be drawn could not be: no slot, or no database.
    is_starved: bool,
    /// The last subscription that was given slots.
    served: SubscriptionId,
    answers: UnboundedReceiver<Answered>,
    answering: UnboundedSender<Answered>,
}

impl Pacer {
    pub(super) fn new(parts: WorkerParts, office: Office, owner: WorkerId, news: Arc<Notify>) -> Self {
        let (answering, answers) = unbounded_channel();
        let now = Instant::now();
        Self {
            parts,
            office,
            owner,
            news,
            lines: BTreeMap::new(),
            looked_at: now.checked_sub(LOOK_EVERY).unwrap_or(now),
            drew_on_news: None,
            glanced_at: now,
            has_news: false,
            is_starved: false,
            served: SubscriptionId::from(Uuid::nil()),
            answers,
            answering,
        }
    }

    /// Draws and sends until told to stop. Returns the subscriptions that are still owned:
    /// to be given up when what was sent is answered.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Vec<SubscriptionId> {
        let news = Arc::clone(&self.news);
        while !stop.is_cancelled() {
            self.turn().await;
            let rest = tokio::time::Instant::from_std(self.next_turn());
            tokio::select! {
                () = stop.cancelled() => break,
                () = news.notified() => self.has_news = true,
                Some(answered) = self.answers.recv() => self.take_answer(answered).await,
                () = tokio::time::sleep_until(rest) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.parts.slots.spare(false);
        self.lines.into_keys().collect()
    }

    /// One round: answers, ownership, what is to be sent. A failure costs time only.
    async fn turn(&mut self) {
        while let Ok(answered) = self.answers.try_recv() {
            self.take_answer(answered).await;
        }
        let now = Instant::now();
        if self.look_at() <= now
            && let Err(error) = self.look(now).await
        {
            tracing::debug!(%error, "paces were not looked after");
        }
        self.spread_news(now);
        if let Err(error) = self.draw().await {
            self.is_starved = true;
            tracing::debug!(%error, "nothing was drawn");
        }
        self.settle().await;
    }

    /// Takes what nobody sends for, and prolongs what is ours.
    async fn look(&mut self, now: Instant) -> Result<(), StoreError> {
        self.looked_at = now;
        let owned: Vec<_> = self.lines.keys().copied().collect();
        let lasting = self.parts.rules.lease;
        let taken = self.parts.store.take_paces(self.owner, lasting, MOST_TAKEN, &owned).await?;
        let taken: BTreeMap<_, _> = taken.into_iter().collect();
        self.lines.retain(|subscription, _| taken.contains_key(subscription));
        for (subscription, lasts) in taken {
            self.lines.entry(subscription).or_insert_with(|| Line::new(now)).until = now + lasts;
        }
        Ok(())
    }

    /// News may be of any subscription; each is looked at now and then whatever the news.
    fn spread_news(&mut self, now: Instant) {
        let by_news = self.has_news && self.drew_on_news.is_none_or(|at| now >= at + NEWS_PAUSE);
        let by_time = now >= self.glanced_at + GLANCE_EVERY;
        if by_news {
            self.has_news = false;
            self.drew_on_news = Some(now);
        }
        if by_news || by_time {
            self.lines.values_mut().for_each(|line| line.is_hungry = true);
        }
        if by_time {
            self.glanced_at = now;
            // Its owner may have sent it elsewhere, or enabled it anew: then nothing is waited for.
            self.lines.values_mut().filter(|line| line.waits(now)).for_each(Line::doubt);
        }
    }

    /// Draws for every subscription that may have something to send and room for it.
    async fn draw(&mut self) -> Result<(), StoreError> {
        let started = Instant::now();
        self.end_throttles(started).await;
        let rooms = self.rooms(started);
        if rooms.is_empty() {
            return Ok(());
        }
        let request = DrawRequest {
            owner: self.owner,
            token: LeaseToken::from(Uuid::new_v4()),
            lease: self.parts.rules.lease,
            expired_before: EventId::floor(self.parts.clock.now() - self.parts.rules.lifetime),
            rooms,
        };
        let drawn = self.parts.store.draw(&request).await?;
        self.dispatch(&request, drawn, started);
        Ok(())
    }

    fn rooms(&mut self, now: Instant) -> Vec<(SubscriptionId, usize, Breaker)> {
        let needed = self.parts.rules.request_timeout + SEND_MARGIN;
        let mut free = self.parts.slots.free();
        let mut rooms = Vec::new();
        let mut waits = false;
        self.is_starved = false;
        // Those that come after the last one that was served are first: where slots are scarce,
        // each has its turn.
        let after = self.lines.range((Bound::Excluded(self.served), Bound::Unbounded)).map(|(id, _)| *id);
        let until = self.lines.range(..=self.served).map(|(id, _)| *id);
        let turns: Vec<SubscriptionId> = after.chain(until).collect();
        for subscription in turns {
            let Some(line) = self.lines.get_mut(&subscription) else { continue };
            if !line.is_hungry || line.until.saturating_duration_since(now) <= needed {
                continue;
            }
            let wanted = line.room(now).min(MOST_DRAWN);
            let places = wanted.min(self.parts.slots.free_for(subscription));
            let most = places.min(free);
            waits |= places > free;
            self.is_starved |= most < wanted;
            // A line that is not known yet is asked how it stands.
            if most > 0 || !line.is_known() {
                free -= most;
                if most > 0 {
                    self.served = subscription;
                }
                rooms.push((subscription, most, line.breaker));
            }
        }
        self.parts.slots.spare(waits);
        rooms
    }

    fn dispatch(&mut self, request: &DrawRequest, drawn: Drawn, started: Instant) {
        let now = Instant::now();
        let most = self.parts.slots.limits().per_subscription;
        for (subscription, asked, expected) in &request.rooms {
            let Some(line) = self.lines.get_mut(subscription) else { continue };
            let Some(standing) = drawn.standings.iter().find(|standing| standing.subscription == *subscription) else {
                // Disabled, deleted, or no longer ours: the next look tells.
                line.is_hungry = false;
                continue;
            };
            let count = drawn.claimed.iter().filter(|claimed| claimed.key.subscription == *subscription).count();
            let was_known = line.is_known();
            line.learn(standing, most, now);
            line.sent(count, now);
            let as_expected = expected.word() == standing.breaker.word();
            line.is_hungry = !was_known || !as_expected || count >= *asked;
        }
        for claimed in drawn.claimed {
            let subscription = claimed.key.subscription;
            let line = self.lines.get(&subscription);
            let is_probe = matches!(line.map(|line| line.breaker), Some(Breaker::Open { .. }));
            // Neither the lease nor the pace may be outlasted.
            let leased = started + policy::lease(request.lease, claimed.request_timeout);
            let ends = line.map_or(started, |line| line.until.min(leased));
            let lease = Lease { token: request.token, ends };
            let answered = Some(Answered { subscription, is_probe, met: None });
            let ticket = Ticket { answered, answers: self.answering.clone() };
            match open_parcel(&self.parts, claimed, lease) {
                Ok(parcel) => self.send(parcel, ticket),
                Err(report) => self.office.settled.send(Settled { report: *report, slot: None }),
            }
        }
    }

    fn send(&self, parcel: Parcel, ticket: Ticket) {
        match self.parts.slots.take(parcel.key.subscription) {
            Some(slot) => self.office.send(parcel, slot, Some(ticket)),
            None => self.office.settled.send(Settled { report: unsent(&parcel, NextStep::Pace), slot: None }),
        }
    }

    /// When to look after the paces next.
    fn look_at(&self) -> Instant {
        let rules = &self.parts.rules;
        let spare = rules.lease.saturating_sub(rules.request_timeout + SEND_MARGIN);
        let usual = LOOK_EVERY.min(spare / 3);
        self.looked_at + if self.has_news { LOOK_SOON.min(usual) } else { usual }
    }

    fn next_turn(&self) -> Instant {
        let now = Instant::now();
        let news = self.has_news.then(|| self.drew_on_news.map_or(now, |at| at + NEWS_PAUSE));
        let lines = self.lines.values().filter_map(|line| line.next(now)).min();
        let lines = if self.is_starved { lines.map(|at| at.max(now + STARVED_PAUSE)) } else { lines };
        [news, lines].into_iter().flatten().fold(self.look_at(), Instant::min)
    }
}
