//! The value of `changed_by`, from which triggers write the audit.

use serde_json::json;
use time::OffsetDateTime;

use crate::domain::actor::Actor;

/// The time makes two changes by one request differ.
pub(super) fn changed_by(actor: &Actor) -> String {
    let at = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos()).unwrap_or(i64::MAX);
    let key = actor.key().map(|key| key.to_string());
    json!({ "kind": actor.kind(), "key": key, "request_id": actor.request_id, "at": at }).to_string()
}
