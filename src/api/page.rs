//! Paging with opaque cursors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poem_openapi::registry::MetaSchema;
use uuid::Uuid;

use super::form::Whole;
use super::parameter::Query;
use super::text::{FromText, Refused};

pub(super) const DEFAULT_LIMIT: u16 = 50;
pub(super) const MAX_LIMIT: u16 = 100;

/// One list's cursor is refused by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum List {
    Subscriptions = 1,
    Attempts = 2,
    EventDeliveries = 3,
    Replays = 4,
    /// Tenants.
    Tenants = 5,
    /// API keys.
    Keys = 6,
    /// Changes.
    Audit = 7,
}

pub(super) type Limit = Whole<1, { MAX_LIMIT as u32 }>;

pub(super) fn limit(asked: &Query<Limit>) -> usize {
    let asked = asked.0.and_then(|limit| usize::try_from(limit.0).ok());
    asked.unwrap_or(DEFAULT_LIMIT.into())
}

/// The next page has smaller ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor<const LIST: u8>(pub(super) Uuid);

impl<const LIST: u8> FromText for Cursor<LIST> {
    const QUERY_CODE: &'static str = "invalid_cursor";

    /// Matches [`cursor_after`].
    fn rules() -> MetaSchema {
        let first = match LIST {
            1 => "A[Q-Za-f]",
            2 => "A[g-v]",
            3 => "A[w-z0-9_-]",
            4 => "B[A-P]",
            5 => "B[Q-Za-f]",
            6 => "B[g-v]",
            _ => "B[w-z0-9_-]",
        };
        let pattern = Some(format!("^{first}[A-Za-z0-9_-]{{20}}[AEIMQUYcgkosw048]$"));
        MetaSchema { pattern, ..MetaSchema::new("string") }
    }

    fn from_text(text: &str) -> Result<Self, Refused> {
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        let id = bytes.split_first().filter(|(list, _)| **list == LIST).and_then(|(_, id)| Uuid::from_slice(id).ok());
        let rule = || "must be the next_cursor of a page of this list".to_owned();
        id.map(Self).ok_or_else(|| Refused { code: Self::QUERY_CODE, rule: rule() })
    }
}

pub(super) fn cursor_after(list: List, last: Uuid) -> String {
    let mut bytes = vec![list as u8];
    bytes.extend_from_slice(last.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `rows` has up to `limit + 1`; the cursor is set if there are more.
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

    type Attempts = Cursor<{ List::Attempts as u8 }>;
    type Subscriptions = Cursor<{ List::Subscriptions as u8 }>;

    proptest! {
        #[test]
        fn a_cursor_is_read_back_by_its_own_list_alone(id in any::<u128>()) {
            let id = Uuid::from_u128(id);
            let cursor = cursor_after(List::Attempts, id);
            prop_assert_eq!(Attempts::from_text(&cursor).unwrap().0, id);
            prop_assert!(Subscriptions::from_text(&cursor).is_err());
        }

        #[test]
        fn no_text_makes_the_reader_fail_otherwise(text in ".*") {
            let _ = Attempts::from_text(&text);
        }
    }
}
