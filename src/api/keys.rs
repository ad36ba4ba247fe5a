//! `/keys`: API keys. A tenant's admin key manages the keys of its tenant, an operator key all.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi};
use serde::Serialize;
use uuid::Uuid;

use super::Api;
use super::access::{Admin, AllowedForAll};
use super::docs::Resource;
use super::form::{Field, form};
use super::page::{self, Cursor, Limit, List};
use super::parameter::{Path, Query};
use super::payload::{Answer, Document};
use super::problem::Problem;
use super::text::{Moment, Name};
use crate::domain::api_key::Scope;
use crate::domain::id::TenantId;
use crate::domain::tenant::TenantName;
use crate::store::{ApiKeyRow, NewKey, Revocation};

/// The resource.
pub(super) struct KeysApi(pub(super) Arc<Api>);

form! {
    /// A new key.
    pub(super) struct KeyForm {
        /// A name for people. Not blank.
        name: Option<Name>,
        /// Id or external id of its tenant; null for an operator key, which only an operator key can create.
        /// If left out, the tenant of the caller's key.
        tenant: Field<TenantName>,
        /// What it allows: `admin` if left out.
        scope: Option<Scope>,
        /// When it expires; null or left out = never.
        expires_at: Option<Moment>,
    }
}

/// A key.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all, rename = "Key")]
pub(super) struct KeyAnswer {
    /// Its id, the public half of the key.
    id: Uuid,
    /// The whole key; only in the answer that creates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// A name for people.
    name: Option<String>,
    /// Its tenant; null for an operator key.
    tenant_id: Option<Uuid>,
    /// What it allows: `admin`, `publish`, `read` or `support`.
    scope: &'static str,
    /// When it expires; null = never.
    expires_at: Option<Moment>,
    /// When it was created.
    created_at: Moment,
    /// When it was last used, at most a minute late; null = never.
    last_used_at: Option<Moment>,
    /// When it was revoked; null if it was not.
    revoked_at: Option<Moment>,
}

/// A page of keys.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct KeyList {
    /// The keys.
    data: Vec<KeyAnswer>,
    /// The cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

/// A key was revoked.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct KeyRevoked {
    /// For people.
    message: &'static str,
    /// The key's id.
    id: Uuid,
}

#[OpenApi(prefix_path = "/keys", tag = "Resource::Keys")]
impl KeysApi {
    /// Create a key
    ///
    /// Only this answer shows the key. A tenant's key can create keys of its own tenant only.
    #[oai(path = "/", method = "post", operation_id = "create_key")]
    async fn create(
        &self,
        caller: AllowedForAll<Admin>,
        body: Document<KeyForm>,
    ) -> Result<Answer<KeyAnswer, 201>, Problem> {
        let KeyForm { name, tenant, scope, expires_at } = body.read(&self.0.settings.targets)?;
        let (scope, expires_at) = (scope.unwrap_or(Scope::Admin), expires_at.map(|end| end.0));
        if expires_at.is_some_and(|end| end <= self.0.clock.now()) {
            return Err(Problem::field("/expires_at", "in_the_past", "must be in the future"));
        }
        let tenant = match tenant {
            Field::Given(name) => Some(caller.tenant_named(&self.0.tenants, &name.to_string()).await?),
            Field::Null => {
                caller.operator()?;
                None
            }
            Field::Absent => caller.tenant,
        };
        let (text, name) = (tenant.map(|tenant| tenant.to_string()), name.map(|name| name.0));
        let wanted = NewKey { tenant: text.as_deref(), name: name.as_deref(), scope, expires_at };
        let made = self.0.store.create_api_key(&wanted, caller.actor()).await?.ok_or(Problem::TenantNotFound)?;
        Ok(Answer::Value(KeyAnswer {
            key: Some(made.text),
            ..KeyAnswer::of(ApiKeyRow {
                id: made.id,
                tenant: made.tenant,
                tenant_title: None,
                name,
                scope,
                created_at: made.created_at,
                expires_at,
                last_used_at: None,
                revoked_at: None,
            })
        }))
    }

    /// List keys
    ///
    /// Newest first, with those that are revoked or expired; without portal sessions.
    #[oai(path = "/", method = "get", operation_id = "list_keys")]
    async fn list(
        &self,
        caller: AllowedForAll<Admin>,
        /// Only keys of this tenant, by its id or its external id.
        tenant: Query<TenantName>,
        /// Keys per page.
        limit: Query<Limit>,
        /// `next_cursor` of the page before.
        cursor: Query<Cursor<{ List::Keys as u8 }>>,
    ) -> Result<Answer<KeyList>, Problem> {
        let tenant: Option<TenantId> = match tenant.0 {
            Some(name) => Some(caller.tenant_named(&self.0.tenants, &name.to_string()).await?),
            None => caller.tenant,
        };
        let limit = page::limit(&limit);
        let before = cursor.0.map(|cursor| cursor.0.into());
        let wanted = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let rows = self.0.store.list_api_keys(tenant, before, wanted).await?;
        let (rows, next_cursor) = page::cut(rows, limit, List::Keys, |row| row.id.uuid());
        Ok(Answer::Value(KeyList { data: rows.into_iter().map(KeyAnswer::of).collect(), next_cursor }))
    }

    /// Revoke a key
    ///
    /// No replica accepts it after one second. Ends a portal session too, by its id.
    #[oai(path = "/:key_id", method = "delete", operation_id = "revoke_key")]
    async fn revoke(
        &self,
        caller: AllowedForAll<Admin>,
        /// The key, by its id.
        key_id: Path<Uuid>,
    ) -> Result<Answer<KeyRevoked>, Problem> {
        let id = key_id.0.into();
        match self.0.store.revoke_api_key(id, caller.tenant, caller.actor()).await? {
            Revocation::Unknown => return Err(Problem::KeyNotFound),
            Revocation::Now | Revocation::Before(_) => self.0.tenants.forget_key(id),
        }
        Ok(Answer::Value(KeyRevoked { message: "key revoked", id: key_id.0 }))
    }
}

impl KeyAnswer {
    fn of(row: ApiKeyRow) -> Self {
        Self {
            id: row.id.uuid(),
            key: None,
            name: row.name,
            tenant_id: row.tenant.map(TenantId::uuid),
            scope: row.scope.as_str(),
            expires_at: row.expires_at.map(Moment),
            created_at: Moment(row.created_at),
            last_used_at: row.last_used_at.map(Moment),
            revoked_at: row.revoked_at.map(Moment),
        }
    }
}
