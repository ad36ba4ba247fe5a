//! A field of a form: present, null or absent.

use serde_json::value::RawValue;

use super::{FormField, Place};

/// Distinguishes absent from null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::api) enum Field<T> {
    #[default]
    Absent,
    Null,
    Given(T),
}

impl<T> Field<T> {
    /// Applied to the stored value: absent keeps it, null clears it.
    pub(in crate::api) fn over(self, current: Option<T>) -> Option<T> {
        match self {
            Self::Absent => current,
            Self::Null => None,
            Self::Given(value) => Some(value),
        }
    }

    /// Null means the default; absent is `None`.
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

    pub(in crate::api) fn or_null(self) -> Self {
        match self {
            Self::Absent => Self::Null,
            said => said,
        }
    }

    pub(in crate::api) fn map<U>(self, change: impl FnOnce(T) -> U) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Null => Field::Null,
            Self::Given(value) => Field::Given(change(value)),
        }
    }
}

/// May be absent, but not null.
#[derive(Debug)]
pub(in crate::api) struct NotNull<T>(pub(in crate::api) Option<T>);

/// Null is an ordinary value.
#[derive(Debug)]
pub(in crate::api) struct NullToo<T>(pub(in crate::api) T);

pub(in crate::api) trait Part: Sized {
    type Value: FormField;
    const REQUIRED: bool = false;
    const NULLABLE: bool = false;

    /// `None` if it breaks a rule, which is added to the list.
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
