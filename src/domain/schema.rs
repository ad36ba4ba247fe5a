//! The JSON Schema of an event type, and what of a payload breaks it.
//!
//! Validation must not hang a replica, whatever a tenant writes: references only lead inside the schema and never in a
//! circle, patterns run in linear time, and work is bounded before it begins. `format` is an annotation.

mod bounds;
#[cfg(test)]
mod tests;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::payload::Payload;

/// Of a schema, without white space.
pub const MAX_SCHEMA_BYTES: usize = 32 * 1_024;
/// Broken rules that are named.
pub const MAX_MISMATCHES: usize = 20;
/// Values of the schema, each multiplied by how often references lead to it, times values of the payload, in which 64
/// bytes of text count as one: about a second.
const MAX_WORK: usize = 50_000_000;
/// About 10 ms.
const QUICK_WORK: usize = MAX_WORK / 100;
/// Compiled, of one pattern.
const MAX_PATTERN_BYTES: usize = 256 * 1_024;
const BYTES_OF_A_VALUE: usize = 64;
/// Longer rules are cut: they may repeat names of the schema.
const MAX_RULE_LENGTH: usize = 300;

/// A schema that was compiled.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    /// Its values, each as often as references lead to it.
    size: usize,
}

/// Where a schema breaks which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct InvalidSchema {
    /// JSON pointer into the schema.
    pub pointer: String,
    /// As a sentence.
    pub rule: String,
}

/// What of a payload breaks its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// JSON pointer into the payload.
    pub pointer: String,
    /// As a sentence, without values of the payload.
    pub rule: String,
}

impl Schema {
    /// Compiles the text of a JSON object.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn compile(text: &str) -> Result<Self, InvalidSchema> {
        let refuse = |rule: String| InvalidSchema { pointer: String::new(), rule };
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(refuse(format!("must have at most {MAX_SCHEMA_BYTES} bytes")));
        }
        let schema: Value = serde_json::from_str(text).map_err(|_| refuse("must be JSON of usual depth".to_owned()))?;
        if !schema.is_object() {
            return Err(refuse("must be an object".to_owned()));
        }
        let size = bounds::size(&schema)?;
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
        let options = jsonschema::options().offline().should_validate_formats(false).with_pattern_options(patterns);
        let validator = options.build(&schema).map_err(|error| InvalidSchema {
            pointer: error.instance_path().as_str().to_owned(),
            rule: cut(error.masked().to_string()),
        })?;
        Ok(Self { validator, size })
    }

    /// The first broken rules, if any. A payload that is no JSON, or cannot be checked in bounded time, breaks it too.
    pub fn check(&self, payload: &Payload) -> Vec<Mismatch> {
        let whole = |rule: &str| vec![Mismatch { pointer: String::new(), rule: rule.to_owned() }];
        if !payload.content_type().is_json() {
            return whole("must be JSON");
        }
        let Ok(value) = serde_json::from_slice::<Value>(payload.bytes()) else {
            return whole("must have only texts of valid Unicode, and numbers that a double can hold");
        };
        let values = count(&value) + payload.bytes().len() / BYTES_OF_A_VALUE;
        if values.saturating_mul(self.size) > MAX_WORK {
            return whole("is too large to be checked with this schema");
        }
        if self.validator.is_valid(&value) {
            return Vec::new();
        }
        let mismatch = |error: jsonschema::ValidationError<'_>| Mismatch {
            pointer: error.instance_path().as_str().to_owned(),
            rule: cut(error.masked().to_string()),
        };
        self.validator.iter_errors(&value).take(MAX_MISMATCHES).map(mismatch).collect()
    }

    /// Whether a check of a small payload takes milliseconds at most.
    pub fn is_quick(&self, payload: &Payload) -> bool {
        payload.bytes().len().saturating_mul(self.size) <= QUICK_WORK
    }

    /// About so many bytes of memory: measured with schemas of many properties.
    pub fn weight(text: &str) -> usize {
        1_024 + 20 * text.len()
    }
}

fn cut(rule: String) -> String {
    if rule.chars().count() <= MAX_RULE_LENGTH {
        return rule;
    }
    rule.chars().take(MAX_RULE_LENGTH).chain(['…']).collect()
}

/// Values inside a value, and itself; payloads do not nest deeper than 128.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(elements) => elements.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}
