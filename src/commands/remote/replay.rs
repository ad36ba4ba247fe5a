//! `postrider replay`: sends again what ended, as a plan that is shown first.

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde::Deserialize;
use serde_json::json;

use super::Remote;
use super::client::Call;
use super::filters::DeliveryFilters;
use super::list::{Form, Paging};
use super::plan::{Consent, require_filter, with};
use super::refusal::REFUSED;
use super::table::Column;
use crate::commands::Failure;

/// The server steps a replay once a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks that fail one after the other before the watch ends; the replay goes on without it.
const MAX_FAILED_LOOKS: u32 = 30;
const BAR_CHARACTERS: u64 = 30;

/// What to do with replays.
#[derive(Debug, Subcommand)]
pub enum Replay {
    /// Shows what would be sent again, asks, and follows the replay to its end
    #[command(
        after_help = "Examples:\n  postrider replay create --status failed --since 24h\n  postrider replay create --subscription acme-orders --status succeeded --since 2h --rate 10 --yes"
    )]
    Create(Create),
    /// Lists replays, newest first
    List(List),
    /// Shows a replay
    Show(Named),
    /// Follows a replay to its end
    Watch(Named),
    /// Ends a replay; what it has sent again stays so
    Cancel(Named),
}

/// A new replay.
#[derive(Debug, Args)]
pub struct Create {
    #[command(flatten)]
    filters: DeliveryFilters,
    /// Who gets the events again
    #[arg(long, value_enum)]
    to: Option<To>,
    /// Most deliveries a second
    #[arg(long)]
    rate: Option<u32>,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum To {
    /// The subscriptions that had the deliveries
    Original,
    /// The subscriptions that match now
    Matching,
}

/// Which replays to list.
#[derive(Debug, Args)]
pub struct List {
    /// Only replays of this subscription: id or external id
    #[arg(long)]
    subscription: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

/// Which replay.
#[derive(Debug, Args)]
pub struct Named {
    /// Its id
    id: String,
    #[command(flatten)]
    form: Form,
}

/// What a watcher needs of a replay.
#[derive(Debug, Deserialize)]
struct Running {
    id: String,
    status: String,
    replayed: u64,
    #[serde(default)]
    count: Option<u64>,
}

const COLUMNS: [Column; 6] = [
    Column::whole("ID", &["id"]),
    Column::whole("STATUS", &["status"]),
    Column::whole("REPLAYED", &["replayed"]),
    Column::whole("RATE", &["rate"]),
    Column::time("CREATED", "created_at"),
    Column::long("SUBSCRIPTION", &["subscription_id"]),
];

impl Replay {
    pub(super) async fn run(self, remote: &Remote) -> Result<(), Failure> {
        match self {
            Self::Create(wanted) => create(remote, &wanted).await,
            Self::List(wanted) => {
                let call = || {
                    let named = wanted.subscription.iter();
                    named.fold(Call::get(&["replays"]), |call, name| call.query("subscription_id", name))
                };
                remote.list(call, &COLUMNS, &wanted.paging).await
            }
            Self::Show(wanted) => remote.show(Call::get(&["replays", &wanted.id]), wanted.form).await,
            Self::Watch(wanted) => watch(remote, &wanted.id, None, wanted.form).await,
            Self::Cancel(wanted) => remote.show(Call::post(&["replays", &wanted.id, "cancel"]), wanted.form).await,
        }
    }
}

async fn create(remote: &Remote, wanted: &Create) -> Result<(), Failure> {
    require_filter(&wanted.filters)?;
    let mut body = json!({ "only": wanted.filters.only() });
    if let Some(to) = wanted.to {
        body = with(
            &body,
            "to",
            json!(match to {
                To::Original => "original",
                To::Matching => "matching",
            }),
        );
    }
    if let Some(rate) = wanted.rate {
        body = with(&body, "rate", json!(rate));
    }
    let Some((plan, body)) = remote.agree(&["replays"], body, "replay", &wanted.consent).await? else { return Ok(()) };
    let answer = remote.client.send(Call::post(&["replays"]).json(&body)).await?;
    if wanted.no_wait {
        return remote.print_answer(&answer, wanted.consent.form);
    }
    let replay: Running = answer.json()?;
    remote.note(&format!(
        "replay {} runs; ctrl-c ends this watch, not the replay",
        super::printable::printable(&replay.id)
    ));
    watch(remote, &replay.id, Some(plan.count), wanted.consent.form).await
}

/// Prints the replay at its end. Cancelled ends with the status of a refusal: not all of it was sent again.
async fn watch(remote: &Remote, id: &str, planned: Option<u64>, form: Form) -> Result<(), Failure> {
    let (mut failed, mut last) = (0, None);
    loop {
        let answer = match remote.client.send(Call::get(&["replays", id])).await {
            Ok(answer) => answer,
            Err(error) if error.is_temporary() && failed < MAX_FAILED_LOOKS => {
                failed += 1;
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        failed = 0;
        let replay: Running = answer.json()?;
        let count = replay.count.or(planned);
        if replay.status != "running" {
            remote.forget_status();
            remote.print_answer(&answer, form)?;
            return match replay.status.as_str() {
                "finished" => Ok(()),
                _ => Err(Failure::WithCode { code: REFUSED, sentence: "the replay was cancelled".to_owned() }),
            };
        }
        let line = progress(replay.replayed, count);
        if std::io::stderr().is_terminal() {
            remote.show_status(&line);
        } else if last.as_ref() != Some(&line) {
            remote.note(&line);
        }
        last = Some(line);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// `[#####     ] 50 of 100`.
fn progress(done: u64, count: Option<u64>) -> String {
    let Some(count) = count.filter(|count| *count > 0) else { return format!("{done} replayed") };
    let filled = (done.min(count) * BAR_CHARACTERS / count).min(BAR_CHARACTERS);
    let bar: String = (0..BAR_CHARACTERS).map(|at| if at < filled { '#' } else { ' ' }).collect();
    format!("[{bar}] {done} of {count} replayed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_fills_with_what_is_replayed_and_never_overflows() {
        assert_eq!(progress(0, Some(4)), format!("[{}] 0 of 4 replayed", " ".repeat(30)));
        assert_eq!(progress(2, Some(4)), format!("[{}{}] 2 of 4 replayed", "#".repeat(15), " ".repeat(15)));
        assert_eq!(progress(9, Some(4)), format!("[{}] 9 of 4 replayed", "#".repeat(30)));
        assert_eq!(progress(7, None), "7 replayed");
    }
}
