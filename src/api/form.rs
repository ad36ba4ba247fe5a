//! JSON bodies, each declared once by `form!`, which generates schema and strict reader. A duplicate field is refused
//! because two parsers may read it differently. No message repeats a value.

use std::collections::HashSet;
use std::fmt;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::problem::{FieldError, MAX_ERRORS, Problem};
use crate::domain::target::TargetPolicy;

mod part;
mod values;

pub(super) use part::{Field, NotNull, NullToo, Part};
pub(super) use values::{Any, AnyDocument, AnyJson, ClearJson, List, Plain, Whole, text};

/// Repeated in one response.
const MAX_UNKNOWN_NAMED: usize = 10;
/// Longer names are not repeated.
const MAX_NAME_LENGTH: usize = 64;

/// A position in a body; collects broken rules.
pub(super) struct Place<'e> {
    pub(super) targets: &'e TargetPolicy,
    pointer: String,
    errors: &'e mut Vec<FieldError>,
}

impl Place<'_> {
    /// Collects no more than a response names: pointers into a deep body are long.
    pub(super) fn refuse(&mut self, code: &'static str, detail: impl ToString) {
        if self.errors.len() == MAX_ERRORS {
            return;
        }
        self.errors.push(FieldError { pointer: self.pointer.clone(), code, detail: detail.to_string() });
    }

    /// With a list of broken rules of its own.
    pub(super) fn apart<T>(&self, read: impl FnOnce(&mut Place<'_>) -> Option<T>) -> Result<T, Vec<FieldError>> {
        let mut errors = Vec::new();
        let value = read(&mut Place { targets: self.targets, pointer: self.pointer.clone(), errors: &mut errors });
        value.filter(|_| errors.is_empty()).ok_or(errors)
    }

    /// `pointer`: JSON pointer from here.
    pub(super) fn below(&mut self, pointer: impl fmt::Display) -> Place<'_> {
        Place { targets: self.targets, pointer: format!("{}{pointer}", self.pointer), errors: &mut *self.errors }
    }
}

/// A value of a body: how it is documented, and how it is read.
pub(super) trait FormField: Sized {
    fn schema() -> MetaSchemaRef;

    /// Registers the schemas that its own refers to.
    fn register(_registry: &mut Registry) {}

    /// The value is not null. `None` if it breaks a rule, which is added to the list.
    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self>;
}

pub(super) trait Form: Sized {
    fn describe(schema: &mut MetaSchema, registry: &mut Registry);

    fn take(fields: &mut Fields<'_>, at: &mut Place<'_>) -> Option<Self>;
}

pub(super) fn describe<P: Part>(name: &'static str, about: &'static str, schema: &mut MetaSchema, all: &mut Registry) {
    P::Value::register(all);
    if P::REQUIRED {
        schema.required.push(name);
    }
    let about = MetaSchema { nullable: P::NULLABLE, description: Some(about.trim()), ..MetaSchema::ANY };
    schema.properties.push((name, P::Value::schema().merge(about)));
}

