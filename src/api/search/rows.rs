//! The rows of a search: one form for whatever was found.

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use crate::api::Api;
use crate::api::events::{NotDeliveredAnswer, not_delivered};
use crate::api::problem::Problem;
use crate::api::status::overall;
use crate::api::text::Moment;
use crate::domain::id::{EventId, TenantId};
use crate::store::{DeliveryStatus, EventFacts, Exact, RefusalRow, RefusedCall};

/// Of one event; `/events/{webhook_id}` has all.
const MAX_DELIVERIES: i64 = 20;
const MAX_NOT_DELIVERED: i64 = 20;
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
    /// `no_match` if nobody wanted it; of a subscription why it is disabled, or its breaker.
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

/// Collects them. An event that was found twice is told once.
pub(super) struct Rows<'a> {
    api: &'a Api,
    told: Vec<EventId>,
    data: Vec<SearchRow>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(api: &'a Api) -> Self {
        Self { api, told: Vec::new(), data: Vec::new() }
    }

    pub(super) fn into_data(self) -> Vec<SearchRow> {
        self.data
    }

    pub(super) fn add_exact(&mut self, exact: Exact) {
        let kind = match exact.kind.as_str() {
            "tenant" => "tenant",
            "attempt" => "attempt",
            _ => "subscription",
        };
        self.data.push(SearchRow {
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
        self.data.push(SearchRow {
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
        self.data.push(SearchRow {
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

    /// The event, its deliveries, and who did not get it. Nothing if retention has dropped it.
    pub(super) async fn add_event(&mut self, tenant: TenantId, id: EventId) -> Result<(), Problem> {
        if self.told.contains(&id) {
            return Ok(());
        }
        self.told.push(id);
        let store = &self.api.store;
        let Some(event) = store.read_event(tenant, id).await? else { return Ok(()) };
        let mut deliveries = Vec::new();
        let is_there = |status: &&str| event.deliveries.iter().any(|(known, _)| known == status);
        for status in STATUSES.iter().filter(|status| is_there(status)) {
            let left = MAX_DELIVERIES.saturating_sub(i64::try_from(deliveries.len()).unwrap_or(MAX_DELIVERIES));
            if left > 0 {
                deliveries.extend(store.list_deliveries(tenant, id, Some(*status), None, left).await?);
            }
        }
        let missed = if event.row.fan_out {
            not_delivered(self.api, tenant, id, &event, MAX_NOT_DELIVERED).await?
        } else {
            Vec::new()
        };
        let of = SearchRow {
            id: id.uuid(),
            tenant_id: Some(tenant.uuid()),
            webhook_id: Some(id.uuid()),
            ..SearchRow::default()
        };
        self.data.push(event_row(&event, of.here()));
        self.data.extend(deliveries.into_iter().map(|delivery| delivery_row(delivery, of.here())));
        self.data.extend(missed.into_iter().map(|missed| missed_row(missed, of.here())));
        Ok(())
    }
}

impl SearchRow {
    /// Another row about the same event.
    fn here(&self) -> Self {
        Self { id: self.id, tenant_id: self.tenant_id, webhook_id: self.webhook_id, ..Self::default() }
    }
}

fn event_row(event: &EventFacts, row: SearchRow) -> SearchRow {
    let status = overall(event.deliveries.iter().map(|(status, _)| status.as_str()));
    SearchRow {
        kind: "event",
        status: status.to_owned(),
        reason: (status == "no_match").then(|| status.to_owned()),
        title: event.row.event_type.clone().unwrap_or_else(|| "without a type".to_owned()),
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
