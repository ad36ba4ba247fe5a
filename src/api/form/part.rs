//! What a field of a form holds: a value, or what stands for one that is not there.

use serde_json::value::RawValue;

use super::{FormField, Place};

/// What a field of a form holds where absent, null and given are three things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::api) enum Field<T> {
    /// It is not there.
    #[default]
    Absent,
    /// It is `null`.
    Null,
    /// It has a value.
    Given(T),
}

impl<T> Field<T> {
    /// The value over the one that is stored: absent leaves it, null clears it.
    pub(in crate::api) fn over(self, current: Option<T>) -> Option<T> {
        match self {
            Self::Absent => current,
            Self::Null => None,
            Self::Given(value) => Some(value),
        }
    }

    /// The value, or the default for null; `None` where it is absent.
    pub(in crate::api) fn or_default(self) -> Option<T>
    where
        T: Default,
    {
        match self {
            Self::Absent => None,
            Self::Null => Some(T::default()),
            Self::Given(value) => Some(value),
        }
    }

    /// Null where it is absent.
    pub(in crate::api) fn or_null(self) -> Self {
        match self {
            Self::Absent => Self::Null,
            said => said,
        }
    }

    /// The value made into another.
    pub(in crate::api) fn map<U>(self, change: impl FnOnce(T) -> U) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Null => Field::Null,
            Self::Given(value) => Field::Given(change(value)),
        }
    }
}

/// A field that may be left out and may not be null.
#[derive(Debug)]
pub(in crate::api) struct NotNull<T>(pub(in crate::api) Option<T>);

/// A field whose null is a value like any other.
#[derive(Debug)]
pub(in crate::api) struct NullToo<T>(pub(in crate::api) T);

/// What a field of a form holds: a value, or what stands for one that is not there.
pub(in crate::api) trait Part: Sized {
    /// What is given.
    type Value: FormField;
    /// Whether it has to be given.
    const REQUIRED: bool = false;
    /// Whether it may be null.
    const NULLABLE: bool = false;

    /// What the field holds; `None` where it breaks a rule, which is noted.
    fn of(value: Option<&RawValue>, at: &mut Place<'_>) -> Option<Self>;
}

impl<T: FormField> Part for T {
    type Value = T;
    const REQUIRED: bool = true;

    fn of(value: Option<&RawValue>, at: &mut Place<'_>) -> Option<Self> {
        match value {
            Some(value) if value.get() == "null" => at.refuse("required", "must not be null"),
            Some(value) => return T::read(value, at),
            None => at.refuse("required", "must be given"),
        }
        None
    }
}

impl<T: FormField> Part for Field<T> {
    type Value = T;
    const NULLABLE: bool = true;

    fn of(value: Option<&RawValue>, at: &mut Place<'_>) -> Option<Self> {
        match value {
            None => Some(Self::Absent),
            Some(value) if value.get() == "null" => Some(Self::Null),
            Some(value) => T::read(value, at).map(Self::Given),
        }
    }
}

impl<T: FormField> Part for Option<T> {
    type Value = T;
    const NULLABLE: bool = true;

    fn of(value: Option<&RawValue>, at: &mut Place<'_>) -> Option<Self> {
        Some(Field::of(value, at)?.over(None))
    }
}

impl<T: FormField> Part for NotNull<T> {
    type Value = T;

    fn of(value: Option<&RawValue>, at: &mut Place<'_>) -> Option<Self> {
        if value.is_none() { Some(Self(None)) } else { T::of(value, at).map(|value| Self(Some(value))) }
    }
}

impl<T: FormField> Part for NullToo<T> {
    type Value = T;
    const REQUIRED: bool = true;

    fn of(value: Option<&RawValue>, at: &mut Place<'_>) -> Option<Self> {
        let Some(value) = value else {
            at.refuse("required", "must be given");
            return None;
        };
        T::read(value, at).map(Self)
    }
}