/// Declares a struct whose fields are [`Part`]s, followed by forms whose fields are merged into its own.
macro_rules! form {
    (
        $(#[doc = $doc:literal])* $vis:vis struct $form:ident {
            $($(#[doc = $about:literal])* $field_vis:vis $field:ident: $part:ty,)*
            $(..$flat_vis:vis $flat:ident: $flat_form:ty,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug)]
        $vis struct $form {
            $($(#[doc = $about])* $field_vis $field: $part,)*
            $($flat_vis $flat: $flat_form,)*
        }

        impl $crate::api::form::Form for $form {
            fn describe(
                schema: &mut poem_openapi::registry::MetaSchema,
                all: &mut poem_openapi::registry::Registry,
            ) {
                $($crate::api::form::describe::<$part>(
                    stringify!($field).trim_start_matches("r#"), concat!($($about),*), schema, all,
                );)*
                $(<$flat_form as $crate::api::form::Form>::describe(schema, all);)*
            }

            fn take(
                fields: &mut $crate::api::form::Fields<'_>,
                at: &mut $crate::api::form::Place<'_>,
            ) -> Option<Self> {
                $(let $field = fields.part::<$part>(stringify!($field).trim_start_matches("r#"), at);)*
                $(let $flat = <$flat_form as $crate::api::form::Form>::take(fields, at);)*
                Some(Self { $($field: $field?,)* $($flat: $flat?,)* })
            }
        }

        impl $crate::api::form::FormField for $form {
            fn schema() -> poem_openapi::registry::MetaSchemaRef {
                poem_openapi::registry::MetaSchemaRef::Reference(stringify!($form).to_owned())
            }

            fn register(all: &mut poem_openapi::registry::Registry) {
                let mut schema = poem_openapi::registry::MetaSchema::new("object");
                schema.description = Some(concat!($($doc),*).trim());
                <Self as $crate::api::form::Form>::describe(&mut schema, all);
                all.schemas.insert(stringify!($form).to_owned(), schema);
            }

            fn read(
                value: &serde_json::value::RawValue,
                at: &mut $crate::api::form::Place<'_>,
            ) -> Option<Self> {
                let mut fields = $crate::api::form::Fields::of(value, at)?;
                let form = <Self as $crate::api::form::Form>::take(&mut fields, at);
                fields.finish(at);
                form
            }
        }
    };
}
pub(super) use form;

pub(super) fn read<T: FormField>(body: &[u8], targets: &TargetPolicy) -> Result<T, Problem> {
    // Checks the grammar without recursion.
    let document: &RawValue = serde_json::from_slice(body).map_err(|_| Problem::MalformedJson)?;
    let whole = Place { targets, pointer: String::new(), errors: &mut Vec::new() };
    whole.apart(|at| T::read(document, at)).map_err(Problem::Invalid)
}

/// Removed one by one.
pub(super) struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a RawValue, at: &mut Place<'_>) -> Option<Self> {
        if !value.get().starts_with('{') {
            at.refuse("wrong_type", "must be an object");
            return None;
        }
        let fields = serde_json::from_str(value.get());
        fields.map_err(|_| at.refuse("invalid_name", "must have field names that are valid Unicode")).ok()
    }

    pub(super) fn part<P: Part>(&mut self, name: &str, at: &mut Place<'_>) -> Option<P> {
        let mut at = at.below(format_args!("/{name}"));
        let mut found = self.0.extract_if(.., |(field, _)| field == name);
        let value = found.next().map(|(_, value)| value);
        if found.count() > 0 {
            at.refuse("duplicate_field", "must stand only once");
        }
        P::of(value, &mut at)
    }

    /// Refuses duplicates, each name once.
    pub(super) fn all(self, at: &mut Place<'_>) -> Vec<(String, &'a RawValue)> {
        let (mut seen, mut told) = (HashSet::new(), HashSet::new());
        for (name, _) in &self.0 {
            if !seen.insert(name) && told.insert(name) {
                at.below(pointer_to(name)).refuse("duplicate_field", "must stand only once");
            }
        }
        self.0
    }

    /// Refuses the remaining fields as unknown.
    pub(super) fn finish(self, at: &mut Place<'_>) {
        for (name, _) in self.0.iter().take(MAX_UNKNOWN_NAMED) {
            at.below(pointer_to(name)).refuse("unknown_field", "is not a documented field");
        }
    }
}

impl<'a> Deserialize<'a> for Fields<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'a> Visitor<'a> for FieldsVisitor {
    type Value = Fields<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Fields<'a>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

/// The caller's text may hold anything, so only what looks like a name is repeated.
pub(super) fn pointer_to(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let is_name = !name.is_empty() && name.len() <= MAX_NAME_LENGTH && name.bytes().all(plain);
    if is_name { format!("/{name}") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    form! {
        /// A form.
        struct Example {
            /// A text.
            a: Plain<10>,
            /// A truth value.
            b: Option<bool>,
            /// Texts.
            c: Option<List<Plain<10>, 0, 2>>,
            /// Another text.
            d: Field<Plain<10>>,
            /// A number.
            f: Option<Whole<1, 9>>,
            /// Not null.
            g: NotNull<bool>,
        }
    }

    fn codes(body: &str) -> Vec<(String, &'static str)> {
        match read::<Example>(body.as_bytes(), &TargetPolicy::default()) {
            Err(Problem::Invalid(errors)) => errors.into_iter().map(|error| (error.pointer, error.code)).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_more_broken_rules_are_kept_than_a_response_names() {
        let place = Place { targets: &TargetPolicy::default(), pointer: String::new(), errors: &mut Vec::new() };
        let broken = place.apart(|at| {
            (0..1_000).for_each(|_| at.refuse("duplicate_field", "must stand only once"));
            Some(())
        });
        assert_eq!(broken.unwrap_err().len(), MAX_ERRORS);
    }

    #[test]
    fn every_broken_rule_is_named_at_its_place() {
        let body = r#"{"a": 1, "a": "x", "b": "yes", "c": ["x", 2], "d": null, "e": 0, "f": 1.5, "g": null}"#;
        let expected = [
            ("/a", "duplicate_field"),
            ("/a", "wrong_type"),
            ("/b", "wrong_type"),
            ("/c/1", "wrong_type"),
            ("/f", "wrong_type"),
            ("/g", "required"),
            ("/e", "unknown_field"),
        ];
        assert_eq!(codes(body), expected.map(|(pointer, code)| (pointer.to_owned(), code)));
        let expected = [("/a", "required"), ("/c", "too_many"), ("/f", "out_of_range")];
        assert_eq!(
            codes(r#"{"c": ["x", "x", "x"], "f": 10}"#),
            expected.map(|(pointer, code)| (pointer.to_owned(), code))
        );
    }

    #[test]
    fn what_keeps_the_rules_is_read() {
        let body = r#"{"a": "x", "b": null, "c": ["y"], "f": 9, "g": true}"#;
        let Example { a, b, c, d, f, g } = read(body.as_bytes(), &TargetPolicy::default()).unwrap();
        assert_eq!((a.0.as_str(), b, f.map(|number| number.0), g.0), ("x", None, Some(9), Some(true)));
        assert_eq!(c.unwrap().0.into_iter().map(|text| text.0).collect::<Vec<_>>(), ["y"]);
        assert!(matches!(d, Field::Absent));
    }

    #[test]
    fn absent_null_and_given_are_three_things() {
        let d = |body: &str| read::<Example>(body.as_bytes(), &TargetPolicy::default()).unwrap().d.map(|text| text.0);
        assert_eq!(d(r#"{"a": ""}"#), Field::Absent);
        assert_eq!(d(r#"{"a": "", "d": null}"#), Field::Null);
        assert_eq!(d(r#"{"a": "", "d": "x"}"#), Field::Given("x".to_owned()));
    }

    #[test]
    fn what_is_no_json_is_malformed_and_what_is_no_object_is_invalid() {
        for body in ["", "{", "{} {}", "\u{feff}{}", "{'a': 1}", "nul"] {
            let read = read::<Example>(body.as_bytes(), &TargetPolicy::default());
            assert_eq!(read.err(), Some(Problem::MalformedJson), "{body:?}");
        }
        for body in ["[]", "null", "\"x\"", "1"] {
            assert_eq!(codes(body), [(String::new(), "wrong_type")], "{body:?}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_not_repeated() {
        for name in ["", "a b", "<script>", "a/b", &"x".repeat(65)] {
            assert_eq!(pointer_to(name), "", "{name}");
        }
    }

    #[test]
    fn depth_does_not_exhaust_the_stack() {
        let deep = format!("{{\"a\":\"\",\"c\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(codes(&deep), [("/c/0".to_owned(), "wrong_type")]);
    }
}
