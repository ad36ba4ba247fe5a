//! Metadata in a body that writes a subscription or a tenant.

use std::collections::BTreeMap;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use serde_json::value::RawValue;

use super::form::{Field, Fields, FormField, Place, pointer_to};
use super::problem::Problem;
use super::text::{LINES, inline};
use crate::domain::metadata::{MAX_KEYS, MAX_VALUE_LENGTH, Metadata, check_key, check_value};

/// Values to write, and keys to remove, which only some bodies allow.
#[derive(Debug, Clone)]
pub(super) struct MetadataEntries<const REMOVES: bool>(BTreeMap<String, Option<String>>);

impl<const REMOVES: bool> FormField for MetadataEntries<REMOVES> {
    fn schema() -> MetaSchemaRef {
        let value = MetaSchema {
            max_length: Some(MAX_VALUE_LENGTH),
            pattern: Some(LINES.to_owned()),
            nullable: REMOVES,
            ..MetaSchema::new("string")
        };
        inline(MetaSchema {
            max_properties: Some(MAX_KEYS),
            additional_properties: Some(Box::new(inline(value))),
            ..MetaSchema::new("object")
        })
    }

    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self> {
        let mut entries = BTreeMap::new();
        for (key, value) in Fields::of(value, at)?.all(at) {
            let mut at = at.below(pointer_to(&key));
            if let Err(rule) = check_key(&key) {
                at.refuse("invalid_key", rule);
            }
            let value = match serde_json::from_str::<Option<String>>(value.get()) {
                Ok(value) if value.is_some() || REMOVES => value,
                _ => {
                    at.refuse("wrong_type", "must be a string of valid Unicode");
                    None
                }
            };
            if let Some(Err(rule)) = value.as_deref().map(check_value) {
                at.refuse("invalid_value", rule);
            }
            entries.insert(key, value);
        }
        Some(Self(entries))
    }
}

#[derive(Debug)]
pub(super) struct MetadataChanges {
    changes: Field<BTreeMap<String, Option<String>>>,
    /// Whether they replace all stored keys.
    instead: bool,
}

impl MetadataChanges {
    pub(super) fn of<const REMOVES: bool>(given: Field<MetadataEntries<REMOVES>>) -> Self {
        Self { changes: given.map(|entries| entries.0), instead: false }
    }

    /// Replaces all stored keys.
    pub(super) fn instead<const REMOVES: bool>(given: Field<MetadataEntries<REMOVES>>) -> Self {
        Self { instead: true, ..Self::of(given) }
    }

    pub(super) fn over(&self, current: &Metadata) -> Result<Metadata, Problem> {
        match &self.changes {
            Field::Absent if !self.instead => Ok(current.clone()),
            Field::Absent | Field::Null => Ok(Metadata::default()),
            Field::Given(changes) => {
                let base = if self.instead { Metadata::default() } else { current.clone() };
                base.merged(changes).map_err(|rule| Problem::field("/metadata", "too_many", rule))
            }
        }
    }
}
