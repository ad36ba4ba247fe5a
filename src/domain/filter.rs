//! A subscription's `filter`: conditions on the payload, in JSON.
//!
//! A name descends into a field, a bare value means equal, a key that begins with `$` is an operator. All conditions
//! must be true. Numbers compare by their decimal digits and texts by code point; values of different types are
//! never equal, less or greater. A missing field meets only `$ne`, `$nin`, `$not` and `$exist: false`.
//!
//! A condition on an array is true if it is true for the array or for one of its elements; fields that stand together
//! are asked of the same element. Of repeated keys in a payload the last counts, as for most parsers.

mod condition;
mod document;
mod evaluate;
mod number;
mod read;
#[cfg(test)]
mod tests;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub use evaluate::Judge;

use condition::Conditions;
pub(crate) use read::compact;

/// Of a filter without white space. 100 conditions with a name and a value of 80 bytes fit.
pub const MAX_FILTER_BYTES: usize = 8 * 1_024;
/// Objects and arrays inside each other.
pub const MAX_FILTER_DEPTH: usize = 16;
/// Operators and bare values.
pub const MAX_CONDITIONS: usize = 100;

/// A parsed filter; equal filters have equal text. Clones share it.
#[derive(Debug, Clone)]
pub struct Filter(Arc<Parsed>);

#[derive(Debug)]
struct Parsed {
    text: String,
    conditions: Conditions,
}

/// Where a filter breaks which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}")]
pub struct InvalidFilter {
    /// JSON pointer into the filter; ends above a key that is no plain name.
    pub pointer: String,
    /// Stable name of the rule.
    pub code: &'static str,
    /// As a sentence.
    pub rule: String,
}

impl Filter {
    /// Reads the text of a JSON object; white space is not kept.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidFilter> {
        let text = read::compact(text);
        let conditions = read::read(&text)?;
        Ok(Self(Arc::new(Parsed { text, conditions })))
    }

    /// As it was given, without white space.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// About so many bytes of memory: conditions take a few times their text.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Parsed>() + 5 * self.0.text.len()
    }

    fn conditions(&self) -> &Conditions {
        &self.0.conditions
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Filter {}

impl Hash for Filter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}
