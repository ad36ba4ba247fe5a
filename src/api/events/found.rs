//! Finding events, and reading what was published.

use std::sync::Arc;

use poem_openapi::OpenApi;
use uuid::Uuid;

use super::list::{self, EventState, FoundEvents};
use super::payload::PayloadAnswer;
use crate::api::Api;
use crate::api::access::{Allowed, AllowedForNamed, Read, Support};
use crate::api::docs::Resource;
use crate::api::outbox::{self, Found};
use crate::api::page::{self, Cursor, Limit, List};
use crate::api::parameter::{Path, Queries, Query};
use crate::api::payload::Answer;
use crate::api::problem::Problem;
use crate::api::text::{Moment, SearchText, StoredKey};
use crate::domain::content_type::ContentType;
use crate::domain::event_type::EventType;
use crate::domain::external_id::SubscriptionName;
use crate::domain::ordering::OrderingKey;
use crate::store::{Common, EventSearch};

pub(in crate::api) struct FoundEventsApi(pub(in crate::api) Arc<Api>);

#[OpenApi(prefix_path = "/events", tag = "Resource::Events")]
impl FoundEventsApi {
    /// Find events
    ///
    /// Of one tenant, or of all with `Postrider-Tenant: *`, newest first. A parameter that is repeated means any of its
    /// values. A page examines at most 10,000 events, or payloads for 0.8 s: then it is short, even empty, says in
    /// `examined_to` how far it came, and `next_cursor` goes on. What `postrider.publish()` was called for and no replica
    /// has published yet is `pending`, without counts, at the time of the call; of it `subscription_id` finds only what is
    /// for that subscription alone.
    #[oai(path = "/", method = "get", operation_id = "list_events")]
    #[expect(clippy::too_many_arguments, reason = "each is a documented parameter of the operation")]
    async fn list(
        &self,
        caller: AllowedForNamed<Support>,
        /// Only events whose deliveries together have this status.
        status: Queries<EventState>,
        /// Only events of this type.
        event_type: Queries<EventType>,
        /// Only events with a delivery to this subscription: id or external id. With `*` as the tenant only an id.
        subscription_id: Queries<SubscriptionName>,
        /// Only the event with this idempotency key, as the event shows it.
        idempotency_key: Queries<StoredKey>,
        /// Only events with this ordering key.
        ordering_key: Queries<OrderingKey>,
        /// Only events accepted from then on.
        since: Query<Moment>,
        /// Only events accepted before then.
        until: Query<Moment>,
        /// Only events whose payload has this text, byte for byte. Not allowed for the scope `support`.
        payload: Query<SearchText>,
        /// Rows per page.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page.
        cursor: Query<Cursor<{ List::Events as u8 }>>,
    ) -> Result<Answer<FoundEvents>, Problem> {
        // Who may not read payloads must not guess them either.
        if payload.0.is_some() && !caller.bearer().grant.shows_bodies() {
            return Err(Problem::ScopeMissing);
        }
        let limit = page::limit(&limit);
        let filter = EventSearch {
            tenant: caller.tenant(),
            common: Common {
                subscriptions: self.0.asked_subscriptions(caller.tenant(), &subscription_id.0).await?,
                statuses: status.0.into_iter().map(EventState::word).collect(),
                event_types: event_type.0.iter().map(ToString::to_string).collect(),
                since: since.0.map(|since| since.0),
                until: until.0.map(|until| until.0),
            },
            idempotency_keys: idempotency_key.0.into_iter().map(|key| key.0).collect(),
            ordering_keys: ordering_key.0.iter().map(|key| key.as_str().to_owned()).collect(),
            payload: payload.0.map(|text| text.0.into_bytes()),
            before: cursor.0.map_or_else(Uuid::max, |cursor| cursor.0),
            limit: i64::try_from(limit + 1).unwrap_or(i64::MAX),
        };
        list::events(&self.0, &filter, limit).await.map(Answer::Value)
    }

    /// Read the payload of an event
    ///
    /// The bytes that were published, with their content type, as an attachment that no browser shows. Also of an event
    /// from SQL that waits or was refused.
    #[oai(path = "/:webhook_id/payload", method = "get", operation_id = "read_payload")]
    async fn payload(
        &self,
        caller: Allowed<Read>,
        /// The event.
        webhook_id: Path<Uuid>,
    ) -> Result<PayloadAnswer, Problem> {
        let (store, tenant, id) = (&self.0.store, caller.tenant, webhook_id.0.into());
        let mut found = store.read_payload(tenant, id).await?;
        if found.is_none() {
            let unpublished = store.read_unpublished_payload(tenant, id).await?;
            found = unpublished.map(|bytes| (bytes, ContentType::stored(None)));
        }
        if found.is_none()
            && let Found::Event(first) = outbox::find(&self.0, tenant, id).await?
        {
            found = store.read_payload(tenant, first).await?;
        }
        let (bytes, content_type) = found.ok_or(Problem::EventNotFound)?;
        Ok(PayloadAnswer::Payload { webhook_id: webhook_id.0, bytes, content_type })
    }
}
