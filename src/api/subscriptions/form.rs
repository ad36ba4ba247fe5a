//! The bodies that write a subscription.

use super::headers::GivenHeaders;
use super::ingest::GivenIngest;
use super::policy::PolicyChanges;
use crate::api::form::{Field, FormField, List, NotNull, Place, form, text};
use crate::api::metadata::{MetadataChanges, MetadataEntries};
use crate::api::problem::Problem;
use crate::api::text::{Description, inline};
use crate::domain::event_type::{EventTypeFilter, EventTypePattern, MAX_EVENT_TYPES};
use crate::domain::external_id::ExternalId;
use crate::domain::filter::Filter;
use crate::domain::ingest::IngestChange;
use crate::domain::metadata::Metadata;
use crate::domain::policy::Policy;
use crate::domain::request_headers::{AuthChange, HeaderChanges};
use crate::domain::secret::Secret;
use crate::domain::target::{MAX_TARGET_LENGTH, Target};
use crate::store::StoredSubscription;
use crate::subscriptions::{Choices, event_types, filter};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use serde_json::value::RawValue;

const SECRET_VERIFIES: &str = "verify_ingest is true because a secret_key was given: POST /ingest/{id} needs a signature \
                               made with it; set verify_ingest to false to accept an API key alone";
const PROVIDER_VERIFIES: &str = "verify_ingest is true because ingest names a provider: POST /ingest/{id} needs its \
                                 signature; set verify_ingest to false to accept an API key alone";

form! {
    /// A new subscription.
    pub(super) struct SubscriptionForm {
        /// Where deliveries go: an absolute https URL with a public host.
        target_url: Target,
        /// Your own data about it: at most 50 keys of 1 to 40 characters, values of at most 500.
        metadata: Field<MetadataEntries<false>>,
        ..fields: SubscriptionFields,
    }
}

form! {
    /// Changes of a subscription.
    pub(super) struct SubscriptionPatch {
        /// Where deliveries go: an absolute https URL with a public host.
        target_url: NotNull<Target>,
        /// Keys to write; null removes a key, and null for the whole field removes all.
        metadata: Field<MetadataEntries<true>>,
        ..fields: SubscriptionFields,
    }
}

form! {
    /// Fields of both bodies.
    pub(super) struct SubscriptionFields {
        /// Signs deliveries: `whsec_` and base64 of 24 to 64 bytes, or any other text of 8 to 256 bytes, which is
        /// then the key itself. Generated if missing at creation. A change ends all earlier secrets at once.
        pub(super) secret_key: Option<Secret>,
        /// Event types that it receives: names, `prefix.*`, or `*`. Null or empty for all.
        pub(super) event_types: Field<List<EventTypePattern, 0, MAX_EVENT_TYPES>>,
        /// Which payloads it receives: conditions on their fields, all of which must be true, as
        /// `{"data": {"amount": {"$gt": 100}}}`. Null for all.
        pub(super) filter: Field<Filter>,
        /// Free text; null removes it.
        pub(super) description: Field<Description>,
        /// Whether deliveries are sent; true by default at creation. True also enables what postrider disabled.
        pub(super) is_active: Option<bool>,
        /// Whether `/ingest` requires a signature; by default at creation, true if a `secret_key` or an
        /// `ingest.provider` is given. A first `ingest.provider` also makes it true where it is not said.
        pub(super) verify_ingest: Option<bool>,
        /// The producer that posts to `/ingest`, and how it signs. Null: any known signature, with the subscription's
        /// secret.
        pub(super) ingest: Field<GivenIngest>,
        /// Your own id for it, usable in paths: unique among your subscriptions, and not a UUID. Null removes it.
        pub(super) external_id: Field<ExternalId>,
        /// All headers to add to every request; names in any case, at most 4,608 bytes in all. Values are never shown
        /// again: responses have a mask, and a mask keeps the stored value. Null removes all.
        pub(super) headers: Field<GivenHeaders>,
        /// Authorization at the target; null removes it.
        pub(super) auth: Field<AuthChange>,
        ..pub(super) policy: PolicyChanges,
    }
}

impl FormField for Target {
    fn schema() -> MetaSchemaRef {
        inline(MetaSchema {
            max_length: Some(MAX_TARGET_LENGTH),
            pattern: Some(r"^https?://[^\s@#\\]+$".to_owned()),
            ..MetaSchema::new("string")
        })
    }

    fn read(value: &RawValue, at: &mut Place<'_>) -> Option<Self> {
        let target = Self::parse(&text(value, at)?, at.targets);
        target.map_err(|rule| at.refuse("invalid_target", rule)).ok()
    }
}

