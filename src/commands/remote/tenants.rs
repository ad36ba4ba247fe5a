//! `postrider tenants` over the API.

use hyper::Method;
use serde_json::{Map, Value, json};

use super::Remote;
use super::client::Call;
use super::table::Column;
use crate::commands::Failure;
use crate::commands::tenants::{Fields, Tenants};
use crate::domain::external_id::ExternalId;
use crate::domain::tenant::TenantName;

const COLUMNS: [Column; 4] = [
    Column::whole("ID", &["id"]),
    Column::time("CREATED", "created_at"),
    Column::long("EXTERNAL ID", &["external_id"]),
    Column::long("NAME", &["name"]),
];

pub(in crate::commands) async fn run(remote: &Remote, tenants: &Tenants) -> Result<(), Failure> {
    let of = |method: Method, name: &TenantName| Call::new(method, &["tenants", &name.to_string()]).of_no_tenant();
    match tenants {
        Tenants::Create(wanted) => {
            let body = body(Some(&wanted.name), &wanted.fields);
            let call = Call::post(&["tenants"]).json(&body).of_no_tenant();
            if wanted.form.json {
                return remote.show(call, wanted.form).await;
            }
            // As with a database, the id stands alone on the last line.
            let made: Value = remote.client.send(call).await?.json()?;
            let text = |name: &str| made.get(name).map(super::printable::shown).unwrap_or_default();
            remote.print(format_args!("tenant {}:\n{}", text("name"), text("id")))
        }
        Tenants::List(wanted) => {
            let call = || wanted.q.iter().fold(Call::get(&["tenants"]).of_no_tenant(), |call, q| call.query("q", q));
            remote.list(call, &COLUMNS, &wanted.paging).await
        }
        Tenants::Show(wanted) => remote.show(of(Method::GET, &wanted.tenant), wanted.form).await,
        Tenants::Update(wanted) => {
            let call = of(Method::PATCH, &wanted.of.tenant).json(&body(wanted.name.as_deref(), &wanted.fields));
            remote.show(call, wanted.of.form).await
        }
        Tenants::Delete(wanted) => remote.show(of(Method::DELETE, &wanted.tenant), wanted.form).await,
    }
}

/// Only what is given.
fn body(name: Option<&str>, fields: &Fields) -> Value {
    let mut body = Map::new();
    let texts = [("name", name), ("external_id", fields.external_id.as_ref().map(ExternalId::as_str))];
    for (field, text) in texts {
        if let Some(text) = text {
            body.insert(field.to_owned(), json!(text));
        }
    }
    let limits = [("max_subscriptions", fields.max_subscriptions), ("publish_per_second", fields.publish_per_second)];
    let limits: Map<String, Value> =
        limits.into_iter().filter_map(|(field, limit)| Some((field.to_owned(), json!(limit?.0)))).collect();
    if !limits.is_empty() {
        body.insert("limits".to_owned(), Value::Object(limits));
    }
    if !fields.metadata.is_empty() {
        let entries = fields.metadata.iter().map(|(key, value)| (key.clone(), json!(value)));
        body.insert("metadata".to_owned(), Value::Object(entries.collect()));
    }
    Value::Object(body)
}
