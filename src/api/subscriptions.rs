//! `/subscriptions/`: where receivers want which events.

use std::sync::Arc;

use poem::Request;
use poem_openapi::OpenApi;

use super::Api;
use super::access::{Allowed, Manage, Read, Support};
use super::attempts::AttemptAnswer;
use super::body;
use super::docs::Resource;
use super::page::{self, Cursor, Limit, List, Page};
use super::parameter::{Path, Queries, Query};
use super::payload::{Answer, CONTROL_LIMIT, Document, OptionalDocument, Unread};
use super::places::HeldPlace;
use super::problem::Problem;
use super::text::SearchText;
use crate::domain::external_id::{ExternalId, SubscriptionName};
use crate::domain::id::{SubscriptionId, TenantId};
use crate::store::{StoredSubscription, SubscriptionSearch};
use crate::subscriptions::{WriteError, generate_secret};

mod answer;
mod filter_test;
mod form;
mod headers;
mod health;
mod held;
mod ingest;
mod policy;
mod rotation;
mod test_event;

use answer::{HeldCancelled, SubscriptionAnswer, SubscriptionDeleted, SubscriptionPage};
use filter_test::{FilterTestAnswer, FilterTestForm};
use form::{Changes, SubscriptionForm, SubscriptionPatch};
use health::ListedState;
use rotation::RotationForm;
use test_event::{TestEvent, TestForm};

pub(super) struct SubscriptionsApi(pub(super) Arc<Api>);

#[OpenApi(prefix_path = "/subscriptions/", tag = "Resource::Subscriptions")]
impl SubscriptionsApi {
    /// Create a subscription
    ///
    /// Without `secret_key` a `whsec_` secret is generated; only this response shows it. With your own `secret_key`
    /// or an `ingest.provider`, and no `verify_ingest`, `/ingest` requires a signature; `notice` says so.
    #[oai(path = "/", method = "post", operation_id = "create_subscription")]
    async fn create(
        &self,
        caller: Allowed<Manage>,
        body: Document<SubscriptionForm>,
    ) -> Result<Answer<SubscriptionAnswer, 201>, Problem> {
        let given = Changes::from(body.read(&self.0.settings.targets)?);
        let secret = given.fields.secret_key.clone().unwrap_or_else(generate_secret);
        let verifies_by_default = given.verifies_by_default();
        let choices = given.fresh()?;
        let limit = self.0.settings.max_subscriptions;
        let created = self.0.subscriptions.create(caller.tenant, &secret, choices, limit, caller.actor()).await;
        if matches!(created, Err(WriteError::LimitReached(_))) {
            self.0.metrics.limit_refusals.with_label_values(&["max_subscriptions"]).inc();
        }
        let mut answer = SubscriptionAnswer::of(created?, Some(&secret), None);
        answer.notice = verifies_by_default.map(str::to_owned);
        Ok(Answer::Value(answer))
    }

    /// List subscriptions
    ///
    /// Newest first. With `q` or `state` a page examines at most 5,000 subscriptions; then it is short, even empty, with a
    /// `next_cursor`.
    #[oai(path = "/", method = "get", operation_id = "list_subscriptions")]
    #[expect(clippy::too_many_arguments, reason = "each is a documented parameter of the operation")]
    async fn list(
        &self,
        caller: Allowed<Support>,
        /// Rows of a page.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page.
        cursor: Query<Cursor<{ List::Subscriptions as u8 }>>,
        /// Only the subscription with this external id; not together with `q` or `state`.
        external_id: Queries<ExternalId>,
        /// Only subscriptions whose target, external id or description contains this text, in upper or lower case.
        q: Query<SearchText>,
        /// Only subscriptions in this state: `disabled`, or active ones with this state of their receiver.
        state: Queries<ListedState>,
    ) -> Result<Answer<SubscriptionPage>, Problem> {
        let search = SubscriptionSearch {
            text: q.0.map(|text| text.0),
            states: state.0.into_iter().map(ListedState::word).collect(),
        };
        let limit = page::limit(&limit);
        let before = cursor.0.map(|cursor| cursor.0.into());
        if !external_id.0.is_empty() {
            if search.text.is_some() || !search.states.is_empty() {
                let rule = "must not stand together with q or state";
                return Err(Problem::field("/query/external_id", "conflict", rule));
            }
            return self.list_named(caller.tenant, &external_id.0, before, limit).await;
        }
        let wanted = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let page = self.0.subscriptions.list(caller.tenant, &search, before, wanted).await?;
        let Page { rows, next_cursor, examined_to } = Page::of(page, limit, List::Subscriptions, |row| row.id.uuid());
        let data = self.answers(caller.tenant, rows).await?;
        Ok(Answer::Value(SubscriptionPage { data, next_cursor, examined_to }))
    }

