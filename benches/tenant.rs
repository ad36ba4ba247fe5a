//! Tenants of the service under test, with an API key each or through an operator key.

use std::net::SocketAddr;
use std::path::Path;

use hyper::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::process::Command;
use uuid::Uuid;

use crate::failure::Failure;
use crate::http::{self, Access, Connection};
use crate::load::Route;
use crate::producer::PLAIN;

/// A tenant and what its requests are made with.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) name: String,
    pub(crate) access: Access,
}

/// A key for all tenants.
#[derive(Debug, Clone)]
pub(crate) struct Operator(Access);

impl Operator {
    /// Makes an operator key by `keys create`, on a database whose schema is up.
    pub(crate) async fn create(program: &Path, database_url: &str) -> Result<Self, Failure> {
        Ok(Self(create_key(program, database_url, &["--operator"]).await?))
    }

    /// As it was printed.
    pub(crate) fn key(&self) -> Result<&str, Failure> {
        let header = self.0.key.as_ref().ok_or_else(|| Failure::new("the operator has no key"))?.to_str()?;
        header.strip_prefix("Bearer ").ok_or_else(|| Failure::new("the operator has no bearer key"))
    }

    /// The tenant with this external id, through this key.
    pub(crate) fn tenant(&self, external_id: &str) -> Result<Tenant, Failure> {
        let access = Access { tenant: Some(external_id.parse()?), ..self.0.clone() };
        Ok(Tenant { name: external_id.to_owned(), access })
    }
}

impl Tenant {
    /// Makes a tenant by `keys create`, on a database whose schema is up.
    pub(crate) async fn create(program: &Path, database_url: &str, name: &str) -> Result<Self, Failure> {
        let access = create_key(program, database_url, &["--tenant", name]).await?;
        Ok(Self { name: name.to_owned(), access })
    }

    /// Makes a subscription to a target of a receiver, for events of this type, with these
    /// further fields.
    pub(crate) async fn subscribe(
        &self,
        api: SocketAddr,
        target: (SocketAddr, usize),
        event_type: &str,
        further: Value,
    ) -> Result<Uuid, Failure> {
        self.subscribe_over(&mut http::connect(api).await?, target, event_type, further).await
    }

    /// The same over a kept connection.
    pub(crate) async fn subscribe_over(
        &self,
        connection: &mut Connection,
        (receiver, target): (SocketAddr, usize),
        event_type: &str,
        further: Value,
    ) -> Result<Uuid, Failure> {
        let mut document = json!({
            "target_url": format!("http://{receiver}/{target}"),
            "event_types": [event_type],
        });
        if let (Some(fields), Value::Object(further)) = (document.as_object_mut(), further) {
            fields.extend(further);
        }
        let (_, answer) = http::post(connection, "/subscriptions/", &self.access, document.to_string()).await?;
        let document: Value = serde_json::from_str(&answer).unwrap_or_default();
        let id = document.get("id").and_then(Value::as_str).and_then(|id| Uuid::parse_str(id).ok());
        id.ok_or_else(|| Failure::new(format!("no subscription was made: {answer}")))
    }

    /// The route by which events go to this subscription alone.
    pub(crate) fn route_to(&self, subscription: Uuid) -> Route {
        Route { path: format!("/ingest/{subscription}"), access: self.access.clone(), event_type: None }
    }

    /// The route by which events go to all who want them.
    pub(crate) fn route_to_all(&self) -> Route {
        Route { path: "/events".to_owned(), access: self.access.clone(), event_type: None }
    }

    /// Publishes a batch of events.
    ///
    /// # Errors
    /// [`Failure`] where one of them is refused.
    pub(crate) async fn publish(&self, api: SocketAddr, events: &[impl Serialize]) -> Result<(), Failure> {
        let document = serde_json::to_string(&Batch { events })?;
        let mut connection = http::connect(api).await?;
        let (status, answer) = http::post(&mut connection, "/events/batch", &self.access, document).await?;
        let answers: Value = serde_json::from_str(&answer).unwrap_or_default();
        let is_accepted = |entry: &Value| entry.get("status").and_then(Value::as_u64) == Some(202);
        let entries = answers.get("data").and_then(Value::as_array);
        let accepted = entries.map_or(0, |entries| entries.iter().filter(|entry| is_accepted(entry)).count());
        if status == StatusCode::OK && accepted == events.len() {
            return Ok(());
        }
        let start: String = answer.chars().take(400).collect();
        Err(Failure::new(format!("{accepted} of {} events of a batch were accepted: {start}", events.len())))
    }
}

/// Makes a key with scope `admin` by `keys create`.
async fn create_key(program: &Path, database_url: &str, owner: &[&str]) -> Result<Access, Failure> {
    let mut creating = Command::new(program);
    creating.args(["keys", "create", "--scope", "admin"]).args(owner).env("DATABASE_URL", database_url);
    let output = creating.output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().last().filter(|_| output.status.success()) {
        Some(key) => Ok(Access { key: Some(format!("Bearer {}", key.trim()).parse()?), tenant: None }),
        None => Err(Failure::new(format!("no key for {owner:?}: {}", String::from_utf8_lossy(&output.stderr)))),
    }
}

/// The body of a batch.
#[derive(Serialize)]
struct Batch<'a, E> {
    events: &'a [E],
}

/// Makes so many plain subscriptions of each tenant to a receiver; returns their routes, the
/// tenants in turn.
pub(crate) async fn subscribe_all(
    tenants: &[Tenant],
    api: SocketAddr,
    receiver: SocketAddr,
    of_each: usize,
) -> Result<Vec<Route>, Failure> {
    let mut routes = Vec::with_capacity(of_each * tenants.len());
    for _ in 0..of_each {
        for tenant in tenants {
            let id = tenant.subscribe(api, (receiver, 0), PLAIN, Value::Null).await?;
            routes.push(tenant.route_to(id));
        }
    }
    Ok(routes)
}
