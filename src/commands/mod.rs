//! One file per command. Commands read the settings and connect the parts; they hold no rules.

mod checks;
pub mod dev;
mod doctor;
pub mod keys;
pub mod listen;
mod master_keys;
pub mod migrate;
mod ops;
mod output;
pub mod remote;
mod replica;
pub mod settings;
mod sockets;
mod starting;
pub mod tenants;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::{AuthMode, LogFormat, Profile, Settings, with_flags};
use crate::shutdown::OnHangup;
use crate::telemetry::{Log, LogFilter, Metrics};
use crate::{api, shutdown, supervisor};
use replica::{Halves, Replica};

/// The status of clap for a command line that it does not understand.
const USAGE: u8 = 2;

/// Webhook delivery with PostgreSQL as the queue
#[derive(Debug, Parser)]
#[command(name = "postrider", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const SETTINGS_HELP: &str = "Every setting is a flag, a variable or a line in .env, in this order: POSTRIDER_LISTEN is \
                             --listen. `postrider settings` explains all of them, `postrider settings NAME` one.";

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
    #[command(flatten)]
    Remote(remote::Command),
    /// Manage tenants, the owners of subscriptions, events and keys; over a server if one is named
    #[command(subcommand)]
    Tenants(tenants::Tenants),
    /// Manage API keys, for one tenant or for all; over a server if one is named
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Check settings, database, Redis and host names, and say what to do
    Doctor,
    /// Explain all settings, or one, with its value and where that comes from
    Settings(settings::Explain),
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
    /// The status says more than that it failed: docs/command-line.md lists them.
    #[error("{sentence}")]
    WithCode { code: u8, sentence: String },
    /// The reader of standard output has read enough, as `head` does.
    #[error("nobody reads the output")]
    ReaderGone,
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
    crate::config::InvalidSettings,
    crate::config::InvalidDotenv,
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
    let log = Log::open();
    let ran =
        command_line().map_or_else(|answer| print_help(&log, &answer), |(command, flags)| begin(command, flags, &log));
    let code = match ran {
        Ok(code) => code,
        Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Err(Failure::AlreadySaid) => ExitCode::FAILURE,
        Err(Failure::WithCode { code, sentence }) => {
            log.say(&sentence);
            ExitCode::from(code)
        }
        Err(failure) => {
            log.say(&failure.to_string());
            ExitCode::FAILURE
        }
    };
    log.flush();
    code
}

fn command_line() -> Result<(Command, Settings), clap::Error> {
    let mut cli = remote::with_shown_flags(with_flags(with_help(Cli::command())));
    let mut matches = cli.try_get_matches_from_mut(std::env::args_os())?;
    let flags = Settings::from_flags(&matches);
    let parsed = Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut cli))?;
    Ok((parsed.command, flags))
}

/// Each command says how to find the settings, after its own examples.
fn with_help(command: clap::Command) -> clap::Command {
    let own = command.get_after_help().map(|own| format!("{own}\n\n")).unwrap_or_default();
    command.after_help(format!("{own}{SETTINGS_HELP}")).mut_subcommands(with_help)
}

/// What was asked for goes to standard output, an error to standard error.
fn print_help(log: &Log, answer: &clap::Error) -> Result<ExitCode, Failure> {
    let text = answer.render();
    if answer.use_stderr() {
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        log.write(&if is_terminal { text.ansi().to_string() } else { text.to_string() });
        return Ok(ExitCode::from(USAGE));
    }
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
    let text = if is_terminal { text.ansi().to_string() } else { text.to_string() };
    output::print(text.trim_end()).map(|()| ExitCode::SUCCESS)
}

fn begin(command: Command, flags: Settings, log: &Log) -> Result<ExitCode, Failure> {
    let settings = flags.with_environment()?;
    let config = match (settings.log(), &command) {
        (Ok(config), _) => Some(config),
        // These two show what is wrong.
        (Err(_), Command::Doctor | Command::Settings(_)) => None,
        (Err(_), Command::Serve | Command::Api | Command::Worker) => {
            return checks::resolve(&settings, Profile::Production).map(|_| ExitCode::FAILURE).map_err(Failure::from);
        }
        (Err(invalid), _) => return Err(invalid.into()),
    };
    let is_json = config.as_ref().is_some_and(|config| config.format == LogFormat::Json);
    let filter = log.start(config.and_then(|config| config.filter).as_deref(), is_json);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let context = Context { settings, flags, filter, log: log.clone() };
    // A panic here has been logged; the process still ends in order.
    let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(run(command, context))));
    // A running name lookup cannot be cancelled.
    runtime.shutdown_background();
    let ran = ran.unwrap_or_else(|panic| Err(Failure::new(format!("panicked: {}", supervisor::message(&*panic)))));
    ran.map(|()| ExitCode::SUCCESS)
}

