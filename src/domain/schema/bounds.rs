//! How much work a schema is, and what makes that unbounded.

use serde_json::{Map, Value};

use super::InvalidSchema;

/// Values of a schema, each as often as references lead to it.
const MAX_SIZE: usize = 10_000;
/// Schemas inside each other, also through references.
const MAX_DEPTH: usize = 64;

/// Whose values are schemas by name.
const MAPS: [&str; 6] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];
/// Whose values are data.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];
/// Those need another look at what other keywords found, which multiplies with depth.
const REFUSED: [&str; 5] =
    ["$dynamicRef", "$recursiveRef", "unevaluatedProperties", "unevaluatedItems", "contentSchema"];

/// Its size; refuses what leads outside, in a circle, or too far.
pub(super) fn size(schema: &Value) -> Result<usize, InvalidSchema> {
    let mut walk = Walk { root: schema, size: 0, references: Vec::new() };
    walk.schema(schema, String::new(), 0)?;
    Ok(walk.size)
}

struct Walk<'s> {
    root: &'s Value,
    size: usize,
    /// Where the references lead that the walk is inside of.
    references: Vec<&'s str>,
}

fn refuse<T>(pointer: String, rule: impl Into<String>) -> Result<T, InvalidSchema> {
    Err(InvalidSchema { pointer, rule: rule.into() })
}

impl<'s> Walk<'s> {
    fn count(&mut self, pointer: &str, depth: usize) -> Result<(), InvalidSchema> {
        self.size += 1;
        if self.size > MAX_SIZE {
            return refuse(pointer.to_owned(), format!("must have at most {MAX_SIZE} values, references followed"));
        }
        if depth > MAX_DEPTH {
            return refuse(pointer.to_owned(), format!("must have at most {MAX_DEPTH} levels, references followed"));
        }
        Ok(())
    }

    fn schema(&mut self, schema: &'s Value, pointer: String, depth: usize) -> Result<(), InvalidSchema> {
        self.count(&pointer, depth)?;
        match schema {
            Value::Object(keywords) => self.keywords(keywords, &pointer, depth),
            Value::Array(schemas) => schemas
                .iter()
                .enumerate()
                .try_for_each(|(index, schema)| self.schema(schema, format!("{pointer}/{index}"), depth + 1)),
            _ => Ok(()),
        }
    }

    fn keywords(&mut self, keywords: &'s Map<String, Value>, above: &str, depth: usize) -> Result<(), InvalidSchema> {
        for (keyword, value) in keywords {
            let pointer = format!("{above}/{}", keyword.replace('~', "~0").replace('/', "~1"));
            match (keyword.as_str(), value) {
                ("$ref", Value::String(target)) => self.reference(target, pointer, depth)?,
                ("$id" | "id", Value::String(_)) if depth > 0 => {
                    return refuse(
                        pointer,
                        "must stand only at the top: references are pointers into the whole schema",
                    );
                }
                (keyword, _) if REFUSED.contains(&keyword) => {
                    return refuse(pointer, "is not supported, because its work cannot be bounded");
                }
                (keyword, Value::Object(schemas)) if MAPS.contains(&keyword) => {
                    for (name, schema) in schemas {
                        let name = name.replace('~', "~0").replace('/', "~1");
                        self.schema(schema, format!("{pointer}/{name}"), depth + 1)?;
                    }
                }
                (keyword, data) if DATA.contains(&keyword) => self.data(data, &pointer, depth + 1)?,
                (_, value) => self.schema(value, pointer, depth + 1)?,
            }
        }
        Ok(())
    }

    fn reference(&mut self, target: &'s str, pointer: String, depth: usize) -> Result<(), InvalidSchema> {
        let Some(path) = target.strip_prefix('#').filter(|path| path.is_empty() || path.starts_with('/')) else {
            return refuse(pointer, "must be a pointer into this schema, as in #/$defs/address");
        };
        if path.contains('%') {
            return refuse(pointer, "must not have percent-encoded characters");
        }
        if self.references.contains(&path) {
            return refuse(pointer, "must not lead back to itself");
        }
        let Some(schema) = self.root.pointer(path) else {
            return refuse(pointer, "must lead to a place of this schema");
        };
        self.references.push(path);
        self.schema(schema, pointer, depth + 1)?;
        self.references.pop();
        Ok(())
    }

    fn data(&mut self, data: &Value, pointer: &str, depth: usize) -> Result<(), InvalidSchema> {
        self.count(pointer, depth)?;
        match data {
            Value::Array(elements) => elements.iter().try_for_each(|element| self.data(element, pointer, depth + 1)),
            Value::Object(fields) => fields.values().try_for_each(|field| self.data(field, pointer, depth + 1)),
            _ => Ok(()),
        }
    }
}
