//! A batch: read item by item, answered item by item.

use std::collections::HashMap;
use std::time::Duration;

use poem::http::HeaderMap;
use poem_openapi::Object;
use serde::Serialize;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::{matched, problem, timing_error};
use crate::api::auth::Bearer;
use crate::api::form::{self, AnyDocument};
use crate::api::problem::{FieldError, Problem, ProblemDocument};
use crate::api::refusals::{self, Note};
use crate::domain::hops::Hops;
use crate::domain::id::TenantId;
use crate::domain::payload::Payload;
use crate::domain::target::TargetPolicy;
use crate::domain::tenant::{DEFAULT_TENANT, TenantName};
use crate::domain::timing::InvalidTiming;
use crate::intake::{Accepted, Address, Intake, Publication, Times, To};
use crate::tenants::Tenants;

mod item;

pub(super) use item::BatchForm;
use item::{EventForm, Item, Unreadable, noted};

/// Headers of a single event, and what events of a batch have instead.
const HEADERS: [(&str, &str); 3] =
    [("x-event-type", "event_type"), ("idempotency-key", "idempotency_key"), ("x-ordering-key", "ordering_key")];

/// What became of each event.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct BatchAnswer {
    /// One for each event, in the order of the request.
    pub(super) data: Vec<BatchResult>,
}

/// What became of one event: `webhook_id`, `duplicate` and `matched`, or a `problem`.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct BatchResult {
    /// What the answer's status would be if the event had come alone: 202, or the problem's.
    status: u16,
    /// The event's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_id: Option<Uuid>,
    /// Whether an earlier event with the same idempotency key had been stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
    /// How many deliveries it made; null for a duplicate.
    #[serde(skip_serializing_if = "Option::is_none")]
    matched: Option<Option<u64>>,
    /// Why it is not stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemDocument>,
}

impl BatchResult {
    /// The entry of an event of the request with this id.
    pub(super) fn of(result: Result<Accepted, Problem>, request_id: &str) -> Self {
        match result {
            Ok(accepted) => Self {
                status: 202,
                webhook_id: Some(accepted.event.uuid()),
                duplicate: Some(accepted.is_duplicate()),
                matched: Some(matched(accepted)),
                problem: None,
            },
            Err(problem) => Self {
                status: problem.status().as_u16(),
                webhook_id: None,
                duplicate: None,
                matched: None,
                problem: Some(problem.document(request_id)),
            },
        }
    }
}

/// What bounds an event of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) payload_bytes: usize,
    pub(super) lifetime: Duration,
    pub(super) now: OffsetDateTime,
    /// Of the request that they come with.
    pub(super) hops: Hops,
    /// Of events that name none.
    pub(super) tenant: Option<TenantId>,
}

/// Refuses what would be the promise of one event, and cannot be that of many.
pub(super) fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    let there = HEADERS.iter().filter(|(header, _)| headers.contains_key(*header));
    let error = |(header, field): &(&str, &str)| FieldError {
        pointer: format!("/headers/{header}"),
        code: "not_for_a_batch",
        detail: format!("each event of a batch has its own {field}"),
    };
    let errors: Vec<_> = there.map(error).collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::Invalid(errors)) }
}

/// Reads a batch: each event, or what is wrong with it.
pub(super) fn read(body: &[u8], limits: Limits, note: &Note) -> Result<Vec<Result<Draft, Problem>>, Problem> {
    let BatchForm { events } = form::read(body, &TargetPolicy::default())?;
    let event = |(place, Item(form)): (usize, Item)| {
        let unreadable = |Unreadable { errors, beginning }| {
            note.item(
                refusals::Item { payload: beginning, names_tenant: true, ..Default::default() },
                Problem::Invalid(errors),
            )
        };
        let form = form.map_err(unreadable)?;
        let known = form.noted();
        event(form, limits).map_err(|problem| note.item(known, within(problem, place)))
    };
    Ok(events.0.into_iter().enumerate().map(event).collect())
}

