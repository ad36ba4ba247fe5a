//! The rows of a search: one form for whatever was found.

use std::time::Duration;

use poem_openapi::Object;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use crate::api::Api;
use crate::api::events::{NotDeliveredAnswer, not_delivered};
use crate::api::problem::Problem;
use crate::api::status::overall;
use crate::api::text::Moment;
use crate::domain::id::{EventId, TenantId};
use crate::store::{DeliveryStatus, EventFacts, Exact, FoundEvent, RefusalRow, RefusedCall};

/// After reading deliveries for so long a page ends, or shows what has to be on it without its deliveries.
const BUDGET: Duration = Duration::from_secs(1);
/// Of one event; `/events/{webhook_id}` has all.
const MAX_DELIVERIES: i64 = 20;
const MAX_NOT_DELIVERED: i64 = 20;
const NOT_PUBLISHED_YET: &str = "not_published_yet";
/// In the order in which somebody asks why.
const STATUSES: [&str; 8] = ["failed", "held", "pending", "sending", "expired", "skipped", "cancelled", "succeeded"];

/// Something that was found.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct SearchRow {
    /// `event`, `delivery`, `attempt`, `subscription`, `tenant` or `refusal`.
    kind: &'static str,
    /// Its id; of a delivery that of its event.
    id: Uuid,
    /// Of an event, delivery or attempt as elsewhere; `not_delivered` if a subscription got no delivery of the event;
    /// of a subscription or tenant `active`, `disabled` or `deleted`; `refused`.
    status: String,
    /// Of a delivery its last error, or why it is held or was not made; of a refusal its code and detail; of an event
    /// `no_match` if nobody wanted it, `not_published_yet` while it waits in the outbox; of a subscription why it is
    /// disabled, or its breaker.
    reason: Option<String>,
    /// A name for people.
    title: String,
    /// When it was accepted, made, attempted or refused; of a delivery its last attempt.
    at: Option<Moment>,
    /// Its tenant; null for a refused request that names none.
    tenant_id: Option<Uuid>,
    /// Its event.
    webhook_id: Option<Uuid>,
    /// Its subscription.
    subscription_id: Option<Uuid>,
    /// External id of its subscription.
    external_id: Option<String>,
    /// Where its subscription delivers to.
    target_url: Option<String>,
    /// Attempts of a delivery so far.
    attempts: Option<i32>,
    /// When a delivery is tried next.
    next_attempt_at: Option<Moment>,
    /// The key that came with a refused request.
    key_id: Option<Uuid>,
}

/// What to do with rows of an event for which the page has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// Tell the event on the next page.
    NextPage,
    Cut,
    /// Cut its deliveries, and tell of the event in any case.
    OnlyDeliveries,
}

/// Collects them. An event that was found twice is told once.
pub(super) struct Rows<'a> {
    api: &'a Api,
    limit: usize,
    told: Vec<EventId>,
    data: Vec<SearchRow>,
    /// Reading deliveries.
    spent: Duration,
    are_rows_missing: bool,
}

impl<'a> Rows<'a> {
    /// Of a page with up to `limit` rows.
    pub(super) fn new(api: &'a Api, limit: usize) -> Self {
        let (told, data) = (Vec::new(), Vec::new());
        Self { api, limit, told, data, spent: Duration::ZERO, are_rows_missing: false }
    }

    /// Some are not on this page nor on the next ones.
    pub(super) fn lack(&mut self) {
        self.are_rows_missing = true;
    }

    /// The rows, and whether any are missing.
    pub(super) fn into_data(self) -> (Vec<SearchRow>, bool) {
        (self.data, self.are_rows_missing)
    }

    pub(super) fn is_full(&self) -> bool {
        self.data.len() >= self.limit
    }

    /// An exact hit.
    fn push(&mut self, row: SearchRow) {
        if self.is_full() {
            self.are_rows_missing = true;
        } else {
            self.data.push(row);
        }
    }

    pub(super) fn add_exact(&mut self, exact: Exact) {
        let kind = match exact.kind.as_str() {
            "tenant" => "tenant",
            "attempt" => "attempt",
            _ => "subscription",
        };
        self.push(SearchRow {
            kind,
            id: exact.id,
            status: exact.status.unwrap_or_default(),
            reason: exact.reason,
            title: exact.title.unwrap_or_default(),
            at: exact.at.map(Moment),
            tenant_id: Some(exact.tenant.uuid()),
            webhook_id: exact.event.map(EventId::uuid),
            subscription_id: exact.subscription,
            target_url: exact.target_url,
            ..SearchRow::default()
        });
    }

    pub(super) fn add_refusal(&mut self, refusal: RefusalRow) {
        self.push(SearchRow {
            kind: "refusal",
            id: refusal.id,
            status: "refused".to_owned(),
            reason: Some(format!("{}: {}", refusal.code, refusal.detail)),
            title: format!("{} {}", refusal.route, refusal.status),
            at: Some(Moment(refusal.at)),
            tenant_id: refusal.tenant,
            subscription_id: refusal.subscription_id,
            key_id: refusal.key,
            ..SearchRow::default()
        });
    }

    /// Its id is that of the event which it would have been.
    pub(super) fn add_refused_call(&mut self, call: RefusedCall) {
        self.push(SearchRow {
            kind: "refusal",
            id: call.id.uuid(),
            status: "refused".to_owned(),
            reason: Some(call.reason),
            title: format!("publish() {}", call.event_type.unwrap_or_default()).trim_end().to_owned(),
            at: Some(Moment(call.ended_at)),
            tenant_id: Some(call.tenant.uuid()),
            webhook_id: Some(call.id.uuid()),
            subscription_id: call.subscription,
            ..SearchRow::default()
        });
    }

