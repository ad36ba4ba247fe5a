//! What a filter consists of.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Of one value: all of them must be true.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// Of its fields.
    pub(super) fields: Vec<(String, Self)>,
    /// Of the value itself.
    pub(super) tests: Vec<Test>,
}

#[derive(Debug)]
pub(super) enum Test {
    Equal(Operand),
    In(Vec<Operand>),
    /// A number or a text, compared with the operand.
    Order(Side, Operand),
    Exist(bool),
    StartsWith(String),
    EndsWith(String),
    Contains(Operand),
    And(Vec<Conditions>),
    Or(Vec<Conditions>),
    Not(Box<Conditions>),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A value of the filter.
#[derive(Debug)]
pub(super) enum Operand {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

impl Conditions {
    /// One test.
    pub(super) fn of(test: Test) -> Self {
        Self { fields: Vec::new(), tests: vec![test] }
    }
}

impl Test {
    /// True where the test is false.
    pub(super) fn opposite(self) -> Self {
        Self::Not(Box::new(Conditions::of(self)))
    }
}

impl Side {
    pub(super) fn accepts(self, of_value_to_operand: Ordering) -> bool {
        match self {
            Self::Greater => of_value_to_operand.is_gt(),
            Self::GreaterOrEqual => of_value_to_operand.is_ge(),
            Self::Less => of_value_to_operand.is_lt(),
            Self::LessOrEqual => of_value_to_operand.is_le(),
        }
    }
}
