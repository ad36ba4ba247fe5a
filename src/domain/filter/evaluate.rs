//! Decides filters on one payload.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;

use super::Filter;
use super::condition::{Conditions, Operand, Test};
use super::document::{Document, Kind, ValueId, WHOLE};
use super::number;
use crate::domain::content_type::ContentType;
use crate::domain::payload::Payload;

/// Values looked at, and stretches of text compared, to decide one filter on one payload: 60 ms at most. One condition
/// on each value of 1 MiB takes half of it. A filter that needs more does not match.
pub(super) const MAX_STEPS: usize = 1_000_000;
/// Bytes of a text that are compared in about the time of one value.
const BYTES_PER_STEP: usize = 16;
/// Objects with more fields get an index: looking through 200,000 fields for each condition would be slow.
const INDEXED_ABOVE: usize = 16;

/// Decides any number of filters on one payload, which it parses once, at the first filter.
#[derive(Debug)]
pub struct Judge {
    payload: Parsing,
    /// Of large objects: fields by the hash of their names.
    indexes: HashMap<ValueId, Vec<(u64, ValueId)>>,
    hashes: RandomState,
    left: usize,
}

#[derive(Debug)]
enum Parsing {
    NotYet(Bytes),
    Done(Document),
    /// No filter matches it.
    NotJson,
}

/// The filter needs more than [`MAX_STEPS`].
struct OutOfSteps;

type Decided = Result<bool, OutOfSteps>;

impl Judge {
    /// Of one payload.
    pub fn of(payload: &Payload) -> Self {
        Self::stored(payload.bytes().clone(), payload.content_type())
    }

    /// Of bytes that were accepted as a payload of this content type.
    pub fn stored(payload: Bytes, content_type: &ContentType) -> Self {
        let payload = if content_type.is_json() { Parsing::NotYet(payload) } else { Parsing::NotJson };
        Self { payload, indexes: HashMap::new(), hashes: RandomState::new(), left: 0 }
    }

    /// Whether the payload meets the filter.
    pub fn matches(&mut self, filter: &Filter) -> bool {
        let document = match std::mem::replace(&mut self.payload, Parsing::NotJson) {
            Parsing::NotYet(text) => Document::parse(text),
            Parsing::Done(document) => Some(document),
            Parsing::NotJson => None,
        };
        let Some(document) = document else { return false };
        self.left = MAX_STEPS;
        let decided = self.all(&document, filter.conditions(), Some(WHOLE));
        self.payload = Parsing::Done(document);
        decided.unwrap_or(false)
    }

    fn spend(&mut self, steps: usize) -> Result<(), OutOfSteps> {
        self.left = self.left.checked_sub(steps).ok_or(OutOfSteps)?;
        Ok(())
    }

    /// `None`: there is no such value.
    fn all(&mut self, document: &Document, conditions: &Conditions, value: Option<ValueId>) -> Decided {
        for test in &conditions.tests {
            if !self.test(document, test, value)? {
                return Ok(false);
            }
        }
        if conditions.fields.is_empty() {
            return Ok(true);
        }
        match value.filter(|value| document.kind(*value) == Kind::Array) {
            None => self.fields(document, conditions, value),
            Some(array) => {
                self.any(document, array, |judge, element| judge.fields(document, conditions, Some(element)))
            }
        }
    }

