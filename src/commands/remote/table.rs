//! Tables for people. Columns are as wide as their widest cell so far; on a terminal the long ones are cut, ids never.

use std::io::IsTerminal as _;

use serde_json::Value;
use time::OffsetDateTime;

use super::printable::shown;
use super::when::distance;

/// A column that may be cut keeps this many characters.
const LEAST_CUT: usize = 12;
const GAP: usize = 2;

#[derive(Debug, Clone, Copy)]
pub(super) enum Cell {
    /// The first of these fields that is not null.
    Field(&'static [&'static str]),
    Time(&'static str),
    Made(fn(&Value) -> String),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    title: &'static str,
    cell: Cell,
    may_be_cut: bool,
}

impl Column {
    /// Never cut: ids, states, numbers.
    pub(super) const fn whole(title: &'static str, fields: &'static [&'static str]) -> Self {
        Self { title, cell: Cell::Field(fields), may_be_cut: false }
    }

    /// Cut where the terminal is too narrow.
    pub(super) const fn long(title: &'static str, fields: &'static [&'static str]) -> Self {
        Self { title, cell: Cell::Field(fields), may_be_cut: true }
    }

    pub(super) const fn time(title: &'static str, field: &'static str) -> Self {
        Self { title, cell: Cell::Time(field), may_be_cut: false }
    }

    pub(super) const fn made(title: &'static str, make: fn(&Value) -> String) -> Self {
        Self { title, cell: Cell::Made(make), may_be_cut: true }
    }

    fn text(&self, row: &Value, now: OffsetDateTime) -> String {
        match self.cell {
            Cell::Field(names) => names
                .iter()
                .filter_map(|name| row.get(name))
                .find(|value| !value.is_null())
                .map(shown)
                .unwrap_or_default(),
            Cell::Time(name) => {
                row.get(name).filter(|at| !at.is_null()).map(|at| distance(&shown(at), now)).unwrap_or_default()
            }
            Cell::Made(make) => make(row),
        }
    }
}

pub(super) struct Table {
    columns: Vec<Column>,
    widths: Vec<usize>,
    terminal: Option<usize>,
    has_header: bool,
}

impl Table {
    /// For standard output.
    pub(super) fn new(columns: &[Column]) -> Self {
        Self::of_width(columns, terminal_width())
    }

    fn of_width(columns: &[Column], terminal: Option<usize>) -> Self {
        let widths = columns.iter().map(|column| column.title.chars().count()).collect();
        Self { columns: columns.to_vec(), widths, terminal, has_header: false }
    }

    /// The next rows, below the titles if they are the first; without a line break at the end.
    pub(super) fn rows(&mut self, rows: &[Value], now: OffsetDateTime) -> String {
        let cells = |row: &Value| self.columns.iter().map(|column| column.text(row, now)).collect::<Vec<_>>();
        let mut lines: Vec<Vec<String>> = rows.iter().map(cells).collect();
        if !self.has_header {
            self.has_header = true;
            lines.insert(0, self.columns.iter().map(|column| column.title.to_owned()).collect());
        }
        for line in &lines {
            for (width, cell) in self.widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let widths = self.fitted();
        let lines: Vec<String> = lines.iter().map(|line| joined(line, &widths)).collect();
        lines.join("\n")
    }

    /// Takes from the widest column that may be cut, until the line fits or nothing is left to take.
    fn fitted(&self) -> Vec<usize> {
        let mut widths = self.widths.clone();
        let Some(terminal) = self.terminal else { return widths };
        let gaps = GAP * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > terminal {
            let cuttable =
                widths.iter_mut().zip(&self.columns).filter(|(width, column)| column.may_be_cut && **width > LEAST_CUT);
            let Some((widest, _)) = cuttable.max_by_key(|(width, _)| **width) else { break };
            *widest -= 1;
        }
        widths
    }
}

fn joined(cells: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let count = cell.chars().count();
        if count > *width {
            line.extend(cell.chars().take(width.saturating_sub(1)));
            line.push('…');
        } else {
            line.push_str(cell);
        }
        line.extend(std::iter::repeat_n(' ', width.saturating_sub(count) + GAP));
    }
    line.truncate(line.trim_end().len());
    line
}

/// In characters; `None` where standard output is no terminal, so that nothing is cut for another program.
pub(super) fn terminal_width() -> Option<usize> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2026-11-28 12:00 UTC);
    const COLUMNS: [Column; 3] =
        [Column::whole("ID", &["id"]), Column::time("CREATED", "created_at"), Column::long("NAME", &["title", "name"])];

    #[test]
    fn columns_align_and_later_rows_keep_the_place() {
        let mut table = Table::of_width(&COLUMNS, None);
        let first =
            table.rows(&[json!({ "id": "a-long-id", "created_at": "2026-11-28T11:00:00Z", "name": null })], NOW);
        assert_eq!(first, "ID         CREATED  NAME\na-long-id  1h ago");
        let second = table.rows(&[json!({ "id": "b", "created_at": null, "name": "x", "title": null })], NOW);
        assert_eq!(second, "b                   x");
    }

    #[test]
    fn on_a_narrow_terminal_long_columns_are_cut_and_ids_are_not() {
        let mut table = Table::of_width(&COLUMNS, Some(40));
        let id = "0199c5f0-0000-7000-8000-000000000001";
        let lines = table.rows(&[json!({ "id": id, "created_at": null, "name": "x".repeat(100) })], NOW);
        let row = lines.lines().last().unwrap();
        assert!(row.starts_with(id) && row.ends_with("xxx…") && row.chars().count() == 36 + 2 + 7 + 2 + 12, "{row}");
    }

    #[test]
    fn a_cell_holds_no_escape_sequence_and_no_line_break() {
        let mut table = Table::of_width(&COLUMNS, None);
        let lines = table.rows(&[json!({ "id": "\u{1b}[2J", "created_at": "\u{1b}[1m", "name": "a\nb" })], NOW);
        assert!(!lines.contains('\u{1b}') && lines.lines().count() == 2, "{lines}");
        assert!(lines.ends_with("\\u{1b}[2J  \\u{1b}[1m  a\\nb"), "{lines}");
    }
}
