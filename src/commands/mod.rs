//! One file per command. Commands read the settings and connect the parts; they hold no rules.

pub mod dev;
mod doctor;
pub mod keys;
pub mod listen;
pub mod migrate;
mod ops;
mod replica;
mod sockets;
mod starting;
pub mod tenants;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{AuthMode, LogFormat, Profile, Settings, load_dotenv};
use crate::{api, shutdown, telemetry};
use replica::{Halves, Replica};

/// Webhook delivery with PostgreSQL as the queue. Every setting is a flag, a variable or a line in .env.
#[derive(Debug, Parser)]
#[command(name = "postrider", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: Box<Settings>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// API, worker and upkeep in one process: the usual replica
    Serve,
    /// Only the API
    Api,
    /// Only worker and upkeep
    Worker,
    /// Migrate the schema; safe to run from several processes at once
    Migrate,
    /// Run everything locally, with a private PostgreSQL in .postrider/
    Dev,
    /// Receive webhooks for testing: print and verify what arrives
    Listen(listen::Listen),
    /// Manage tenants, the owners of subscriptions, events and keys
    #[command(subcommand)]
    Tenants(tenants::Tenants),
    /// Manage API keys, for one tenant or for all
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Check settings, database, Redis and host names, and say what to do
    Doctor,
    /// Print the OpenAPI document
    Openapi,
}

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Sentence(String),
    /// The command has already printed why.
    #[error("see the output above")]
    AlreadySaid,
}

impl Failure {
    pub(crate) fn new(sentence: String) -> Self {
        Self::Sentence(sentence)
    }
}

macro_rules! failure_from {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Sentence(error.to_string())
            }
        })*
    };
}

failure_from!(
    crate::config::InvalidSetting,
    crate::store::StoreError,
    crate::store::MigrateError,
    dev::DevError,
    std::io::Error
);

/// [`StoreError`](crate::store::StoreError) reads PostgreSQL's message.
impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        crate::store::StoreError::from(error).into()
    }
}

pub fn main() -> ExitCode {
    if let Err(error) = load_dotenv() {
        eprintln!("postrider: {error}");
        return ExitCode::FAILURE;
    }
    let cli = Cli::parse();
    match cli.settings.log() {
        Ok(log) => telemetry::start_logging(log.filter.as_deref(), log.format == LogFormat::Json),
        Err(error) => {
            eprintln!("postrider: {error}");
            return ExitCode::FAILURE;
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ran = runtime.map_err(Failure::from).and_then(|runtime| {
        let ran = runtime.block_on(run(cli));
        // A running name lookup cannot be cancelled.
        runtime.shutdown_background();
        ran
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::AlreadySaid) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("postrider: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), Failure> {
    let settings = *cli.settings;
    match cli.command {
        Command::Serve => replicate(&settings, Halves { api: true, worker: true }).await,
        Command::Api => replicate(&settings, Halves { api: true, worker: false }).await,
        Command::Worker => replicate(&settings, Halves { api: false, worker: true }).await,
        Command::Migrate => migrate::run(&settings).await,
        Command::Dev => Box::pin(develop(settings)).await,
        Command::Listen(listen) => receive(listen).await,
        Command::Tenants(tenants) => tenants::run(&settings, &tenants).await,
        Command::Keys(keys) => keys::run(&settings, &keys).await,
        Command::Doctor => doctor::run(&settings).await,
        Command::Openapi => {
            println!("{}", api::openapi_document());
            Ok(())
        }
    }
}

async fn replicate(settings: &Settings, halves: Halves) -> Result<(), Failure> {
    let config = settings.resolve(Profile::Production)?;
    if halves.api && config.auth == AuthMode::Off {
        tracing::warn!(
            listen = %config.listen,
            "POSTRIDER_AUTH=off: anyone who can reach the API has full access; set POSTRIDER_AUTH=keys"
        );
    }
    replica::run(config, halves, shutdown::on_signals()?).await
}

async fn develop(settings: Settings) -> Result<(), Failure> {
    let stop = shutdown::on_signals()?;
    let environment = dev::prepare(Path::new("."), settings).await?;
    let config = environment.settings.resolve(Profile::Development)?;
    let program = std::env::args().next().unwrap_or_else(|| "postrider".to_owned());
    let prepared = Replica::prepare(config.clone(), Halves { api: true, worker: true }, stop).await;
    let ran = match prepared {
        Ok(Some(replica)) => {
            println!("{}", dev::banner(&environment, &config, &program));
            replica.run().await
        }
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    let stopped = environment.stop().await;
    ran.and(stopped.map_err(Failure::from))
}

async fn receive(options: listen::Listen) -> Result<(), Failure> {
    let stop = shutdown::on_signals()?;
    let checked = options.secret.is_some();
    let port = options.port;
    let receiver = listen::Receiver::bind(options).await;
    let receiver = receiver.map_err(|error| {
        Failure::new(format!("cannot listen on 127.0.0.1:{port}: {error}; choose another port with --port"))
    })?;
    println!(
        "listening on http://{}/{}",
        receiver.address()?,
        if checked { "" } else { " (signatures are not checked)" }
    );
    stop.run_until_cancelled(receiver.run(|block| println!("{block}"))).await;
    Ok(())
}