    /// Of this very value, not of its elements.
    fn fields(&mut self, document: &Document, conditions: &Conditions, value: Option<ValueId>) -> Decided {
        let object = value.filter(|value| document.kind(*value) == Kind::Object);
        for (name, conditions) in &conditions.fields {
            let field = match object {
                Some(object) => self.field(document, object, name)?,
                None => None,
            };
            if !self.all(document, conditions, field)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn any(
        &mut self,
        document: &Document,
        array: ValueId,
        mut is_it: impl FnMut(&mut Self, ValueId) -> Decided,
    ) -> Decided {
        for element in document.children(array) {
            self.spend(1)?;
            if is_it(self, element)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The last of that name.
    fn field(&mut self, document: &Document, object: ValueId, name: &str) -> Result<Option<ValueId>, OutOfSteps> {
        self.spend(1)?;
        if let Some(index) = self.indexes.get(&object) {
            let hash = self.hashes.hash_one(name);
            let from = index.partition_point(|(known, _)| *known < hash);
            let same = index.iter().skip(from).take_while(|(known, _)| *known == hash);
            let is_it = |key: &ValueId| document.text(*key).is_some_and(|key| key == name);
            let key = same.map(|(_, key)| *key).filter(is_it).last();
            let length = key.map_or(0, |key| document.length(key));
            self.spend(length / BYTES_PER_STEP)?;
            return Ok(key.and_then(|key| document.value_of(key)));
        }
        let mut found = None;
        for (count, (key, value)) in document.members(object).enumerate() {
            if count >= INDEXED_ABOVE {
                self.index(document, object);
                return self.field(document, object, name);
            }
            self.spend(document.length(key) / BYTES_PER_STEP)?;
            if document.text(key).is_some_and(|key| key == name) {
                found = Some(value);
            }
        }
        Ok(found)
    }

    fn index(&mut self, document: &Document, object: ValueId) {
        let hash = |(key, _): (ValueId, ValueId)| document.text(key).map(|name| (self.hashes.hash_one(&*name), key));
        let mut index: Vec<_> = document.members(object).filter_map(hash).collect();
        // Stable: repeated names stay in their order.
        index.sort_by_key(|(hash, _)| *hash);
        self.indexes.insert(object, index);
    }

    fn test(&mut self, document: &Document, test: &Test, value: Option<ValueId>) -> Decided {
        self.spend(1)?;
        match test {
            Test::Exist(expected) => return Ok(value.is_some() == *expected),
            Test::Not(conditions) => return self.all(document, conditions, value).map(|is_true| !is_true),
            Test::And(all) => return self.each(document, all, value, false),
            Test::Or(any) => return self.each(document, any, value, true),
            _ => {}
        }
        let Some(value) = value else { return Ok(false) };
        if self.holds(document, test, value)? {
            return Ok(true);
        }
        // `$contains` of an array is about its elements by itself.
        if document.kind(value) != Kind::Array || matches!(test, Test::Contains(_)) {
            return Ok(false);
        }
        self.any(document, value, |judge, element| judge.holds(document, test, element))
    }

    /// Ends at the first that is as sought.
    fn each(&mut self, document: &Document, list: &[Conditions], value: Option<ValueId>, sought: bool) -> Decided {
        for conditions in list {
            if self.all(document, conditions, value)? == sought {
                return Ok(sought);
            }
        }
        Ok(!sought)
    }

    /// For this very value, not for its elements.
    fn holds(&mut self, document: &Document, test: &Test, value: ValueId) -> Decided {
        match test {
            Test::Equal(operand) => self.equal(document, operand, value),
            Test::In(operands) => self.is_one_of(document, operands, value),
            Test::Order(side, operand) => {
                Ok(self.compare(document, operand, value)?.is_some_and(|order| side.accepts(order)))
            }
            Test::StartsWith(start) => self.text(document, value, |text| text.starts_with(start)),
            Test::EndsWith(end) => self.text(document, value, |text| text.ends_with(end)),
            Test::Contains(operand) => match (operand, document.kind(value)) {
                (_, Kind::Array) => self.any(document, value, |judge, element| judge.equal(document, operand, element)),
                (Operand::Text(part), Kind::Text) => self.text(document, value, |text| text.contains(part)),
                _ => Ok(false),
            },
            // Those are decided by `test`.
            Test::Exist(_) | Test::And(_) | Test::Or(_) | Test::Not(_) => Ok(false),
        }
    }

    fn text(&mut self, document: &Document, value: ValueId, is_it: impl Fn(&str) -> bool) -> Decided {
        if document.kind(value) != Kind::Text {
            return Ok(false);
        }
        self.spend(document.length(value) / BYTES_PER_STEP)?;
        Ok(document.text(value).is_some_and(|text| is_it(&text)))
    }

    /// `None` for different types and those without an order.
    fn compare(
        &mut self,
        document: &Document,
        operand: &Operand,
        value: ValueId,
    ) -> Result<Option<Ordering>, OutOfSteps> {
        self.spend(document.length(value) / BYTES_PER_STEP)?;
        Ok(match (operand, document.kind(value)) {
            (Operand::Number(number), Kind::Number) => Some(number::compare(document.raw(value), number)),
            (Operand::Text(text), Kind::Text) => document.text(value).map(|value| value.as_ref().cmp(text)),
            _ => None,
        })
    }

    fn is_one_of(&mut self, document: &Document, operands: &[Operand], value: ValueId) -> Decided {
        for operand in operands {
            self.spend(1)?;
            if self.equal(document, operand, value)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn equal(&mut self, document: &Document, operand: &Operand, value: ValueId) -> Decided {
        match (operand, document.kind(value)) {
            (Operand::Null, Kind::Null) => Ok(true),
            (Operand::Bool(expected), Kind::Bool(is)) => Ok(*expected == is),
            (Operand::Number(_), Kind::Number) | (Operand::Text(_), Kind::Text) => {
                Ok(self.compare(document, operand, value)? == Some(Ordering::Equal))
            }
            (Operand::List(operands), Kind::Array) => self.same_list(document, operands, value),
            (Operand::Object(fields), Kind::Object) => self.same_object(document, fields, value),
            _ => Ok(false),
        }
    }

    fn same_list(&mut self, document: &Document, operands: &[Operand], array: ValueId) -> Decided {
        let mut elements = document.children(array);
        for operand in operands {
            self.spend(1)?;
            let Some(element) = elements.next() else { return Ok(false) };
            if !self.equal(document, operand, element)? {
                return Ok(false);
            }
        }
        Ok(elements.next().is_none())
    }

    fn same_object(&mut self, document: &Document, fields: &BTreeMap<String, Operand>, object: ValueId) -> Decided {
        for (key, _) in document.members(object) {
            self.spend(1)?;
            if document.text(key).is_none_or(|name| !fields.contains_key(&*name)) {
                return Ok(false);
            }
        }
        for (name, operand) in fields {
            let Some(value) = self.field(document, object, name)? else { return Ok(false) };
            if !self.equal(document, operand, value)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
