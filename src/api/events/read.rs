//! An event with its deliveries.

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use super::list::FoundEventAnswer;
use crate::api::Api;
use crate::api::outbox::{self, Found};
use crate::api::page::{self, List, MAX_LIMIT};
use crate::api::problem::Problem;
use crate::api::status::{DeliveryAnswer, delivery_answer, overall};
use crate::api::text::choice;
use crate::domain::event_type::{EventType, EventTypeFilter};
use crate::domain::filter::{Filter, Judge};
use crate::domain::id::{EventId, SubscriptionId, TenantId};
use crate::store::{EventFacts, FoundEvent, NotDelivered, StoredPayload, Unpublished};

choice! {
    pub(in crate::api) enum DeliveryState {
        Pending = "pending",
        Sending = "sending",
        Held = "held",
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
        Expired = "expired",
        Skipped = "skipped",
    }
}

/// An event and its deliveries.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct EventAnswer {
    #[oai(flatten)]
    #[serde(flatten)]
    event: FoundEventAnswer,
    /// Why it was refused, if it came from SQL and could not be published: then its status is `refused`.
    error_message: Option<String>,
    /// The first 100 deliveries by subscription id; `/deliveries` has all.
    deliveries: Vec<DeliveryAnswer>,
    /// The first 100 subscriptions without a delivery of it, by id.
    not_delivered: Vec<NotDeliveredAnswer>,
}

/// Deliveries by status.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct DeliveryCounts {
    /// Due now or later.
    pending: i64,
    /// In flight.
    sending: i64,
    /// Held for the named reason.
    held: i64,
    /// A receiver answered 2xx.
    succeeded: i64,
    /// Ended without success.
    failed: i64,
    /// Cancelled on request, or because their subscription was deleted.
    cancelled: i64,
    /// Expired before they succeeded.
    expired: i64,
    /// Skipped by their ordering group.
    skipped: i64,
}

impl DeliveryCounts {
    pub(super) fn of(counted: &[(String, i64)]) -> Self {
        let count = |word: &str| counted.iter().find(|(status, _)| status == word).map_or(0, |(_, count)| *count);
        Self {
            pending: count("pending"),
            sending: count("sending"),
            held: count("held"),
            succeeded: count("succeeded"),
            failed: count("failed"),
            cancelled: count("cancelled"),
            expired: count("expired"),
            skipped: count("skipped"),
        }
    }
}

/// A subscription without a delivery of the event.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all)]
pub(in crate::api) struct NotDeliveredAnswer {
    /// The subscription.
    pub(in crate::api) subscription_id: Uuid,
    /// Its external id.
    pub(in crate::api) external_id: Option<String>,
    /// Where it delivers to.
    pub(in crate::api) target_url: String,
    /// `event_type`: its `event_types` do not match the type. `filter`: its `filter` does not match the payload.
    /// `created_later`: than the event.
    /// `addressed_to_another`: the event was for one subscription. `system_event_not_asked_for`: a system event goes
    /// only to other subscriptions that name its type. `not_matched_then`: its `event_types` and `filter` match only
    /// now.
    pub(in crate::api) reason: &'static str,
}

/// A page of deliveries.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct DeliveryPage {
    /// The rows.
    data: Vec<DeliveryAnswer>,
    /// Cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

pub(super) struct Asked {
    /// Empty for all.
    pub(super) statuses: Vec<DeliveryState>,
    pub(super) after: Option<SubscriptionId>,
    pub(super) limit: usize,
}

