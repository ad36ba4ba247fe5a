//! Values of forms besides those of `text`.

use std::fmt;

use bytes::Bytes;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Fields, FormField, Place, pointer_to};
use crate::api::text::{FromText, inline};

impl FormField for bool {
    fn schema() -> MetaSchemaRef {
        inline(MetaSchema::new("boolean"))
    }

    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self> {
        serde_json::from_str(value.get()).map_err(|_| at.refuse("wrong_type", "must be true or false")).ok()
    }
}

pub(in crate::api) fn text(value: &RawValue, at: &mut Place<'_>) -> Option<String> {
    let text = serde_json::from_str(value.get());
    text.map_err(|_| at.refuse("wrong_type", "must be a string of valid Unicode")).ok()
}

impl<T: FromText> FormField for T {
    fn schema() -> MetaSchemaRef {
        inline(T::rules())
    }

    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self> {
        T::from_text(&text(value, at)?).map_err(|refused| at.refuse(refused.code, refused.rule)).ok()
    }
}

/// At most `MAX` characters; its form checks.
#[derive(Debug, Clone)]
pub(in crate::api) struct Plain<const MAX: usize>(pub(in crate::api) String);

impl<const MAX: usize> FormField for Plain<MAX> {
    fn schema() -> MetaSchemaRef {
        inline(MetaSchema { max_length: Some(MAX), ..MetaSchema::new("string") })
    }

    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self> {
        text(value, at).map(Self)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct Whole<const MIN: u32, const MAX: u32>(pub(in crate::api) u32);

impl<const MIN: u32, const MAX: u32> Whole<MIN, MAX> {
    /// For forms and parameters.
    pub(in crate::api) fn rules() -> MetaSchema {
        MetaSchema {
            minimum: Some(MIN.into()),
            maximum: Some(MAX.into()),
            ..MetaSchema::new_with_format("integer", "uint32")
        }
    }
}

impl<const MIN: u32, const MAX: u32> FormField for Whole<MIN, MAX> {
    fn schema() -> MetaSchemaRef {
        inline(Self::rules())
    }

    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self> {
        let number = serde_json::from_str::<i64>(value.get());
        let number = number.map_err(|_| at.refuse("wrong_type", "must be a whole number")).ok()?;
        let number = u32::try_from(number).ok().filter(|number| (MIN..=MAX).contains(number));
        if number.is_none() {
            at.refuse("out_of_range", format!("must be from {MIN} to {MAX}"));
        }
        number.map(Self)
    }
}

#[derive(Debug, Clone)]
pub(in crate::api) struct List<T, const MIN: usize, const MAX: usize>(pub(in crate::api) Vec<T>);

impl<T: FormField, const MIN: usize, const MAX: usize> FormField for List<T, MIN, MAX> {
    fn schema() -> MetaSchemaRef {
        inline(MetaSchema {
            items: Some(Box::new(T::schema())),
            min_items: (MIN > 0).then_some(MIN),
            max_items: Some(MAX),
            ..MetaSchema::new("array")
        })
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self> {
        let entries = serde_json::from_str::<Entries<'_, MAX>>(value.get());
        let Entries(entries) = entries.map_err(|_| at.refuse("wrong_type", "must be an array")).ok()?;
        match entries.len() {
            count if (MIN..=MAX).contains(&count) => {}
            _ if MIN > 0 => {
                at.refuse("out_of_range", format!("must have {MIN} to {MAX} entries"));
                return None;
            }
            _ => {
                at.refuse("too_many", format!("must have at most {MAX} entries"));
                return None;
            }
        }
        // Reads every entry, so that each broken rule is reported.
        let read = entries.into_iter().enumerate();
        let read: Vec<_> = read.map(|(index, entry)| T::read(entry, &mut at.below(format_args!("/{index}")))).collect();
        read.into_iter().collect::<Option<_>>().map(Self)
    }
}

/// At most `MAX` + 1 entries.
struct Entries<'a, const MAX: usize>(Vec<&'a RawValue>);

impl<'a, const MAX: usize> Deserialize<'a> for Entries<'a, MAX> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor)
    }
}

struct EntriesVisitor<const MAX: usize>;

impl<'a, const MAX: usize> Visitor<'a> for EntriesVisitor<MAX> {
    type Value = Entries<'a, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while entries.len() <= MAX {
            match list.next_element()? {
                Some(entry) => entries.push(entry),
                None => return Ok(Entries(entries)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Entries(entries))
    }
}

/// One value, or a list of them: any of.
#[derive(Debug, Clone)]
pub(in crate::api) struct Any<T, const MAX: usize> {
    pub(in crate::api) entries: Vec<T>,
    is_alone: bool,
}

impl<T, const MAX: usize> Any<T, MAX> {
    /// Where an entry stands below the field.
    pub(in crate::api) fn place(&self, index: usize) -> String {
        if self.is_alone { String::new() } else { format!("/{index}") }
    }
}

impl<T: FormField, const MAX: usize> FormField for Any<T, MAX> {
    /// As the list alone, which every client can write.
    fn schema() -> MetaSchemaRef {
        List::<T, 1, MAX>::schema()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self> {
        if value.get().starts_with('[') {
            return List::<T, 1, MAX>::read(value, at).map(|list| Self { entries: list.0, is_alone: false });
        }
        T::read(value, at).map(|one| Self { entries: vec![one], is_alone: true })
    }
}

/// A JSON document as received; its user checks that it is an object or array.
#[derive(Debug)]
pub(in crate::api) struct AnyDocument(pub(in crate::api) Bytes);

/// Any JSON value that all programs read alike, as received.
#[derive(Debug)]
pub(in crate::api) struct ClearJson(pub(in crate::api) String);

/// Any JSON value as received.
#[derive(Debug)]
pub(in crate::api) struct AnyJson(pub(in crate::api) String);

impl FormField for AnyDocument {
    /// Without a type: from "an object or an array" generators make types that a map of the language does not fit.
    fn schema() -> MetaSchemaRef {
        inline(MetaSchema {
            description: Some("A JSON object or array; its bytes are kept and sent exactly as they came."),
            ..MetaSchema::ANY
        })
    }

    fn read(value: &RawValue, _at: &mut Place<'_>) -> Option<Self> {
        Some(Self(Bytes::copy_from_slice(value.get().as_bytes())))
    }
}

impl FormField for AnyJson {
    fn schema() -> MetaSchemaRef {
        inline(MetaSchema::ANY)
    }

    fn read(value: &RawValue, _at: &mut Place<'_>) -> Option<Self> {
        Some(Self(value.get().to_owned()))
    }
}

impl FormField for ClearJson {
    fn schema() -> MetaSchemaRef {
        AnyJson::schema()
    }

    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self> {
        if serde_json::from_str::<Value>(value.get()).is_err() {
            at.refuse(
                "wrong_type",
                "must be JSON of usual depth, with texts of valid Unicode and numbers that a double can hold",
            );
            return None;
        }
        refuse_duplicates(value, at);
        Some(Self(value.get().to_owned()))
    }
}

/// Of a value of usual depth.
fn refuse_duplicates(value: &RawValue, at: &mut Place<'_>) {
    if value.get().starts_with('{') {
        for (name, value) in Fields::of(value, at).map(|fields| fields.all(at)).unwrap_or_default() {
            refuse_duplicates(value, &mut at.below(pointer_to(&name)));
        }
    } else if value.get().starts_with('[') {
        let entries: Vec<&RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
        for (index, value) in entries.into_iter().enumerate() {
            refuse_duplicates(value, &mut at.below(format_args!("/{index}")));
        }
    }
}
