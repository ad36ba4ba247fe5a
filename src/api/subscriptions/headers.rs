//! The headers and the authorization in a body that writes a subscription, and what is shown
//! of them: names and types, never a value.

use std::collections::BTreeMap;

use poem_openapi::Object;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::api::strict::{Field, Fields, pointer_to};
use crate::domain::auth::{Auth, AuthType};
use crate::domain::request_headers::{AuthChange, HeaderChanges, check_value, header_name};
use crate::domain::secret::MASK;

/// What authorises deliveries at the target.
#[derive(Debug, Object)]
pub(super) struct AuthForm {
    /// `basic` or `bearer`. The type alone keeps what is stored.
    #[oai(rename = "type", validator(pattern = "^(basic|bearer)$"))]
    kind: String,
    /// Of `basic`.
    #[oai(validator(max_length = 255))]
    username: Option<String>,
    /// Of `basic`.
    #[oai(validator(max_length = 1024))]
    password: Option<String>,
    /// Of `bearer`.
    #[oai(validator(max_length = 4096))]
    token: Option<String>,
}

/// What is shown of an authorization.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct AuthAnswer {
    /// `basic` or `bearer`.
    #[oai(rename = "type")]
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// Names with a mask for each value.
pub(super) fn masked(names: Vec<String>) -> BTreeMap<String, String> {
    names.into_iter().map(|name| (name, MASK.to_owned())).collect()
}

/// Takes both fields out of a body.
pub(super) fn read(fields: &mut Fields<'_>) -> HeaderChanges {
    let headers = match fields.object("headers") {
        Field::Absent => None,
        Field::Null => Some(BTreeMap::new()),
        Field::Given(entries) => Some(read_headers(fields, entries)),
    };
    let auth = match fields.nested("auth") {
        Field::Absent => None,
        Field::Null => Some(None),
        Field::Given(mut inner) => {
            let auth = read_auth(&mut inner);
            fields.absorb("auth", inner);
            Some(auth)
        }
    };
    HeaderChanges { headers, auth }
}

fn read_headers(fields: &mut Fields<'_>, entries: Vec<(String, &RawValue)>) -> BTreeMap<String, Option<String>> {
    let mut headers = BTreeMap::new();
    for (text, value) in entries {
        let pointer = format!("/headers{}", pointer_to(&text));
        let value = match serde_json::from_str::<String>(value.get()) {
            Ok(value) if value == MASK => None,
            Ok(value) => {
                if let Err(rule) = check_value(&value) {
                    fields.refuse(&*pointer, "invalid_header", rule);
                }
                Some(value)
            }
            Err(_) => {
                fields.refuse(&*pointer, "wrong_type", "must be a string of valid Unicode");
                continue;
            }
        };
        match header_name(&text) {
            Err(rule) => fields.refuse(pointer, "invalid_header", rule),
            Ok(name) => {
                if headers.insert(name, value).is_some() {
                    fields.refuse(pointer, "duplicate_field", "must stand only once, in whatever case");
                }
            }
        }
    }
    headers
}

fn read_auth(auth: &mut Fields<'_>) -> Option<AuthChange> {
    let kind = match auth.text("type").given().as_deref() {
        Some("basic") => AuthType::Basic,
        Some("bearer") => AuthType::Bearer,
        _ => {
            auth.refuse("/type", "invalid_auth", "must be basic or bearer");
            return None;
        }
    };
    let new = match kind {
        AuthType::Basic => match (auth.text("username").given(), auth.text("password").given()) {
            (None, None) => return Some(AuthChange::Stored(kind)),
            (Some(username), Some(password)) => Auth::basic(username, password),
            _ => {
                auth.refuse("", "required", "must have both username and password");
                return None;
            }
        },
        AuthType::Bearer => match auth.text("token").given() {
            None => return Some(AuthChange::Stored(kind)),
            Some(token) => Auth::bearer(token),
        },
    };
    new.map(AuthChange::New).map_err(|rule| auth.refuse("", "invalid_auth", rule)).ok()
}
