//! The body that begins a replay.

use time::OffsetDateTime;

use crate::api::form::{List, Whole, form};
use crate::api::problem::Problem;
use crate::api::text::Moment;
use crate::domain::event_type::{EventTypeFilter, EventTypePattern, MAX_EVENT_TYPES};
use crate::domain::external_id::SubscriptionName;
use crate::domain::id::EventId;
use crate::domain::replay::{Ending, Selection};

/// Deliveries a second where nobody says otherwise.
const DEFAULT_RATE: u32 = 100;

form! {
    /// Which deliveries are made again.
    pub(super) struct ReplayForm {
        /// Whom they are for: a subscription, by its id or its external id.
        pub(super) subscription_id: SubscriptionName,
        /// How they ended: `failed`, `expired`, `skipped`, `cancelled`, `succeeded`, or `missed` for
        /// events that the subscription did not get and whose type it wants now. When left out,
        /// `failed`, `expired` and `skipped`.
        statuses: Option<List<Ending, 1, 6>>,
        /// Which types their events have: names, `prefix.*`, or `*`. Null or empty for all.
        event_types: Option<List<EventTypePattern, 0, MAX_EVENT_TYPES>>,
        /// Events accepted from then on, to the millisecond; all that are kept when left out.
        since: Option<Moment>,
        /// Events accepted before, at most until now; until now when left out.
        until: Option<Moment>,
        /// Most deliveries a second; 100 when left out.
        rate: Option<Whole<1, 10_000>>,
    }
}

impl ReplayForm {
    /// Most deliveries a second.
    pub(super) fn rate(&self) -> u32 {
        self.rate.map_or(DEFAULT_RATE, |rate| rate.0)
    }

    /// Which deliveries are asked for now.
    ///
    /// # Errors
    /// [`Problem::Invalid`] where no event was accepted in that time.
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
            after: EventId::floor(since.unwrap_or(OffsetDateTime::UNIX_EPOCH)),
            below: EventId::floor(until),
        })
    }
}
