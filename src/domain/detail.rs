//! What is kept of an attempt besides its row: both heads, the parts of its duration, its worker. It is one JSON
//! document, and no secret is in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::id::WorkerId;

/// Fields of a response that are kept.
pub(crate) const MAX_KEPT_FIELDS: usize = 64;
/// Their names and values together, so that a slot stays within its bytes.
pub(crate) const MAX_KEPT_BYTES: usize = 2_048;

/// Which attempts keep details. A test event always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeepDetail {
    #[default]
    Failures,
    All,
    None,
}

impl KeepDetail {
    pub(crate) fn keeps(self, is_success: bool) -> bool {
        match self {
            Self::All => true,
            Self::Failures => !is_success,
            Self::None => false,
        }
    }
}

/// Header fields by their name in lower case.
pub(crate) type Fields = BTreeMap<String, FieldValue>;

/// A field that came once, or several times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum FieldValue {
    One(String),
    Several(Vec<String>),
}

/// Puts lines together by name.
pub(crate) fn fields(lines: impl IntoIterator<Item = (String, String)>) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in lines {
        match fields.get_mut(&name) {
            None => drop(fields.insert(name, FieldValue::One(value))),
            Some(FieldValue::Several(values)) => values.push(value),
            Some(known @ FieldValue::One(_)) => {
                let FieldValue::One(first) = std::mem::replace(known, FieldValue::Several(Vec::new())) else {
                    continue;
                };
                *known = FieldValue::Several(vec![first, value]);
            }
        }
    }
    fields
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    pub(crate) url: String,
    /// As sent, with masks for signatures and the subscription's own values.
    pub(crate) request: Fields,
    /// Without a response: `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) response: Option<Fields>,
    /// Whether the response had more fields, or longer ones.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) response_is_cut: bool,
    /// Whether the body had more bytes than the row.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) body_is_cut: bool,
    pub(crate) timing: Parts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) worker: Option<WorkerId>,
}

/// Parts of a duration; `None` where there was none, as all but the last two on a reused connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dns_ms: Option<Micros>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) connect_ms: Option<Micros>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls_ms: Option<Micros>,
    /// From the connection, or on a reused one from the start, to the first byte of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_byte_ms: Option<Micros>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) total_ms: Option<Micros>,
}

/// Microseconds, written as milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Micros(pub(crate) u32);

impl Micros {
    pub(crate) fn as_millis(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }
}

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_millis())
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Saturates.
        f64::deserialize(deserializer).map(|millis| Self((millis * 1_000.0).round() as u32))
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_field_that_came_twice_is_an_array_in_the_order_of_its_lines() {
        let lines = [line("via", "a"), line("date", "now"), line("via", "b"), line("via", "c")];
        let json = serde_json::to_string(&fields(lines)).unwrap();
        assert_eq!(json, r#"{"date":"now","via":["a","b","c"]}"#);
    }

    #[test]
    fn what_is_not_there_takes_no_bytes() {
        let detail = Detail {
            url: "http://a/".to_owned(),
            request: Fields::new(),
            response: None,
            response_is_cut: false,
            body_is_cut: false,
            timing: Parts { total_ms: Some(Micros(1_500)), ..Parts::default() },
            worker: None,
        };
        let json = serde_json::to_string(&detail).unwrap();
        assert_eq!(json, r#"{"url":"http://a/","request":{},"timing":{"total_ms":1.5}}"#);
        assert_eq!(serde_json::from_str::<Detail>(&json).unwrap(), detail);
    }

    #[test]
    fn which_attempts_keep_details() {
        let kept = |keep: KeepDetail| (keep.keeps(true), keep.keeps(false));
        assert_eq!(kept(KeepDetail::default()), (false, true));
        assert_eq!((kept(KeepDetail::All), kept(KeepDetail::None)), ((true, true), (false, false)));
    }

    proptest! {
        #[test]
        fn milliseconds_are_read_back_to_the_microsecond(micros: u32) {
            let json = serde_json::to_string(&Micros(micros)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Micros>(&json).unwrap(), Micros(micros));
        }
    }
}
