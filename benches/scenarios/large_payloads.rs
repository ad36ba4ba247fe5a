//! `large-payloads`: 16 KiB, 256 KiB and 1 MiB.
//!
//! Bytes a second against the two baselines, and the most memory that the service needed. The
//! payloads do not compress, so PostgreSQL writes what was sent.

use std::time::Duration;

use super::steady::SUBSCRIPTIONS;
use crate::baseline::{Baseline, Shape};
use crate::deployment::{Deployment, Plan};
use crate::failure::Failure;
use crate::findings::{Findings, Table};
use crate::lab::Lab;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::meter::{Spent, peak_mib, resident_mib};

/// How long receivers take over an answer.
const TAKES: Duration = Duration::from_millis(20);
/// Slices, between which the baselines are measured.
const SLICES: usize = 3;
/// Payloads in KiB, and how many of them are a slice, in whole and quick size: about 100 MB and 25.
const SIZES: [(usize, usize, usize); 3] = [(16, 6_000, 1_500), (256, 400, 100), (1_024, 96, 32)];

/// Measures each size.
pub(crate) async fn run(lab: &Lab) -> Result<Findings, Failure> {
    let mut table = Table::new([
        "payload (KiB)",
        "events (1/s)",
        "MB/s",
        "of \"POSTs out\"",
        "of \"POSTs in, out\"",
        "CPU per event (µs)",
        "CPU of \"POSTs in, out\"",
        "WAL per byte (B)",
        "answered 503",
        "idle memory (MiB)",
        "peak memory (MiB)",
    ]);
    let mut ledger = Ledger::default();
    for (kib, whole, quick) in SIZES {
        eprintln!("large-payloads: {kib} KiB");
        let (bytes, slice) = (kib * 1_024, lab.pick(whole, quick));
        let plan = Plan { payload_bytes: bytes, ..Plan::serve(TAKES, SUBSCRIPTIONS, (SLICES + 1) * slice) };
        let mut deployment = Deployment::start(lab, plan, &[]).await?;
        deployment.producer = deployment.producer.insisting();
        let idle = resident_mib(deployment.first()?);
        let measured = slices(lab, &mut deployment, slice, bytes).await?;
        let peak = peak_mib(deployment.first()?);
        deployment.stop().await?;
        ledger.join(&deployment.ledger());
        let spent = deployment.spent;
        table.row([
            kib.to_string(),
            format!("{:.0}", spent.rate()),
            format!("{:.1}", spent.rate() * bytes as f64 / 1e6),
            format!("{:.2}", spent.rate() / measured.out.rate()),
            format!("{:.2}", spent.rate() / measured.both.rate()),
            format!("{:.0}", spent.cpu()),
            format!("{:.2}", spent.cpu() / measured.both.cpu()),
            format!("{:.2}", spent.wal() / bytes as f64),
            measured.refused.to_string(),
            format!("{idle:.1}"),
            format!("{peak:.1}"),
        ]);
    }
    let how = format!(
        "One `serve`, {SUBSCRIPTIONS} subscriptions, receivers take {} ms, 64 connections; {SLICES} slices in turn with the \
         baselines, which send as many bytes. What is answered 503 is sent again.",
        TAKES.as_millis()
    );
    Ok(Findings::new(table, how, ledger))
}

/// What the baselines spent, and how many requests to the service were refused for the moment.
#[derive(Default)]
struct Measured {
    out: Spent,
    both: Spent,
    refused: usize,
}

/// Slices of the service and of both baselines in turn.
async fn slices(lab: &Lab, deployment: &mut Deployment, slice: usize, bytes: usize) -> Result<Measured, Failure> {
    let mut baseline = Baseline::start(lab, Shape::new(TAKES, bytes, (2 * SLICES + 1) * slice)).await?;
    deployment.send(Load::flood(slice)).await?;
    baseline.slice(slice, 1, false).await?;
    let mut measured = Measured::default();
    for _ in 0..SLICES {
        let earlier = deployment.first()?.batches().await?;
        measured.refused += deployment.slice(lab, Load::flood(slice)).await?.sent.refused;
        // The service spends two statements on a batch of events.
        let batches = (deployment.first()?.batches().await? - earlier) / 2.0;
        let batch = (slice as f64 / batches).round().max(1.0) as usize;
        measured.out += baseline.slice(slice, batch, false).await?;
        measured.both += baseline.slice(slice, batch, true).await?;
    }
    baseline.stop().await?;
    Ok(measured)
}
