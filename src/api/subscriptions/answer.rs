//! Subscriptions in responses.

use std::collections::{BTreeMap, HashMap};

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use super::SubscriptionsApi;
use super::headers::{AuthAnswer, masked};
use super::health::HealthAnswer;
use super::ingest::ProducerAnswer;
use super::policy::PolicyFields;
use crate::api::json::JsonObject;
use crate::api::payload::Answer;
use crate::api::problem::Problem;
use crate::api::text::Moment;
use crate::domain::id::TenantId;
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
    /// The secret if this request set or generated it, else a mask.
    secret_key: String,
    /// Ends of older secrets that still sign and verify, newest secret first.
    previous_secrets_until: Vec<Moment>,
    /// Event types that it receives; empty for all.
    event_types: Vec<String>,
    /// Which payloads it receives; null for all.
    filter: Option<JsonObject>,
    /// Free text.
    description: Option<String>,
    /// Whether deliveries are sent.
    is_active: bool,
    /// Why it is disabled. By postrider: `gone` after a 410, `receiver` if the receiver requested it, `failing` after
    /// days without a success. Otherwise who disabled it and when: `by key 0199… at 2026-11-28T12:00:00Z`.
    disabled_reason: Option<String>,
    /// Whether `/ingest` requires a signature.
    verify_ingest: bool,
    /// What it says of the producer of `/ingest`; null: any known signature, with the subscription's secret.
    ingest: Option<ProducerAnswer>,
    /// A default that this request's fields led to, as a sentence; null if there is none.
    pub(super) notice: Option<String>,
    /// Your own id for it, usable in paths.
    external_id: Option<String>,
    /// Headers of every request, with a mask for each value.
    headers: BTreeMap<String, String>,
    /// Authorization at the target.
    auth: Option<AuthAnswer>,
    /// Your own data about it.
    metadata: BTreeMap<String, String>,
    #[oai(flatten)]
    #[serde(flatten)]
    policy: PolicyFields,
    /// State of the receiver.
    health: HealthAnswer,
    /// Creation time.
    created_at: Moment,
    /// Time of the last change.
    updated_at: Moment,
}

/// A page of subscriptions, newest first.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct SubscriptionPage {
    /// The rows; with a filter may be fewer than `limit`, even none, while there is a `next_cursor`.
    pub(super) data: Vec<SubscriptionAnswer>,
    /// Cursor of the next page; null on the last.
    pub(super) next_cursor: Option<String>,
    /// Set if the page examined as many as it may: it has looked at subscriptions created back to then.
    pub(super) examined_to: Option<Moment>,
}

/// Result of a deletion.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct SubscriptionDeleted {
    /// For people.
    pub(super) message: String,
    /// The subscription's id.
    pub(super) id: Uuid,
    /// Pending deliveries that it cancels, counted up to 10,000.
    pub(super) cancelled_deliveries: i64,
    /// Whether there are more.
    pub(super) cancelled_deliveries_more: bool,
}

/// Result of cancelling held deliveries.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct HeldCancelled {
    /// The subscription.
    pub(super) subscription_id: Uuid,
    /// Cancelled deliveries.
    pub(super) cancelled: i64,
    /// Whether some may still be held: repeat the request.
    pub(super) more: bool,
}

impl SubscriptionsApi {
    pub(super) async fn answer(
        &self,
        tenant: TenantId,
        row: StoredSubscription,
        secret: Option<&Secret>,
    ) -> Result<Answer<SubscriptionAnswer>, Problem> {
        let health = self.0.store.read_health(tenant, &[row.id]).await?;
        Ok(Answer::Value(SubscriptionAnswer::of(row, secret, health.first().map(|(_, health)| health))))
    }

    pub(super) async fn answers(
        &self,
        tenant: TenantId,
        rows: Vec<StoredSubscription>,
    ) -> Result<Vec<SubscriptionAnswer>, Problem> {
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let health: HashMap<_, _> = self.0.store.read_health(tenant, &ids).await?.into_iter().collect();
        let answer = |row: StoredSubscription| {
            let health = health.get(&row.id);
            SubscriptionAnswer::of(row, None, health)
        };
        Ok(rows.into_iter().map(answer).collect())
    }
}

impl SubscriptionAnswer {
    pub(super) fn of(row: StoredSubscription, secret: Option<&Secret>, health: Option<&Health>) -> Self {
        Self {
            id: row.id.uuid(),
            target_url: row.target_url,
            secret_key: secret.map_or(MASK, |secret| secret.reveal()).to_owned(),
            previous_secrets_until: row.secrets.older.iter().map(|older| Moment(older.until)).collect(),
            event_types: row.event_types,
            filter: row.filter.and_then(JsonObject::read),
            description: row.description,
            is_active: row.is_active,
            disabled_reason: row.disabled_reason,
            verify_ingest: row.verify_ingest,
            ingest: ProducerAnswer::of(row.ingest),
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
