//! Reading JSON objects strictly: no unknown fields, no field twice, every broken rule named.
//!
//! Two parsers may read a duplicate field differently, so it is an error; an unknown field
//! is a misspelt one. Values are never repeated in what is said about them.

use std::collections::HashSet;
use std::fmt;
use std::ops::RangeInclusive;

use poem_openapi::types::ParseFromParameter as _;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::problem::{FieldError, Problem};
use super::text::Moment;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field<T> {
    /// It is not there.
    Absent,
    /// It is `null`.
    Null,
    /// It has a value of the right type.
    Given(T),
}

impl<T> Field<T> {
    /// The value, where null counts as absent.
    pub(super) fn given(self) -> Option<T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// The value over the one that stands: absent leaves it, null clears it.
    pub(super) fn over(self, current: Option<T>) -> Option<T> {
        match self {
            Self::Absent => current,
            Self::Null => None,
            Self::Given(value) => Some(value),
        }
    }

    /// Null where it is absent.
    pub(super) fn or_null(self) -> Self {
        match self {
            Self::Absent => Self::Null,
            said => said,
        }
    }
}

/// The fields of one JSON object, taken out one by one.
pub(super) struct Fields<'a> {
    entries: Vec<(String, &'a RawValue)>,
    errors: Vec<FieldError>,
}

struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Deserialize<'a> for Entries<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'a> Visitor<'a> for EntriesVisitor {
    type Value = Entries<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Entries<'a>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

impl<'a> Fields<'a> {
    /// The fields of a body.
    ///
    /// # Errors
    /// [`Problem::MalformedJson`] where it is no JSON, [`Problem::Invalid`] where it is no object.
    pub(super) fn of(body: &'a [u8]) -> Result<Self, Problem> {
        // Checks the grammar without recursion, whatever the depth.
        let document: &RawValue = serde_json::from_slice(body).map_err(|_| Problem::MalformedJson)?;
        if !document.get().starts_with('{') {
            return Err(Problem::field("", "wrong_type", "must be an object"));
        }
        let Entries(entries) = serde_json::from_str(document.get())
            .map_err(|_| Problem::field("", "invalid_name", "must have field names that are valid Unicode"))?;
        Ok(Self { entries, errors: Vec::new() })
    }

    /// Notes that a field breaks a rule.
    pub(super) fn refuse(&mut self, pointer: impl Into<String>, code: &'static str, detail: impl ToString) {
        self.errors.push(FieldError { pointer: pointer.into(), code, detail: detail.to_string() });
    }

    /// A field's own bytes, null too.
    pub(super) fn raw(&mut self, name: &str) -> Option<&'a RawValue> {
        let mut found = None;
        let mut count = 0;
        self.entries.retain(|(field, value)| {
            let is_it = field == name;
            if is_it {
                count += 1;
                found = Some(*value);
            }
            !is_it
        });
        if count > 1 {
            self.refuse(format!("/{name}"), "duplicate_field", "must stand only once");
        }
        found
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Field<String> {
        self.typed(name, "must be a string of valid Unicode")
    }

    /// A truth value.
    pub(super) fn boolean(&mut self, name: &str) -> Field<bool> {
        self.typed(name, "must be true or false")
    }

    /// A whole number.
    pub(super) fn integer(&mut self, name: &str) -> Field<i64> {
        self.typed(name, "must be a whole number")
    }

    /// A moment.
    pub(super) fn moment(&mut self, name: &str) -> Option<OffsetDateTime> {
        let text = self.text(name).given()?;
        match Moment::parse_from_parameter(&text) {
            Ok(moment) => Some(moment.0),
            Err(_) => {
                let rule = "must be an RFC 3339 time, as in 2026-11-23T18:00:00Z";
                self.refuse(format!("/{name}"), "invalid_time", rule);
                None
            }
        }
    }

    /// A whole number in this range.
    pub(super) fn whole(&mut self, name: &str, range: RangeInclusive<u32>) -> Field<u32> {
        let number = match self.integer(name) {
            Field::Absent => return Field::Absent,
            Field::Null => return Field::Null,
            Field::Given(number) => number,
        };
        match u32::try_from(number).ok().filter(|number| range.contains(number)) {
            Some(number) => Field::Given(number),
            None => {
                let rule = format!("must be from {} to {}", range.start(), range.end());
                self.refuse(format!("/{name}"), "out_of_range", rule);
                Field::Absent
            }
        }
    }

