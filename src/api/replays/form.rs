//! The body that begins a replay.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::api::form::{List, Whole, form};
use crate::api::problem::Problem;
use crate::api::selection::DeliverySelection;
use crate::api::text::{Moment, choice};
use crate::domain::event_type::{EventTypeFilter, EventTypePattern, MAX_EVENT_TYPES};
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::EventId;
use crate::domain::replay::{Ending, Selection};

/// Used if `rate` is missing.
const DEFAULT_RATE: u32 = 100;

form! {
    /// Which deliveries are repeated.
    pub(super) struct ReplayForm {
        /// The receiving subscription: id or external id. Required without `only`.
        pub(super) subscription_id: Option<SubscriptionName>,
        /// How the deliveries ended: `failed`, `expired`, `skipped`, `cancelled`, `succeeded`, or `missed` for events
        /// that did not match the subscription then and match now. Default: `failed`, `expired` and `skipped`.
        statuses: Option<List<Ending, 1, 6>>,
        /// Types of their events: names, `prefix.*`, or `*`. Null or empty for all.
        event_types: Option<List<EventTypePattern, 0, MAX_EVENT_TYPES>>,
        /// Only events accepted since then, to the millisecond. Default: all that are stored.
        since: Option<Moment>,
        /// Only events accepted before, to the millisecond and at most now. Default: now.
        until: Option<Moment>,
        /// Maximum deliveries per second. Default: 100.
        rate: Option<Whole<1, 10_000>>,
        /// Which deliveries, of whatever subscriptions, instead of the fields above except `rate`.
        pub(super) only: Option<DeliverySelection>,
        /// With `only`: `original`, the default, repeats the deliveries; `matching` sends their events to the subscriptions
        /// that want them now and have not got them.
        pub(super) to: Option<ReplayTarget>,
        /// With `only`: count, and change nothing.
        pub(super) dry_run: Option<bool>,
        /// With `only`: the `token` of a dry run with the same `only` and `to` in the last 24 hours. Events accepted after
        /// it are left out.
        pub(super) token: Option<Uuid>,
    }
}

choice! {
    pub(super) enum ReplayTarget {
        Original = "original",
        Matching = "matching",
    }
}

impl ReplayForm {
    /// Refuses fields that the other kind of replay has.
    pub(super) fn check_kind(&self) -> Result<(), Problem> {
        let refused = |fields: &[(bool, &str)], rule: &str| {
            let first = fields.iter().find(|(is_given, _)| *is_given);
            first.map_or(Ok(()), |(_, name)| Err(Problem::field(format!("/{name}"), "conflict", rule)))
        };
        if self.only.is_none() {
            let theirs =
                [(self.to.is_some(), "to"), (self.dry_run == Some(true), "dry_run"), (self.token.is_some(), "token")];
            return refused(&theirs, "must stand together with only");
        }
        let theirs = [
            (self.subscription_id.is_some(), "subscription_id"),
            (self.statuses.is_some(), "statuses"),
            (self.event_types.is_some(), "event_types"),
            (self.since.is_some(), "since"),
            (self.until.is_some(), "until"),
        ];
        refused(&theirs, "must not stand together with only, which has filters of its own")
    }

    pub(super) fn rate(&self) -> u32 {
        self.rate.map_or(DEFAULT_RATE, |rate| rate.0)
    }

    pub(super) fn selection(self, now: OffsetDateTime) -> Result<Selection, Problem> {
        let since = self.since.map(|since| since.0);
        let until = self.until.map_or(now, |until| until.0.min(now));
        if since.is_some_and(|since| since >= until) {
            return Err(Problem::field("/since", "not_before_until", "must be before until, and in the past"));
        }
        let mut statuses: Vec<Ending> = Vec::new();
        for status in self.statuses.map_or(Ending::UNDELIVERED.to_vec(), |list| list.0) {
            if !statuses.contains(&status) {
                statuses.push(status);
            }
        }
        Ok(Selection {
            statuses,
            event_types: EventTypeFilter::new(self.event_types.map(|list| list.0).unwrap_or_default()),
            after: EventId::lower_bound(since.unwrap_or(OffsetDateTime::UNIX_EPOCH)),
            below: EventId::lower_bound(until),
        })
    }
}
