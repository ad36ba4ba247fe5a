//! Ids that `postrider.publish()` returned and that are no event yet, or never will be.

use super::Api;
use super::problem::Problem;
use crate::domain::id::{EventId, TenantId};
use crate::store::{Unpublished, UnpublishedAs};

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
        Some(Unpublished { state: UnpublishedAs::DuplicateOf(event), .. }) => Found::Event(event),
        Some(unpublished) => Found::Unpublished(unpublished),
        None => Found::Event(id),
    })
}

/// The event whose deliveries are to be changed.
///
/// # Errors
/// It waits or was refused: it has no deliveries.
pub(super) async fn published(api: &Api, tenant: TenantId, id: EventId) -> Result<EventId, Problem> {
    match find(api, tenant, id).await? {
        Found::Event(event) => Ok(event),
        Found::Unpublished(_) => Err(Problem::NotPublished),
    }
}

/// Its status, and why it was refused.
pub(super) fn status(unpublished: &Unpublished) -> (&'static str, Option<String>) {
    match &unpublished.state {
        UnpublishedAs::Refused(code, detail) => (REFUSED, Some(format!("{code}: {detail}"))),
        UnpublishedAs::Waiting | UnpublishedAs::DuplicateOf(_) => (PENDING, None),
    }
}
