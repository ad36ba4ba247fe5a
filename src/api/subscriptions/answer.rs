//! What is said of subscriptions.

use std::collections::BTreeMap;

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use super::headers::{AuthAnswer, masked};
use super::health::HealthAnswer;
use super::policy::PolicyFields;
use crate::api::text::Moment;
use crate::domain::secret::{MASK, Secret};
use crate::store::{Health, StoredSubscription};

/// A subscription.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all, rename = "Subscription")]
pub(super) struct SubscriptionAnswer {
    /// Its id, a UUIDv7.
    id: Uuid,
    /// Where deliveries go, in canonical form.
    target_url: String,
    /// The secret when this very request set or made it, else a mask.
    secret_key: String,
    /// When older secrets end that still sign and verify, newest secret first.
    previous_secrets_until: Vec<Moment>,
    /// Which events are wanted; empty for all.
    event_types: Vec<String>,
    /// Free text.
    description: Option<String>,
    /// Whether deliveries are sent.
    is_active: bool,
    /// Why it is disabled. By postrider: `gone` after a 410, `receiver` where the receiver asked for it, `failing` after
    /// days without a success. Otherwise who did it and when: `by key 0199… at 2026-11-28T12:00:00Z`.
    disabled_reason: Option<String>,
    /// Whether `/ingest` asks for a signature.
    verify_ingest: bool,
    /// What this request decided without being asked, in a sentence; null where there is nothing to say.
    pub(super) notice: Option<String>,
    /// Its owner's own name for it, which stands in paths wherever its id may.
    external_id: Option<String>,
    /// Headers that every request carries, with a mask for each value.
    headers: BTreeMap<String, String>,
    /// What authorises at the target.
    auth: Option<AuthAnswer>,
    /// What its owner remembers beside it.
    metadata: BTreeMap<String, String>,
    #[oai(flatten)]
    #[serde(flatten)]
    policy: PolicyFields,
    /// How its receiver does.
    health: HealthAnswer,
    /// When it was made.
    created_at: Moment,
    /// When it was last written.
    updated_at: Moment,
}

/// A page of subscriptions, newest first.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct SubscriptionPage {
    /// The rows.
    pub(super) data: Vec<SubscriptionAnswer>,
    /// Asks for the next page; null on the last.
    pub(super) next_cursor: Option<String>,
}

/// What a deletion did.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct SubscriptionDeleted {
    /// For people.
    pub(super) message: String,
    /// The subscription's id.
    pub(super) id: Uuid,
    /// How many pending deliveries are cancelled by it, counted up to 10,000.
    pub(super) cancelled_deliveries: i64,
    /// Whether more than that are.
    pub(super) cancelled_deliveries_more: bool,
}

/// What was held and is cancelled.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct HeldCancelled {
    /// The subscription.
    pub(super) subscription_id: Uuid,
    /// Deliveries that ended.
    pub(super) cancelled: i64,
    /// Whether some may still be held.
    pub(super) more: bool,
}

impl SubscriptionAnswer {
    /// The row, with the secret that this very request set, and how its receiver does.
    pub(super) fn of(row: StoredSubscription, secret: Option<&Secret>, health: Option<&Health>) -> Self {
        Self {
            id: row.id.uuid(),
            target_url: row.target_url,
            secret_key: secret.map_or(MASK, |secret| secret.reveal()).to_owned(),
            previous_secrets_until: row.secrets.older.iter().map(|older| Moment(older.until)).collect(),
            event_types: row.event_types,
            description: row.description,
            is_active: row.is_active,
            disabled_reason: row.disabled_reason,
            verify_ingest: row.verify_ingest,
            notice: None,
            external_id: row.external_id.map(|name| name.to_string()),
            headers: masked(row.headers.names),
            auth: row.headers.auth_type.map(|kind| AuthAnswer { kind }),
            metadata: row.metadata.entries().clone(),
            policy: PolicyFields::of(&row.policy),
            health: HealthAnswer::of(health),
            created_at: Moment(row.created_at),
            updated_at: Moment(row.updated_at),
        }
    }
}
