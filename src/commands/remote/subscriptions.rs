//! `postrider subscriptions`.

use std::time::Duration;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Map, Value, json};

use super::Remote;
use super::client::Call;
use super::list::{Form, Paging};
use super::printable::shown;
use super::refusal::REFUSED;
use super::table::Column;
use crate::commands::Failure;
use crate::domain::duration::parse_duration;

/// A receiver may take 60 s to answer a test; the rest is for the API.
const TEST_LIMIT: Duration = Duration::from_secs(75);

/// What to do with subscriptions.
#[derive(Debug, Subcommand)]
pub enum Subscriptions {
    /// Lists subscriptions, newest first
    List(Paging),
    /// Shows a subscription
    Show(Named),
    /// Creates a subscription and shows it with its secret, which is not shown again
    #[command(
        after_help = "Example:\n  postrider subscriptions create https://example.com/hook --external-id acme-orders --type 'order.*' --set rate_limit=50"
    )]
    Create(Create),
    /// Changes the given fields of a subscription
    #[command(
        after_help = "Example:\n  postrider subscriptions update acme-orders --type 'order.*' --type 'invoice.*' --set description=null"
    )]
    Update(Update),
    /// Enables a subscription; its held deliveries are sent
    Enable(Named),
    /// Disables a subscription; its deliveries are held
    Disable(Named),
    /// Deletes a subscription and cancels its pending deliveries
    Delete(Named),
    /// Replaces the secret; the old one stays valid for a while
    Rotate(Rotate),
    /// Sends a test event and shows the answer; fails if the receiver does not take it
    Test(Test),
}

/// Which subscription.
#[derive(Debug, Args)]
pub struct Named {
    /// Its id or external id
    subscription: String,
    #[command(flatten)]
    form: Form,
}

/// A new subscription.
#[derive(Debug, Args)]
pub struct Create {
    /// Where deliveries go
    target_url: String,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    form: Form,
}

/// A subscription and what is new of it.
#[derive(Debug, Args)]
pub struct Update {
    #[command(flatten)]
    of: Named,
    /// New target
    #[arg(long)]
    target_url: Option<String>,
    #[command(flatten)]
    fields: Fields,
}

/// What a subscription may have besides its target.
#[derive(Debug, Args)]
struct Fields {
    /// Event types that it receives, as in order.created or order.*; may be repeated; all if never given
    #[arg(long = "type", value_name = "EVENT_TYPE")]
    event_types: Vec<String>,
    /// Your own id for it
    #[arg(long)]
    external_id: Option<String>,
    /// Free text
    #[arg(long)]
    description: Option<String>,
    /// Any field of the API, as in rate_limit=50 or metadata={"plan":"pro"}; the value is JSON, or else a text
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = field)]
    set: Vec<(String, Value)>,
}

/// How to rotate.
#[derive(Debug, Args)]
pub struct Rotate {
    #[command(flatten)]
    of: Named,
    /// How long the old secret stays valid, as in 1h or 7d; 0s ends it at once [default: 24h]
    #[arg(long, value_parser = parse_duration)]
    overlap: Option<Duration>,
}

/// What to send.
#[derive(Debug, Args)]
pub struct Test {
    #[command(flatten)]
    of: Named,
    /// Type of the test event
    #[arg(long = "type", value_name = "EVENT_TYPE")]
    event_type: Option<String>,
    /// Its payload, as JSON
    #[arg(long, value_parser = json_value)]
    payload: Option<Value>,
}

fn field(text: &str) -> Result<(String, Value), &'static str> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("must be FIELD=VALUE")?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
}

fn json_value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("must be JSON: {error}"))
}

const COLUMNS: [Column; 6] = [
    Column::whole("ID", &["id"]),
    Column::made("STATE", state),
    Column::time("CREATED", "created_at"),
    Column::long("EXTERNAL ID", &["external_id"]),
    Column::long("TYPES", &["event_types"]),
    Column::long("TARGET", &["target_url"]),
];

/// `disabled (gone)`, or the state of its receiver. Who disabled it, and when, is in `show`.
fn state(row: &Value) -> String {
    let text = |value: Option<&Value>| value.map(shown).unwrap_or_default();
    if row.get("is_active") != Some(&Value::Bool(false)) {
        return text(row.pointer("/health/state"));
    }
    match text(row.get("disabled_reason")).as_str() {
        "" => "disabled".to_owned(),
        by if by.starts_with("by ") => "disabled".to_owned(),
        reason => format!("disabled ({reason})"),
    }
}

