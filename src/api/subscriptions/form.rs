//! The body that writes a subscription: documented, read strictly, merged.

use std::collections::BTreeMap;

use poem_openapi::Object;

use super::headers::{self, AuthForm};
use super::metadata::MetadataChanges;
use super::policy::{PolicyChanges, PolicyFields};
use crate::api::problem::Problem;
use crate::api::strict::{Field, Fields};
use crate::domain::event_type::{EventTypeFilter, MAX_EVENT_TYPES};
use crate::domain::external_id::ExternalId;
use crate::domain::request_headers::HeaderChanges;
use crate::domain::secret::Secret;
use crate::domain::subscription::MAX_DESCRIPTION_LENGTH;
use crate::domain::target::{Target, TargetPolicy};
use crate::store::StoredSubscription;
use crate::subscriptions::{Choices, filter};

/// A subscription to be. It documents; [`Changes`] reads.
#[derive(Debug, Object)]
pub(super) struct SubscriptionForm {
    /// Where deliveries go: an absolute https URL with a public host.
    #[oai(validator(max_length = 2048, pattern = r"^https?://[^\s@#\\]+$"))]
    target_url: String,
    /// What signs deliveries: `whsec_` and base64 of 24 to 64 bytes, or any other text of 8
    /// to 256 bytes, which then is the key itself. Made when left out at creation.
    secret_key: Option<String>,
    /// Which events are wanted: names, `prefix.*`, or `*`. Null or empty for all.
    #[oai(validator(max_items = 100))]
    event_types: Option<Vec<String>>,
    /// Free text.
    #[oai(validator(max_length = 500))]
    description: Option<String>,
    /// Whether deliveries are sent; true when left out at creation.
    is_active: Option<bool>,
    /// Whether `/ingest` asks for a signature; when left out at creation, true where a
    /// `secret_key` is given.
    verify_ingest: Option<bool>,
    /// Your own name for it, usable in paths wherever its id is: unique among your
    /// subscriptions, and no UUID.
    #[oai(validator(max_length = 255))]
    external_id: Option<String>,
    /// Headers that every request carries after ours; names in any case, at most 16 KiB in all.
    /// Values are never shown again: answers have a mask, and a mask keeps what is stored.
    #[oai(validator(max_properties = 20))]
    headers: Option<BTreeMap<String, String>>,
    /// What authorises at the target.
    auth: Option<AuthForm>,
    /// What you want to remember beside it: at most 50 keys of 1 to 40 characters, values of
    /// at most 500.
    #[oai(validator(max_properties = 50))]
    metadata: Option<BTreeMap<String, String>>,
    #[oai(flatten)]
    policy: PolicyFields,
}

/// What changes in a subscription. It documents; [`Changes`] reads.
#[derive(Debug, Object)]
pub(super) struct SubscriptionPatch {
    /// Where deliveries go: an absolute https URL with a public host.
    #[oai(validator(max_length = 2048, pattern = r"^https?://[^\s@#\\]+$"))]
    target_url: Option<String>,
    /// What signs deliveries, from the next attempt on; all secrets until now end at once.
    secret_key: Option<String>,
    /// Which events are wanted; null or empty for all.
    #[oai(validator(max_items = 100))]
    event_types: Option<Vec<String>>,
    /// Free text; null removes it.
    #[oai(validator(max_length = 500))]
    description: Option<String>,
    /// Whether deliveries are sent; true also ends a disabling by postrider.
    is_active: Option<bool>,
    /// Whether `/ingest` asks for a signature.
    verify_ingest: Option<bool>,
    /// Your own name for it; null removes it.
    #[oai(validator(max_length = 255))]
    external_id: Option<String>,
    /// All headers that every request carries after ours; names in any case, at most 16 KiB in all.
    /// Values are never shown again: answers have a mask, and a mask keeps what is stored;
    /// null removes all.
    #[oai(validator(max_properties = 20))]
    headers: Option<BTreeMap<String, String>>,
    /// What authorises at the target; null removes it.
    auth: Option<AuthForm>,
    /// Keys to write; one with null is removed, and null for all of it removes every key.
    #[oai(validator(max_properties = 50))]
    metadata: Option<BTreeMap<String, String>>,
    #[oai(flatten)]
    policy: PolicyFields,
}

/// What a body decides; `None` where it says nothing.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) target: Option<Target>,
    pub(super) secret: Option<Secret>,
    pub(super) event_types: Option<EventTypeFilter>,
    pub(super) description: Option<Option<String>>,
    pub(super) is_active: Option<bool>,
    pub(super) verify_ingest: Option<bool>,
    pub(super) external_id: Field<ExternalId>,
    pub(super) headers: HeaderChanges,
    pub(super) metadata: MetadataChanges,
    pub(super) policy: PolicyChanges,
}

