//! Paging with opaque cursors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poem_openapi::registry::MetaSchema;
use uuid::Uuid;

use super::form::Whole;
use super::parameter::Query;
use super::text::{FromText, Moment, Refused};
use crate::domain::id::EventId;
use crate::store::Searched;

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
    /// Events of a tenant.
    Events = 8,
    /// Deliveries of a tenant.
    Deliveries = 9,
    /// Refused requests.
    Refusals = 10,
    /// Payloads that a search examines.
    Search = 11,
    /// Event types of a tenant.
    EventTypes = 12,
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
        let first = first_letters(LIST);
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

/// Of a list with two ids in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PairCursor<const LIST: u8>(pub(super) Uuid, pub(super) Uuid);

impl<const LIST: u8> FromText for PairCursor<LIST> {
    const QUERY_CODE: &'static str = "invalid_cursor";

    /// Matches [`pair_cursor_after`].
    fn rules() -> MetaSchema {
        let pattern = Some(format!("^{}[A-Za-z0-9_-]{{42}}$", first_letters(LIST)));
        MetaSchema { pattern, ..MetaSchema::new("string") }
    }

    fn from_text(text: &str) -> Result<Self, Refused> {
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        let ids = bytes.split_first().filter(|(list, _)| **list == LIST).and_then(|(_, ids)| ids.split_at_checked(16));
        let read = ids.and_then(|(first, second)| {
            Uuid::from_slice(first).ok().zip(Uuid::from_slice(second).ok()).map(|(first, second)| Self(first, second))
        });
        let rule = || "must be the next_cursor of a page of this list".to_owned();
        read.ok_or_else(|| Refused { code: Self::QUERY_CODE, rule: rule() })
    }
}

pub(super) fn pair_cursor_after(list: List, (first, second): (Uuid, Uuid)) -> String {
    let mut bytes = vec![list as u8];
    bytes.extend_from_slice(first.as_bytes());
    bytes.extend_from_slice(second.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The first two characters of base64 of a list's number and any byte.
fn first_letters(list: u8) -> String {
    let first = char::from(b'A' + (list >> 2));
    let second = ["[A-P]", "[Q-Za-f]", "[g-v]", "[w-z0-9_-]"];
    format!("{first}{}", second.get(usize::from(list & 3)).unwrap_or(&""))
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

/// What is answered of a search.
pub(super) struct Page<T> {
    pub(super) rows: Vec<T>,
    pub(super) next_cursor: Option<String>,
    /// Null where the page is full: it ends at its last row, however far the search looked.
    pub(super) examined_to: Option<Moment>,
}

impl<T> Page<T> {
    /// `page` has up to `limit + 1` rows.
    pub(super) fn of(page: Searched<T, Uuid>, limit: usize, list: List, id: impl Fn(&T) -> Uuid) -> Self {
        let (rows, full) = cut(page.rows, limit, list, id);
        let examined_to = page.examined_to.filter(|_| full.is_none());
        let next_cursor = full.or_else(|| examined_to.map(|id| cursor_after(list, id)));
        Self { rows, next_cursor, examined_to: examined_to.and_then(time_of) }
    }
}

/// The same for a list with two ids in its order.
pub(super) fn cut_pairs<T>(
    mut rows: Vec<T>,
    limit: usize,
    list: List,
    ids: impl Fn(&T) -> (Uuid, Uuid),
) -> (Vec<T>, Option<String>) {
    if rows.len() <= limit {
        return (rows, None);
    }
    rows.truncate(limit);
    let cursor = rows.last().map(|last| pair_cursor_after(list, ids(last)));
    (rows, cursor)
}

/// How far a page has looked: the time in an id, or in the bound of a range of ids.
pub(super) fn time_of(id: Uuid) -> Option<Moment> {
    let id = EventId::from(id);
    id.accepted_at().or_else(|| id.bound_time()).map(Moment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::datetime;

    /// Newest first, a millisecond apart.
    fn ids(count: u32) -> Vec<Uuid> {
        let newest = datetime!(2026-11-28 12:00 UTC);
        (0..count).map(|n| EventId::at(newest - time::Duration::milliseconds(n.into()), [7; 16]).uuid()).collect()
    }

    #[test]
    fn a_page_that_is_full_goes_on_at_its_last_row_and_one_that_a_limit_ended_where_the_search_did() {
        let ids = ids(9);
        let page = |rows: &[Uuid], examined_to| {
            let page = Searched { rows: rows.to_vec(), examined_to };
            let Page { rows, next_cursor, examined_to } = Page::of(page, 3, List::Audit, |id| *id);
            (rows.len(), next_cursor, examined_to.is_some())
        };
        let goes_on = |id| Some(cursor_after(List::Audit, id));
        assert_eq!(page(&ids[..4], Some(ids[8])), (3, goes_on(ids[2]), false));
        assert_eq!(page(&ids[..2], Some(ids[8])), (2, goes_on(ids[8]), true));
        assert_eq!(page(&ids[..3], None), (3, None, false));
    }

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
        fn a_cursor_of_two_ids_is_read_back(first in any::<u128>(), second in any::<u128>()) {
            let ids = (Uuid::from_u128(first), Uuid::from_u128(second));
            let cursor = pair_cursor_after(List::Deliveries, ids);
            let read = PairCursor::<{ List::Deliveries as u8 }>::from_text(&cursor).unwrap();
            prop_assert_eq!((read.0, read.1), ids);
            prop_assert!(Attempts::from_text(&cursor).is_err());
            let begin = &cursor[..2];
            prop_assert_eq!(begin.chars().next(), Some('C'));
            prop_assert!(begin.ends_with(|letter: char| ('Q'..='Z').contains(&letter) || ('a'..='f').contains(&letter)));
        }

        #[test]
        fn no_text_makes_the_reader_fail_otherwise(text in ".*") {
            let _ = Attempts::from_text(&text);
        }
    }
}
