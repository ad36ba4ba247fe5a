//! The body of a batch, and what is kept of events in it that are refused.

use bytes::Bytes;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use serde_json::value::RawValue;

use crate::api::form::{AnyDocument, FormField, List, Place, form};
use crate::api::problem::FieldError;
use crate::api::refusals;
use crate::api::text::Moment;
use crate::domain::event_type::EventType;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::TenantId;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::ordering::OrderingKey;
use crate::domain::tenant::TenantName;
use crate::http::Beginning;
use crate::intake::{Publication, To};

/// Most events in one request.
const MAX_EVENTS: usize = 1_000;

form! {
    /// Many events.
    pub(in crate::api) struct BatchForm {
        /// The events, up to 1,000.
        pub(super) events: List<Item, 1, MAX_EVENTS>,
    }
}

form! {
    /// One event of a batch.
    pub(super) struct EventForm {
        /// Id or external id of the tenant that it is for, over the header `Postrider-Tenant`. With a key of a tenant
        /// only that one.
        pub(super) tenant: Option<TenantName>,
        /// What kind of event it is.
        pub(super) event_type: Option<EventType>,
        /// What is delivered, byte for byte as it stands here; at most POSTRIDER_MAX_PAYLOAD_BYTES.
        pub(super) payload: AnyDocument,
        /// 1 to 255 visible characters; another event with it is the same one.
        pub(super) idempotency_key: Option<IdempotencyKey>,
        /// 1 to 255 visible characters; events with the same one are delivered in order to
        /// subscriptions that are ordered. Not together with `deliver_at`.
        pub(super) ordering_key: Option<OrderingKey>,
        /// Addresses the event to this subscription alone, by its id or its external id.
        pub(super) subscription_id: Option<SubscriptionName>,
        /// Not delivered before; at most POSTRIDER_DELIVERY_LIFETIME ahead. In the past: now.
        pub(super) deliver_at: Option<Moment>,
        /// Not delivered after; in the future, and after `deliver_at`.
        pub(super) expires_at: Option<Moment>,
    }
}

/// An event of a batch, or the rules that it breaks, which do not spoil its neighbours.
#[derive(Debug)]
pub(super) struct Item(pub(super) Result<EventForm, Unreadable>);

#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) errors: Vec<FieldError>,
    pub(super) beginning: Bytes,
}

impl FormField for Item {
    fn schema() -> MetaSchemaRef {
        EventForm::schema()
    }

    fn register(registry: &mut Registry) {
        EventForm::register(registry);
    }

    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self> {
        let beginning = || value.get().as_bytes().get(..Beginning::MAX_BYTES).unwrap_or(value.get().as_bytes());
        let unreadable = |errors| Unreadable { errors, beginning: Bytes::copy_from_slice(beginning()) };
        Some(Self(at.apart(|at| EventForm::read(value, at)).map_err(unreadable)))
    }
}

impl EventForm {
    /// What to keep of it if it is refused.
    pub(super) fn noted(&self) -> refusals::Item {
        refusals::Item {
            tenant: None,
            names_tenant: self.tenant.is_some(),
            subscription: self.subscription_id.as_ref().map(SubscriptionName::to_string),
            event_type: self.event_type.as_ref().map(EventType::to_string),
            idempotency_key: self.idempotency_key.as_ref().map(|key| key.as_str().to_owned()),
            payload: self.payload.0.clone(),
        }
    }
}

pub(super) fn noted(publication: &Publication, tenant: Option<TenantId>) -> refusals::Item {
    refusals::Item {
        tenant,
        // Of the request's only where it was published for that one.
        names_tenant: tenant.is_none(),
        subscription: match &publication.to {
            To::One(address) => Some(address.name.to_string()),
            To::All(_) => None,
        },
        event_type: publication.event_type.as_ref().map(EventType::to_string),
        idempotency_key: publication.key.as_ref().map(|key| key.as_str().to_owned()),
        payload: publication.payload.bytes().clone(),
    }
}
