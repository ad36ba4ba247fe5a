//! Values that travel as text: ids and times, both in JSON and in paths.

use std::borrow::Cow;
use std::fmt;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type};
use serde::{Serialize, Serializer};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

use crate::domain::id::EventId;

/// An id: a UUID in its hyphenated form and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct IdText(pub(super) Uuid);

/// A moment: RFC 3339 in UTC with microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) OffsetDateTime);

/// Only because the framework asks it of every field that is never read from a request.
impl Default for Moment {
    fn default() -> Self {
        Self(OffsetDateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for IdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
        let text = self.0.to_offset(UtcOffset::UTC).format(&form).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

macro_rules! travels_as_text {
    ($type:ident, $format:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl Type for $type {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                concat!("string_", $format).into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", $format)))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        /// The framework asks it of every field of a request.
        impl ParseFromJSON for $type {
            fn parse_from_json(value: Option<serde_json::Value>) -> ParseResult<Self> {
                let text = value.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
                Self::parse_from_parameter(text)
            }
        }

        impl ToJSON for $type {
            fn to_json(&self) -> Option<serde_json::Value> {
                Some(self.to_string().into())
            }
        }
    };
}

travels_as_text!(IdText, "uuid");
travels_as_text!(Moment, "date-time");

impl ParseFromParameter for IdText {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        let id: EventId = text.parse().map_err(ParseError::custom)?;
        Ok(Self(id.uuid()))
    }
}

impl ParseFromParameter for Moment {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        // The reason is not passed on: it would describe the parser, not the rule.
        let moment = OffsetDateTime::parse(text, &Rfc3339);
        moment.map(Self).map_err(|_| ParseError::custom("must be an RFC 3339 time, as in 2026-11-23T18:00:00Z"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_moment_is_written_in_utc_with_microseconds() {
        assert_eq!(Moment(datetime!(2026-11-23 19:00:00.123456789 +1)).to_string(), "2026-11-23T18:00:00.123456Z");
    }

    #[test]
    fn an_id_is_read_in_its_hyphenated_form_alone() {
        assert!(IdText::parse_from_parameter("0199c5f0-0000-7000-8000-000000000001").is_ok());
        for other in ["", "0199c5f00000700080000000000000001", "{0199c5f0-0000-7000-8000-000000000001}", "1"] {
            assert!(IdText::parse_from_parameter(other).is_err());
        }
    }
}