/// Gives each event its tenant; each name is looked up once.
pub(super) async fn find_tenants(
    read: Vec<Result<Draft, Problem>>,
    bearer: Bearer,
    tenants: &Tenants,
    note: &Note,
) -> Vec<Result<Publication, Problem>> {
    let mut found: HashMap<TenantName, Result<TenantId, Problem>> = HashMap::new();
    let mut settled = Vec::with_capacity(read.len());
    for draft in read {
        settled.push(match draft {
            Err(problem) => Err(problem),
            Ok(Draft { tenant: None, publication }) => Ok(publication),
            Ok(Draft { tenant: Some(name), publication }) => {
                let tenant = match found.get(&name) {
                    Some(tenant) => tenant.clone(),
                    None => {
                        let tenant = bearer.tenant_named(tenants, &name.to_string()).await;
                        found.insert(name, tenant.clone());
                        tenant
                    }
                };
                match tenant {
                    Ok(tenant) => Ok(publication.of_tenant(tenant)),
                    Err(problem) => Err(note.item(noted(&publication, None), problem)),
                }
            }
        });
    }
    settled
}

/// Publishes those that are events, and answers each in its place.
pub(super) async fn publish(
    intake: &Intake,
    read: Vec<Result<Publication, Problem>>,
    deadline: Instant,
    note: &Note,
) -> Vec<Result<Accepted, Problem>> {
    let mut places = Vec::with_capacity(read.len());
    let mut publications = Vec::with_capacity(read.len());
    let mut settled = Vec::with_capacity(read.len());
    for (place, event) in read.into_iter().enumerate() {
        settled.push(match event {
            Ok(publication) => {
                places.push(place);
                publications.push(publication);
                Err(Problem::Unavailable)
            }
            Err(problem) => Err(problem),
        });
    }
    let answers = intake.publisher().publish_all(&publications, deadline).await;
    for ((place, answer), publication) in places.into_iter().zip(answers).zip(&publications) {
        if let Some(slot) = settled.get_mut(place) {
            let refused = |refusal| within(problem(refusal, ""), place);
            *slot = answer.map_err(|refusal| note.item(noted(publication, publication.tenant()), refused(refusal)));
        }
    }
    settled
}

/// An event whose tenant is still to be looked up, where it names one.
#[derive(Debug)]
pub(super) struct Draft {
    tenant: Option<TenantName>,
    publication: Publication,
}

fn event(form: EventForm, limits: Limits) -> Result<Draft, Problem> {
    let EventForm {
        tenant: named,
        event_type,
        payload,
        idempotency_key: key,
        ordering_key,
        subscription_id: address,
        ..
    } = form;
    let asked = [form.deliver_at, form.expires_at].map(|at| at.map(|at| at.0));
    let invalid = |rule: InvalidTiming| Problem::Invalid(vec![timing_error(rule, "")]);
    let times = Times::new(asked, ordering_key.is_some(), limits.now, limits.lifetime).map_err(invalid)?;
    // With a key it may repeat one that was accepted in time.
    if times.is_over() && key.is_none() {
        return Err(invalid(InvalidTiming::Over));
    }
    let AnyDocument(payload) = payload;
    if payload.len() > limits.payload_bytes {
        return Err(Problem::BodyTooLarge(limits.payload_bytes));
    }
    let payload = Payload::parse(payload).map_err(Problem::PayloadInvalid)?;
    let tenant = match (&named, limits.tenant) {
        (None, None) => return Err(Problem::TenantRequired),
        (_, tenant) => tenant.unwrap_or(DEFAULT_TENANT),
    };
    let to = match address {
        Some(name) => To::One(Address { tenant: Some(tenant), name, headers: None }),
        None => To::All(tenant),
    };
    Ok(Draft {
        tenant: named,
        publication: Publication {
            to,
            event_type,
            payload,
            hops: limits.hops,
            times,
            key,
            ordering_key,
            from_outbox: None,
        },
    })
}

