//! Bounds on counts: what is usual, and the most that is allowed.

use crate::counts;
use crate::findings::Table;

/// One count for one event or call: what it is usually, and the most that is allowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound {
    pub(crate) name: &'static str,
    pub(crate) usual: f64,
    pub(crate) limit: f64,
}

const fn bound(name: &'static str, usual: f64, limit: f64) -> Bound {
    Bound { name, usual, limit }
}

/// Bounds of one way in which events are delivered, ordered like [`counts::NAMES`].
pub(crate) type Bounds = [Bound; counts::NAMES.len()];

/// What an event may cost that is sent by the replica that accepted it. Statements depend on
/// how many events meet in one, and so a little on the machine; the rest does not.
pub(crate) const BORN_LEASED: Bounds = [
    bound("statements", 0.14, 0.2),
    bound("bytes of WAL", 1_931.0, 2_050.0),
    bound("rows inserted", 3.0, 3.1),
    bound("rows updated", 0.0, 0.1),
    bound("rows deleted", 1.0, 1.1),
    // Half a row more where a full scan falls into the run.
    bound("rows read", 2.7, 3.5),
    // Five of them are looks at the summaries of two BRIN indexes.
    bound("buffers touched", 26.4, 29.0),
];

/// What an event may cost that was left due and taken. A worker looks for it, by the clock.
pub(crate) const TAKEN: Bounds = [
    bound("statements", 0.21, 0.26),
    bound("bytes of WAL", 2_345.0, 2_550.0),
    bound("rows inserted", 3.0, 3.1),
    bound("rows updated", 1.0, 1.2),
    bound("rows deleted", 1.0, 1.1),
    bound("rows read", 6.9, 8.5),
    bound("buffers touched", 44.1, 49.0),
];

/// What each delivery of an event may cost that goes to a hundred subscriptions and was left
/// due: the event is written once for all of them.
pub(crate) const FANNED_OUT: Bounds = [
    bound("statements", 0.11, 0.14),
    bound("bytes of WAL", 1_301.0, 1_450.0),
    bound("rows inserted", 2.01, 2.1),
    bound("rows updated", 1.0, 1.2),
    bound("rows deleted", 1.0, 1.1),
    bound("rows read", 6.6, 8.5),
    bound("buffers touched", 40.6, 46.0),
];

/// Adds what was measured to a table; returns how many bounds were exceeded.
pub(crate) fn compare(table: &mut Table, of: &str, bounds: &[Bound], measured: &[f64]) -> usize {
    let mut exceeded = 0;
    for (bound, measured) in bounds.iter().zip(measured) {
        // What was not measured is no number, and not within its bound either.
        let is_within = *measured <= bound.limit;
        exceeded += usize::from(!is_within);
        let figures = [*measured, bound.usual, bound.limit].map(|figure| format!("{figure:.2}"));
        let verdict = if is_within { "yes" } else { "NO" };
        let cells = [of, bound.name].into_iter().map(str::to_owned).chain(figures).chain([verdict.to_owned()]);
        table.row(cells);
    }
    exceeded
}
