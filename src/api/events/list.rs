//! A page of events.

use std::cmp::Reverse;
use std::collections::HashSet;

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use super::read::DeliveryCounts;
use crate::api::Api;
use crate::api::page::{List, Page};
use crate::api::problem::Problem;
use crate::api::text::{Moment, choice};
use crate::store::{EventSearch, FoundEvent, Searched};

choice! {
    /// What became of all deliveries of an event.
    pub(in crate::api) enum EventState {
        /// Any delivery is pending, sending or held.
        Pending = "pending",
        /// Every delivery succeeded.
        Succeeded = "succeeded",
        /// All ended, and not every one succeeded.
        Failed = "failed",
        /// It matched no subscription.
        NoMatch = "no_match",
    }
}

/// An event, without its payload.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct FoundEventAnswer {
    /// The event.
    webhook_id: Uuid,
    /// Its owner.
    tenant_id: Uuid,
    /// Its type.
    event_type: Option<String>,
    /// `pending` while any delivery is, then `succeeded` if all did, else `failed`; `no_match` if it matched no
    /// subscription.
    status: String,
    /// When it was accepted; when `postrider.publish()` was called, until it is published.
    accepted_at: Moment,
    /// Size of its payload.
    payload_bytes: i32,
    /// Its idempotency key; of a producer that `/ingest` knows, `PROVIDER SUBSCRIPTION ID`.
    idempotency_key: Option<String>,
    /// Its ordering key.
    ordering_key: Option<String>,
    /// Whether it was published to all interested subscriptions rather than to one.
    fan_out: bool,
    /// The earliest delivery that was asked for.
    deliver_at: Option<Moment>,
    /// The latest delivery that was asked for.
    expires_at: Option<Moment>,
    /// How many of its deliveries have each status.
    counts: DeliveryCounts,
    /// Whether `counts` are cut: a list counts 500 deliveries of an event that have not ended, 500 that failed and 500
    /// that succeeded; `GET /events/{webhook_id}` counts all.
    counts_more: bool,
}

/// A page of events, newest first.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct FoundEvents {
    /// The rows; may be fewer than `limit`, even none, while there is a `next_cursor`.
    data: Vec<FoundEventAnswer>,
    /// Cursor of the next page; null on the last.
    next_cursor: Option<String>,
    /// Set if the page examined as much as it may: it has looked at events back to then, and `next_cursor` goes on from
    /// there.
    examined_to: Option<Moment>,
}

pub(super) async fn events(api: &Api, filter: &EventSearch, limit: usize) -> Result<FoundEvents, Problem> {
    let waiting = api.store.search_waiting(filter).await?;
    let page = merge(waiting, api.store.search_events(filter).await?);
    let Page { rows, next_cursor, examined_to } = Page::of(page, limit, List::Events, |row| row.id);
    Ok(FoundEvents { data: rows.into_iter().map(FoundEventAnswer::of).collect(), next_cursor, examined_to })
}

/// As far as both came. A row that was published between the two reads is in both.
fn merge(waiting: Searched<FoundEvent, Uuid>, mut page: Searched<FoundEvent, Uuid>) -> Searched<FoundEvent, Uuid> {
    let published: HashSet<Uuid> = page.rows.iter().map(|row| row.id).collect();
    page.rows.extend(waiting.rows.into_iter().filter(|row| !published.contains(&row.id)));
    page.examined_to = waiting.examined_to.max(page.examined_to);
    page.rows.retain(|row| page.examined_to.is_none_or(|examined| row.id >= examined));
    page.rows.sort_by_key(|row| Reverse(row.id));
    page
}

impl FoundEventAnswer {
    pub(super) fn of(found: FoundEvent) -> Self {
        let facts = found.facts;
        Self {
            webhook_id: found.id,
            tenant_id: found.tenant,
            event_type: facts.event_type,
            status: found.status,
            accepted_at: Moment(facts.accepted_at),
            payload_bytes: facts.payload_bytes,
            idempotency_key: facts.idempotency_key,
            ordering_key: facts.ordering_key,
            fan_out: facts.fan_out,
            deliver_at: facts.deliver_at.map(Moment),
            expires_at: facts.expires_at.map(Moment),
            counts: DeliveryCounts::of(&found.deliveries),
            counts_more: found.more,
        }
    }
}