impl Changes {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Problem::Invalid`] with every rule that it breaks.
    pub(super) fn read(mut fields: Fields<'_>, targets: &TargetPolicy, needs_target: bool) -> Result<Self, Problem> {
        let changes = Self {
            target: read_target(&mut fields, targets, needs_target),
            secret: read_secret(&mut fields),
            event_types: read_event_types(&mut fields),
            description: read_description(&mut fields),
            is_active: fields.boolean("is_active").given(),
            verify_ingest: fields.boolean("verify_ingest").given(),
            external_id: read_external_id(&mut fields),
            headers: headers::read(&mut fields),
            metadata: MetadataChanges::read(&mut fields, !needs_target),
            policy: PolicyChanges::read(&mut fields),
        };
        fields.finish().map(|()| changes)
    }

    /// The subscription with these changes.
    ///
    /// # Errors
    /// [`Problem::Invalid`] where the whole breaks a rule; [`Problem::Internal`] for a row that
    /// no version writes.
    pub(super) fn over(&self, current: &StoredSubscription) -> Result<Choices, Problem> {
        Ok(Choices {
            target: self.target.clone().unwrap_or_else(|| Target::stored(current.target_url.clone())),
            event_types: self.event_types.clone().map_or_else(|| filter(current.id, &current.event_types), Ok)?,
            description: self.description.clone().unwrap_or_else(|| current.description.clone()),
            is_active: self.is_active.unwrap_or(current.is_active),
            verify_ingest: self.verify_ingest.unwrap_or(current.verify_ingest),
            external_id: self.external_id.clone().over(current.external_id.clone()),
            headers: self.headers.clone(),
            metadata: self.metadata.over(&current.metadata)?,
            policy: self.policy.over(&current.policy),
        })
    }
}

fn read_target(fields: &mut Fields<'_>, targets: &TargetPolicy, needed: bool) -> Option<Target> {
    match fields.text("target_url") {
        Field::Given(url) => match Target::parse(&url, targets) {
            Ok(target) => return Some(target),
            Err(rule) => fields.refuse("/target_url", "invalid_target", rule),
        },
        Field::Null => fields.refuse("/target_url", "required", "must not be null"),
        Field::Absent if needed && !fields.is_refused("target_url") => {
            fields.refuse("/target_url", "required", "must be given");
        }
        Field::Absent => {}
    }
    None
}

/// A secret, where one is given.
pub(super) fn read_secret(fields: &mut Fields<'_>) -> Option<Secret> {
    let text = fields.text("secret_key").given()?;
    Secret::parse(&text).map_err(|rule| fields.refuse("/secret_key", "invalid_secret", rule)).ok()
}

/// The patterns of `event_types`; `None` where it says nothing, or breaks a rule.
pub(in crate::api) fn read_event_types(fields: &mut Fields<'_>) -> Option<EventTypeFilter> {
    let texts = match fields.texts("event_types") {
        Field::Absent => return None,
        Field::Null => return Some(EventTypeFilter::default()),
        Field::Given(texts) => texts,
    };
    if texts.len() > MAX_EVENT_TYPES {
        let rule = format!("must have at most {MAX_EVENT_TYPES} entries");
        fields.refuse("/event_types", "too_many", rule);
        return None;
    }
    if fields.is_refused("event_types") {
        return None;
    }
    let mut patterns = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(pattern) => patterns.push(pattern),
            Err(rule) => {
                let rule: crate::domain::event_type::InvalidEventType = rule;
                fields.refuse(format!("/event_types/{index}"), "invalid_event_type", rule);
            }
        }
    }
    Some(EventTypeFilter::new(patterns))
}

fn read_description(fields: &mut Fields<'_>) -> Option<Option<String>> {
    let text = match fields.text("description") {
        Field::Absent => return None,
        Field::Null => return Some(None),
        Field::Given(text) => text,
    };
    if text.chars().count() > MAX_DESCRIPTION_LENGTH {
        fields.refuse("/description", "too_long", format!("must be at most {MAX_DESCRIPTION_LENGTH} characters"));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        fields.refuse("/description", "control_character", "must not contain control characters");
    }
    Some(Some(text))
}

fn read_external_id(fields: &mut Fields<'_>) -> Field<ExternalId> {
    match fields.text("external_id") {
        Field::Absent => Field::Absent,
        Field::Null => Field::Null,
        Field::Given(text) => match text.parse() {
            Ok(name) => Field::Given(name),
            Err(rule) => {
                let rule: crate::domain::external_id::InvalidExternalId = rule;
                fields.refuse("/external_id", "invalid_external_id", rule);
                Field::Absent
            }
        },
    }
}
