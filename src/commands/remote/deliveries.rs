//! `postrider deliveries`.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Remote;
use super::client::Call;
use super::filters::DeliveryFilters;
use super::list::Paging;
use super::plan::Consent;
use super::printable::shown;
use super::table::Column;
use crate::commands::Failure;

/// What to do with deliveries.
#[derive(Debug, Subcommand)]
pub enum Deliveries {
    /// Lists deliveries, newest event first
    #[command(
        after_help = "Examples:\n  postrider deliveries list --status failed --status held --since 24h\n  postrider deliveries list --event 0199c5f0-0000-7000-8000-000000000001"
    )]
    List(List),
    /// Retries all deliveries that fit a filter, after showing how many
    #[command(
        after_help = "Example:\n  postrider deliveries retry --status failed --subscription acme-orders --since 2h"
    )]
    Retry(Bulk),
    /// Cancels all deliveries that fit a filter, after showing how many
    Cancel(Bulk),
}

/// Which deliveries to list.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    filters: DeliveryFilters,
    /// Only the deliveries of this event; with no other filter than --status
    #[arg(long, value_name = "WEBHOOK_ID", conflicts_with_all = ["reason", "subscription", "event_type", "since", "until"])]
    event: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

/// Which deliveries to change.
#[derive(Debug, Args)]
pub struct Bulk {
    #[command(flatten)]
    filters: DeliveryFilters,
    #[command(flatten)]
    consent: Consent,
}

const COLUMNS: [Column; 8] = [
    Column::whole("WEBHOOK ID", &["webhook_id"]),
    Column::whole("STATUS", &["status"]),
    Column::made("WHY", why),
    Column::whole("ATTEMPTS", &["attempts"]),
    Column::time("ACCEPTED", "accepted_at"),
    Column::time("NEXT", "next_attempt_at"),
    Column::long("TYPE", &["event_type"]),
    Column::long("SUBSCRIPTION", &["external_id", "subscription_id"]),
];

pub(super) const OF_EVENT: [Column; 7] = [
    Column::whole("SUBSCRIPTION", &["subscription_id"]),
    Column::long("EXTERNAL ID", &["external_id"]),
    Column::whole("STATUS", &["status"]),
    Column::whole("ATTEMPTS", &["attempts"]),
    Column::time("LAST", "last_attempt"),
    Column::time("NEXT", "next_attempt_at"),
    Column::made("WHY", why),
];

/// The reason of the status, or what the last attempt met.
fn why(row: &Value) -> String {
    let field = |name: &str| row.get(name).filter(|value| !value.is_null()).map(shown);
    let code = field("last_status_code").map(|code| format!(" ({code})")).unwrap_or_default();
    let met = field("last_outcome").map(|outcome| format!("{outcome}{code}")).or_else(|| field("error_message"));
    [field("reason"), met].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

impl Deliveries {
    pub(super) async fn run(self, remote: &Remote) -> Result<(), Failure> {
        match self {
            Self::List(List { filters, event: Some(event), paging }) => {
                let call = || Call::get(&["events", &event, "deliveries"]).queries(filters.queries());
                remote.list(call, &OF_EVENT, &paging).await
            }
            Self::List(List { filters, event: None, paging }) => {
                let call = || Call::get(&["deliveries"]).queries(filters.queries());
                remote.list(call, &remote.columns(&COLUMNS), &paging).await
            }
            Self::Retry(wanted) => remote.carry_out("retry", "retried", &wanted.filters, &wanted.consent).await,
            Self::Cancel(wanted) => remote.carry_out("cancel", "cancelled", &wanted.filters, &wanted.consent).await,
        }
    }
}
