//! What the producer of a request tells about its event, and whether its content type is allowed.

use bytes::Bytes;

use crate::api::problem::Problem;
use crate::domain::content_type::{CLOUD_EVENT_BATCH, ContentType};
use crate::domain::event_type::EventType;
use crate::domain::idempotency::IdempotencyKey;
use crate::domain::provider::{Arrival, ProducerHeaders, cloud_event};
use crate::domain::subscription::Subscription;

const ALLOWED: &str = "the content type must be application/json or end in +json, in UTF-8; others are allowed where the \
                       subscription's ingest names them in content_types, or names a provider that sends them";
const NO_BATCH: &str = "a batch of CloudEvents is not taken: send each event in a request of its own, or as it is in the \
                        items of POST /events/batch";

pub(super) struct ProducerFacts {
    pub(super) content_type: ContentType,
    pub(super) event_type: Result<Option<EventType>, Problem>,
    pub(super) key: Option<IdempotencyKey>,
    /// Whether `Idempotency-Key` is the producer's, rather than the caller's.
    pub(super) owns_key_header: bool,
    pub(super) challenge: Option<String>,
}

impl ProducerFacts {
    /// The request's signature was checked, if the subscription requires one.
    pub(super) fn read(
        subscription: &Subscription,
        headers: &ProducerHeaders,
        content_type: ContentType,
        body: &Bytes,
    ) -> Result<Self, Problem> {
        let (ingest, essence) = (&subscription.ingest, content_type.essence());
        if essence == CLOUD_EVENT_BATCH {
            return Err(Problem::UnsupportedMediaType(NO_BATCH));
        }
        if !content_type.is_json() && !ingest.allows(&essence, headers, subscription.verify_ingest) {
            return Err(Problem::UnsupportedMediaType(ALLOWED));
        }
        let rows = [ingest.provider_of(headers), cloud_event(headers, &essence)];
        let arrival = Arrival::new(headers, &content_type, body);
        let mut facts = Self {
            event_type: Ok(None),
            key: None,
            owns_key_header: rows.iter().flatten().any(|row| row.owns_idempotency_key()),
            challenge: None,
            content_type: content_type.clone(),
        };
        for row in rows.into_iter().flatten() {
            if let Ok(None) = facts.event_type {
                let named = arrival.event_type(row);
                facts.event_type =
                    named.map_err(|rule| Problem::field(row.event_type_pointer(), "invalid_event_type", rule));
            }
            facts.key = facts.key.or_else(|| arrival.idempotency_key(row, subscription.id));
            facts.challenge = facts.challenge.or_else(|| arrival.challenge(row));
        }
        Ok(facts)
    }
}
