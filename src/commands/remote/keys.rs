//! `postrider keys` over the API.

use hyper::Method;
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;

use super::Remote;
use super::client::Call;
use super::printable::shown;
use super::table::Column;
use crate::commands::Failure;
use crate::commands::keys::{Create, Keys};

const COLUMNS: [Column; 7] = [
    Column::whole("ID", &["id"]),
    Column::whole("SCOPE", &["scope"]),
    Column::made("STATE", state),
    Column::time("CREATED", "created_at"),
    Column::time("LAST USED", "last_used_at"),
    Column::made("TENANT", |row| {
        row.get("tenant_id").filter(|id| !id.is_null()).map_or("(operator)".to_owned(), shown)
    }),
    Column::long("NAME", &["name"]),
];

fn state(row: &Value) -> String {
    let is_set = |name: &str| row.get(name).is_some_and(|at| !at.is_null());
    let now = time::OffsetDateTime::now_utc();
    let end =
        row.get("expires_at").and_then(Value::as_str).and_then(|at| time::OffsetDateTime::parse(at, &Rfc3339).ok());
    match () {
        () if is_set("revoked_at") => "revoked",
        () if end.is_some_and(|end| end <= now) => "expired",
        () => "live",
    }
    .to_owned()
}

pub(in crate::commands) async fn run(remote: &Remote, keys: &Keys) -> Result<(), Failure> {
    match keys {
        Keys::Create(wanted) => create(remote, wanted).await,
        Keys::List(wanted) => {
            let call = || {
                let call = Call::get(&["keys"]).of_no_tenant();
                wanted.tenant.iter().fold(call, |call, tenant| call.query("tenant", tenant.to_string()))
            };
            remote.list(call, &COLUMNS, &wanted.paging).await
        }
        Keys::Revoke(wanted) => {
            let call = Call::new(Method::DELETE, &["keys", &wanted.id.to_string()]).of_no_tenant();
            remote.show(call, wanted.form).await
        }
    }
}

/// As with a database, the key stands alone on the last line.
async fn create(remote: &Remote, wanted: &Create) -> Result<(), Failure> {
    let tenant = wanted.tenant.as_ref().map(ToString::to_string);
    let mut body =
        Map::from_iter([("tenant".to_owned(), json!(tenant)), ("scope".to_owned(), json!(wanted.scope().as_str()))]);
    if let Some(name) = &wanted.name {
        body.insert("name".to_owned(), json!(name));
    }
    if let Some(at) = wanted.expiry()?.and_then(|at| at.format(&Rfc3339).ok()) {
        body.insert("expires_at".to_owned(), json!(at));
    }
    let call = Call::post(&["keys"]).json(&Value::Object(body)).of_no_tenant();
    if wanted.form.json {
        return remote.show(call, wanted.form).await;
    }
    let made: Value = remote.client.send(call).await?.json()?;
    let text = |name: &str| made.get(name).map(shown).unwrap_or_default();
    remote.print(format_args!(
        "API key {}, scope {}; it is shown this once:\n{}",
        text("id"),
        text("scope"),
        text("key")
    ))
}
