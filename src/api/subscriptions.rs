//! `/subscriptions/`: where receivers want which events.

use std::collections::HashMap;
use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::Api;
use super::auth::Caller;
use super::docs::Resource;
use super::page::{self, DEFAULT_LIMIT, List};
use super::payload::{Answer, Document, OptionalDocument};
use super::problem::Problem;
use super::strict::Fields;
use super::text::{IdText, Moment};
use crate::domain::id::TenantId;
use crate::domain::policy::Policy;
use crate::domain::secret::{MASK, Secret};
use crate::store::{Health, StoredSubscription};
use crate::subscriptions::{Choices, generate_secret};

mod form;
mod health;
mod policy;
mod rotation;

use form::{Changes, SubscriptionForm, SubscriptionPatch};
use health::HealthAnswer;
use policy::PolicyFields;
use rotation::{Rotation, RotationForm};

/// The resource.
pub(super) struct SubscriptionsApi(pub(super) Arc<Api>);

/// A subscription.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all, rename = "Subscription")]
pub(super) struct SubscriptionAnswer {
    /// Its id, a UUIDv7.
    id: IdText,
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
    /// Why postrider disabled it: `gone` after a 410, `receiver` where the receiver asked for
    /// it, `failing` after days without a success.
    disabled_reason: Option<String>,
    /// Whether `/ingest` asks for a signature.
    verify_ingest: bool,
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
    data: Vec<SubscriptionAnswer>,
    /// Asks for the next page; null on the last.
    next_cursor: Option<String>,
}

/// What a deletion did.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct SubscriptionDeleted {
    /// For people.
    message: String,
    /// The subscription's id.
    id: IdText,
    /// How many pending deliveries are cancelled by it.
    cancelled_deliveries: i64,
}

impl SubscriptionAnswer {
    /// The row, with the secret that this very request set, and how its receiver does where it
    /// does not do well.
    fn of(row: StoredSubscription, secret: Option<&Secret>, health: Option<&Health>) -> Self {
        Self {
            id: IdText(row.id.uuid()),
            target_url: row.target_url,
            secret_key: secret.map_or(MASK, |secret| secret.reveal()).to_owned(),
            previous_secrets_until: row.secrets.older.iter().map(|older| Moment(older.until)).collect(),
            event_types: row.event_types,
            description: row.description,
            is_active: row.is_active,
            disabled_reason: row.disabled_reason,
            verify_ingest: row.verify_ingest,
            policy: PolicyFields::of(&row.policy),
            health: HealthAnswer::of(health),
            created_at: Moment(row.created_at),
            updated_at: Moment(row.updated_at),
        }
    }
}

#[OpenApi(prefix_path = "/subscriptions/", tag = "Resource::Subscriptions")]
impl SubscriptionsApi {
    /// Create a subscription
    ///
    /// Without `secret_key` a `whsec_` secret is made; this answer is the only one to show it.
    #[oai(path = "/", method = "post", operation_id = "create_subscription")]
    async fn create(
        &self,
        caller: Caller,
        body: Document<SubscriptionForm>,
    ) -> Result<Answer<SubscriptionAnswer, 201>, Problem> {
        let given = Changes::read(Fields::of(&body.bytes)?, &self.0.settings.targets, true)?;
        let target = given.target.ok_or(Problem::Internal)?;
        let choices = Choices {
            target,
            verify_ingest: given.verify_ingest.unwrap_or(given.secret.is_some()),
            event_types: given.event_types.unwrap_or_default(),
            description: given.description.flatten(),
            is_active: given.is_active.unwrap_or(true),
            policy: given.policy.over(&Policy::default()),
        };
        let secret = given.secret.unwrap_or_else(generate_secret);
        let created = self.0.subscriptions.create(caller.tenant, &secret, choices).await?;
        Ok(Answer::Value(SubscriptionAnswer::of(created, Some(&secret), None)))
    }

    /// List subscriptions
    ///
    /// Newest first, a page at a time.
    #[oai(path = "/", method = "get", operation_id = "list_subscriptions")]
    async fn list(
        &self,
        caller: Caller,
        /// Rows of a page.
        #[oai(validator(minimum(value = "1"), maximum(value = "100")))]
        limit: Query<Option<u16>>,
        /// `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> Result<Answer<SubscriptionPage>, Problem> {
        let limit = usize::from(limit.0.unwrap_or(DEFAULT_LIMIT));
        let before = cursor.0.map(|cursor| page::read_cursor(List::Subscriptions, &cursor)).transpose()?;
        let wanted = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let rows = self.0.subscriptions.list(caller.tenant, before.map(Into::into), wanted).await?;
        let (rows, next_cursor) = page::cut(rows, limit, List::Subscriptions, |row| row.id.uuid());
        let data = self.answers(caller.tenant, rows).await?;
        Ok(Answer::Value(SubscriptionPage { data, next_cursor }))
    }

