//! Tries a filter on stored events.

use std::time::Duration;

use poem_openapi::Object;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use crate::api::Api;
use crate::api::form::{List, Whole, form};
use crate::api::problem::Problem;
use crate::api::text::Moment;
use crate::domain::event_type::{EventType, EventTypeFilter, EventTypePattern, MAX_EVENT_TYPES};
use crate::domain::filter::Filter;
use crate::domain::id::TenantId;
use crate::store::StoredEvent;

const MAX_LAST: u32 = 10_000;
const DEFAULT_LAST: u32 = 1_000;
/// Events of one statement.
const ROWS: usize = 500;
/// No further event is examined after this, nor after so many bytes of payloads.
const BUDGET: Duration = Duration::from_millis(1_500);
const MAX_BYTES: usize = 64 << 20;
const MAX_SAMPLE: usize = 10;

form! {
    /// A filter to try on stored events.
    pub(super) struct FilterTestForm {
        /// As a subscription's `filter`; null for all payloads.
        filter: Option<Filter>,
        /// As a subscription's `event_types`.
        event_types: Option<List<EventTypePattern, 0, MAX_EVENT_TYPES>>,
        /// How many of the newest events to examine; 1,000 by default.
        last: Option<Whole<1, MAX_LAST>>,
    }
}

/// What a subscription with this filter would have got.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct FilterTestAnswer {
    /// Events that were examined, of every type; system events are left out.
    examined: usize,
    /// Those of them that match types and filter.
    matched: usize,
    /// Null if all that were asked for were examined. It ends early after 1.5 seconds, or 64 MiB of payloads: then the
    /// acceptance time of the oldest examined event.
    examined_to: Option<Moment>,
    /// The newest matching events, at most 10.
    sample: Vec<MatchedEvent>,
}

/// A matching event.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct MatchedEvent {
    /// The event.
    webhook_id: Uuid,
    /// Its type.
    event_type: Option<String>,
    /// When it was accepted.
    accepted_at: Moment,
    /// Size of its payload.
    payload_bytes: usize,
}

pub(super) async fn test(api: &Api, tenant: TenantId, form: FilterTestForm) -> Result<FilterTestAnswer, Problem> {
    let FilterTestForm { filter, event_types, last } = form;
    let event_types = EventTypeFilter::new(event_types.map(|list| list.0).unwrap_or_default());
    let last = usize::try_from(last.map_or(DEFAULT_LAST, |last| last.0)).unwrap_or(usize::MAX);
    let (began, mut bytes, mut below) = (Instant::now(), 0, None);
    let mut answer = FilterTestAnswer { examined: 0, matched: 0, examined_to: None, sample: Vec::new() };
    let mut oldest = None;
    while answer.examined < last {
        let most = i64::try_from(ROWS.min(last - answer.examined)).unwrap_or(i64::MAX);
        let events = api.store.newest_events(tenant, below, most).await?;
        if events.is_empty() {
            break;
        }
        for event in events {
            if began.elapsed() > BUDGET || bytes > MAX_BYTES {
                answer.examined_to = oldest;
                return Ok(answer);
            }
            bytes += event.payload.bytes.len();
            (below, oldest) = (Some(event.payload.event), Some(Moment(event.accepted_at)));
            answer.examine(&event, &event_types, filter.as_ref());
            // Other requests get their turn.
            tokio::task::yield_now().await;
        }
    }
    Ok(answer)
}

impl FilterTestAnswer {
    fn examine(&mut self, event: &StoredEvent, event_types: &EventTypeFilter, filter: Option<&Filter>) {
        self.examined += 1;
        let event_type: Option<EventType> = event.event_type.as_deref().and_then(|name| name.parse().ok());
        if event_types.check(event_type.as_ref()).is_err() {
            return;
        }
        if filter.is_some_and(|filter| !event.payload.judge().matches(filter)) {
            return;
        }
        self.matched += 1;
        if self.sample.len() < MAX_SAMPLE {
            self.sample.push(MatchedEvent {
                webhook_id: event.payload.event.uuid(),
                event_type: event.event_type.clone(),
                accepted_at: Moment(event.accepted_at),
                payload_bytes: event.payload.bytes.len(),
            });
        }
    }
}