    /// Read a subscription
    #[oai(path = "/:subscription_id", method = "get", operation_id = "read_subscription")]
    async fn read(
        &self,
        caller: Allowed<Support>,
        /// The subscription: id or external id.
        subscription_id: Path<SubscriptionName>,
    ) -> Result<Answer<SubscriptionAnswer>, Problem> {
        let id = self.0.subscription_id(caller.tenant, &subscription_id.0).await?;
        let found = self.0.subscriptions.look_up(caller.tenant, id).await?;
        let found = found.ok_or(Problem::SubscriptionNotFound)?;
        self.answer(caller.tenant, found, None).await
    }

    /// Replace a subscription
    ///
    /// Missing fields get the defaults of creation, except `secret_key`, `verify_ingest`, `is_active`,
    /// `external_id` and `ingest`, which stay. A `secret_key` ends all earlier secrets at once.
    #[oai(path = "/:subscription_id", method = "put", operation_id = "replace_subscription")]
    async fn replace(
        &self,
        caller: Allowed<Manage>,
        /// The subscription: id or external id.
        subscription_id: Path<SubscriptionName>,
        body: Document<SubscriptionForm>,
    ) -> Result<Answer<SubscriptionAnswer>, Problem> {
        let given = Changes::from(body.read(&self.0.settings.targets)?).replacing();
        let id = self.0.subscription_id(caller.tenant, &subscription_id.0).await?;
        self.write(&caller, id, given).await
    }

    /// Change a subscription
    ///
    /// Missing fields stay; null clears a field that may be null. In `metadata` only the given keys change, and null
    /// removes one. A `secret_key` ends all earlier secrets at once; `rotate-secret` keeps them for a while. Without
    /// a change nothing is written: `updated_at` stays.
    #[oai(path = "/:subscription_id", method = "patch", operation_id = "change_subscription")]
    async fn change(
        &self,
        caller: Allowed<Manage>,
        /// The subscription: id or external id.
        subscription_id: Path<SubscriptionName>,
        body: Document<SubscriptionPatch>,
    ) -> Result<Answer<SubscriptionAnswer>, Problem> {
        let given = body.read(&self.0.settings.targets)?.into();
        let id = self.0.subscription_id(caller.tenant, &subscription_id.0).await?;
        self.write(&caller, id, given).await
    }

    /// Try a filter
    ///
    /// How many of the tenant's newest events a subscription with this `filter` and these `event_types` would have
    /// got. Changes nothing.
    #[oai(path = "/filter-test", method = "post", operation_id = "test_filter")]
    async fn test_filter(
        &self,
        caller: Allowed<Read>,
        body: Document<FilterTestForm>,
    ) -> Result<Answer<FilterTestAnswer>, Problem> {
        let form = body.read(&self.0.settings.targets)?;
        filter_test::test(&self.0, caller.tenant, form).await.map(Answer::Value)
    }

    /// Rotate the secret
    ///
    /// The new secret is current at once; the old one stays valid for the overlap. Every live secret signs
    /// deliveries, and `/ingest` accepts them all; 4 older ones may be live at a time. Without a body the secret is
    /// generated and the overlap is a day. Only this response shows the new secret.
    #[oai(path = "/:subscription_id/rotate-secret", method = "post", operation_id = "rotate_secret")]
    async fn rotate_secret(
        &self,
        caller: Allowed<Manage>,
        /// The subscription: id or external id.
        subscription_id: Path<SubscriptionName>,
        body: OptionalDocument<RotationForm>,
    ) -> Result<Answer<SubscriptionAnswer>, Problem> {
        let form = body.read(&self.0.settings.targets)?;
        let overlap = form.overlap();
        let secret = form.secret_key.unwrap_or_else(generate_secret);
        let id = self.0.subscription_id(caller.tenant, &subscription_id.0).await?;
        let rotated = self.0.subscriptions.rotate(caller.tenant, id, &secret, overlap, caller.actor()).await?;
        let rotated = rotated.ok_or(Problem::SubscriptionNotFound)?;
        self.answer(caller.tenant, rotated, Some(&secret)).await
    }

