//! Lines: when the head of one has ended, the next has its turn.

use std::collections::BTreeSet;

use crate::domain::delivery::Report;
use crate::domain::ordering::Line;
use crate::store::Store;

/// The lines whose heads these reports end, each once.
pub(super) fn ended(reports: &[Report]) -> Vec<Line> {
    let lines: BTreeSet<_> = reports.iter().filter_map(Report::ended_line).collect();
    lines.into_iter().collect()
}

/// Lets these lines go on, after the commit that ended their heads; returns whether any
/// delivery is due now. A failure costs time only: upkeep does the same.
pub(super) async fn advance(store: &Store, lines: &[Line]) -> bool {
    if lines.is_empty() {
        return false;
    }
    match store.advance(lines).await {
        Ok(released) => released > 0,
        Err(error) => {
            tracing::debug!(%error, "lines did not go on and wait for upkeep");
            false
        }
    }
}
