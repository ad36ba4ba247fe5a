//! Who changes something, as the rows of the audit say it.

use serde_json::json;
use time::OffsetDateTime;

use crate::domain::actor::Actor;

/// What `changed_by` holds. The time makes two changes by the same request differ.
pub(super) fn changed_by(actor: &Actor) -> String {
    let at = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos()).unwrap_or(i64::MAX);
    let key = actor.key().map(|key| key.to_string());
    json!({ "kind": actor.kind(), "key": key, "request_id": actor.request_id, "at": at }).to_string()
}