impl Fields {
    fn body(&self, target: Option<&str>) -> Value {
        let mut body: Map<String, Value> = self.set.iter().cloned().collect();
        let texts = [
            ("target_url", target),
            ("external_id", self.external_id.as_deref()),
            ("description", self.description.as_deref()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                body.insert(name.to_owned(), json!(text));
            }
        }
        if !self.event_types.is_empty() {
            body.insert("event_types".to_owned(), json!(self.event_types));
        }
        Value::Object(body)
    }
}

impl Subscriptions {
    pub(super) async fn run(self, remote: &Remote) -> Result<(), Failure> {
        let patch =
            |of: &Named, body: &Value| Call::new(Method::PATCH, &["subscriptions", &of.subscription]).json(body);
        match self {
            Self::List(paging) => remote.list(|| Call::get(&["subscriptions"]), &COLUMNS, &paging).await,
            Self::Show(of) => remote.show(Call::get(&["subscriptions", &of.subscription]), of.form).await,
            Self::Create(wanted) => {
                let body = wanted.fields.body(Some(&wanted.target_url));
                remote.show(Call::post(&["subscriptions"]).json(&body), wanted.form).await
            }
            Self::Update(wanted) => {
                let body = wanted.fields.body(wanted.target_url.as_deref());
                remote.show(patch(&wanted.of, &body), wanted.of.form).await
            }
            Self::Enable(of) => remote.show(patch(&of, &json!({ "is_active": true })), of.form).await,
            Self::Disable(of) => remote.show(patch(&of, &json!({ "is_active": false })), of.form).await,
            Self::Delete(of) => {
                remote.show(Call::new(Method::DELETE, &["subscriptions", &of.subscription]), of.form).await
            }
            Self::Rotate(wanted) => {
                let body = wanted.overlap.map_or(json!({}), |overlap| json!({ "overlap_seconds": overlap.as_secs() }));
                let call = Call::post(&["subscriptions", &wanted.of.subscription, "rotate-secret"]).json(&body);
                remote.show(call, wanted.of.form).await
            }
            Self::Test(wanted) => test(remote, &wanted).await,
        }
    }
}

/// The status tells whether the receiver took it, as a deployment wants to know.
async fn test(remote: &Remote, wanted: &Test) -> Result<(), Failure> {
    let mut body = Map::new();
    if let Some(event_type) = &wanted.event_type {
        body.insert("event_type".to_owned(), json!(event_type));
    }
    if let Some(payload) = &wanted.payload {
        body.insert("payload".to_owned(), payload.clone());
    }
    let call = Call::post(&["subscriptions", &wanted.of.subscription, "test"]).json(&Value::Object(body));
    let answer = remote.client.send(call.limit(TEST_LIMIT)).await?;
    remote.print_answer(&answer, wanted.of.form)?;
    let attempt: Value = answer.json()?;
    if attempt.get("is_success") == Some(&Value::Bool(true)) {
        return Ok(());
    }
    let why = attempt.get("error_message").map(shown).unwrap_or_default();
    Err(Failure::WithCode { code: REFUSED, sentence: format!("the receiver did not take it: {why}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_json_or_else_a_text() {
        assert_eq!(field("rate_limit=50").unwrap(), ("rate_limit".to_owned(), json!(50)));
        assert_eq!(field("description=a=b").unwrap().1, json!("a=b"));
        assert_eq!(field("description=null").unwrap().1, Value::Null);
        assert!(field("=1").is_err() && field("x").is_err());
    }

    #[test]
    fn the_state_says_why_a_subscription_is_disabled_in_short() {
        let disabled = |reason: &str| state(&json!({ "is_active": false, "disabled_reason": reason }));
        assert_eq!(disabled("gone"), "disabled (gone)");
        assert_eq!(disabled("by key 0199 at 2026-11-28T12:00:00Z"), "disabled");
        assert_eq!(state(&json!({ "is_active": true, "health": { "state": "healthy" } })), "healthy");
    }
}