pub(super) async fn event(api: &Api, tenant: TenantId, webhook_id: Uuid) -> Result<EventAnswer, Problem> {
    let (id, event) = match find(api, tenant, webhook_id.into()).await? {
        Ok(found) => found,
        Err(unpublished) => return Ok(unpublished_answer(tenant, webhook_id, unpublished)),
    };
    let most = i64::from(MAX_LIMIT);
    let deliveries = api.store.list_deliveries(tenant, id, &[], None, most).await?;
    let not_delivered = not_delivered(api, tenant, id, &event, most).await?;
    let status = overall(event.deliveries.iter().map(|(status, _)| status.as_str())).to_owned();
    let found = FoundEvent {
        tenant: tenant.uuid(),
        id: id.uuid(),
        status,
        facts: event.row,
        deliveries: event.deliveries,
        more: false,
    };
    Ok(EventAnswer {
        event: FoundEventAnswer::of(found),
        error_message: None,
        deliveries: deliveries.into_iter().map(delivery_answer).collect(),
        not_delivered,
    })
}

/// The event, or what it is instead.
async fn find(api: &Api, tenant: TenantId, id: EventId) -> Result<Result<(EventId, EventFacts), Unpublished>, Problem> {
    if let Some(event) = api.store.read_event(tenant, id).await? {
        return Ok(Ok((id, event)));
    }
    match outbox::find(api, tenant, id).await? {
        Found::Unpublished(unpublished) => Ok(Err(unpublished)),
        Found::Event(id) => {
            let event = api.store.read_event(tenant, id).await?;
            Ok(Ok((id, event.ok_or(Problem::EventNotFound)?)))
        }
    }
}

fn unpublished_answer(tenant: TenantId, webhook_id: Uuid, unpublished: Unpublished) -> EventAnswer {
    let (status, error_message) = outbox::status(&unpublished);
    let found = FoundEvent {
        tenant: tenant.uuid(),
        id: webhook_id,
        status: status.to_owned(),
        facts: unpublished.facts,
        deliveries: Vec::new(),
        more: false,
    };
    EventAnswer { event: FoundEventAnswer::of(found), error_message, deliveries: Vec::new(), not_delivered: Vec::new() }
}

pub(super) async fn deliveries(
    api: &Api,
    tenant: TenantId,
    webhook_id: Uuid,
    Asked { statuses, after, limit }: Asked,
) -> Result<DeliveryPage, Problem> {
    let id = webhook_id.into();
    let statuses: Vec<&str> = statuses.into_iter().map(DeliveryState::word).collect();
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut rows = api.store.list_deliveries(tenant, id, &statuses, after, one_more).await?;
    // The event may exist without such deliveries, or be the first of two.
    if rows.is_empty()
        && let Ok((found, _)) = find(api, tenant, id).await?
        && found != id
    {
        rows = api.store.list_deliveries(tenant, found, &statuses, after, one_more).await?;
    }
    let (rows, next_cursor) = page::cut(rows, limit, List::EventDeliveries, |row| row.subscription.uuid());
    Ok(DeliveryPage { data: rows.into_iter().map(delivery_answer).collect(), next_cursor })
}

/// The first subscriptions without a delivery of the event, each with the reason.
pub(in crate::api) async fn not_delivered(
    api: &Api,
    tenant: TenantId,
    id: EventId,
    event: &EventFacts,
    most: i64,
) -> Result<Vec<NotDeliveredAnswer>, Problem> {
    let missed = api.store.not_delivered(tenant, id, most).await?;
    let is_filtered = event.row.fan_out && event.about.is_none() && missed.iter().any(|not| not.filter.is_some());
    let mut judge = None;
    if is_filtered {
        judge = api.store.payloads(tenant, &[id]).await?.first().map(StoredPayload::judge);
    }
    let mut reasons = Vec::with_capacity(missed.len());
    for not in missed {
        let reason = reason(&not, event, judge.as_mut());
        let NotDelivered { subscription, external_id, target_url, .. } = not;
        reasons.push(NotDeliveredAnswer { subscription_id: subscription.uuid(), external_id, target_url, reason });
        // A hundred filters on a large payload may take a while.
        tokio::task::yield_now().await;
    }
    Ok(reasons)
}

