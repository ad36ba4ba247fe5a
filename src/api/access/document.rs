//! What an operation asks of its callers, as the document says it.

use serde_json::{Map, Value, json};

use super::{About, SCHEME, read_need};
use crate::api::auth::TENANT_HEADER;
use crate::domain::api_key::Scope;
use crate::domain::grant::Need;

/// Writes the scope and the header that names a tenant into an operation of the document, where [`super::Allowed`] left
/// them as the name of a security scheme. Returns which tenants it is about, and whether a signature is enough.
pub(in crate::api) fn finish(operation: &mut Map<String, Value>) -> (About, bool) {
    let security = operation.remove("security").unwrap_or_default();
    let or_signature = security.as_array().is_some_and(|alternatives| alternatives.len() > 1);
    let scheme = security.pointer("/0").and_then(Value::as_object).and_then(|scheme| scheme.keys().next());
    let (about, need) = About::read(scheme.map_or("", String::as_str));
    insert_header(operation, about);
    let described = operation.get("description").and_then(Value::as_str).unwrap_or_default();
    let need = read_need(need).unwrap_or(Need::Nothing);
    let described = format!("{described}\n\n{}", in_words(need));
    operation.insert("description".to_owned(), described.trim_start().into());
    let key = json!({ SCHEME: [] });
    operation.insert("security".to_owned(), if or_signature { json!([key, {}]) } else { json!([key]) });
    if let Need::Either(scope, capability) = need {
        operation.insert("x-scope".to_owned(), scope.as_str().into());
        operation.extend(capability.map(|one| ("x-portal-capability".to_owned(), one.as_str().into())));
    }
    (about, or_signature)
}

fn in_words(need: Need) -> String {
    let Need::Either(scope, capability) = need else { return "Any key opens it, and any portal session.".to_owned() };
    let or_more = match scope {
        Scope::Admin => "",
        Scope::Support => ", `read` or `admin`",
        Scope::Publish | Scope::Read => " or `admin`",
    };
    let or_portal = match capability {
        Some(capability) => format!(", or a portal session with the capability `{capability}`"),
        None => String::new(),
    };
    format!("Needs a key with the scope `{scope}`{or_more}{or_portal}.")
}

fn insert_header(operation: &mut Map<String, Value>, about: About) {
    let naming = match about {
        About::One => "Required with an operator key;",
        About::Any => "All tenants with an operator key and without it, or with `*`;",
        About::Named => "Required with an operator key, where `*` means all tenants;",
        About::Each => "Required with an operator key, unless each item names its own;",
        About::None => return,
    };
    let pattern =
        if matches!(about, About::Any | About::Named) { r"^(\*|[A-Za-z0-9_.:-]+)$" } else { "^[A-Za-z0-9_.:-]+$" };
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