/// The problem of the event at this place.
fn within(problem: Problem, place: usize) -> Problem {
    let Problem::Invalid(mut errors) = problem else { return problem };
    for error in &mut errors {
        error.pointer.insert_str(0, &format!("/events/{place}"));
    }
    Problem::Invalid(errors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const LIMITS: Limits = Limits {
        payload_bytes: 64,
        lifetime: Duration::from_secs(3_600),
        now: datetime!(2026-11-23 12:00 UTC),
        hops: Hops::NONE,
        tenant: Some(DEFAULT_TENANT),
    };

    fn codes(problem: &Problem) -> Vec<(String, &'static str)> {
        let Problem::Invalid(errors) = problem else { panic!("{problem:?}") };
        errors.iter().map(|error| (error.pointer.clone(), error.code)).collect()
    }

    #[test]
    fn a_payload_keeps_the_bytes_that_stand_in_the_request() {
        let body = "{\"events\": [ {\"payload\": {\"b\" : 1.10,\n\t\"a\":\"\\ud800\"} } ,{\"payload\":[ ]}]}";
        let read = read(body.as_bytes(), LIMITS, &Note::default()).unwrap();
        let payloads: Vec<&[u8]> =
            read.iter().map(|event| event.as_ref().unwrap().publication.payload.bytes().as_ref()).collect();
        assert_eq!(payloads, [b"{\"b\" : 1.10,\n\t\"a\":\"\\ud800\"}".as_slice(), b"[ ]"]);
    }

    #[test]
    fn what_is_wrong_with_an_event_is_named_at_its_place() {
        let long = format!("{{\"payload\":[\"{}\"]}}", "x".repeat(64));
        let body = format!(
            r#"{{"events":[7,{{}},{{"payload":1}},{long},
            {{"payload":{{}},"event_type":"a..b","idempotency_key":"","subscription_id":"1 2","deliver_at":"soon","x":1}},
            {{"payload":{{}},"expires_at":"2026-11-23T11:00:00Z"}},{{"payload":{{}}}}]}}"#
        );
        let read = read(body.as_bytes(), LIMITS, &Note::default()).unwrap();
        let problem = |place: usize| read[place].as_ref().unwrap_err();
        assert_eq!(codes(problem(0)), [("/events/0".to_owned(), "wrong_type")]);
        assert_eq!(codes(problem(1)), [("/events/1/payload".to_owned(), "required")]);
        assert_eq!(problem(2).status(), 422);
        assert_eq!(problem(3), &Problem::BodyTooLarge(64));
        let expected = [
            ("event_type", "invalid_event_type"),
            ("idempotency_key", "invalid_idempotency_key"),
            ("subscription_id", "invalid_id"),
            ("deliver_at", "invalid_time"),
            ("x", "unknown_field"),
        ];
        assert_eq!(codes(problem(4)), expected.map(|(name, code)| (format!("/events/4/{name}"), code)));
        assert_eq!(codes(problem(5)), [("/events/5/expires_at".to_owned(), "in_the_past")]);
        assert!(read[6].is_ok());
    }

    #[test]
    fn a_batch_has_from_1_to_1000_events() {
        let of = |count: usize| {
            let items = vec!["{\"payload\":{}}"; count].join(",");
            read(format!("{{\"events\":[{items}]}}").as_bytes(), LIMITS, &Note::default()).map(|read| read.len())
        };
        assert_eq!((of(1), of(1_000)), (Ok(1), Ok(1_000)));
        for count in [0, 1_001, 5_000] {
            assert_eq!(codes(&of(count).unwrap_err()), [("/events".to_owned(), "out_of_range")]);
        }
        for body in ["{}", "{\"events\":{}}", "{\"events\":null}", "{\"events\":[{}],\"more\":1}"] {
            assert!(read(body.as_bytes(), LIMITS, &Note::default()).is_err(), "{body}");
        }
    }
}
