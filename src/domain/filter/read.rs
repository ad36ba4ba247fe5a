//! Reads a filter and names what is wrong with it.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;

use bytes::Bytes;

use super::condition::{Conditions, Operand, Side, Test};
use super::document::{Document, Kind, ValueId, WHOLE};
use super::{InvalidFilter, MAX_CONDITIONS, MAX_FILTER_BYTES, MAX_FILTER_DEPTH};

const OPERATORS: &str = "$eq, $ne, $gt, $gte, $lt, $lte, $in, $nin, $exist, $startsWith, $endsWith, $contains, $and, \
                         $or, $not";
/// Of a number; its text is compared digit by digit.
const MAX_NUMBER_BYTES: usize = 64;
/// As far as a double reaches.
const MAX_EXPONENT: u32 = 400;
/// Longer names are not repeated.
const MAX_NAME_LENGTH: usize = 64;

/// Without white space between values.
pub(crate) fn compact(text: &str) -> String {
    let (mut is_text, mut is_escaped) = (false, false);
    let keep = |c: &char| {
        let is_inside = is_text;
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_text => is_escaped = true,
            '"' => is_text = !is_text,
            _ => {}
        }
        is_inside || !matches!(c, ' ' | '\t' | '\n' | '\r')
    };
    text.chars().filter(keep).collect()
}

pub(super) fn read(text: &str) -> Result<Conditions, InvalidFilter> {
    let here = Place { pointer: String::new(), depth: 0 };
    if text.len() > MAX_FILTER_BYTES {
        return Err(here.refuse("too_long", format!("must have at most {MAX_FILTER_BYTES} bytes")));
    }
    let is_json = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
    let document = is_json.then(|| Document::parse(Bytes::copy_from_slice(text.as_bytes()))).flatten();
    // Only what nests deeper than any payload is not parsed.
    let document = document.ok_or_else(|| here.too_deep())?;
    if document.kind(WHOLE) != Kind::Object {
        return Err(here.refuse("wrong_type", "must be an object"));
    }
    Reader { document: &document, conditions: 0 }.conditions(WHOLE, &here)
}

/// Where a value stands.
struct Place {
    pointer: String,
    depth: usize,
}

impl Place {
    fn refuse(&self, code: &'static str, rule: impl Display) -> InvalidFilter {
        InvalidFilter { pointer: self.pointer.clone(), code, rule: rule.to_string() }
    }

    fn too_deep(&self) -> InvalidFilter {
        self.refuse("too_deep", format!("must have at most {MAX_FILTER_DEPTH} objects and arrays inside each other"))
    }

    /// The caller's text may hold anything, so only what looks like a name is repeated.
    fn below(&self, name: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$');
        let is_name = !name.is_empty() && name.len() <= MAX_NAME_LENGTH && name.bytes().all(plain);
        let name = if is_name { format!("/{name}") } else { String::new() };
        Self { pointer: format!("{}{name}", self.pointer), depth: self.depth + 1 }
    }
}

struct Reader<'d> {
    document: &'d Document,
    conditions: usize,
}

