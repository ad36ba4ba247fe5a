//! Ids that `postrider.publish()` returned and that are no event yet, or never will be.

use super::Api;
use super::problem::Problem;
use crate::domain::id::{EventId, TenantId};
use crate::store::{Outcome, Unpublished};

pub(super) const PENDING: &str = "pending";
pub(super) const REFUSED: &str = "refused";

/// What an id without an event leads to.
pub(super) enum Found {
    /// The event with the same idempotency key, or the event itself, published between two reads.
    Event(EventId),
    Unpublished(Unpublished),
}

pub(super) async fn find(api: &Api, tenant: TenantId, id: EventId) -> Result<Found, Problem> {
    Ok(match api.store.find_unpublished(tenant, id).await? {
        Some(Unpublished { outcome: Outcome::DuplicateOf(event), .. }) => Found::Event(event),
        Some(unpublished) => Found::Unpublished(unpublished),
        None => Found::Event(id),
    })
}

/// Its status, and why it was refused.
pub(super) fn status(unpublished: &Unpublished) -> (&'static str, Option<String>) {
    match &unpublished.outcome {
        Outcome::Refused(code, detail) => (REFUSED, Some(format!("{code}: {detail}"))),
        Outcome::Waiting | Outcome::DuplicateOf(_) => (PENDING, None),
    }
}
