//! `postrider attempts`.

use clap::{Args, Subcommand};

use super::Remote;
use super::client::Call;
use super::filters::AttemptFilters;
use super::list::{Form, Paging};
use super::table::Column;
use crate::commands::Failure;

/// What to see of attempts.
#[derive(Debug, Subcommand)]
pub enum Attempts {
    /// Lists attempts, newest first
    #[command(
        after_help = "Examples:\n  postrider attempts list --status failed --since 1h\n  postrider attempts list --status-code 5xx --subscription acme-orders"
    )]
    List(List),
    /// Shows an attempt in full: request, response, times
    Show(Show),
}

/// Which attempts to list.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    filters: AttemptFilters,
    #[command(flatten)]
    paging: Paging,
}

/// Which attempt.
#[derive(Debug, Args)]
pub struct Show {
    /// Its id, as `attempts list` shows it
    id: String,
    #[command(flatten)]
    form: Form,
}

const COLUMNS: [Column; 8] = [
    Column::whole("ID", &["id"]),
    Column::time("AT", "created_at"),
    Column::whole("OUTCOME", &["outcome"]),
    Column::whole("CODE", &["status_code"]),
    Column::whole("MS", &["duration_ms"]),
    Column::whole("WEBHOOK ID", &["webhook_id"]),
    Column::long("TYPE", &["event_type"]),
    Column::long("ERROR", &["error_message"]),
];

impl Attempts {
    pub(super) async fn run(self, remote: &Remote) -> Result<(), Failure> {
        match self {
            Self::List(wanted) => {
                let call = || Call::get(&["attempts"]).queries(wanted.filters.queries());
                remote.list(call, &remote.columns(&COLUMNS), &wanted.paging).await
            }
            Self::Show(wanted) => remote.show(Call::get(&["attempts", &wanted.id]), wanted.form).await,
        }
    }
}
