//! `/audit`: who changed what, newest first.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::Api;
use super::access::{Admin, AllowedForAny};
use super::docs::Resource;
use super::page::{self, Cursor, Limit, List, Page};
use super::parameter::{Queries, Query};
use super::payload::Answer;
use super::problem::Problem;
use super::text::{Moment, choice};
use super::time_range::TimeRange;
use crate::store::{AuditFilter, AuditRow};

/// The resource.
pub(super) struct AuditApi(pub(super) Arc<Api>);

choice! {
    /// What was done.
    pub(super) enum Action {
        /// A tenant was created.
        TenantCreated = "tenant.created",
        /// A tenant was changed.
        TenantUpdated = "tenant.updated",
        /// A tenant was deleted.
        TenantDeleted = "tenant.deleted",
        /// A key was created.
        KeyCreated = "key.created",
        /// A key was revoked.
        KeyRevoked = "key.revoked",
        /// A portal session was opened.
        PortalSessionCreated = "portal_session.created",
        /// A portal session was ended before its time.
        PortalSessionRevoked = "portal_session.revoked",
        /// A subscription was created.
        SubscriptionCreated = "subscription.created",
        /// A subscription was changed otherwise than below.
        SubscriptionUpdated = "subscription.updated",
        /// `is_active` became true.
        SubscriptionEnabled = "subscription.enabled",
        /// `is_active` became false.
        SubscriptionDisabled = "subscription.disabled",
        /// Only its secret was replaced.
        SecretRotated = "subscription.secret_rotated",
        /// Held deliveries were cancelled.
        HeldCancelled = "subscription.held_cancelled",
        /// A subscription was deleted.
        SubscriptionDeleted = "subscription.deleted",
        /// An event type was created.
        EventTypeCreated = "event_type.created",
        /// An event type was changed.
        EventTypeUpdated = "event_type.updated",
        /// An event type was deleted.
        EventTypeDeleted = "event_type.deleted",
        /// Deliveries of an event were retried.
        EventRetried = "event.retried",
        /// Deliveries of an event were cancelled.
        EventCancelled = "event.cancelled",
        /// A replay was started.
        ReplayCreated = "replay.created",
        /// A replay was cancelled.
        ReplayCancelled = "replay.cancelled",
    }
}

/// One change.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct AuditEntry {
    /// Its id, a UUIDv7.
    id: Uuid,
    /// When it was made.
    at: Moment,
    /// The owner of the object; null for an operator key.
    tenant_id: Option<Uuid>,
    /// Who made it: `key`; `portal`; `anonymous` without keys; `command` at the command line; `sql` in the database; or
    /// `postrider` itself.
    actor: String,
    /// The key or the portal session, if the actor is one.
    key_id: Option<Uuid>,
    /// What was done, as `OBJECT.VERB`.
    action: String,
    /// `tenant`, `key`, `portal_session`, `subscription`, `event_type`, `event` or `replay`.
    object_kind: String,
    /// Id of the object.
    object_id: Uuid,
    /// Changed fields before; null for a created object. Secrets are masked.
    before: Option<Value>,
    /// Changed fields after, or counts and selection; null for a deleted object.
    after: Option<Value>,
    /// `X-Request-Id` of the request.
    request_id: Option<String>,
}

/// A page of the audit, newest first.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct AuditList {
    /// The rows; may be fewer than `limit`, even none, when many were examined.
    data: Vec<AuditEntry>,
    /// Asks for the next page; null on the last.
    next_cursor: Option<String>,
    /// Set if the page examined as many changes as it may: it has looked at those back to then.
    examined_to: Option<Moment>,
}

#[OpenApi(prefix_path = "/audit", tag = "Resource::Audit")]
impl AuditApi {
    /// List changes
    ///
    /// Who created, changed or deleted tenants, keys and subscriptions, retried or cancelled deliveries, and started or
    /// cancelled replays, newest first. Rows are kept for `POSTRIDER_AUDIT_RETENTION`.
    #[oai(path = "/", method = "get", operation_id = "list_audit")]
    #[expect(clippy::too_many_arguments, reason = "each is a documented parameter of the operation")]
    async fn list(
        &self,
        caller: AllowedForAny<Admin>,
        /// Only changes of this tenant, key, subscription, event or replay, by its id.
        object_id: Query<Uuid>,
        /// Only changes of this kind.
        action: Queries<Action>,
        /// Only changes made with this key.
        key_id: Query<Uuid>,
        /// Only changes from then on.
        since: Query<Moment>,
        /// Only changes before then.
        until: Query<Moment>,
        /// Rows of a page.
        limit: Query<Limit>,
        /// `next_cursor` of the page before.
        cursor: Query<Cursor<{ List::Audit as u8 }>>,
    ) -> Result<Answer<AuditList>, Problem> {
        let limit = page::limit(&limit);
        let range = TimeRange::new(since.0, until.0);
        let before = range.before(cursor.0.map(|cursor| cursor.0));
        let filter = AuditFilter {
            tenant: caller.tenant(),
            object: object_id.0,
            key: key_id.0,
            actions: action.0.into_iter().map(Action::word).collect(),
            from: range.from(),
            before,
            limit: i64::try_from(limit + 1).unwrap_or(i64::MAX),
        };
        let page = self.0.store.list_audit(&filter).await?;
        let found = Page::of(page, limit, List::Audit, |row| row.id);
        let data = found.rows.into_iter().filter(|row| range.holds(row.at)).map(AuditEntry::of).collect();
        Ok(Answer::Value(AuditList { data, next_cursor: found.next_cursor, examined_to: found.examined_to }))
    }
}

impl AuditEntry {
    fn of(row: AuditRow) -> Self {
        Self {
            id: row.id,
            at: Moment(row.at),
            tenant_id: row.tenant,
            actor: row.actor_kind,
            key_id: row.actor_key,
            action: row.action,
            object_kind: row.object_kind,
            object_id: row.object,
            before: row.before,
            after: row.after,
            request_id: row.request_id,
        }
    }
}