/// Only the current types and filter are stored, so a changed one shows as it is now.
fn reason(not: &NotDelivered, event: &EventFacts, judge: Option<&mut Judge>) -> &'static str {
    let event_type: Option<EventType> = event.row.event_type.as_deref().and_then(|name| name.parse().ok());
    let patterns = not.event_types.iter().filter_map(|text| text.parse().ok()).collect();
    let event_types = EventTypeFilter::new(patterns);
    let wants_type = event_types.check(event_type.as_ref()).is_ok();
    let asks_now = || event_type.as_ref().is_some_and(|name| event_types.asks_for_system_event(name));
    let filter = || not.filter.as_deref().and_then(|text| Filter::parse(text).ok());
    let is_filtered = || judge.is_some_and(|judge| filter().is_some_and(|filter| !judge.matches(&filter)));
    match () {
        () if !event.row.fan_out => "addressed_to_another",
        () if event.about == Some(not.subscription) => "system_event_not_asked_for",
        () if event.about.is_some() && !asks_now() => "system_event_not_asked_for",
        () if not.created_at > event.row.accepted_at => "created_later",
        () if !wants_type => "event_type",
        () if is_filtered() => "filter",
        () => "not_matched_then",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::EventRow;
    use time::macros::datetime;

    #[test]
    fn the_reason_is_what_the_tables_tell() {
        let reason = |not: &NotDelivered, event: &EventFacts| reason(not, event, None);
        let event = |fan_out, event_type: Option<&str>| EventFacts {
            row: EventRow {
                event_type: event_type.map(str::to_owned),
                accepted_at: datetime!(2026-11-23 12:00 UTC),
                payload_bytes: 2,
                fan_out,
                idempotency_key: None,
                ordering_key: None,
                deliver_at: None,
                expires_at: None,
            },
            about: None,
            deliveries: Vec::new(),
        };
        let not = |created_at, event_types: &[&str]| NotDelivered {
            subscription: SubscriptionId::at(created_at, uuid::Uuid::new_v4().into_bytes()),
            external_id: None,
            target_url: String::new(),
            event_types: event_types.iter().map(|text| (*text).to_owned()).collect(),
            filter: None,
            created_at,
        };
        let (before, after) = (datetime!(2026-11-23 11:00 UTC), datetime!(2026-11-23 13:00 UTC));
        let typed = event(true, Some("order.created"));
        assert_eq!(reason(&not(before, &["invoice.*"]), &typed), "event_type");
        assert_eq!(reason(&not(before, &["order.*"]), &typed), "not_matched_then");
        assert_eq!(reason(&not(after, &["order.*"]), &typed), "created_later");
        assert_eq!(reason(&not(before, &["*"]), &event(true, None)), "event_type");
        assert_eq!(reason(&not(before, &[]), &event(false, None)), "addressed_to_another");
        let filtered = |text: &str| NotDelivered { filter: Some(text.to_owned()), ..not(before, &[]) };
        let mut judge = Judge::stored(bytes::Bytes::from_static(br#"{"a": 1}"#), &Default::default());
        assert_eq!(super::reason(&filtered(r#"{"a": 2}"#), &typed, Some(&mut judge)), "filter");
        assert_eq!(super::reason(&filtered(r#"{"a": 1}"#), &typed, Some(&mut judge)), "not_matched_then");
        let subject = not(before, &["subscription.failing"]);
        let system_event =
            EventFacts { about: Some(subject.subscription), ..event(true, Some("subscription.failing")) };
        assert_eq!(reason(&subject, &system_event), "system_event_not_asked_for");
        for patterns in [&["*"], &["subscription.*"]] {
            assert_eq!(
                reason(&not(datetime!(2026-11-23 10:00 UTC), patterns), &system_event),
                "system_event_not_asked_for"
            );
        }
        assert_eq!(reason(&not(after, &["subscription.failing"]), &system_event), "created_later");
        assert_eq!(
            reason(&not(datetime!(2026-11-23 10:00 UTC), &["subscription.failing"]), &system_event),
            "not_matched_then"
        );
    }
}
