//! Instructions of the pure parts that every event goes through. Valgrind counts them, each
//! part in a process of its own, once for so many calls and once for twice as many: the
//! difference has no start in it. It is the same in every run of one build.
//!
//! The bounds are those of a debug build on x86-64 by the compiler of the CI. They are wide
//! enough for another processor, on which cryptography takes other instructions, and for the
//! next compiler; they are there for what costs twice as much from one day to the next.

use std::hint::black_box;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use postrider::domain::attempt::Directives;
use postrider::domain::backoff::Jitter;
use postrider::domain::breaker::{Breaker, ResponseClass};
use postrider::domain::bucket::Bucket;
use postrider::domain::event_type::{EventType, EventTypeFilter, EventTypePattern};
use postrider::domain::next_step::{AttemptMade, RetryPolicy};
use postrider::domain::outcome::Outcome;
use postrider::domain::payload::Payload;
use postrider::domain::secret::Secret;
use postrider::domain::signature::{sign_hub, sign_v1_all};
use tokio::process::Command;

use super::bounds::{Bound, compare};
use crate::failure::Failure;
use crate::findings::Table;
use crate::payload::Template;
use crate::producer::PAYLOAD_BYTES;

/// Filters of which an event type is matched with each.
const FILTERS: usize = 100;
/// Answers that a breaker sees in one call.
const ANSWERS: u32 = 16;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const EVENT_ID: &str = "01a20bc3-db04-70d3-9cd7-5b2bca88860e";

/// A pure part of what an event goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Both signatures of one delivery
    Sign,
    /// An event type and a hundred filters
    Match,
    /// What follows from a failed attempt
    NextStep,
    /// Breaker, slow start and token bucket
    Pace,
    /// Whether a payload is a JSON document
    Validate,
}

/// Each part with the calls of the shorter of both runs: enough that the start, which differs by
/// ten thousand instructions from run to run, is less than a hundredth.
const PARTS: [(Part, u64, Bound); 5] = [
    (Part::Sign, 200, Bound { name: "sign a delivery", usual: 179_500.0, limit: 230_000.0 }),
    (Part::Match, 200, Bound { name: "match 100 filters", usual: 132_800.0, limit: 170_000.0 }),
    (Part::NextStep, 20_000, Bound { name: "choose the next step", usual: 780.0, limit: 1_000.0 }),
    (Part::Pace, 1_000, Bound { name: "pace 16 answers", usual: 15_300.0, limit: 20_000.0 }),
    (Part::Validate, 200, Bound { name: "validate 760 bytes", usual: 94_300.0, limit: 120_000.0 }),
];

/// What to run under the counter.
#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    /// Which part
    part: Part,
    /// How often
    calls: u64,
}

impl Run {
    /// Runs the part; nothing else happens in this process.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        match self.part {
            Part::Sign => sign(self.calls),
            Part::Match => match_filters(self.calls),
            Part::NextStep => next_step(self.calls),
            Part::Pace => pace(self.calls),
            Part::Validate => validate(self.calls),
        }
    }
}

/// Counts every part and adds it to a table; returns how many bounds were exceeded.
pub(crate) async fn count(table: &mut Table) -> Result<usize, Failure> {
    let mut exceeded = 0;
    for (part, calls, bound) in PARTS {
        let (once, twice) = (instructions(part, calls).await?, instructions(part, 2 * calls).await?);
        let each = twice.saturating_sub(once) as f64 / calls as f64;
        exceeded += compare(table, "instructions", &[bound], &[each]);
    }
    Ok(exceeded)
}

/// Instructions of a process that calls a part so often.
async fn instructions(part: Part, calls: u64) -> Result<u64, Failure> {
    let name = part.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let counting = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["hot-part", &name, &calls.to_string()])
        .output()
        .await;
    let said =
        counting.map_err(|error| Failure::new(format!("valgrind: {error}; `deploy/setup bench` installs it")))?;
    let said = String::from_utf8_lossy(&said.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    collected.ok_or_else(|| Failure::new(format!("valgrind counted nothing: {said}")))
}

fn sign(calls: u64) -> Result<(), Failure> {
    let (secret, payload) = (Secret::parse(SECRET)?, Template::new(PAYLOAD_BYTES).numbered(1));
    for call in 0..calls {
        let timestamp = 1_700_000_000 + i64::try_from(call)?;
        black_box(sign_v1_all([&secret], black_box(EVENT_ID), timestamp, &payload));
        black_box(sign_hub(&secret, black_box(&payload)));
    }
    Ok(())
}

fn match_filters(calls: u64) -> Result<(), Failure> {
    let filter = |number: usize| {
        let patterns = [format!("invoice.{number}.*"), format!("order.created.{number}"), "order.paid.*".to_owned()];
        let patterns = patterns.iter().map(|pattern| pattern.parse::<EventTypePattern>());
        Ok(EventTypeFilter::new(patterns.collect::<Result<_, _>>()?))
    };
    let filters = (0..FILTERS).map(filter).collect::<Result<Vec<_>, Failure>>()?;
    let event_type: EventType = "order.created.17".parse()?;
    for _ in 0..calls {
        black_box(filters.iter().filter(|filter| filter.wants(black_box(&event_type))).count());
    }
    Ok(())
}

fn next_step(calls: u64) -> Result<(), Failure> {
    let jitter = Jitter::new(0.1).ok_or_else(|| Failure::new("0.1 is a jitter"))?;
    let policy = RetryPolicy { schedule: "10s,20s,40s,80s,160s".parse()?, jitter };
    for call in 0..calls {
        let made = AttemptMade {
            outcome: Outcome::of_status(503),
            status: Some(503),
            retry_after: Some(Duration::from_secs(call % 60)),
            directives: Directives::default(),
            target_is_address: false,
            counted: u32::try_from(call % 7)?,
        };
        black_box(policy.next_step(None, black_box(made), 0.5));
    }
    Ok(())
}

fn pace(calls: u64) -> Result<(), Failure> {
    let start = Instant::now();
    let mut bucket = Bucket::new(100, start);
    let mut now = start;
    for _ in 0..calls {
        let mut breaker = Breaker::RECOVERY;
        for answer in 0..ANSWERS {
            let class = if answer % 4 == 3 { ResponseClass::Failure } else { ResponseClass::Success };
            breaker = breaker.after(black_box(class), 64);
            now += Duration::from_millis(7);
            let tokens = bucket.tokens(now);
            bucket.take(tokens);
            black_box(bucket.next());
        }
        black_box(breaker);
    }
    Ok(())
}

fn validate(calls: u64) -> Result<(), Failure> {
    let template = Template::new(PAYLOAD_BYTES);
    let payload = template.numbered(1);
    for _ in 0..calls {
        black_box(Payload::parse(black_box(payload.clone()))?);
    }
    Ok(())
}
