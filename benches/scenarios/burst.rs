//! The burst of `overload`: a receiver that is six tenths busy gets as many events at once as
//! it takes in a second. It has room for them: the latency of the steady events must be as
//! before soon after.

use std::ops::Range;
use std::time::Duration;

use crate::deployment::{Deployment, Plan};
use crate::failure::Failure;
use crate::findings::{Table, met};
use crate::lab::Lab;
use crate::latency::Latencies;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::receiver::Receiver;

/// The steady load and the burst, as shares of what the receiver takes in a second.
const STEADY: f64 = 0.6;
const BURST: f64 = 1.0;
/// Seconds of the steady load before the burst.
const BEFORE: usize = 4;
/// Events that are sent within this time are looked at together.
const WINDOW_MICROS: u64 = 100_000;
/// For how long their median must be as before.
const NORMAL_MICROS: u64 = 1_000_000;

/// What is printed of each burst.
pub(crate) fn table() -> Table {
    Table::new([
        "receiver takes (ms)",
        "steady load (1/s)",
        "burst (events)",
        "p99 before (ms)",
        "worst (ms)",
        "its events take (s)",
        "back to normal after (s)",
        "p99 from then on (ms)",
        "goal met",
    ])
}

/// One burst beside a steady load, over one `serve`.
pub(crate) async fn run(
    lab: &Lab,
    takes: Duration,
    capacity: f64,
    table: &mut Table,
    ledger: &mut Ledger,
) -> Result<(), Failure> {
    eprintln!("overload: a burst, a receiver that takes {} ms", takes.as_millis());
    let (rate, burst) = (STEADY * capacity, (BURST * capacity) as usize);
    let events = (rate * lab.pick(30.0, 16.0)) as usize;
    let mut deployment = Deployment::start(lab, Plan::serve(takes, 1, events + burst), &[]).await?;
    let other = deployment.producer.sibling(events..events + burst)?;
    let bursting = async {
        tokio::time::sleep(Duration::from_secs(u64::try_from(BEFORE)?)).await;
        let at = deployment.receiver.now();
        other.send(Load::flood(burst)).await?;
        Ok(at)
    };
    let (steady, at) = tokio::try_join!(deployment.send(Load::paced(events, rate)), bursting)?;
    deployment.receiver.drain(&(0..events + burst), Duration::from_secs(60)).await;
    deployment.stop().await?;
    ledger.join(&deployment.ledger());
    let seen = Seen::of(&deployment.receiver, &steady.events, at);
    let needed = BURST / (1.0 - STEADY);
    let (back, is_met) = match seen.back {
        Some(back) => (format!("{back:.1}"), back <= 2.0 * needed),
        None => ("never".to_owned(), false),
    };
    table.row([
        takes.as_millis().to_string(),
        format!("{rate:.0}"),
        burst.to_string(),
        format!("{:.1}", seen.before.p99()),
        format!("{:.1}", seen.worst),
        format!("{needed:.1}"),
        back,
        format!("{:.1}", seen.after.p99()),
        met(is_met).to_owned(),
    ]);
    Ok(())
}

/// What steady events met.
struct Seen {
    before: Latencies,
    /// The greatest latency after the burst, in ms.
    worst: f64,
    /// Seconds from the burst until a whole second of windows was as before; `None` where there was none.
    back: Option<f64>,
    /// From then on.
    after: Latencies,
}

impl Seen {
    fn of(receiver: &Receiver, steady: &Range<usize>, burst_at: u64) -> Self {
        let journeys: Vec<(u64, u64)> =
            receiver.journeys(steady).map(|(sent, arrived)| (sent, arrived.saturating_sub(sent))).collect();
        // The first second is the start of connections.
        let first = journeys.first().map_or(0, |(sent, _)| *sent) + 1_000_000;
        let between = |from: u64, to: u64| -> Latencies {
            journeys.iter().filter(|(sent, _)| (from..to).contains(sent)).map(|(_, latency)| *latency).collect()
        };
        let before = between(first, burst_at);
        let normal = 1.5 * before.p99() + 20.0;
        let last = journeys.iter().map(|(sent, _)| *sent).max().unwrap_or(0);
        let (mut start, mut is_normal_since) = (burst_at, burst_at);
        while start < last && start - is_normal_since < NORMAL_MICROS {
            if between(start, start + WINDOW_MICROS).p50() > normal {
                is_normal_since = start + WINDOW_MICROS;
            }
            start += WINDOW_MICROS;
        }
        Self {
            worst: between(burst_at, u64::MAX).greatest(),
            before,
            back: (start - is_normal_since >= NORMAL_MICROS).then_some((is_normal_since - burst_at) as f64 / 1e6),
            after: between(is_normal_since, u64::MAX),
        }
    }
}
