//! Commands that talk to a server over its public API, as anybody else does. They hold no rules: the server checks.

mod attempts;
pub(in crate::commands) mod client;
mod deliveries;
mod events;
mod filters;
pub(in crate::commands) mod keys;
mod list;
mod plan;
pub(in crate::commands) mod printable;
mod publish;
pub(in crate::commands) mod refusal;
mod replay;
mod sheet;
mod sse;
mod subscriptions;
mod table;
mod tail;
pub(in crate::commands) mod tenants;
mod when;
mod why;

pub use attempts::Attempts;
pub use deliveries::Deliveries;
pub use events::Events;
pub use list::{Form, Paging};
pub use publish::Publish;
pub use replay::Replay;
pub use subscriptions::Subscriptions;
pub use tail::Tail;
pub use why::Why;

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use time::OffsetDateTime;

use super::{Failure, output};
use crate::config::Settings;
use crate::telemetry::Log;
use client::{Answer, Call, Client};
use refusal::{REFUSED, RemoteError};
use table::Column;

/// A server, and where to say things besides the output.
pub(super) struct Remote {
    client: Client,
    log: Log,
    /// Whether a status line stands on the terminal.
    has_status: AtomicBool,
}

/// Commands that only talk to a server.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Publish events: one from an argument, a file or standard input, or many from a file of lines
    Publish(Box<Publish>),
    /// Find events, see what happened to them, retry or cancel their deliveries
    #[command(subcommand)]
    Events(Events),
    /// Find deliveries; retry or cancel all that fit a filter
    #[command(subcommand)]
    Deliveries(Deliveries),
    /// Find attempts and see one in full
    #[command(subcommand)]
    Attempts(Attempts),
    /// Say why something did not arrive: from an order number or an id to the reason
    Why(Why),
    /// Follow what happens, a line for each event and attempt
    Tail(Tail),
    /// Send again what failed or was missed
    #[command(subcommand)]
    Replay(Replay),
    /// Create, change, test and delete subscriptions
    #[command(subcommand)]
    Subscriptions(Subscriptions),
}

/// Settings whose flags stand in the help of these commands.
const SHOWN: [(&str, &str); 4] = [
    ("POSTRIDER_SERVER", "Server to talk to [env: POSTRIDER_SERVER] [default: http://127.0.0.1:8000]"),
    (
        "POSTRIDER_KEY",
        "API key; other users of this machine may see it here: prefer the environment [env: POSTRIDER_KEY]",
    ),
    ("POSTRIDER_KEY_FILE", "File that holds the API key [env: POSTRIDER_KEY_FILE]"),
    (
        "POSTRIDER_TENANT",
        "With an operator key: the tenant, by id or external id; * for all where that is allowed [env: POSTRIDER_TENANT]",
    ),
];
/// In the help of commands that otherwise use the database.
const SHOWN_BESIDE_DATABASE: [(&str, &str); 1] =
    [("POSTRIDER_SERVER", "Server to use instead of the database, with --key-file or --key [env: POSTRIDER_SERVER]")];

/// Shows the flags of the server in the help of commands that talk to one.
pub(super) fn with_shown_flags(command: clap::Command) -> clap::Command {
    command.mut_subcommands(|command| match command.get_name() {
        "publish" | "events" | "deliveries" | "attempts" | "why" | "tail" | "replay" | "subscriptions" => {
            shown_in(command, &SHOWN)
        }
        "tenants" | "keys" => shown_in(command, &SHOWN_BESIDE_DATABASE),
        _ => command,
    })
}

fn shown_in(command: clap::Command, flags: &'static [(&str, &str)]) -> clap::Command {
    let given: Vec<_> = command.get_arguments().map(|arg| arg.get_id().to_string()).collect();
    let shown = flags.iter().filter(|(name, _)| given.iter().any(|given| given == name));
    let command = shown.fold(command, |command, (name, help)| {
        command.mut_arg(name, |arg| arg.hide(false).help(*help).help_heading("Server"))
    });
    command.mut_subcommands(|command| shown_in(command, flags))
}

pub(super) async fn run(settings: &Settings, command: Command, log: Log) -> Result<(), Failure> {
    let remote = Remote::new(settings, log)?;
    match command {
        Command::Publish(publish) => publish.run(&remote).await,
        Command::Events(events) => events.run(&remote).await,
        Command::Deliveries(deliveries) => deliveries.run(&remote).await,
        Command::Attempts(attempts) => attempts.run(&remote).await,
        Command::Why(why) => why.run(&remote).await,
        Command::Tail(tail) => tail.run(&remote).await,
        Command::Replay(replay) => replay.run(&remote).await,
        Command::Subscriptions(subscriptions) => subscriptions.run(&remote).await,
    }
}

impl Remote {
    pub(super) fn new(settings: &Settings, log: Log) -> Result<Self, Failure> {
        Ok(Self { client: Client::new(settings)?, log, has_status: AtomicBool::new(false) })
    }

    /// Rows over all tenants name theirs.
    fn columns(&self, columns: &[Column]) -> Vec<Column> {
        let tenant = self.client.is_for_all_tenants().then_some(events::TENANT);
        columns.iter().copied().chain(tenant).collect()
    }

    fn print(&self, text: impl Display) -> Result<(), Failure> {
        output::print(text)
    }

    /// As it came; on a terminal with escapes for what that would act upon.
    fn print_json(&self, json: &str) -> Result<(), Failure> {
        if std::io::stdout().is_terminal() { self.print(printable::printable_json(json)) } else { self.print(json) }
    }

    /// For people, on standard error, so that the output stays what was asked for.
    fn note(&self, text: &str) {
        self.forget_status();
        self.log.write(&format!("{text}\n"));
    }

    /// For people who wait: overwritten by the next one, and nothing where standard error is no terminal.
    fn show_status(&self, text: &str) {
        if std::io::stderr().is_terminal() {
            self.has_status.store(true, Ordering::Relaxed);
            self.log.write(&format!("\r\x1b[K{text}"));
        }
    }

    /// Before anything else is printed. The log is written by a thread of its own.
    fn forget_status(&self) {
        if self.has_status.swap(false, Ordering::Relaxed) {
            self.log.write("\r\x1b[K");
            self.log.flush();
        }
    }

    /// Prints one object.
    fn print_answer(&self, answer: &Answer, form: Form) -> Result<(), Failure> {
        if form.json {
            return self.print_json(&answer.text());
        }
        let value: Value = answer.json()?;
        self.print(sheet::sheet(&value, OffsetDateTime::now_utc()))
    }

    /// Sends a request and prints the object that comes back.
    async fn show(&self, call: Call, form: Form) -> Result<(), Failure> {
        let answer = self.client.send(call).await?;
        self.print_answer(&answer, form)
    }

    /// Asks on the terminal; without one, `--yes` is the only consent.
    fn confirm(&self, question: &str, yes: bool) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            let sentence = "there is no terminal to ask on: add --yes to go ahead, or --dry-run to only look";
            return Err(RemoteError::Usage(sentence.to_owned()).into());
        }
        self.log.write(&format!("{question} [y/N] "));
        let mut said = String::new();
        std::io::stdin().read_line(&mut said)?;
        if matches!(said.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(Failure::WithCode { code: REFUSED, sentence: "nothing was changed".to_owned() })
    }
}
