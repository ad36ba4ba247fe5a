//! The words that a field of an answer may have. They come from the types that the code decides with.

use poem_openapi::registry::MetaSchema;
use serde_json::Value;

use crate::api::audit::Action;
use crate::api::deliveries::DeliveryReason;
use crate::api::events::{DeliveryState, EventState};
use crate::api::problem::Problem;
use crate::api::text::FromText;
use crate::domain::api_key::Scope;
use crate::domain::auth::AuthType;
use crate::domain::grant::Capability;
use crate::domain::ingest::ProviderName;
use crate::domain::outcome::Outcome;
use crate::domain::replay::Ending;
use crate::domain::trigger::Trigger;
use crate::store::Role;

const EVENT_STATUSES: [&str; 5] = ["pending", "succeeded", "failed", "no_match", "refused"];
const REPLAY_STATUSES: [&str; 3] = ["running", "finished", "cancelled"];
/// Of `events/not_delivered`.
const NOT_DELIVERED_REASONS: [&str; 6] =
    ["event_type", "filter", "created_later", "addressed_to_another", "system_event_not_asked_for", "not_matched_then"];
/// Of the table `audit`, with those that the database writes itself.
const ACTORS: [&str; 6] = ["key", "portal", "anonymous", "command", "sql", "postrider"];
const AUDITED: [&str; 7] = ["tenant", "key", "portal_session", "subscription", "event_type", "event", "replay"];

/// Of `/search`.
const KINDS: [&str; 6] = ["event", "delivery", "attempt", "subscription", "tenant", "refusal"];

/// `None` if the field may have any text.
pub(super) fn words(schema: &str, field: &str) -> Option<Vec<Value>> {
    let texts = |words: &[&str]| words.iter().map(|word| Value::from(*word)).collect();
    Some(match (schema, field) {
        ("StatusAnswer" | "EventAnswer", "status") => texts(&EVENT_STATUSES),
        ("FoundEventAnswer", "status") => of::<EventState>(),
        ("DeliveryAnswer" | "FoundDeliveryAnswer", "status") => of::<DeliveryState>(),
        ("DeliveryAnswer" | "FoundDeliveryAnswer", "reason") => of::<DeliveryReason>(),
        ("NotDeliveredAnswer", "reason") => texts(&NOT_DELIVERED_REASONS),
        ("SearchRow", "kind") => texts(&KINDS),
        ("Replay", "status") => texts(&REPLAY_STATUSES),
        ("Replay", "statuses") => of::<Ending>(),
        ("AttemptRow" | "Attempt", "outcome") | ("FoundDeliveryAnswer", "last_outcome") => {
            texts(&Outcome::ALL.map(Outcome::as_str))
        }
        ("AttemptRow" | "Attempt", "trigger") => texts(&Trigger::ALL.map(Trigger::as_str)),
        ("AuditEntry", "actor") => texts(&ACTORS),
        ("AuditEntry", "action") => of::<Action>(),
        ("AuditEntry", "object_kind") => texts(&AUDITED),
        ("ProducerAnswer", "provider") => of::<ProviderName>(),
        ("ProducerAnswer", "encoding") => texts(&["hex", "base64"]),
        ("Key", "scope") => of::<Scope>(),
        ("Me", "scope") => of::<Scope>(),
        ("Me", "kind") => texts(&["operator", "tenant", "portal"]),
        ("Me", "auth") => texts(&["on", "off"]),
        ("Me" | "PortalSession", "capabilities") => of::<Capability>(),
        ("Replica", "role") => texts(&Role::ALL.map(Role::as_str)),
        ("AuthAnswer", "type") => of::<AuthType>(),
        ("ExampleRequest", "method") => texts(&["POST"]),
        ("Problem", "code") => Problem::samples().iter().map(|problem| problem.code().into()).collect(),
        _ => return None,
    })
}

/// As the form and the parameters of the same type know them.
fn of<T: FromText>() -> Vec<Value> {
    let MetaSchema { enum_items, .. } = T::rules();
    enum_items
}
