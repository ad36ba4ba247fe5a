//! Metadata: the customer's own data about a subscription. postrider does not use it.

use std::collections::BTreeMap;

pub(crate) const MAX_KEYS: usize = 50;
pub(crate) const MAX_KEY_LENGTH: usize = 40;
pub(crate) const MAX_VALUE_LENGTH: usize = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidMetadata {
    #[error("must have keys of 1 to {MAX_KEY_LENGTH} characters, without control characters")]
    Key,
    #[error("must be at most {MAX_VALUE_LENGTH} characters, without control characters but line feed and tab")]
    Value,
    #[error("must have at most {MAX_KEYS} keys")]
    TooMany,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// Skips the check: it was valid when it was stored.
    pub(crate) fn stored(entries: BTreeMap<String, String>) -> Self {
        Self(entries)
    }

    pub(crate) fn entries(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Sets keys; `None` removes one.
    pub(crate) fn merged(mut self, changes: &BTreeMap<String, Option<String>>) -> Result<Self, InvalidMetadata> {
        for (key, value) in changes {
            match value {
                Some(value) => self.0.insert(key.clone(), value.clone()),
                None => self.0.remove(key),
            };
        }
        if self.0.len() > MAX_KEYS { Err(InvalidMetadata::TooMany) } else { Ok(self) }
    }
}

pub(crate) fn check_key(key: &str) -> Result<(), InvalidMetadata> {
    let fits = (1..=MAX_KEY_LENGTH).contains(&key.chars().count()) && !key.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(InvalidMetadata::Key) }
}

pub(crate) fn check_value(value: &str) -> Result<(), InvalidMetadata> {
    let illegal = |c: char| c.is_control() && c != '\n' && c != '\t';
    let fits = value.chars().count() <= MAX_VALUE_LENGTH && !value.chars().any(illegal);
    if fits { Ok(()) } else { Err(InvalidMetadata::Value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_writes_removes_and_leaves_the_rest() {
        let text = |text: &str| Some(text.to_owned());
        let all = BTreeMap::from([("a".to_owned(), text("1")), ("b".to_owned(), text("2"))]);
        let first = Metadata::default().merged(&all).unwrap();
        let then = BTreeMap::from([("a".to_owned(), None), ("c".to_owned(), text("3")), ("d".to_owned(), None)]);
        let entries = first.merged(&then).unwrap().0;
        assert_eq!(entries, BTreeMap::from([("b".to_owned(), "2".to_owned()), ("c".to_owned(), "3".to_owned())]));
    }

    #[test]
    fn limits_are_counted_in_characters_and_over_the_whole() {
        assert_eq!(check_key(&"ä".repeat(40)), Ok(()));
        for key in ["", "a\0", &"ä".repeat(41)] {
            assert_eq!(check_key(key), Err(InvalidMetadata::Key));
        }
        assert_eq!(check_value("two\nlines"), Ok(()));
        for value in ["\u{7}", &"ä".repeat(501)] {
            assert_eq!(check_value(value), Err(InvalidMetadata::Value));
        }
        let many = |count: usize| (0..count).map(|n| (n.to_string(), Some(String::new()))).collect();
        assert!(Metadata::default().merged(&many(50)).is_ok());
        assert_eq!(Metadata::default().merged(&many(51)), Err(InvalidMetadata::TooMany));
    }
}