    /// A list of texts; an entry of another type is refused with its own pointer.
    pub(super) fn texts(&mut self, name: &str) -> Field<Vec<String>> {
        let items = match self.typed::<Vec<&'a RawValue>>(name, "must be an array of strings") {
            Field::Absent => return Field::Absent,
            Field::Null => return Field::Null,
            Field::Given(items) => items,
        };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match serde_json::from_str(item.get()) {
                Ok(text) => texts.push(text),
                Err(_) => {
                    self.refuse(format!("/{name}/{index}"), "wrong_type", "must be a string of valid Unicode");
                    // Keeps the positions of those that follow.
                    texts.push(String::new());
                }
            }
        }
        Field::Given(texts)
    }

    /// The entries of an object, in their order; a name that stands twice is refused.
    pub(super) fn object(&mut self, name: &str) -> Field<Vec<(String, &'a RawValue)>> {
        let entries = match self.typed::<Entries<'a>>(name, "must be an object") {
            Field::Absent => return Field::Absent,
            Field::Null => return Field::Null,
            Field::Given(Entries(entries)) => entries,
        };
        let mut seen = HashSet::new();
        for (entry, _) in &entries {
            if !seen.insert(entry) {
                self.refuse(format!("/{name}{}", pointer_to(entry)), "duplicate_field", "must stand only once");
            }
        }
        Field::Given(entries)
    }

    /// The fields of an object, to be given back to [`Fields::absorb`].
    pub(super) fn nested(&mut self, name: &str) -> Field<Self> {
        match self.typed::<Entries<'a>>(name, "must be an object") {
            Field::Absent => Field::Absent,
            Field::Null => Field::Null,
            Field::Given(Entries(entries)) => Field::Given(Self { entries, errors: Vec::new() }),
        }
    }

    /// Takes over which rules were broken in an object, what is left in it among them.
    pub(super) fn absorb(&mut self, name: &str, inner: Self) {
        if let Err(Problem::Invalid(errors)) = inner.finish() {
            let at = |error: FieldError| FieldError { pointer: format!("/{name}{}", error.pointer), ..error };
            self.errors.extend(errors.into_iter().map(at));
        }
    }

    fn typed<T: Deserialize<'a>>(&mut self, name: &str, rule: &str) -> Field<T> {
        match self.raw(name) {
            None => Field::Absent,
            Some(value) if value.get() == "null" => Field::Null,
            Some(value) => match serde_json::from_str(value.get()) {
                Ok(value) => Field::Given(value),
                Err(_) => {
                    self.refuse(format!("/{name}"), "wrong_type", rule);
                    Field::Absent
                }
            },
        }
    }

    /// Whether a rule was broken at this field or below it.
    pub(super) fn is_refused(&self, name: &str) -> bool {
        self.errors.iter().any(|error| error.pointer.split('/').nth(1) == Some(name))
    }

    /// All taken: what is left is unknown.
    ///
    /// # Errors
    /// [`Problem::Invalid`] with every rule that was broken.
    pub(super) fn finish(mut self) -> Result<(), Problem> {
        let unknown = std::mem::take(&mut self.entries);
        for (name, _) in unknown.iter().take(MAX_UNKNOWN_NAMED) {
            self.refuse(pointer_to(name), "unknown_field", "is not a documented field");
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::Invalid(self.errors)) }
    }
}

/// Most unknown names that one answer repeats.
const MAX_UNKNOWN_NAMED: usize = 10;
/// Longest unknown name that is repeated, in bytes.
const MAX_NAME_LENGTH: usize = 64;

/// Where an unknown name stands. It is the caller's own text and may hold anything, so only
/// one that looks like a name is repeated.
pub(super) fn pointer_to(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let is_name = !name.is_empty() && name.len() <= MAX_NAME_LENGTH && name.bytes().all(plain);
    if is_name { format!("/{name}") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(problem: Problem) -> Vec<(String, &'static str)> {
        match problem {
            Problem::Invalid(errors) => errors.into_iter().map(|error| (error.pointer, error.code)).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_broken_rule_is_named_at_its_place() {
        let body = br#"{"a": 1, "a": "x", "b": "yes", "c": ["x", 2], "d": null, "e": 0, "f": 1.5}"#;
        let mut fields = Fields::of(body).unwrap();
        assert_eq!(fields.text("a"), Field::Given("x".to_owned()));
        assert_eq!(fields.boolean("b"), Field::Absent);
        let _ = fields.texts("c");
        assert_eq!(fields.text("d"), Field::Null);
        assert_eq!(fields.integer("f"), Field::Absent);
        let expected = [
            ("/a", "duplicate_field"),
            ("/b", "wrong_type"),
            ("/c/1", "wrong_type"),
            ("/f", "wrong_type"),
            ("/e", "unknown_field"),
        ];
        let expected: Vec<_> = expected.map(|(pointer, code)| (pointer.to_owned(), code)).into();
        assert_eq!(codes(fields.finish().unwrap_err()), expected);
    }

    #[test]
    fn what_is_no_json_is_malformed_and_what_is_no_object_is_invalid() {
        for body in ["", "{", "{} {}", "\u{feff}{}", "{'a': 1}", "nul"] {
            assert_eq!(Fields::of(body.as_bytes()).err(), Some(Problem::MalformedJson), "{body:?}");
        }
        for body in ["[]", "null", "\"x\"", "1"] {
            assert!(matches!(Fields::of(body.as_bytes()).err(), Some(Problem::Invalid(_))), "{body:?}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_not_repeated() {
        for name in ["", "a b", "<script>", "a/b", &"x".repeat(65)] {
            assert_eq!(pointer_to(name), "", "{name}");
        }
    }

    #[test]
    fn depth_does_not_exhaust_the_stack() {
        let deep = format!("{{\"c\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
        let mut fields = Fields::of(deep.as_bytes()).unwrap();
        let _ = fields.texts("c");
        assert!(fields.is_refused("c"));
    }
}