    /// A row of the outbox. Returns false if it is for the next page.
    pub(super) fn add_waiting(&mut self, event: FoundEvent, excess: Excess) -> bool {
        let id = EventId::from(event.id);
        let row = SearchRow {
            kind: "event",
            status: event.status,
            reason: Some(NOT_PUBLISHED_YET.to_owned()),
            title: title(event.facts.event_type),
            at: Some(Moment(event.facts.accepted_at)),
            ..SearchRow::of(event.tenant, id)
        };
        self.told.contains(&id) || self.add(id, vec![row], excess)
    }

    /// The event, its deliveries, and who did not get it. Nothing if retention has dropped it. Returns false if it is for
    /// the next page.
    pub(super) async fn add_event(&mut self, tenant: TenantId, id: EventId, excess: Excess) -> Result<bool, Problem> {
        if self.told.contains(&id) {
            return Ok(true);
        }
        if excess == Excess::NextPage && self.spent >= BUDGET && !self.data.is_empty() {
            return Ok(false);
        }
        if self.is_full() && excess != Excess::OnlyDeliveries {
            return Ok(self.add(id, vec![SearchRow::default()], excess));
        }
        let began = Instant::now();
        let Some(event) = self.api.store.read_event(tenant, id).await? else { return Ok(true) };
        let mut rows = vec![event_row(&event, SearchRow::of(tenant.uuid(), id))];
        if self.spent < BUDGET {
            rows.extend(self.deliveries(tenant, id, &event).await?);
        } else {
            self.are_rows_missing |= event.row.fan_out || !event.deliveries.is_empty();
        }
        self.spent += began.elapsed();
        Ok(self.add(id, rows, excess))
    }

    fn add(&mut self, id: EventId, mut rows: Vec<SearchRow>, excess: Excess) -> bool {
        let room = self.limit.saturating_sub(self.data.len());
        if rows.len() > room {
            let kept = match excess {
                // A page of its own has no more room.
                Excess::NextPage if !self.data.is_empty() => return false,
                Excess::NextPage | Excess::Cut => room,
                Excess::OnlyDeliveries => 1,
            };
            self.are_rows_missing |= rows.len() > kept;
            rows.truncate(kept);
        }
        self.told.push(id);
        self.data.extend(rows);
        true
    }

    async fn deliveries(&self, tenant: TenantId, id: EventId, event: &EventFacts) -> Result<Vec<SearchRow>, Problem> {
        let store = &self.api.store;
        let mut deliveries = Vec::new();
        let is_there = |status: &&str| event.deliveries.iter().any(|(known, _)| known == status);
        for status in STATUSES.iter().filter(|status| is_there(status)) {
            let left = MAX_DELIVERIES.saturating_sub(i64::try_from(deliveries.len()).unwrap_or(MAX_DELIVERIES));
            if left > 0 {
                deliveries.extend(store.list_deliveries(tenant, id, &[status], None, left).await?);
            }
        }
        let missed = if event.row.fan_out {
            not_delivered(self.api, tenant, id, event, MAX_NOT_DELIVERED).await?
        } else {
            Vec::new()
        };
        let of = || SearchRow::of(tenant.uuid(), id);
        let delivered = deliveries.into_iter().map(|delivery| delivery_row(delivery, of()));
        Ok(delivered.chain(missed.into_iter().map(|missed| missed_row(missed, of()))).collect())
    }
}

impl SearchRow {
    /// A row about this event.
    fn of(tenant: Uuid, event: EventId) -> Self {
        let id = event.uuid();
        Self { id, tenant_id: Some(tenant), webhook_id: Some(id), ..Self::default() }
    }
}

fn title(event_type: Option<String>) -> String {
    event_type.unwrap_or_else(|| "without a type".to_owned())
}

fn event_row(event: &EventFacts, row: SearchRow) -> SearchRow {
    let status = overall(event.deliveries.iter().map(|(status, _)| status.as_str()));
    SearchRow {
        kind: "event",
        status: status.to_owned(),
        reason: (status == "no_match").then(|| status.to_owned()),
        title: title(event.row.event_type.clone()),
        at: Some(Moment(event.row.accepted_at)),
        ..row
    }
}

fn delivery_row(delivery: DeliveryStatus, row: SearchRow) -> SearchRow {
    let is_held = delivery.status == "held";
    let error = delivery.error_message.filter(|_| !is_held && delivery.status != "succeeded");
    let name = delivery.external_id.clone().or_else(|| delivery.target_url.clone());
    SearchRow {
        kind: "delivery",
        status: delivery.status,
        reason: error.or(delivery.reason),
        title: name.unwrap_or_else(|| "a deleted subscription".to_owned()),
        at: delivery.last_attempt_at.map(Moment),
        subscription_id: Some(delivery.subscription.uuid()),
        external_id: delivery.external_id,
        target_url: delivery.target_url,
        attempts: Some(delivery.attempts),
        next_attempt_at: delivery.next_attempt_at.map(Moment),
        ..row
    }
}

fn missed_row(missed: NotDeliveredAnswer, row: SearchRow) -> SearchRow {
    let NotDeliveredAnswer { subscription_id, external_id, target_url, reason } = missed;
    SearchRow {
        kind: "delivery",
        status: "not_delivered".to_owned(),
        reason: Some(reason.to_owned()),
        title: external_id.clone().unwrap_or_else(|| target_url.clone()),
        subscription_id: Some(subscription_id),
        external_id,
        target_url: Some(target_url),
        attempts: Some(0),
        ..row
    }
}