    /// Send a test event
    ///
    /// Sends one event at once, signed like a delivery, and returns the attempt when it has ended, also if the receiver
    /// failed. It works for a disabled subscription. The event is not stored and not retried; the attempt is in the log
    /// with the trigger `test` and all details, and counts nowhere else. 4 of a tenant run at a time.
    #[oai(path = "/:subscription_id/test", method = "post", operation_id = "test_subscription")]
    async fn test(
        &self,
        caller: Allowed<Manage>,
        request: &Request,
        /// The subscription: id or external id.
        subscription_id: Path<SubscriptionName>,
        body: Unread<TestForm, false>,
    ) -> Result<Answer<AttemptAnswer>, Problem> {
        let most = self.0.settings.max_payload_bytes;
        let bytes = body::read(request, body.body, most.saturating_add(CONTROL_LIMIT)).await?;
        if !bytes.is_empty() {
            body::check_json(request.headers())?;
        }
        let event = TestEvent::read(&bytes, most, &self.0.settings.targets)?;
        let found = self.0.subscriptions.read(Some(caller.tenant), &subscription_id.0).await?;
        let subscription = found.ok_or(Problem::SubscriptionNotFound)?;
        // The receiver may take a minute.
        request.extensions().get::<HeldPlace>().inspect(|place| place.give_back());
        event.send(&self.0, &subscription).await.map(Answer::Value)
    }

    /// Cancel held deliveries
    ///
    /// Ends the subscription's held deliveries, whatever the reason, as `cancelled`; a replay can repeat them. If
    /// `more` is true, some are still held: repeat the request. Otherwise they are sent when the reason ends, as when
    /// a disabled subscription is enabled.
    #[oai(path = "/:subscription_id/cancel-held", method = "post", operation_id = "cancel_held")]
    async fn cancel_held(
        &self,
        caller: Allowed<Manage>,
        /// The subscription: id or external id.
        subscription_id: Path<SubscriptionName>,
    ) -> Result<Answer<HeldCancelled>, Problem> {
        let id = self.0.subscription_id(caller.tenant, &subscription_id.0).await?;
        let found = self.0.subscriptions.look_up(caller.tenant, id).await?;
        found.ok_or(Problem::SubscriptionNotFound)?;
        held::cancel(&self.0, caller.tenant, id, caller.actor()).await.map(Answer::Value)
    }

    /// Delete a subscription
    ///
    /// Pending deliveries are cancelled; its logs stay readable until retention drops them.
    #[oai(path = "/:subscription_id", method = "delete", operation_id = "delete_subscription")]
    async fn delete(
        &self,
        caller: Allowed<Manage>,
        /// The subscription: id or external id.
        subscription_id: Path<SubscriptionName>,
    ) -> Result<Answer<SubscriptionDeleted>, Problem> {
        let id = self.0.subscription_id(caller.tenant, &subscription_id.0).await?;
        let cancelled = self.0.subscriptions.delete(caller.tenant, id, caller.actor()).await?;
        let cancelled = cancelled.ok_or(Problem::SubscriptionNotFound)?;
        // A worker ends what is pending.
        self.0.notify_released(caller.tenant, id).await;
        Ok(Answer::Value(SubscriptionDeleted {
            message: "subscription deleted".to_owned(),
            id: id.uuid(),
            cancelled_deliveries: cancelled.deliveries,
            cancelled_deliveries_more: cancelled.more,
        }))
    }
}

impl SubscriptionsApi {
    async fn list_named(
        &self,
        tenant: TenantId,
        names: &[ExternalId],
        before: Option<SubscriptionId>,
        limit: usize,
    ) -> Result<Answer<SubscriptionPage>, Problem> {
        let mut rows = self.0.subscriptions.named(tenant, names).await?;
        rows.retain(|row| before.is_none_or(|before| row.id < before));
        let (rows, next_cursor) = page::cut(rows, limit, List::Subscriptions, |row| row.id.uuid());
        let data = self.answers(tenant, rows).await?;
        Ok(Answer::Value(SubscriptionPage { data, next_cursor, examined_to: None }))
    }

    async fn write(
        &self,
        caller: &Allowed<Manage>,
        id: SubscriptionId,
        given: Changes,
    ) -> Result<Answer<SubscriptionAnswer>, Problem> {
        let merge = |current: &StoredSubscription| given.over(current);
        let (tenant, secret) = (caller.tenant, given.fields.secret_key.as_ref());
        let change = self.0.subscriptions.change(tenant, id, secret, merge, caller.actor());
        let written = change.await?;
        let written = written.ok_or(Problem::SubscriptionNotFound)?;
        // It may be enabled, redirected or limited differently now.
        self.0.notify_released(tenant, id).await;
        self.answer(tenant, written, secret).await
    }
}
