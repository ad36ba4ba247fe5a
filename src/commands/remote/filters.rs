//! Filters of lists as options. The server checks their values and names the words that it knows.

use clap::Args;
use serde_json::{Map, Value, json};

use super::when::past;

pub(super) type Query = Vec<(&'static str, String)>;

/// Which deliveries. An option that is repeated means any of its values.
#[derive(Debug, Args)]
pub(super) struct DeliveryFilters {
    /// Status: pending, sending, held, succeeded, failed, cancelled, expired or skipped; may be repeated
    #[arg(long)]
    status: Vec<String>,
    /// Reason of the status, as `deliveries list` shows it; may be repeated
    #[arg(long)]
    reason: Vec<String>,
    /// Id or external id of the subscription; may be repeated
    #[arg(long)]
    subscription: Vec<String>,
    /// Type of the event; may be repeated
    #[arg(long = "type", value_name = "EVENT_TYPE")]
    event_type: Vec<String>,
    /// Only events accepted since then: 2h for the last two hours, or a time as in 2026-11-28T12:00:00Z
    #[arg(long, value_parser = past)]
    since: Option<String>,
    /// Only events accepted before then
    #[arg(long, value_parser = past)]
    until: Option<String>,
}

impl DeliveryFilters {
    pub(super) fn queries(&self) -> Query {
        let repeated = [
            ("status", &self.status),
            ("reason", &self.reason),
            ("subscription_id", &self.subscription),
            ("event_type", &self.event_type),
        ];
        queries(&repeated, &[("since", &self.since), ("until", &self.until)])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queries().is_empty()
    }

    /// The same as the object `only` of a plan.
    pub(super) fn only(&self) -> Value {
        let mut only = Map::new();
        for (name, value) in self.queries() {
            match only.get_mut(name) {
                Some(Value::Array(values)) => values.push(Value::from(value)),
                Some(_) => {}
                None if matches!(name, "since" | "until") => drop(only.insert(name.to_owned(), json!(value))),
                None => drop(only.insert(name.to_owned(), json!([value]))),
            }
        }
        Value::Object(only)
    }
}

/// Which events.
#[derive(Debug, Args)]
pub(super) struct EventFilters {
    /// Status: pending, succeeded, failed or no_match; may be repeated
    #[arg(long)]
    status: Vec<String>,
    /// Type of the event; may be repeated
    #[arg(long = "type", value_name = "EVENT_TYPE")]
    event_type: Vec<String>,
    /// Id or external id of a subscription that has a delivery of it; may be repeated
    #[arg(long)]
    subscription: Vec<String>,
    /// Idempotency key that it was published with
    #[arg(long)]
    idempotency_key: Vec<String>,
    /// Ordering key that it was published with
    #[arg(long)]
    ordering_key: Vec<String>,
    /// Text that its payload contains
    #[arg(long)]
    payload: Option<String>,
    /// Only events accepted since then: 2h for the last two hours, or a time as in 2026-11-28T12:00:00Z
    #[arg(long, value_parser = past)]
    since: Option<String>,
    /// Only events accepted before then
    #[arg(long, value_parser = past)]
    until: Option<String>,
}

impl EventFilters {
    pub(super) fn queries(&self) -> Query {
        let repeated = [
            ("status", &self.status),
            ("event_type", &self.event_type),
            ("subscription_id", &self.subscription),
            ("idempotency_key", &self.idempotency_key),
            ("ordering_key", &self.ordering_key),
        ];
        queries(&repeated, &[("payload", &self.payload), ("since", &self.since), ("until", &self.until)])
    }
}

/// Which attempts.
#[derive(Debug, Args)]
pub(super) struct AttemptFilters {
    /// Outcome, as in delivered, http_5xx or timeout; may be repeated
    #[arg(long)]
    outcome: Vec<String>,
    /// Status of the response: a number, or a class as in 4xx; may be repeated
    #[arg(long)]
    status_code: Vec<String>,
    /// succeeded or failed
    #[arg(long)]
    status: Vec<String>,
    /// Id or external id of the subscription; may be repeated
    #[arg(long)]
    subscription: Vec<String>,
    /// Type of the event; may be repeated
    #[arg(long = "type", value_name = "EVENT_TYPE")]
    event_type: Vec<String>,
    /// Id of the event
    #[arg(long, value_name = "WEBHOOK_ID")]
    event: Vec<String>,
    /// Only attempts made since then: 2h for the last two hours, or a time as in 2026-11-28T12:00:00Z
    #[arg(long, value_parser = past)]
    since: Option<String>,
    /// Only attempts made before then
    #[arg(long, value_parser = past)]
    until: Option<String>,
}

impl AttemptFilters {
    pub(super) fn queries(&self) -> Query {
        let repeated = [
            ("outcome", &self.outcome),
            ("status_code", &self.status_code),
            ("status", &self.status),
            ("subscription_id", &self.subscription),
            ("event_type", &self.event_type),
            ("webhook_id", &self.event),
        ];
        queries(&repeated, &[("since", &self.since), ("until", &self.until)])
    }
}

fn queries(repeated: &[(&'static str, &Vec<String>)], once: &[(&'static str, &Option<String>)]) -> Query {
    let repeated = repeated.iter().flat_map(|(name, values)| values.iter().map(|value| (*name, value.clone())));
    let once = once.iter().filter_map(|(name, value)| Some((*name, (*value).clone()?)));
    repeated.chain(once).collect()
}