#[derive(Debug)]
pub(super) struct Changes {
    target: Option<Target>,
    metadata: MetadataChanges,
    pub(super) fields: SubscriptionFields,
}

impl From<SubscriptionForm> for Changes {
    fn from(form: SubscriptionForm) -> Self {
        let SubscriptionForm { target_url, metadata, fields } = form;
        Self { target: Some(target_url), metadata: MetadataChanges::instead(metadata), fields }
    }
}

impl From<SubscriptionPatch> for Changes {
    fn from(patch: SubscriptionPatch) -> Self {
        let SubscriptionPatch { target_url: NotNull(target), metadata, fields } = patch;
        Self { target, metadata: MetadataChanges::of(metadata), fields }
    }
}

impl Changes {
    /// Missing fields get the default of creation, except those that stay.
    pub(super) fn replacing(self) -> Self {
        let fields = self.fields;
        let fields = SubscriptionFields {
            event_types: fields.event_types.or_null(),
            filter: fields.filter.or_null(),
            description: fields.description.or_null(),
            headers: fields.headers.or_null(),
            auth: fields.auth.or_null(),
            policy: fields.policy.or_default(),
            ..fields
        };
        Self { fields, ..self }
    }

    /// Of a creation: that it verifies although the request does not say so, as a sentence.
    pub(super) fn verifies_by_default(&self) -> Option<&'static str> {
        if self.fields.verify_ingest.is_some() {
            return None;
        }
        match (self.fields.names_provider(), self.fields.secret_key.is_some()) {
            (true, _) => Some(PROVIDER_VERIFIES),
            (false, true) => Some(SECRET_VERIFIES),
            (false, false) => None,
        }
    }

    pub(super) fn fresh(self) -> Result<Choices, Problem> {
        let target = self.target.clone().ok_or(Problem::Internal)?;
        self.fields.over(Choices {
            target,
            event_types: EventTypeFilter::default(),
            filter: None,
            description: None,
            is_active: true,
            verify_ingest: self.fields.secret_key.is_some() || self.fields.names_provider(),
            external_id: None,
            headers: HeaderChanges::default(),
            metadata: self.metadata.over(&Metadata::default())?,
            policy: Policy::default(),
            ingest: IngestChange::Keep,
        })
    }

    pub(super) fn over(&self, current: &StoredSubscription) -> Result<Choices, Problem> {
        let had_provider = current.ingest.names_provider();
        self.fields.over(Choices {
            target: self.target.clone().unwrap_or_else(|| Target::stored(current.target_url.clone())),
            event_types: event_types(current.id, &current.event_types)?,
            filter: filter(current.id, current.filter.as_deref())?,
            description: current.description.clone(),
            is_active: current.is_active,
            verify_ingest: current.verify_ingest || (!had_provider && self.fields.names_provider()),
            external_id: current.external_id.clone(),
            headers: HeaderChanges::default(),
            metadata: self.metadata.over(&current.metadata)?,
            policy: current.policy.clone(),
            ingest: IngestChange::Keep,
        })
    }
}

impl SubscriptionFields {
    fn names_provider(&self) -> bool {
        matches!(&self.ingest, Field::Given(GivenIngest(rules, _)) if rules.provider.is_some())
    }

    fn ingest_change(&self) -> IngestChange {
        match self.ingest.clone() {
            Field::Absent => IngestChange::Keep,
            Field::Null => IngestChange::Remove,
            Field::Given(GivenIngest(rules, secret)) => IngestChange::Set(rules, secret),
        }
    }

    fn over(&self, base: Choices) -> Result<Choices, Problem> {
        let patterns = self.event_types.clone().map(|list| EventTypeFilter::new(list.0));
        Ok(Choices {
            event_types: patterns.over(Some(base.event_types)).unwrap_or_default(),
            filter: self.filter.clone().over(base.filter),
            description: self.description.clone().map(|text| text.0).over(base.description),
            is_active: self.is_active.unwrap_or(base.is_active),
            verify_ingest: self.verify_ingest.unwrap_or(base.verify_ingest),
            external_id: self.external_id.clone().over(base.external_id),
            headers: HeaderChanges {
                headers: self.headers.clone().map(|headers| headers.0).or_default(),
                auth: self.auth.clone().map(Some).or_default(),
            },
            policy: self.policy.over(&base.policy),
            ingest: self.ingest_change(),
            ..base
        })
    }
}
