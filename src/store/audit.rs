//! The table `audit`: who changed what.

use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::finding::given;
use super::{Searched, Store, StoreError, sql};
use crate::domain::actor::Actor;
use crate::domain::id::TenantId;

/// A page with a filter that no index has examines no more rows.
const MAX_EXAMINED: i64 = 20_000;

/// Selects rows of the audit.
#[derive(Debug, Clone)]
pub(crate) struct AuditFilter {
    /// `None` for all tenants.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) object: Option<Uuid>,
    pub(crate) key: Option<Uuid>,
    /// None for all.
    pub(crate) actions: Vec<&'static str>,
    /// Smallest id; ids contain the time.
    pub(crate) from: Uuid,
    pub(crate) before: Uuid,
    pub(crate) limit: i64,
}

/// One change.
#[derive(Debug, Clone)]
pub(crate) struct AuditRow {
    pub(crate) id: Uuid,
    pub(crate) at: OffsetDateTime,
    pub(crate) tenant: Option<Uuid>,
    pub(crate) actor_kind: String,
    pub(crate) actor_key: Option<Uuid>,
    pub(crate) action: String,
    pub(crate) object_kind: String,
    pub(crate) object: Uuid,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
    pub(crate) request_id: Option<String>,
}

impl AuditFilter {
    /// One filter is an index; further ones have to be looked for.
    fn most_examined(&self) -> i64 {
        let given = [self.tenant.is_some(), self.object.is_some(), self.key.is_some()];
        let by_index = given.into_iter().filter(|is_given| *is_given).count() < 2 && self.actions.is_empty();
        if by_index { self.limit } else { MAX_EXAMINED }
    }
}

impl Store {
    /// A page, newest first.
    pub(crate) async fn list_audit(&self, filter: &AuditFilter) -> Result<Searched<AuditRow, Uuid>, StoreError> {
        let (tenant, examined) = (filter.tenant.map(TenantId::uuid), filter.most_examined());
        let actions = given(&filter.actions);
        let params: [Param<'_>; 8] = [
            (&tenant, Type::UUID),
            (&filter.object, Type::UUID),
            (&filter.key, Type::UUID),
            (&actions, Type::TEXT_ARRAY),
            (&filter.from, Type::UUID),
            (&filter.before, Type::UUID),
            (&filter.limit, Type::INT8),
            (&examined, Type::INT8),
        ];
        let mut page = Searched::default();
        for row in &self.interactive().await?.query(&sql::LIST_AUDIT, &params).await? {
            page.examined_to = row.try_get("examined_to")?;
            if row.try_get::<_, Option<Uuid>>("id")?.is_some() {
                page.rows.push(audit_row(row)?);
            }
        }
        Ok(page)
    }

    /// Deletes up to `most` rows that are older. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn forget_audit(&self, older_than: Duration, most: i64) -> Result<i64, StoreError> {
        let older_than = older_than.as_secs_f64();
        let params: [Param<'_>; 2] = [(&older_than, Type::FLOAT8), (&most, Type::INT8)];
        let rows = self.maintenance().await?.query(&sql::FORGET_AUDIT, &params).await?;
        Ok(rows.first().map(|row| row.try_get("forgotten")).transpose()?.unwrap_or(0))
    }
}

fn audit_row(row: &Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        tenant: row.try_get("tenant_id")?,
        actor_kind: row.try_get("actor_kind")?,
        actor_key: row.try_get("actor_key")?,
        action: row.try_get("action")?,
        object_kind: row.try_get("object_kind")?,
        object: row.try_get("object_id")?,
        before: document(row, "before")?,
        after: document(row, "after")?,
        request_id: row.try_get("request_id")?,
    })
}

fn document(row: &Row, column: &str) -> Result<Option<Value>, StoreError> {
    let text: Option<&str> = row.try_get(column)?;
    let unreadable = |_| StoreError::Unreadable("a document of the audit".to_owned());
    text.map(serde_json::from_str).transpose().map_err(unreadable)
}

/// The time makes two changes by one request differ.
pub(super) fn changed_by(actor: &Actor) -> String {
    let at = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos()).unwrap_or(i64::MAX);
    let key = actor.key().map(|key| key.to_string());
    json!({ "kind": actor.kind(), "key": key, "request_id": actor.request_id, "at": at }).to_string()
}
