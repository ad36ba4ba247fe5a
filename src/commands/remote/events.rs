//! `postrider events`.

use std::io::{IsTerminal as _, Write as _};

use clap::{Args, Subcommand};
use serde_json::Value;
use time::OffsetDateTime;

use super::Remote;
use super::client::Call;
use super::filters::EventFilters;
use super::list::{Form, Paging};
use super::printable::{deliveries, shown};
use super::sheet::sheet;
use super::table::{Column, Table};
use crate::commands::Failure;
use crate::commands::output;

/// What to do with events.
#[derive(Debug, Subcommand)]
pub enum Events {
    /// Lists events, newest first
    #[command(
        after_help = "Examples:\n  postrider events list --status failed --since 2h\n  postrider events list --payload 4711"
    )]
    List(List),
    /// Shows an event: who got it, who did not, and why
    Show(Named),
    /// Prints the payload of an event, byte for byte
    Payload(Which),
    /// Delivers an event again where it failed, expired or was skipped
    Retry(Again),
    /// Cancels the pending deliveries of an event
    Cancel(Again),
}

/// Which events to list.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    filters: EventFilters,
    #[command(flatten)]
    paging: Paging,
}

/// Which event.
#[derive(Debug, Args)]
pub struct Which {
    /// Its id, as `publish` prints it
    webhook_id: String,
}

/// Which event to show.
#[derive(Debug, Args)]
pub struct Named {
    #[command(flatten)]
    of: Which,
    #[command(flatten)]
    form: Form,
}

/// Which deliveries of an event.
#[derive(Debug, Args)]
pub struct Again {
    #[command(flatten)]
    of: Which,
    /// Only its delivery to this subscription: id or external id
    #[arg(long)]
    subscription: Option<String>,
    #[command(flatten)]
    form: Form,
}

const COLUMNS: [Column; 7] = [
    Column::whole("WEBHOOK ID", &["webhook_id"]),
    Column::whole("STATUS", &["status"]),
    Column::time("ACCEPTED", "accepted_at"),
    Column::whole("BYTES", &["payload_bytes"]),
    Column::long("TYPE", &["event_type"]),
    Column::made("DELIVERIES", counts),
    Column::long("IDEMPOTENCY KEY", &["idempotency_key"]),
];
pub(super) const TENANT: Column = Column::whole("TENANT", &["tenant_id"]);

const NOT_DELIVERED: [Column; 4] = [
    Column::whole("NOT DELIVERED TO", &["subscription_id"]),
    Column::long("EXTERNAL ID", &["external_id"]),
    Column::whole("REASON", &["reason"]),
    Column::long("DETAIL", &["detail"]),
];

impl Events {
    pub(super) async fn run(self, remote: &Remote) -> Result<(), Failure> {
        match self {
            Self::List(wanted) => {
                let call = || Call::get(&["events"]).queries(wanted.filters.queries());
                remote.list(call, &remote.columns(&COLUMNS), &wanted.paging).await
            }
            Self::Show(wanted) => show(remote, &wanted).await,
            Self::Payload(wanted) => payload(remote, &wanted.webhook_id).await,
            Self::Retry(wanted) => repeat(remote, &wanted, "retry", "retried").await,
            Self::Cancel(wanted) => repeat(remote, &wanted, "cancel", "cancelled").await,
        }
    }
}

/// `2 succeeded, 1 failed`.
fn counts(row: &Value) -> String {
    let Some(Value::Object(counts)) = row.get("counts") else { return String::new() };
    let counted = counts.iter().filter(|(_, count)| count.as_u64().is_some_and(|count| count > 0));
    counted
        .map(|(status, count)| format!("{} {}", shown(count), shown(&Value::from(status.as_str()))))
        .collect::<Vec<_>>()
        .join(", ")
}

async fn show(remote: &Remote, wanted: &Named) -> Result<(), Failure> {
    let answer = remote.client.send(Call::get(&["events", &wanted.of.webhook_id])).await?;
    if wanted.form.json {
        return remote.print_answer(&answer, wanted.form);
    }
    let (mut event, now): (Value, _) = (answer.json()?, OffsetDateTime::now_utc());
    let mut rows = |name: &str| match event.as_object_mut().and_then(|event| event.remove(name)) {
        Some(Value::Array(rows)) => rows,
        _ => Vec::new(),
    };
    let (delivered, not_delivered) = (rows("deliveries"), rows("not_delivered"));
    remote.print(sheet(&event, now))?;
    for (columns, rows) in [(&super::deliveries::OF_EVENT[..], delivered), (&NOT_DELIVERED[..], not_delivered)] {
        if !rows.is_empty() {
            remote.print(format_args!("\n{}", Table::new(columns).rows(&rows, now)))?;
        }
    }
    Ok(())
}

/// On a terminal what that would act upon is escaped; anybody else gets the bytes.
async fn payload(remote: &Remote, id: &str) -> Result<(), Failure> {
    let answer = remote.client.send(Call::get(&["events", id, "payload"]).header("accept", "*/*")?).await?;
    if std::io::stdout().is_terminal() {
        return remote.print_json(&String::from_utf8_lossy(&answer.body));
    }
    let mut out = std::io::stdout().lock();
    output::written(out.write_all(&answer.body).and_then(|()| out.flush()))
}

/// The server does a part at a time and says whether there is more.
async fn repeat(remote: &Remote, wanted: &Again, action: &str, counted: &str) -> Result<(), Failure> {
    let mut total = 0;
    loop {
        let call = Call::post(&["events", &wanted.of.webhook_id, action]);
        let call = wanted.subscription.iter().fold(call, |call, name| call.query("subscription_id", name));
        let answer = remote.client.send(call).await?;
        let said: Value = answer.json()?;
        let number = |name: &str| said.get(name).and_then(Value::as_u64).unwrap_or_default();
        total += number(counted);
        if wanted.form.json {
            remote.print_answer(&answer, wanted.form)?;
        }
        if said.get("more") == Some(&Value::Bool(true)) {
            continue;
        }
        if wanted.form.json {
            return Ok(());
        }
        let sending = match number("sending") {
            0 => String::new(),
            count => format!("; {} in flight too, unless the attempt succeeds", deliveries(count)),
        };
        return remote.print(format_args!("{} {counted}{sending}", deliveries(total)));
    }
}
