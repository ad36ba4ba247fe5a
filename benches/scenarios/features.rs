//! `features`: what features cost an event that uses none of them.
//!
//! The same plain load to two replicas in turn, each with a database of its own. The tenants of
//! the second also have subscriptions that are ordered, limited in rate, limited in flight and
//! served by a policy, and one whose breaker is open before a backlog.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::backlog::{self, Backlog};
use crate::deployment::{Deployment, Plan};
use crate::failure::Failure;
use crate::findings::{Findings, Table, met, spread};
use crate::lab::Lab;
use crate::ledger::Ledger;
use crate::load::Load;
use crate::meter::Spent;
use crate::receiver::Receiver;
use crate::rows;

use super::steady::SUBSCRIPTIONS;

/// Slices of each replica.
const PAIRS: usize = 6;
/// What nobody publishes.
const OTHER: &str = "bench.other";
/// Deliveries that wait for the open breaker.
const HELD: usize = 10_000;
/// Longest wait for the breaker to open.
const OPENS: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// The broken receiver and the deliveries that wait for it.
struct Broken {
    receiver: Arc<Receiver>,
    subscription: Uuid,
}

/// Loads both replicas in turn.
pub(crate) async fn run(lab: &Lab) -> Result<Findings, Failure> {
    let mut table = Table::new([
        "receiver takes (ms)",
        "without: CPU (µs)",
        "with: CPU (µs)",
        "ratio of CPU, median of pairs",
        "of all pairs",
        "ratio of WAL",
        "goal met",
    ]);
    let mut ledger = Ledger::default();
    for takes in [0, 20] {
        eprintln!("features: a receiver that takes {takes} ms");
        let slice = lab.pick(5_000, 2_500);
        let plan = Plan::serve(Duration::from_millis(takes), SUBSCRIPTIONS, (PAIRS + 1) * slice);
        let mut without = Deployment::start(lab, plan, &[]).await?;
        let mut with = Deployment::start(lab, plan, &[]).await?;
        let broken = with.add_features().await?;
        let ratios = pairs(lab, &mut without, &mut with, slice).await?;
        ledger.join(&broken.ledger(&with).await?);
        let (cpu, least, most) = spread(ratios);
        let wal = with.spent.wal() / without.spent.wal();
        table.row([
            takes.to_string(),
            format!("{:.1}", without.spent.cpu()),
            format!("{:.1}", with.spent.cpu()),
            format!("{cpu:.2}"),
            format!("{least:.2} to {most:.2}"),
            format!("{wal:.2}"),
            met(cpu <= 1.05 && wal <= 1.05).to_owned(),
        ]);
        for deployment in [&mut without, &mut with] {
            deployment.stop().await?;
            ledger.join(&deployment.ledger());
        }
    }
    let how = format!(
        "Plain events to two replicas in turn, {PAIRS} pairs of slices; beside one of them four subscriptions with features and \
         {HELD} deliveries of a broken receiver. Goal: at most 1.05."
    );
    Ok(Findings::new(table, how, ledger))
}

/// Pairs of slices; returns the ratio of CPU of each.
async fn pairs(lab: &Lab, without: &mut Deployment, with: &mut Deployment, slice: usize) -> Result<Vec<f64>, Failure> {
    without.send(Load::flood(slice)).await?;
    with.send(Load::flood(slice)).await?;
    let mut ratios = Vec::with_capacity(PAIRS);
    for pair in 0..PAIRS {
        // Each begins as often as the other.
        let is_first = pair % 2 == 0;
        let (first, second) = if is_first { (&mut *without, &mut *with) } else { (&mut *with, &mut *without) };
        let first: Spent = first.slice(lab, Load::flood(slice)).await?.spent;
        let second = second.slice(lab, Load::flood(slice)).await?.spent;
        ratios.push(if is_first { second.cpu() / first.cpu() } else { first.cpu() / second.cpu() });
    }
    Ok(ratios)
}

impl Deployment {
    /// Subscriptions that use each feature and get nothing, and a broken receiver with a backlog.
    async fn add_features(&self) -> Result<Broken, Failure> {
        let features = [
            json!({"ordered": true}),
            json!({"rate_limit": 10}),
            json!({"max_in_flight": 5}),
            json!({
                "headers": {"X-Bench": "1"},
                "auth": {"type": "bearer", "token": "bench"},
                "retry_schedule": "day",
                "request_timeout_ms": 5_000,
            }),
        ];
        let api = self.first()?.api;
        let tenant = self.tenants.first().ok_or_else(|| Failure::new("there is no tenant"))?;
        for fields in features {
            tenant.subscribe(api, (api, 0), OTHER, fields).await?;
        }
        let receiver = Arc::new(Receiver::new(HELD, Duration::ZERO));
        receiver.set_broken(true);
        let address = Arc::clone(&receiver).serve().await?;
        let subscription = tenant.subscribe(api, (address, 0), backlog::TYPE, Value::Null).await?;
        Backlog { tenant, api, subscription, receiver: &receiver }.write(HELD, None).await?;
        let deadline = Instant::now() + OPENS;
        while rows::breaker(&self.database.client, subscription).await? != "open" {
            if Instant::now() > deadline {
                return Err(Failure::new("the breaker of the broken receiver does not open"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(Broken { receiver, subscription })
    }
}

impl Broken {
    /// What was accepted for it is still there, or ended without a success.
    async fn ledger(&self, deployment: &Deployment) -> Result<Ledger, Failure> {
        let (waiting, ended) = rows::outstanding(&deployment.database.client, self.subscription).await?;
        Ok(Ledger { outstanding: waiting + ended, ..Ledger::of([&*self.receiver]) })
    }
}