    /// Read a subscription
    #[oai(path = "/:subscription_id", method = "get", operation_id = "read_subscription")]
    async fn read(
        &self,
        caller: Caller,
        /// The subscription.
        subscription_id: Path<IdText>,
    ) -> Result<Answer<SubscriptionAnswer>, Problem> {
        let found = self.0.subscriptions.look_up(caller.tenant, subscription_id.0.0.into()).await?;
        let found = found.ok_or(Problem::SubscriptionNotFound)?;
        self.answer(caller.tenant, found, None).await
    }

    /// Replace a subscription
    ///
    /// Fields left out take the defaults of creation, except `secret_key`, `verify_ingest`
    /// and `is_active`, which stay. A `secret_key` ends all secrets until now at once.
    #[oai(path = "/:subscription_id", method = "put", operation_id = "replace_subscription")]
    async fn replace(
        &self,
        caller: Caller,
        /// The subscription.
        subscription_id: Path<IdText>,
        body: Document<SubscriptionForm>,
    ) -> Result<Answer<SubscriptionAnswer>, Problem> {
        let mut given = Changes::read(Fields::of(&body.bytes)?, &self.0.settings.targets, true)?;
        given.event_types.get_or_insert_default();
        given.description.get_or_insert_default();
        given.policy = given.policy.or_default();
        self.write(caller, subscription_id.0, given).await
    }

    /// Change a subscription
    ///
    /// Fields left out stay; null clears `event_types` and `description`. A `secret_key` ends
    /// all secrets until now at once; `rotate-secret` lets them live on for a while.
    #[oai(path = "/:subscription_id", method = "patch", operation_id = "change_subscription")]
    async fn change(
        &self,
        caller: Caller,
        /// The subscription.
        subscription_id: Path<IdText>,
        body: Document<SubscriptionPatch>,
    ) -> Result<Answer<SubscriptionAnswer>, Problem> {
        let given = Changes::read(Fields::of(&body.bytes)?, &self.0.settings.targets, false)?;
        self.write(caller, subscription_id.0, given).await
    }

    /// Rotate the secret
    ///
    /// The new secret is the current one at once; the one until now lives on for the overlap.
    /// Every live secret signs deliveries, and `/ingest` accepts them all; 4 older ones may be
    /// live at a time. Without a body the new secret is made and the overlap is a day. This
    /// answer is the only one to show the new secret.
    #[oai(path = "/:subscription_id/rotate-secret", method = "post", operation_id = "rotate_secret")]
    async fn rotate_secret(
        &self,
        caller: Caller,
        /// The subscription.
        subscription_id: Path<IdText>,
        body: OptionalDocument<RotationForm>,
    ) -> Result<Answer<SubscriptionAnswer>, Problem> {
        let Rotation { overlap, secret } = Rotation::read(Fields::of(&body.bytes)?)?;
        let secret = secret.unwrap_or_else(generate_secret);
        let id = subscription_id.0.0.into();
        let rotated = self.0.subscriptions.rotate(caller.tenant, id, &secret, overlap).await?;
        let rotated = rotated.ok_or(Problem::SubscriptionNotFound)?;
        self.answer(caller.tenant, rotated, Some(&secret)).await
    }

    /// Delete a subscription
    ///
    /// Pending deliveries are cancelled; its logs stay readable until retention ends.
    #[oai(path = "/:subscription_id", method = "delete", operation_id = "delete_subscription")]
    async fn delete(
        &self,
        caller: Caller,
        /// The subscription.
        subscription_id: Path<IdText>,
    ) -> Result<Answer<SubscriptionDeleted>, Problem> {
        let cancelled = self.0.subscriptions.delete(caller.tenant, subscription_id.0.0.into()).await?;
        let cancelled_deliveries = cancelled.ok_or(Problem::SubscriptionNotFound)?;
        let message = "subscription deleted".to_owned();
        Ok(Answer::Value(SubscriptionDeleted { message, id: subscription_id.0, cancelled_deliveries }))
    }
}

impl SubscriptionsApi {
    async fn write(&self, caller: Caller, id: IdText, given: Changes) -> Result<Answer<SubscriptionAnswer>, Problem> {
        let merge = |current: &StoredSubscription| given.over(current);
        let change = self.0.subscriptions.change(caller.tenant, id.0.into(), given.secret.as_ref(), merge);
        let written = change.await?;
        let written = written.ok_or(Problem::SubscriptionNotFound)?;
        self.answer(caller.tenant, written, given.secret.as_ref()).await
    }

    async fn answer(
        &self,
        tenant: TenantId,
        row: StoredSubscription,
        secret: Option<&Secret>,
    ) -> Result<Answer<SubscriptionAnswer>, Problem> {
        let health = self.0.store.read_health(tenant, &[row.id]).await?;
        Ok(Answer::Value(SubscriptionAnswer::of(row, secret, health.first().map(|(_, health)| health))))
    }

    async fn answers(
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
