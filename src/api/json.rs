//! JSON that answers repeat as it was stored: numbers keep their digits.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ToJSON, Type};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::form::{FormField, Place};
use super::text::inline;
use crate::domain::filter::{Filter, MAX_FILTER_BYTES};

/// JSON, documented as an object or as any value.
#[derive(Debug)]
pub(super) struct Stored<const IS_OBJECT: bool>(Box<RawValue>);

pub(super) type JsonObject = Stored<true>;
pub(super) type JsonValue = Stored<false>;

impl<const IS_OBJECT: bool> Stored<IS_OBJECT> {
    /// `None` where it is no JSON.
    pub(super) fn read(text: String) -> Option<Self> {
        RawValue::from_string(text).map(Self).ok()
    }

    pub(super) fn rules() -> MetaSchema {
        if !IS_OBJECT {
            return MetaSchema::ANY;
        }
        let any = Some(Box::new(inline(MetaSchema::ANY)));
        MetaSchema { additional_properties: any, ..MetaSchema::new("object") }
    }
}

impl<const IS_OBJECT: bool> Serialize for Stored<IS_OBJECT> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<const IS_OBJECT: bool> Type for Stored<IS_OBJECT> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        if IS_OBJECT { "object" } else { "any" }.into()
    }

    fn schema_ref() -> MetaSchemaRef {
        inline(Self::rules())
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

/// The framework requires it; answers are written by `Serialize`.
impl<const IS_OBJECT: bool> ToJSON for Stored<IS_OBJECT> {
    fn to_json(&self) -> Option<Value> {
        serde_json::from_str(self.0.get()).ok()
    }
}

/// Without white space between values.
pub(super) fn compact(text: &str) -> String {
    crate::domain::filter::compact(text)
}

impl FormField for Filter {
    fn schema() -> MetaSchemaRef {
        let description = "Conditions on the payload; at most 8 KiB without white space, 100 conditions, and 16 objects \
                           and arrays inside each other.";
        const { assert!(MAX_FILTER_BYTES == 8 * 1_024, "the description names it") };
        inline(MetaSchema { description: Some(description), ..JsonObject::rules() })
    }

    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self> {
        let refused = |at: &mut Place<'_>, error: crate::domain::filter::InvalidFilter| {
            at.below(&error.pointer).refuse(error.code, &error.rule);
        };
        Self::parse(value.get()).map_err(|error| refused(at, error)).ok()
    }
}
