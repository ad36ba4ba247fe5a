//! `/event-types`: what a tenant says of its event types, and which payloads must keep to a schema.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::Api;
use super::access::{Admin, Allowed, Support};
use super::docs::Resource;
use super::form::{ClearJson, form};
use super::json::{JsonObject, JsonValue, compact};
use super::page::{self, Cursor, Limit, List};
use super::parameter::{Path, Query};
use super::payload::{Answer, Document, Written};
use super::problem::Problem;
use super::text::{Description, Moment};
use crate::domain::event_type::EventType;
use crate::domain::schema::{InvalidSchema, Schema};
use crate::store::{EventTypeChoices, EventTypeRow, EventTypeWrite, MAX_TYPES, MAX_VALIDATED};

/// Of an example, without white space.
const MAX_EXAMPLE_BYTES: usize = 16 * 1_024;

pub(super) struct EventTypesApi(pub(super) Arc<Api>);

form! {
    /// An event type.
    pub(super) struct EventTypeForm {
        /// Free text.
        description: Option<Description>,
        /// The JSON Schema of its payloads, an object of at most 32 KiB; `$ref` only leads inside it. Documentation,
        /// unless `validate` is true.
        schema: Option<ClearJson>,
        /// An example of a payload, of at most 16 KiB.
        example: Option<ClearJson>,
        /// Whether producers and receivers should stop using it; false by default.
        deprecated: Option<bool>,
        /// Whether a payload that breaks the schema is refused; false by default.
        validate: Option<bool>,
    }
}

/// An event type.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all, rename = "EventType")]
pub(super) struct EventTypeAnswer {
    /// Its name.
    name: String,
    /// Free text.
    description: Option<String>,
    /// The JSON Schema of its payloads.
    schema: Option<JsonObject>,
    /// An example of a payload.
    example: Option<JsonValue>,
    /// Whether producers and receivers should stop using it.
    deprecated: bool,
    /// Whether a payload that breaks the schema is refused.
    validate: bool,
    /// Creation time.
    created_at: Moment,
    /// Time of the last change.
    updated_at: Moment,
}

/// A page of event types, newest first.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct EventTypePage {
    /// The rows.
    data: Vec<EventTypeAnswer>,
    /// Cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

/// Result of a deletion.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct EventTypeDeleted {
    /// For people.
    message: &'static str,
    /// The name of the event type.
    name: String,
}

#[OpenApi(prefix_path = "/event-types", tag = "Resource::EventTypes")]
impl EventTypesApi {
    /// List event types
    ///
    /// Newest first.
    #[oai(path = "/", method = "get", operation_id = "list_event_types")]
    async fn list(
        &self,
        caller: Allowed<Support>,
        /// Rows of a page.
        limit: Query<Limit>,
        /// `next_cursor` of the previous page.
        cursor: Query<Cursor<{ List::EventTypes as u8 }>>,
    ) -> Result<Answer<EventTypePage>, Problem> {
        let limit = page::limit(&limit);
        let wanted = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let before = cursor.0.map(|cursor| cursor.0);
        let rows = self.0.store.list_event_types(caller.tenant, before, wanted).await?;
        let (rows, next_cursor) = page::cut(rows, limit, List::EventTypes, |row| row.id);
        Ok(Answer::Value(EventTypePage { data: rows.into_iter().map(EventTypeAnswer::of).collect(), next_cursor }))
    }

    /// Read an event type
    #[oai(path = "/:name", method = "get", operation_id = "read_event_type")]
    async fn read(
        &self,
        caller: Allowed<Support>,
        /// Its name.
        name: Path<EventType>,
    ) -> Result<Answer<EventTypeAnswer>, Problem> {
        let row = self.0.store.read_event_type(caller.tenant, &name.0).await?;
        row.map(|row| Answer::Value(EventTypeAnswer::of(row))).ok_or(Problem::EventTypeNotFound)
    }

