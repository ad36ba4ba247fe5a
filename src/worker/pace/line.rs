//! One paced subscription as its owner keeps it: how much may be sent now, and when more.

use std::time::{Duration, Instant};

use crate::domain::breaker::{Breaker, Met};
use crate::domain::bucket::Bucket;
use crate::store::Standing;

/// Time between two tries to close a breaker.
const CLOSE_PAUSE: Duration = Duration::from_secs(1);
/// Longest time from an answer until the database knows it, as a rule.
const RECORDING: Duration = Duration::from_secs(5);

/// A subscription that this worker alone sends for.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) breaker: Breaker,
    /// Until when it is ours at least.
    pub(super) until: Instant,
    /// Nothing is sent before: the next probe, the end of a throttle.
    pub(super) not_before: Instant,
    /// Requests of ours that the receiver has not answered.
    pub(super) in_flight: usize,
    /// Whether held deliveries may wait.
    pub(super) is_hungry: bool,
    /// When something was last drawn, sent or answered.
    pub(super) busy_at: Instant,
    /// When an attempt last failed.
    failed_at: Instant,
    /// When the receiver last asked to wait: the database knows it a little later.
    told_to_wait_at: Instant,
    /// Before this it is not asked whether the breaker may close.
    asks_at: Instant,
    /// Most requests at a time when it is well.
    limit: usize,
    bucket: Option<Bucket>,
}

impl Line {
    /// A line of which only the next draw will tell more: until then at most one request.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            breaker: Breaker::Closed,
            until: now,
            not_before: now,
            in_flight: 0,
            is_hungry: true,
            busy_at: now,
            failed_at: now,
            told_to_wait_at: now.checked_sub(RECORDING).unwrap_or(now),
            asks_at: now,
            limit: 0,
            bucket: None,
        }
    }

    /// Takes over how it stands in the database. A rate begins with an empty bucket: what the
    /// owner before had sent is not known.
    pub(super) fn learn(&mut self, standing: &Standing, most: usize, now: Instant) {
        let asked = standing.max_in_flight.and_then(|limit| usize::try_from(limit).ok());
        self.limit = asked.unwrap_or(most).min(most).max(1);
        if self.bucket.map(|bucket| bucket.rate()) != standing.rate_limit {
            self.bucket = standing.rate_limit.map(|rate| Bucket::new(rate, now));
        }
        let is_other = self.breaker.word() != standing.breaker.word();
        if is_other {
            self.breaker = standing.breaker;
            self.failed_at = now;
        }
        // What was waited for may have been forgotten, with the target or the disabling.
        let is_told = now.saturating_duration_since(self.told_to_wait_at) < RECORDING;
        let waits = matches!(standing.breaker, Breaker::Open { .. } | Breaker::Throttled);
        if is_other || (!waits && !is_told) {
            self.not_before = self.not_before.min(now);
        }
        if !matches!(self.breaker, Breaker::Closed | Breaker::Recovering(_)) {
            self.not_before = self.not_before.max(now + standing.wait);
        }
    }

    /// Whether nothing may be sent yet.
    pub(super) fn waits(&self, now: Instant) -> bool {
        now < self.not_before
    }

    /// Whether a draw has told how it stands.
    pub(super) fn is_known(&self) -> bool {
        self.limit > 0
    }

    /// It stands otherwise than was thought: the next draw has to tell how.
    pub(super) fn doubt(&mut self) {
        self.limit = 0;
        self.is_hungry = true;
    }

    /// Most requests at a time now.
    fn width(&self) -> usize {
        match self.breaker {
            Breaker::Closed => self.limit,
            Breaker::Open { .. } => 1,
            Breaker::Throttled => 0,
            Breaker::Recovering(recovery) => recovery.width.min(self.limit),
        }
    }

    /// How many more may be sent now.
    pub(super) fn room(&mut self, now: Instant) -> usize {
        if now < self.not_before {
            return 0;
        }
        let places = self.width().saturating_sub(self.in_flight);
        let tokens = self.bucket.as_mut().map_or(usize::MAX, |bucket| bucket.tokens(now));
        places.min(tokens)
    }

    /// So many are under way.
    pub(super) fn sent(&mut self, count: usize, now: Instant) {
        self.in_flight += count;
        if let Some(bucket) = &mut self.bucket {
            bucket.take(count);
        }
        if count > 0 {
            self.busy_at = now;
        }
    }

    /// The receiver answered one, or nothing was sent of it.
    pub(super) fn answered(&mut self, met: Option<Met>, now: Instant) -> Breaker {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.busy_at = now;
        let Some(met) = met else {
            self.is_hungry = true;
            return self.breaker;
        };
        if met != Met::Success {
            self.failed_at = now;
            // What failed comes back held, at once or after its delay.
            self.is_hungry = true;
        }
        if let Met::Wait(wait) = met {
            self.not_before = self.not_before.max(now + wait);
            self.told_to_wait_at = now;
        }
        self.breaker.after(met, self.limit)
    }

    /// When there is a reason to look again: the end of a wait, the next token; `None` where
    /// only an answer or news make one.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        if now < self.not_before {
            return (self.is_hungry || self.breaker == Breaker::Throttled).then_some(self.not_before);
        }
        if !self.is_hungry || self.in_flight >= self.width() {
            return None;
        }
        Some(self.bucket.map_or(now, |bucket| bucket.next()))
    }

    /// Whether it has recovered: nothing waits, and it takes as much as ever, whatever is under way
    /// then: under a steady load something always is. Or it has not failed for this long and
    /// has answered all that was sent: one that hangs has not failed yet.
    pub(super) fn is_well(&self, quiet: Duration, now: Instant) -> bool {
        let Breaker::Recovering(recovery) = self.breaker else { return false };
        let is_quiet = self.in_flight == 0 && now.saturating_duration_since(self.failed_at) >= quiet;
        let proven = recovery.width >= self.limit || is_quiet;
        !self.is_hungry && proven && now >= self.asks_at
    }

    /// It could not be called well: not asked again for a second.
    pub(super) fn not_well(&mut self, now: Instant) {
        self.asks_at = now + CLOSE_PAUSE;
        self.doubt();
    }

    /// Whether nothing has been to do for this long.
    pub(super) fn is_idle(&self, patience: Duration, now: Instant) -> bool {
        let is_over = !matches!(self.breaker, Breaker::Recovering(_));
        is_over && !self.is_hungry && self.in_flight == 0 && now.saturating_duration_since(self.busy_at) >= patience
    }
}
