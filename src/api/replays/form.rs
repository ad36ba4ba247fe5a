//! The body that begins a replay: documented, read strictly.

use poem_openapi::Object;
use time::OffsetDateTime;

use crate::api::problem::Problem;
use crate::api::strict::{Field, Fields};
use crate::api::subscription_path::SubscriptionPath;
use crate::api::subscriptions::read_event_types;
use crate::api::text::Moment;
use crate::domain::id::EventId;
use crate::domain::replay::{Ending, NotAnEnding, Selection};

/// Deliveries a second where nobody says otherwise.
const DEFAULT_RATE: u32 = 100;
const MAX_RATE: u32 = 10_000;

/// Which deliveries are made again. It documents; [`Wanted`] reads.
#[derive(Debug, Object)]
pub(super) struct ReplayForm {
    /// Whom they are for: a subscription, by its id or its external id.
    #[oai(validator(min_length = 1, max_length = 255))]
    subscription_id: String,
    /// How they ended: `failed`, `expired`, `skipped`, `cancelled`, `succeeded`, or `missed` for
    /// events that the subscription did not get and whose type it wants now. When left out,
    /// `failed`, `expired` and `skipped`.
    #[oai(validator(min_items = 1, max_items = 6))]
    statuses: Option<Vec<String>>,
    /// Which types their events have: names, `prefix.*`, or `*`. Null or empty for all.
    #[oai(validator(max_items = 100))]
    event_types: Option<Vec<String>>,
    /// Events accepted from then on, to the millisecond; all that are kept when left out.
    since: Option<Moment>,
    /// Events accepted before, at most until now; until now when left out.
    until: Option<Moment>,
    /// Most deliveries a second; 100 when left out.
    #[oai(validator(minimum(value = "1"), maximum(value = "10000")))]
    rate: Option<u32>,
}

/// What a body asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) subscription: SubscriptionPath,
    pub(super) selection: Selection,
    pub(super) rate: u32,
}

impl Wanted {
    /// Reads a body that came at this time.
    ///
    /// # Errors
    /// [`Problem::Invalid`] with every rule that it breaks.
    pub(super) fn read(mut fields: Fields<'_>, now: OffsetDateTime) -> Result<Self, Problem> {
        let subscription = read_subscription(&mut fields);
        let statuses = read_statuses(&mut fields);
        let event_types = read_event_types(&mut fields).unwrap_or_default();
        let [since, until] = ["since", "until"].map(|name| fields.moment(name));
        let rate = fields.whole("rate", 1..=MAX_RATE).given().unwrap_or(DEFAULT_RATE);
        let until = until.map_or(now, |until| until.min(now));
        if since.is_some_and(|since| since >= until) {
            fields.refuse("/since", "not_before_until", "must be before until, and in the past");
        }
        fields.finish()?;
        let selection = Selection {
            statuses,
            event_types,
            after: EventId::floor(since.unwrap_or(OffsetDateTime::UNIX_EPOCH)),
            below: EventId::floor(until),
        };
        Ok(Self { subscription: subscription.ok_or(Problem::Internal)?, selection, rate })
    }
}

fn read_subscription(fields: &mut Fields<'_>) -> Option<SubscriptionPath> {
    match fields.text("subscription_id") {
        Field::Given(text) => match text.parse() {
            Ok(name) => return Some(SubscriptionPath(name)),
            Err(rule) => fields.refuse("/subscription_id", "invalid_id", rule),
        },
        _ if fields.is_refused("subscription_id") => {}
        _ => fields.refuse("/subscription_id", "required", "must be given"),
    }
    None
}

fn read_statuses(fields: &mut Fields<'_>) -> Vec<Ending> {
    let Field::Given(words) = fields.texts("statuses") else { return Ending::UNDELIVERED.to_vec() };
    if words.is_empty() {
        fields.refuse("/statuses", "out_of_range", "must have at least one entry");
    }
    let mut statuses = Vec::new();
    for (index, word) in words.iter().enumerate() {
        match word.parse::<Ending>() {
            Ok(ending) if statuses.contains(&ending) => {}
            Ok(ending) => statuses.push(ending),
            Err(rule @ NotAnEnding) => fields.refuse(format!("/statuses/{index}"), "unknown_status", rule),
        }
    }
    statuses
}
