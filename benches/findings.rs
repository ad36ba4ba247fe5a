//! What a scenario found: Markdown tables, how they were measured, and the ledger.

use std::fmt;

use crate::failure::Failure;
use crate::ledger::Ledger;

/// The result of one scenario.
pub(crate) struct Findings {
    pub(crate) tables: Vec<Table>,
    /// One line: how this was measured, and what the goal is.
    pub(crate) how: String,
    pub(crate) ledger: Ledger,
    /// Bounds that were exceeded.
    pub(crate) exceeded: usize,
}

impl Findings {
    /// A table, its line, and the ledger.
    pub(crate) fn new(table: Table, how: impl Into<String>, ledger: Ledger) -> Self {
        Self { tables: vec![table], how: how.into(), ledger, exceeded: 0 }
    }

    /// The same with a second table.
    pub(crate) fn and(mut self, table: Table) -> Self {
        self.tables.push(table);
        self
    }

    /// Whether the ledger closes and no bound was exceeded. A goal that is missed is no failure:
    /// goals depend on the machine, bounds do not.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.ledger.check()?;
        if self.exceeded == 0 { Ok(()) } else { Err(Failure::new(format!("{} bounds are exceeded", self.exceeded))) }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            writeln!(f, "{table}")?;
        }
        writeln!(f, "{}", self.how)?;
        write!(f, "{}", self.ledger)
    }
}

/// A Markdown table.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns; a name has its unit.
    pub(crate) fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self { rows: vec![columns.into_iter().map(Into::into).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Whether the column's first cell begins with a letter.
    fn is_text(&self, column: usize) -> bool {
        let first = self.rows.get(1).and_then(|row| row.get(column)?.chars().next());
        first.is_some_and(char::is_alphabetic)
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| self.rows.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max();
        (0..columns).map(|column| width(column).unwrap_or(0)).collect()
    }
}

/// Texts to the left, figures to the right.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, width) in widths.iter().enumerate() {
                let cell = row.get(column).map_or("", String::as_str);
                if self.is_text(column) { write!(f, "| {cell:<width$} ")? } else { write!(f, "| {cell:>width$} ")? }
            }
            writeln!(f, "|")?;
            if number == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width.saturating_sub(1).max(2));
                    if self.is_text(column) { write!(f, "| {dashes}- ")? } else { write!(f, "| {dashes}: ")? }
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// The median of ratios, and the least and the greatest of them.
pub(crate) fn spread(ratios: impl IntoIterator<Item = f64>) -> (f64, f64, f64) {
    let mut ratios: Vec<f64> = ratios.into_iter().collect();
    ratios.sort_by(f64::total_cmp);
    let at = |place: usize| ratios.get(place).copied().unwrap_or(0.0);
    let last = ratios.len().saturating_sub(1);
    (f64::midpoint(at(last / 2), at(last.div_ceil(2))), at(0), at(last))
}

/// What a cell says of a goal.
pub(crate) fn met(is_met: bool) -> &'static str {
    if is_met { "yes" } else { "no" }
}
