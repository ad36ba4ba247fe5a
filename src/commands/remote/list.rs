//! Lists: follows cursors until there are enough rows. A page may be short or even empty and still have a next one,
//! because the server examines a bounded number of rows for each.

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::Remote;
use super::client::Call;
use super::refusal::RemoteError;
use super::table::{Column, Table};
use crate::commands::Failure;

/// Fills a screen.
const DEFAULT_ROWS: u64 = 50;
/// The API's own limit of a page.
const MAX_PAGE: u64 = 100;

/// How much of a list, and in which form.
#[derive(Debug, Args)]
pub struct Paging {
    /// Most rows [default: 50]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// All rows
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    form: Form,
}

/// For programs instead of people.
#[derive(Debug, Clone, Copy, Args)]
pub struct Form {
    /// Print the API's JSON as it is; a list has one row per line
    #[arg(long)]
    pub(super) json: bool,
}

impl Paging {
    /// For lists that come from a database and have no form for programs.
    pub(in crate::commands) fn of_database(&self) -> Result<usize, Failure> {
        self.form.of_database()?;
        Ok(self.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX))
    }
}

impl Form {
    pub(in crate::commands) fn of_database(self) -> Result<(), Failure> {
        if self.json {
            let rule = "--json needs a server: name one with --server or POSTRIDER_SERVER";
            return Err(RemoteError::Usage(rule.to_owned()).into());
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    #[serde(default)]
    next_cursor: Option<String>,
    #[serde(default)]
    examined_to: Option<String>,
}

impl Remote {
    /// Prints what `call` lists, page by page.
    pub(super) async fn list(
        &self,
        call: impl Fn() -> Call,
        columns: &[Column],
        paging: &Paging,
    ) -> Result<(), Failure> {
        let mut left = if paging.all { u64::MAX } else { paging.limit.unwrap_or(DEFAULT_ROWS) };
        let mut table = Table::new(columns);
        let (mut cursor, mut count): (Option<String>, usize) = (None, 0);
        loop {
            let asked = call().query("limit", left.min(MAX_PAGE).to_string());
            let asked = cursor.iter().fold(asked, |asked, cursor| asked.query("cursor", cursor));
            let page: Page = self.client.send(asked).await?.json()?;
            self.forget_status();
            let rows = page.data.len();
            count += rows;
            self.print_rows(&page.data, &mut table, paging.form)?;
            left = left.saturating_sub(u64::try_from(rows).unwrap_or(u64::MAX));
            // A cursor that leads nowhere would be followed for ever.
            let next = page.next_cursor.filter(|next| cursor.as_ref() != Some(next));
            match next {
                Some(next) if left > 0 => cursor = Some(next),
                Some(_) => {
                    self.note("there are more: --limit N or --all shows them");
                    return Ok(());
                }
                None => break,
            }
            if let Some(at) = page.examined_to {
                self.show_status(&format!("{count} found, looked back to {}", super::printable::printable(&at)));
            }
        }
        if count == 0 && !paging.form.json {
            self.note("nothing found");
        }
        Ok(())
    }

    fn print_rows(&self, rows: &[Box<RawValue>], table: &mut Table, form: Form) -> Result<(), Failure> {
        if form.json {
            return rows.iter().try_for_each(|row| self.print_json(&one_line(row.get())));
        }
        if rows.is_empty() {
            return Ok(());
        }
        let rows: Result<Vec<Value>, _> = rows.iter().map(|row| serde_json::from_str(row.get())).collect();
        let rows = rows.map_err(|error| Failure::new(format!("a row cannot be read: {error}")))?;
        self.print(table.rows(&rows, OffsetDateTime::now_utc()))
    }
}

/// Line breaks in JSON are only between tokens.
fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}