impl Reader<'_> {
    fn count(&mut self, at: &Place) -> Result<(), InvalidFilter> {
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return Err(at.refuse("too_many", format!("must have at most {MAX_CONDITIONS} conditions in all")));
        }
        Ok(())
    }

    /// Of an object.
    fn conditions(&mut self, object: ValueId, at: &Place) -> Result<Conditions, InvalidFilter> {
        let mut conditions = Conditions::default();
        for (name, value) in self.members(object, at)? {
            let below = at.below(&name);
            if name.starts_with('$') {
                self.count(&below)?;
                conditions.tests.push(self.test(&name, value, &below)?);
            } else {
                conditions.fields.push((name, self.expected(value, &below)?));
            }
        }
        Ok(conditions)
    }

    /// Of a field: an object of conditions, or the value that it must equal.
    fn expected(&mut self, value: ValueId, at: &Place) -> Result<Conditions, InvalidFilter> {
        if self.document.kind(value) != Kind::Object {
            self.count(at)?;
            return Ok(Conditions::of(Test::Equal(self.operand(value, at)?)));
        }
        if self.document.children(value).next().is_none() {
            return Err(at.refuse("empty", "must have a condition: use $exist for any value, $eq for the empty object"));
        }
        self.conditions(value, at)
    }

    fn test(&mut self, name: &str, value: ValueId, at: &Place) -> Result<Test, InvalidFilter> {
        Ok(match name {
            "$eq" => Test::Equal(self.operand(value, at)?),
            "$ne" => Test::Equal(self.operand(value, at)?).opposite(),
            "$gt" => Test::Order(Side::Greater, self.ordered(value, at)?),
            "$gte" => Test::Order(Side::GreaterOrEqual, self.ordered(value, at)?),
            "$lt" => Test::Order(Side::Less, self.ordered(value, at)?),
            "$lte" => Test::Order(Side::LessOrEqual, self.ordered(value, at)?),
            "$in" => Test::In(self.list(value, at)?),
            "$nin" => Test::In(self.list(value, at)?).opposite(),
            "$exist" => match self.document.kind(value) {
                Kind::Bool(expected) => Test::Exist(expected),
                _ => return Err(at.refuse("wrong_type", "must be true or false")),
            },
            "$startsWith" => Test::StartsWith(self.text(value, at)?),
            "$endsWith" => Test::EndsWith(self.text(value, at)?),
            "$contains" => match self.operand(value, at)? {
                Operand::List(_) | Operand::Object(_) => {
                    return Err(at.refuse("wrong_type", "must be a string, number, boolean or null"));
                }
                operand => Test::Contains(operand),
            },
            "$and" => Test::And(self.alternatives(value, at)?),
            "$or" => Test::Or(self.alternatives(value, at)?),
            "$not" => Test::Not(Box::new(self.expected(value, at)?)),
            _ => return Err(at.refuse("unknown_operator", format!("is not an operator: those are {OPERATORS}"))),
        })
    }

    fn alternatives(&mut self, value: ValueId, at: &Place) -> Result<Vec<Conditions>, InvalidFilter> {
        let entries = self.entries(value, at)?;
        if entries.is_empty() {
            return Err(at.refuse("empty", "must have an entry"));
        }
        let entries = entries.into_iter().enumerate();
        entries.map(|(index, entry)| self.expected(entry, &at.below(&index.to_string()))).collect()
    }

    fn list(&self, value: ValueId, at: &Place) -> Result<Vec<Operand>, InvalidFilter> {
        let entries = self.entries(value, at)?.into_iter().enumerate();
        entries.map(|(index, entry)| self.operand(entry, &at.below(&index.to_string()))).collect()
    }

    fn entries(&self, value: ValueId, at: &Place) -> Result<Vec<ValueId>, InvalidFilter> {
        self.check_depth(at)?;
        match self.document.kind(value) {
            Kind::Array => Ok(self.document.children(value).collect()),
            _ => Err(at.refuse("wrong_type", "must be an array")),
        }
    }

    fn ordered(&self, value: ValueId, at: &Place) -> Result<Operand, InvalidFilter> {
        match self.document.kind(value) {
            Kind::Number | Kind::Text => self.operand(value, at),
            _ => Err(at.refuse("wrong_type", "must be a number or a string")),
        }
    }

    fn operand(&self, value: ValueId, at: &Place) -> Result<Operand, InvalidFilter> {
        Ok(match self.document.kind(value) {
            Kind::Null => Operand::Null,
            Kind::Bool(is) => Operand::Bool(is),
            Kind::Number => Operand::Number(self.number(value, at)?),
            Kind::Text => Operand::Text(self.text(value, at)?),
            Kind::Array => Operand::List(self.list(value, at)?),
            Kind::Object => {
                let mut fields = BTreeMap::new();
                for (name, value) in self.members(value, at)? {
                    let operand = self.operand(value, &at.below(&name))?;
                    fields.insert(name, operand);
                }
                Operand::Object(fields)
            }
        })
    }

    fn number(&self, value: ValueId, at: &Place) -> Result<String, InvalidFilter> {
        let text = self.document.raw(value);
        let exponent = text.split_once(['e', 'E']).map_or("0", |(_, exponent)| exponent);
        let exponent = exponent.parse::<i32>().map_or(u32::MAX, i32::unsigned_abs);
        if text.len() > MAX_NUMBER_BYTES || exponent > MAX_EXPONENT {
            let rule = format!("must have at most {MAX_NUMBER_BYTES} characters and an exponent of {MAX_EXPONENT}");
            return Err(at.refuse("out_of_range", rule));
        }
        Ok(text.to_owned())
    }

    fn text(&self, value: ValueId, at: &Place) -> Result<String, InvalidFilter> {
        if self.document.kind(value) != Kind::Text {
            return Err(at.refuse("wrong_type", "must be a string"));
        }
        self.plain(value).ok_or_else(|| at.refuse("wrong_type", "must be valid Unicode without U+0000"))
    }

    /// PostgreSQL's JSON, which the audit uses, has no U+0000.
    fn plain(&self, value: ValueId) -> Option<String> {
        self.document.text(value).filter(|text| !text.contains('\0')).map(Into::into)
    }

    fn members(&self, object: ValueId, at: &Place) -> Result<Vec<(String, ValueId)>, InvalidFilter> {
        self.check_depth(at)?;
        let (mut members, mut seen) = (Vec::new(), HashSet::new());
        for (key, value) in self.document.members(object) {
            let name = self.plain(key);
            let name =
                name.ok_or_else(|| at.refuse("invalid_name", "must have names of valid Unicode without U+0000"))?;
            if !seen.insert(name.clone()) {
                return Err(at.below(&name).refuse("duplicate_field", "must stand only once"));
            }
            members.push((name, value));
        }
        Ok(members)
    }

    fn check_depth(&self, at: &Place) -> Result<(), InvalidFilter> {
        if at.depth >= MAX_FILTER_DEPTH { Err(at.too_deep()) } else { Ok(()) }
    }
}