/// What every command has.
struct Context {
    settings: Settings,
    flags: Settings,
    filter: LogFilter,
    log: Log,
}

async fn run(command: Command, context: Context) -> Result<(), Failure> {
    let settings = context.settings.clone();
    if !matches!(command, Command::Doctor | Command::Settings(_)) {
        checks::check_names(&settings)?;
    }
    match command {
        Command::Serve => Box::pin(replicate(context, Halves { api: true, worker: true })).await,
        Command::Api => Box::pin(replicate(context, Halves { api: true, worker: false })).await,
        Command::Worker => Box::pin(replicate(context, Halves { api: false, worker: true })).await,
        Command::Migrate => migrate::run(&settings).await,
        Command::Dev => Box::pin(develop(context)).await,
        Command::Listen(listen) => receive(listen).await,
        Command::Remote(command) => Box::pin(remote::run(&settings, command, context.log)).await,
        Command::Tenants(tenants) => tenants::run(&settings, &tenants, context.log).await,
        Command::Keys(keys) => keys::run(&settings, &keys, context.log).await,
        Command::Doctor => doctor::run(&settings).await,
        Command::Settings(explain) => settings::run(&settings, &explain),
        Command::Openapi => output::print(api::openapi_document()),
    }
}

async fn replicate(context: Context, halves: Halves) -> Result<(), Failure> {
    let config = checks::resolve(&context.settings, Profile::Production)?;
    if halves.api && config.auth == AuthMode::Off {
        tracing::warn!(
            listen = %config.listen,
            "POSTRIDER_AUTH=off: anyone who can reach the API has full access; set POSTRIDER_AUTH=keys"
        );
    }
    let metrics = Metrics::with_log(context.log.dropped().clone());
    let reload = move || reload_log(&context.flags, &context.filter);
    let supervisor = shutdown::on_signals(OnHangup::Call(Box::new(reload)))?;
    let shown = settings::shown(&context.settings, Profile::Production);
    Box::pin(replica::run((config, shown), halves, metrics, supervisor)).await
}

/// SIGHUP. The environment of a running process is fixed, so only `.env` can have changed.
fn reload_log(flags: &Settings, filter: &LogFilter) {
    let settings = match flags.with_environment() {
        Ok(settings) => settings,
        Err(error) => return tracing::warn!(%error, "SIGHUP: the log level stays as it is"),
    };
    match settings.log() {
        Ok(config) => {
            filter.set(config.filter.as_deref());
            let source = settings.given("POSTRIDER_LOG").map_or("default".to_owned(), |(_, source)| source.to_string());
            let filter = config.filter.as_deref().unwrap_or("info");
            tracing::warn!(filter, source, "SIGHUP: POSTRIDER_LOG was read again; a line in .env can change it");
        }
        Err(error) => tracing::warn!(%error, "SIGHUP: the log level stays as it is"),
    }
}

async fn develop(context: Context) -> Result<(), Failure> {
    let supervisor = shutdown::on_signals(OnHangup::Stop)?;
    let environment = dev::prepare(Path::new("."), context.settings).await?;
    let config = checks::resolve(&environment.settings, Profile::Development)?;
    let program = std::env::args().next().unwrap_or_else(|| "postrider".to_owned());
    let metrics = Metrics::with_log(context.log.dropped().clone());
    let shown = settings::shown(&environment.settings, Profile::Development);
    let halves = Halves { api: true, worker: true };
    let prepared = Replica::prepare((config.clone(), shown), halves, metrics, supervisor).await;
    let ran = match prepared {
        Ok(Some(replica)) => {
            let screen = output::Screen::open()?;
            screen.print(&dev::banner(&environment, &config, &program));
            replica.run().await
        }
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    let stopped = environment.stop().await;
    ran.and(stopped.map_err(Failure::from))
}

async fn receive(options: listen::Listen) -> Result<(), Failure> {
    let supervisor = shutdown::on_signals(OnHangup::Stop)?;
    let checked = options.secret.is_some();
    let port = options.port;
    let receiver = listen::Receiver::bind(options).await;
    let receiver = receiver.map_err(|error| {
        Failure::new(format!("cannot listen on 127.0.0.1:{port}: {error}; choose another port with --port"))
    })?;
    let screen = output::Screen::open()?;
    let without = if checked { "" } else { " (signatures are not checked)" };
    screen.print(&format!("listening on http://{}/{without}", receiver.address()?));
    let printing = screen.clone();
    let receiving = receiver.run(move |block| printing.print(block));
    tokio::select! {
        () = receiving => {}
        () = supervisor.stop().cancelled() => {}
        () = screen.reader_gone() => {}
    }
    screen.flush();
    Ok(())
}
