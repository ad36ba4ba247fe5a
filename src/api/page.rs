//! Paging: opaque cursors, and how many rows a page has.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::problem::Problem;

/// Rows of a page when nobody says otherwise.
pub(super) const DEFAULT_LIMIT: u16 = 50;
/// Most rows of a page.
pub(super) const MAX_LIMIT: u16 = 100;

/// What a cursor pages through; one list's cursor is refused by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum List {
    /// Subscriptions of a tenant.
    Subscriptions = 1,
    /// Attempts of a subscription.
    Attempts = 2,
    /// Deliveries of an event, by the id of their subscription.
    EventDeliveries = 3,
    /// Replays of a tenant.
    Replays = 4,
}

impl List {
    /// What its cursors look like: [`cursor_after`] as a regular expression.
    pub(super) fn cursor_pattern(self) -> &'static str {
        match self {
            Self::Subscriptions => "^A[Q-Za-f][A-Za-z0-9_-]{20}[AEIMQUYcgkosw048]$",
            Self::Replays => "^B[A-P][A-Za-z0-9_-]{20}[AEIMQUYcgkosw048]$",
            Self::EventDeliveries => "^A[w-z0-9_-][A-Za-z0-9_-]{20}[AEIMQUYcgkosw048]$",
            Self::Attempts => "^A[g-v][A-Za-z0-9_-]{20}[AEIMQUYcgkosw048]$",
        }
    }
}

/// The cursor after a page whose last row has this id.
pub(super) fn cursor_after(list: List, last: Uuid) -> String {
    let mut bytes = vec![list as u8];
    bytes.extend_from_slice(last.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The id that the next page lies below.
///
/// # Errors
/// A [`Problem`] for anything that [`cursor_after`] did not make for this list.
pub(super) fn read_cursor(list: List, cursor: &str) -> Result<Uuid, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
    match bytes.split_first() {
        Some((kind, id)) if *kind == list as u8 => Uuid::from_slice(id).ok(),
        _ => None,
    }
    .ok_or_else(|| Problem::field("/query/cursor", "invalid_cursor", "must be the next_cursor of a page of this list"))
}

/// The rows of a page out of `limit + 1` that were asked for, and the cursor if there is more.
pub(super) fn cut<T>(mut rows: Vec<T>, limit: usize, list: List, id: impl Fn(&T) -> Uuid) -> (Vec<T>, Option<String>) {
    if rows.len() <= limit {
        return (rows, None);
    }
    rows.truncate(limit);
    let cursor = rows.last().map(|last| cursor_after(list, id(last)));
    (rows, cursor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_back_by_its_own_list_alone(id in any::<u128>()) {
            let id = Uuid::from_u128(id);
            let cursor = cursor_after(List::Attempts, id);
            prop_assert_eq!(read_cursor(List::Attempts, &cursor), Ok(id));
            prop_assert!(read_cursor(List::Subscriptions, &cursor).is_err());
        }

        #[test]
        fn no_text_makes_the_reader_fail_otherwise(text in ".*") {
            let _ = read_cursor(List::Attempts, &text);
        }
    }
}
