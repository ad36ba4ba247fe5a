//! The benchmark: `make bench`. A program of its own, no part of the product.
//!
//! A scenario starts a private, durable PostgreSQL and processes of postrider in a temporary
//! folder, loads them over loopback with real requests to a real receiver, and prints one
//! Markdown table, how it was measured, and the ledger: what was accepted must have arrived.
//! Each measures in the same run what its figures are compared with: a baseline without the
//! service, or the service with nothing in its way.

mod background;
mod backlog;
mod bare;
mod baseline;
mod check;
mod counts;
mod dataset;
mod deployment;
mod driver;
mod failure;
mod findings;
mod http;
mod lab;
mod latency;
mod ledger;
mod load;
mod looks;
mod machine;
mod meter;
mod payload;
mod producer;
mod receiver;
mod rows;
mod scenarios;
mod service;
mod takeover;
mod tenant;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use postrider::shutdown::{self, OnHangup};
use tokio_util::sync::CancellationToken;

use crate::check::instructions;
use crate::driver::Driver;
use crate::failure::Failure;
use crate::findings::Findings;
use crate::lab::Lab;
use crate::machine::Machine;
use crate::scenarios::{
    dead_receiver, fan_out, features, held_transaction, idle, large_payloads, many_subscriptions, many_tenants,
    noisy_tenant, overload, processes, steady, stored, viewers,
};

/// Loads postrider and prints what it took. Without a scenario: all of them but `check`.
#[derive(Debug, Parser)]
#[command(bin_name = "benches/run", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    scenario: Option<Scenario>,
    /// With fewer events, and shorter
    #[arg(long, global = true)]
    quick: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Clone, Subcommand)]
enum Scenario {
    /// What an event costs and how long it takes when nothing is wrong, beside two baselines
    Steady(steady::Steady),
    /// One receiver is offered more than it takes, and a burst beside a steady load
    Overload,
    /// A healthy tenant beside three whose receivers never answer
    NoisyTenant,
    /// Healthy receivers beside a dead one with a large backlog, while workers are killed, and while it comes back
    DeadReceiver(dead_receiver::DeadReceiver),
    /// Ten thousand active subscriptions of a hundred tenants against one
    ManySubscriptions,
    /// Events for ten thousand tenants through one operator key against events for one tenant
    ManyTenants,
    /// A transaction that somebody leaves open
    HeldTransaction,
    /// Beside millions of stored rows against a fresh database
    Stored(stored::Stored),
    /// One API and 1, 2 or 4 workers, and a worker that is killed
    Processes,
    /// Payloads of 16 KiB, 256 KiB and 1 MiB
    LargePayloads,
    /// Twenty replicas with nothing to do
    Idle,
    /// What a delivery costs when an event goes to 1, 10 or 100 subscriptions
    FanOut,
    /// What ordered, limited and failing subscriptions cost an event for another one
    Features,
    /// Two hundred live streams beside a steady load
    Viewers,
    /// Counts what an event costs, whatever the clock says, and compares it with bounds
    Check,
    /// The driver of a baseline; started by the benchmark itself
    #[command(hide = true)]
    Driver(Driver),
    /// One pure part of what an event goes through, many times; started by `check`
    #[command(hide = true)]
    HotPart(instructions::Run),
}

impl Scenario {
    /// All that are measured when none is named, in the order of a report.
    fn all() -> Vec<Self> {
        vec![
            Self::Steady(steady::Steady::default()),
            Self::Overload,
            Self::NoisyTenant,
            Self::DeadReceiver(dead_receiver::DeadReceiver::default()),
            Self::ManySubscriptions,
            Self::ManyTenants,
            Self::HeldTransaction,
            Self::Stored(stored::Stored::default()),
            Self::Processes,
            Self::LargePayloads,
            Self::Idle,
            Self::FanOut,
            Self::Features,
            Self::Viewers,
        ]
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Steady(_) => "steady",
            Self::Overload => "overload",
            Self::NoisyTenant => "noisy-tenant",
            Self::DeadReceiver(_) => "dead-receiver",
            Self::ManySubscriptions => "many-subscriptions",
            Self::ManyTenants => "many-tenants",
            Self::HeldTransaction => "held-transaction",
            Self::Stored(_) => "stored",
            Self::Processes => "processes",
            Self::LargePayloads => "large-payloads",
            Self::Idle => "idle",
            Self::FanOut => "fan-out",
            Self::Features => "features",
            Self::Viewers => "viewers",
            Self::Check => "check",
            Self::Driver(_) | Self::HotPart(_) => "part of a scenario",
        }
    }

    async fn measure(&self, lab: &mut Lab) -> Result<Findings, Failure> {
        match self {
            Self::Steady(steady) => Box::pin(steady.run(lab)).await,
            Self::Overload => Box::pin(overload::run(lab)).await,
            Self::NoisyTenant => Box::pin(noisy_tenant::run(lab)).await,
            Self::DeadReceiver(dead_receiver) => Box::pin(dead_receiver.run(lab)).await,
            Self::ManySubscriptions => Box::pin(many_subscriptions::run(lab)).await,
            Self::ManyTenants => Box::pin(many_tenants::run(lab)).await,
            Self::HeldTransaction => Box::pin(held_transaction::run(lab)).await,
            Self::Stored(stored) => Box::pin(stored.run(lab)).await,
            Self::Processes => Box::pin(processes::run(lab)).await,
            Self::LargePayloads => Box::pin(large_payloads::run(lab)).await,
            Self::Idle => Box::pin(idle::run(lab)).await,
            Self::FanOut => Box::pin(fan_out::run(lab)).await,
            Self::Features => Box::pin(features::run(lab)).await,
            Self::Viewers => Box::pin(viewers::run(lab)).await,
            Self::Check => Box::pin(check::run(lab)).await,
            Self::Driver(_) | Self::HotPart(_) => Err(Failure::new("this is started by a scenario")),
        }
    }

    /// Measures on a PostgreSQL of its own and prints what was found.
    async fn run(&self, is_quick: bool, stop: &CancellationToken) -> Result<(), Failure> {
        let mut lab = Lab::start(is_quick).await?;
        let before = Machine::now(lab.postmaster()?);
        // PostgreSQL is detached from the terminal: it has to be stopped after ctrl-c too.
        let measured = stop.run_until_cancelled(self.measure(&mut lab)).await;
        let others = before.others();
        lab.stop().await?;
        let findings = measured.unwrap_or_else(|| Err(Failure::new("interrupted")))?;
        println!("## {}\n\n{findings}", self.name());
        println!("Other programs kept {others:.1} of {} cores busy meanwhile.\n", Machine::cores());
        findings.check()
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ran = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(run(&cli)));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for; one scenario that fails does not keep the others from running.
async fn run(cli: &Cli) -> Result<(), Failure> {
    let scenarios = match &cli.scenario {
        Some(Scenario::Driver(driver)) => return driver.run().await,
        Some(Scenario::HotPart(part)) => return part.run(),
        Some(scenario) => vec![scenario.clone()],
        None => Scenario::all(),
    };
    let stop = shutdown::on_signals(OnHangup::Stop)?.stop().clone();
    let mut failed = Vec::new();
    for scenario in &scenarios {
        if stop.is_cancelled() {
            break;
        }
        if let Err(failure) = scenario.run(cli.quick, &stop).await {
            eprintln!("bench: {}: {failure}", scenario.name());
            failed.push(scenario.name());
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::new(format!("failed: {}", failed.join(", ")))) }
}
