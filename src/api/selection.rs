//! The filters of `GET /deliveries` as part of a body.

use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use super::Api;
use super::deliveries::DeliveryReason;
use super::events::DeliveryState;
use super::form::{Any, form};
use super::parameter::MAX_REPEATED;
use super::problem::Problem;
use super::text::Moment;
use crate::domain::event_type::EventType;
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::{EventId, TenantId};

/// How far the time in an event's id, the replica's, may be from when it was accepted, the database's.
const MOST_APART: Duration = Duration::seconds(1);

form! {
    /// Which deliveries, by the filters of `GET /deliveries`. A list means any of its entries; one value may stand alone.
    pub(super) struct DeliverySelection {
        /// With these statuses. Default: `failed`, `expired` and `skipped`; to cancel, `pending` and `held`; for a replay to
        /// `matching` subscriptions all events, also those that nobody got.
        status: Option<Any<DeliveryState, MAX_REPEATED>>,
        /// Held or ended for these reasons.
        pub(super) reason: Option<Any<DeliveryReason, MAX_REPEATED>>,
        /// To these subscriptions: id or external id. For a replay to `matching` subscriptions without a status: the ones
        /// that may get the events.
        subscription_id: Option<Any<SubscriptionName, MAX_REPEATED>>,
        /// Of events of these types.
        event_type: Option<Any<EventType, MAX_REPEATED>>,
        /// Of events accepted from then on.
        since: Option<Moment>,
        /// Of events accepted before then, at most now. Default: now.
        until: Option<Moment>,
    }
}

impl DeliverySelection {
    /// As it is stored: subscriptions by their ids, every list sorted, so that equal ones are equal texts. With the
    /// statuses that it may name, and those that it has without any.
    pub(super) async fn document(
        &self,
        api: &Api,
        tenant: TenantId,
        (allowed, usual): (&[DeliveryState], &[DeliveryState]),
    ) -> Result<Map<String, Value>, Problem> {
        let statuses = self.status.as_ref().map_or(usual, |status| &status.entries);
        if let Some(index) = statuses.iter().position(|status| !allowed.contains(status)) {
            let words: Vec<_> = allowed.iter().map(|status| status.word()).collect();
            let rule = format!("must be {}", words.join(" or "));
            let entry = self.status.as_ref().map(|status| status.place(index)).unwrap_or_default();
            return Err(Problem::field(format!("/only/status{entry}"), "unknown_status", rule));
        }
        let mut document = Map::new();
        let mut put = |name: &str, mut words: Vec<String>| {
            words.sort_unstable();
            words.dedup();
            if !words.is_empty() {
                document.insert(name.to_owned(), json!(words));
            }
        };
        put("status", statuses.iter().map(|status| status.word().to_owned()).collect());
        put("reason", self.reason.iter().flat_map(|any| &any.entries).map(|reason| reason.word().to_owned()).collect());
        put("event_type", self.event_type.iter().flat_map(|any| &any.entries).map(ToString::to_string).collect());
        let names: Vec<_> = self.subscription_id.iter().flat_map(|any| any.entries.clone()).collect();
        let ids = api.asked_subscriptions(Some(tenant), &names).await?;
        put("subscription_id", ids.iter().map(ToString::to_string).collect());
        for (name, at) in [("since", self.since), ("until", self.until)] {
            document.extend(at.map(|at| (name.to_owned(), json!(at.to_string()))));
        }
        Ok(document)
    }

    /// Events of later ids are left out. When an event was accepted, and not its id, decides about `until`.
    pub(super) fn below(&self, now: OffsetDateTime) -> EventId {
        let until = self.until.map(|until| until.0.saturating_add(MOST_APART));
        EventId::lower_bound(until.map_or(now, |until| until.min(now)))
    }
}
