//! The metadata in a body that writes a subscription.

use std::collections::BTreeMap;

use crate::api::problem::Problem;
use crate::api::strict::{Field, Fields, pointer_to};
use crate::domain::metadata::{Metadata, check_key, check_value};

/// What a body decides of metadata.
#[derive(Debug)]
pub(super) struct MetadataChanges {
    /// Values to write, and keys to remove where there is none.
    changes: Field<BTreeMap<String, Option<String>>>,
    /// Whether they come in the place of all that is there.
    instead: bool,
}

impl MetadataChanges {
    /// Takes the field out of a body. Only where `removes` may a value be null.
    pub(super) fn read(fields: &mut Fields<'_>, removes: bool) -> Self {
        let changes = match fields.object("metadata") {
            Field::Absent => Field::Absent,
            Field::Null => Field::Null,
            Field::Given(entries) => {
                let mut changes = BTreeMap::new();
                for (key, value) in entries {
                    let pointer = format!("/metadata{}", pointer_to(&key));
                    if let Err(rule) = check_key(&key) {
                        fields.refuse(&*pointer, "invalid_key", rule);
                    }
                    let value: Option<String> = match serde_json::from_str(value.get()) {
                        Ok(Some(value)) => Some(value),
                        Ok(None) if removes => None,
                        Ok(None) | Err(_) => {
                            fields.refuse(&*pointer, "wrong_type", "must be a string of valid Unicode");
                            None
                        }
                    };
                    if let Some(Err(rule)) = value.as_deref().map(check_value) {
                        fields.refuse(&*pointer, "invalid_value", rule);
                    }
                    changes.insert(key, value);
                }
                Field::Given(changes)
            }
        };
        Self { changes, instead: false }
    }

    /// The same, in the place of all that is there.
    pub(super) fn instead(self) -> Self {
        Self { instead: true, ..self }
    }

    /// The metadata with these changes.
    ///
    /// # Errors
    /// [`Problem::Invalid`] where there would be too many keys.
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
