//! What is done to many deliveries is shown first: how many, and of which subscriptions. The server keeps the plan and
//! gives a token for it, so that what is done is what was shown.

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::Remote;
use super::client::{Answer, Call};
use super::filters::DeliveryFilters;
use super::list::Form;
use super::printable::deliveries;
use super::refusal::RemoteError;
use super::table::{Column, Table};
use crate::commands::Failure;

/// Whether to ask.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Consent {
    /// Go ahead without asking
    #[arg(long, short = 'y', conflicts_with = "dry_run")]
    yes: bool,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(super) form: Form,
}

/// What the server would do.
#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    pub(super) count: u64,
    #[serde(default)]
    by_subscription: Vec<Value>,
    #[serde(default)]
    token: Option<String>,
}

const BY_SUBSCRIPTION: [Column; 4] = [
    Column::whole("SUBSCRIPTION", &["subscription_id", "id"]),
    Column::whole("COUNT", &["count"]),
    Column::long("EXTERNAL ID", &["external_id"]),
    Column::long("TARGET", &["target_url"]),
];

impl Remote {
    /// Asks for the plan, shows it, and asks for consent. Returns the body that carries it out; `None` where there is
    /// nothing to do or only a dry run was wanted.
    pub(super) async fn agree(
        &self,
        path: &[&str],
        body: Value,
        verb: &str,
        consent: &Consent,
    ) -> Result<Option<(Plan, Value)>, Failure> {
        let mut body = body;
        let answer = self.client.send(Call::post(path).json(&with(&body, "dry_run", json!(true)))).await?;
        let plan: Plan = answer.json()?;
        if consent.dry_run && consent.form.json {
            self.print_answer(&answer, consent.form)?;
            return Ok(None);
        }
        if consent.dry_run || !consent.form.json {
            self.show_plan(&plan, verb, consent)?;
        }
        if consent.dry_run || plan.count == 0 {
            return Ok(None);
        }
        self.confirm(&format!("{verb} {}?", deliveries(plan.count)), consent.yes)?;
        if let Some(token) = &plan.token {
            body = with(&body, "token", json!(token));
        }
        Ok(Some((plan, body)))
    }

    fn show_plan(&self, plan: &Plan, verb: &str, consent: &Consent) -> Result<(), Failure> {
        let would = if consent.dry_run { "would " } else { "" };
        if !plan.by_subscription.is_empty() {
            self.print(Table::new(&BY_SUBSCRIPTION).rows(&plan.by_subscription, OffsetDateTime::now_utc()))?;
        }
        self.print(format_args!("{would}{verb} {}", deliveries(plan.count)))
    }

    /// `POST /deliveries/retry` or `/cancel`, a part at a time.
    pub(super) async fn carry_out(
        &self,
        action: &str,
        counted: &str,
        filters: &DeliveryFilters,
        consent: &Consent,
    ) -> Result<(), Failure> {
        require_filter(filters)?;
        let path = ["deliveries", action];
        let Some((_, body)) = self.agree(&path, json!({ "only": filters.only() }), action, consent).await? else {
            return Ok(());
        };
        let mut total = 0;
        loop {
            let answer: Answer = self.client.send(Call::post(&path).json(&body)).await?;
            let said: Value = answer.json()?;
            total += said.get(counted).and_then(Value::as_u64).unwrap_or_default();
            if consent.form.json {
                self.print_answer(&answer, consent.form)?;
            }
            if said.get("more") != Some(&Value::Bool(true)) {
                break;
            }
            self.show_status(&format!("{total} {counted}"));
        }
        self.forget_status();
        if consent.form.json { Ok(()) } else { self.print(format_args!("{} {counted}", deliveries(total))) }
    }
}

/// A forgotten filter must not mean everything.
pub(super) fn require_filter(filters: &DeliveryFilters) -> Result<(), RemoteError> {
    if filters.is_empty() {
        return Err(RemoteError::Usage(
            "say which deliveries: give at least one filter, as in --status failed".to_owned(),
        ));
    }
    Ok(())
}

pub(super) fn with(body: &Value, name: &str, value: Value) -> Value {
    let mut body = body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
    body
}
