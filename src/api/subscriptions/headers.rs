//! Headers and authorization in bodies and responses: names and types, never a value.

use std::collections::BTreeMap;

use poem_openapi::Object;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::api::form::{Fields, FormField, Place, Plain, form, pointer_to, text};
use crate::api::text::inline;
use crate::domain::auth::{Auth, AuthType};
use crate::domain::request_headers::{AuthChange, MAX_HEADERS, MAX_VALUE_BYTES, check_value, header_name};
use crate::domain::secret::MASK;

/// Visible ASCII; blanks and tabs only in between.
const HEADER_VALUE: &str = r"^([!-~]([\t -~]*[!-~])?)?$";

form! {
    /// Authorization at the target.
    pub(super) struct AuthForm {
        /// `basic` or `bearer`. The type alone keeps the stored credentials.
        r#type: AuthType,
        /// Of `basic`.
        username: Option<Plain<255>>,
        /// Of `basic`.
        password: Option<Plain<1024>>,
        /// Of `bearer`.
        token: Option<Plain<4096>>,
    }
}

/// Type of the stored authorization.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct AuthAnswer {
    /// `basic` or `bearer`.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub(super) kind: String,
}

pub(super) fn masked(names: Vec<String>) -> BTreeMap<String, String> {
    names.into_iter().map(|name| (name, MASK.to_owned())).collect()
}

/// All headers by name; one without a value keeps the stored one.
#[derive(Debug, Clone, Default)]
pub(super) struct GivenHeaders(pub(super) BTreeMap<String, Option<String>>);

impl FormField for GivenHeaders {
    fn schema() -> MetaSchemaRef {
        let value = MetaSchema {
            max_length: Some(MAX_VALUE_BYTES),
            pattern: Some(HEADER_VALUE.to_owned()),
            ..MetaSchema::new("string")
        };
        inline(MetaSchema {
            max_properties: Some(MAX_HEADERS),
            additional_properties: Some(Box::new(inline(value))),
            ..MetaSchema::new("object")
        })
    }

    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self> {
        let mut headers = BTreeMap::new();
        for (name, value) in Fields::of(value, at)?.all(at) {
            let mut at = at.below(pointer_to(&name));
            let Some(value) = text(value, &mut at) else { continue };
            let value = Some(value).filter(|value| value != MASK);
            if let Some(Err(rule)) = value.as_deref().map(check_value) {
                at.refuse("invalid_header", rule);
            }
            match header_name(&name) {
                Err(rule) => at.refuse("invalid_header", rule),
                Ok(name) => {
                    if headers.insert(name, value).is_some() {
                        at.refuse("duplicate_field", "must stand only once, in whatever case");
                    }
                }
            }
        }
        Some(Self(headers))
    }
}

impl FormField for AuthChange {
    fn schema() -> MetaSchemaRef {
        AuthForm::schema()
    }

    fn register(registry: &mut Registry) {
        AuthForm::register(registry);
    }

    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self> {
        let AuthForm { r#type: kind, username, password, token } = AuthForm::read(value, at)?;
        let of_the_other = match kind {
            AuthType::Basic => [("/token", token.is_some()), ("", false)],
            AuthType::Bearer => [("/username", username.is_some()), ("/password", password.is_some())],
        };
        for (name, _) in of_the_other.into_iter().filter(|(_, is_given)| *is_given) {
            at.below(name).refuse("unknown_field", "is not a field of this type");
        }
        let new = match (kind, username, password, token) {
            (AuthType::Basic, None, None, _) | (AuthType::Bearer, .., None) => return Some(Self::Stored(kind)),
            (AuthType::Basic, Some(username), Some(password), _) => Auth::basic(username.0, password.0),
            (AuthType::Bearer, .., Some(token)) => Auth::bearer(token.0),
            (AuthType::Basic, ..) => {
                at.refuse("required", "must have both username and password");
                return None;
            }
        };
        new.map(Self::New).map_err(|rule| at.refuse("invalid_auth", rule)).ok()
    }
}
