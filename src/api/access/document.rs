//! What an operation asks of its callers, as the document says it.

use serde_json::{Map, Value, json};

use super::{About, SCHEME};
use crate::api::auth::TENANT_HEADER;
use crate::domain::api_key::Scope;

/// Writes the scope and the header that names a tenant into an operation of the document, where [`super::Allowed`] left them as
/// the name of a security scheme.
pub(in crate::api) fn finish(operation: &mut Map<String, Value>, auth_required: bool) {
    let scheme = operation.get("security").and_then(|security| security.pointer("/0")).and_then(Value::as_object);
    let scheme = scheme.and_then(|scheme| scheme.keys().next()).cloned().unwrap_or_default();
    let (about, scope) = About::read(&scheme);
    let naming = match about {
        About::One => Some("Required with an operator key;"),
        About::Any => Some("All tenants with an operator key and without it, or with `*`;"),
        About::Each => Some("Required with an operator key, unless each item names its own;"),
        About::None => None,
    };
    if let Some(naming) = naming {
        let pattern = if about == About::Any { r"^(\*|[A-Za-z0-9_.:-]+)$" } else { "^[A-Za-z0-9_.:-]+$" };
        let header = json!({
            "name": TENANT_HEADER,
            "in": "header",
            "required": false,
            "description": format!(
                "Id or external id of the tenant that the request is about. {naming} with a key of a tenant it may name \
                 that tenant only."
            ),
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": pattern },
        });
        let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
        if let Some(parameters) = parameters.as_array_mut() {
            parameters.push(header);
        }
    }
    let Some(mut security) = operation.remove("security").filter(|_| auth_required) else { return };
    let Some(scheme) = security.pointer_mut("/0").and_then(Value::as_object_mut) else { return };
    scheme.clear();
    scheme.insert(SCHEME.to_owned(), json!([]));
    let described = operation.get("description").and_then(Value::as_str).unwrap_or_default();
    let or_admin = match scope.parse() {
        Ok(Scope::Admin) => "",
        Ok(Scope::Support) => ", `read` or `admin`",
        _ => " or `admin`",
    };
    let described = format!("{described}\n\nNeeds a key with the scope `{scope}`{or_admin}.");
    operation.insert("description".to_owned(), described.trim_start().into());
    operation.insert("security".to_owned(), security);
    operation.insert("x-scope".to_owned(), scope.into());
}