    /// Create or replace an event type
    ///
    /// 201 if it is created, 200 if it is replaced. Fields left out take their defaults. With `validate` every replica
    /// refuses payloads that break the schema within a second. A tenant has at most 1,000 event types, of which 100 may
    /// validate. Without a change nothing is written: `updated_at` stays.
    #[oai(path = "/:name", method = "put", operation_id = "put_event_type")]
    async fn put(
        &self,
        caller: Allowed<Admin>,
        /// Its name.
        name: Path<EventType>,
        body: Document<EventTypeForm>,
    ) -> Result<Written<EventTypeAnswer>, Problem> {
        let form = body.read(&self.0.settings.targets)?;
        // Compiling a schema may take a while.
        let checking = tokio::task::spawn_blocking(move || form.choices());
        let choices = checking.await.map_err(|_| Problem::Internal)??;
        let (tenant, store) = (caller.tenant, &self.0.store);
        if let Some(row) = store.read_event_type(tenant, &name.0).await?.filter(|row| row.choices == choices) {
            return Ok(Written::Replaced(EventTypeAnswer::of(row)));
        }
        let written = store.put_event_type(tenant, &name.0, &choices, caller.actor()).await?;
        self.0.tenants.forget_tenant(tenant);
        match written {
            EventTypeWrite::Created(row) => Ok(Written::Created(EventTypeAnswer::of(row))),
            EventTypeWrite::Replaced(row) => Ok(Written::Replaced(EventTypeAnswer::of(row))),
            EventTypeWrite::TooMany => Err(Problem::LimitReached("max_event_types", MAX_TYPES)),
            EventTypeWrite::TooManyValidated => Err(Problem::LimitReached("max_validated_event_types", MAX_VALIDATED)),
            EventTypeWrite::NoTenant => Err(Problem::TenantNotFound),
        }
    }

    /// Delete an event type
    ///
    /// Payloads of its events are not checked any more. Events and subscriptions of the type stay.
    #[oai(path = "/:name", method = "delete", operation_id = "delete_event_type")]
    async fn delete(
        &self,
        caller: Allowed<Admin>,
        /// Its name.
        name: Path<EventType>,
    ) -> Result<Answer<EventTypeDeleted>, Problem> {
        if !self.0.store.delete_event_type(caller.tenant, &name.0, caller.actor()).await? {
            return Err(Problem::EventTypeNotFound);
        }
        self.0.tenants.forget_tenant(caller.tenant);
        Ok(Answer::Value(EventTypeDeleted { message: "event type deleted", name: name.0.to_string() }))
    }
}

impl EventTypeForm {
    fn choices(self) -> Result<EventTypeChoices, Problem> {
        let Self { description, schema, example, deprecated, validate } = self;
        let schema = schema.map(|json| compact(&json.0));
        if let Some(text) = &schema {
            let invalid =
                |InvalidSchema { pointer, rule }| Problem::field(format!("/schema{pointer}"), "invalid_schema", rule);
            Schema::compile(text).map_err(invalid)?;
        }
        let example = example.map(|json| compact(&json.0));
        if example.as_ref().is_some_and(|text| text.len() > MAX_EXAMPLE_BYTES) {
            return Err(Problem::field("/example", "too_long", format!("must have at most {MAX_EXAMPLE_BYTES} bytes")));
        }
        let is_validated = validate.unwrap_or_default();
        if is_validated && schema.is_none() {
            return Err(Problem::field("/schema", "required", "must be given where validate is true"));
        }
        Ok(EventTypeChoices {
            description: description.map(|text| text.0),
            schema,
            example,
            is_deprecated: deprecated.unwrap_or_default(),
            is_validated,
        })
    }
}

impl EventTypeAnswer {
    fn of(row: EventTypeRow) -> Self {
        let EventTypeChoices { description, schema, example, is_deprecated, is_validated } = row.choices;
        Self {
            name: row.name,
            description,
            schema: schema.and_then(JsonObject::read),
            example: example.and_then(JsonValue::read),
            deprecated: is_deprecated,
            validate: is_validated,
            created_at: Moment(row.created_at),
            updated_at: Moment(row.updated_at),
        }
    }
}
