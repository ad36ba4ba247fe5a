//! `/tenants`: who owns subscriptions, events and keys. For operator keys only.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use poem_openapi::OpenApi;
use tokio::time::Instant;

use super::Api;
use super::access::{Admin, AllowedForAll};
use super::docs::Resource;
use super::page::{self, Cursor, Limit, List, Page};
use super::parameter::{Path, Queries, Query};
use super::payload::{Answer, Document, Written};
use super::problem::Problem;
use super::text::SearchText;
use crate::domain::external_id::ExternalId;
use crate::domain::tenant::{DEFAULT_TENANT, TenantName};
use crate::store::{CancelledByDeletion, Searched, TenantRow};

mod form;

use form::{Changes, TenantAnswer, TenantDeleted, TenantForm, TenantList, TenantPatch};

/// How often a change is retried if somebody else wrote in between.
const CHANGE_TRIES: usize = 5;
/// Subscriptions that one statement ends.
const ENDED_AT_ONCE: i64 = 500;
/// How long a request begins such statements; upkeep ends the other subscriptions.
const END_BUDGET: Duration = Duration::from_millis(1_000);

/// The resource.
pub(super) struct TenantsApi(pub(super) Arc<Api>);

#[OpenApi(prefix_path = "/tenants", tag = "Resource::Tenants")]
impl TenantsApi {
    /// Create a tenant
    ///
    /// Only for operator keys, as all of `/tenants`.
    #[oai(path = "/", method = "post", operation_id = "create_tenant")]
    async fn create(
        &self,
        caller: AllowedForAll<Admin>,
        body: Document<TenantForm>,
    ) -> Result<Answer<TenantAnswer, 201>, Problem> {
        let actor = caller.operator()?;
        let form = body.read(&self.0.settings.targets)?;
        let (row, _) = self.0.store.write_tenant(&form.choices()?, false, actor).await?;
        Ok(Answer::Value(TenantAnswer::of(row)))
    }

    /// List tenants
    ///
    /// Newest first. A page examines at most 20,000 tenants; then it is short, even empty, with a
    /// `next_cursor`.
    #[oai(path = "/", method = "get", operation_id = "list_tenants")]
    async fn list(
        &self,
        caller: AllowedForAll<Admin>,
        /// Only the tenant with this external id; not together with `q`.
        external_id: Queries<ExternalId>,
        /// Only tenants whose name or external id contains this text, in upper or lower case.
        q: Query<SearchText>,
        /// Tenants per page.
        limit: Query<Limit>,
        /// `next_cursor` of the page before.
        cursor: Query<Cursor<{ List::Tenants as u8 }>>,
    ) -> Result<Answer<TenantList>, Problem> {
        caller.operator()?;
        let limit = page::limit(&limit);
        let before = cursor.0.map(|cursor| cursor.0.into());
        let page = if external_id.0.is_empty() {
            let text = q.0.as_ref().map(|text| text.0.as_str());
            let wanted = i64::try_from(limit + 1).unwrap_or(i64::MAX);
            self.0.store.list_tenants(text, before, wanted).await?
        } else if q.0.is_some() {
            return Err(Problem::field("/query/external_id", "conflict", "must not stand together with q"));
        } else {
            let names: Vec<_> = external_id.0.into_iter().map(TenantName::External).collect();
            let mut rows = self.0.store.find_tenants(&names).await?;
            rows.retain(|row| before.is_none_or(|before| row.tenant.id < before));
            rows.sort_unstable_by_key(|row| Reverse(row.tenant.id));
            Searched { rows, examined_to: None }
        };
        let Page { rows, next_cursor, examined_to } = Page::of(page, limit, List::Tenants, |row| row.tenant.id.uuid());
        let data = rows.into_iter().map(TenantAnswer::of).collect();
        Ok(Answer::Value(TenantList { data, next_cursor, examined_to }))
    }

    /// Read a tenant
    #[oai(path = "/:tenant", method = "get", operation_id = "read_tenant")]
    async fn read(
        &self,
        caller: AllowedForAll<Admin>,
        /// The tenant, by its id or its external id.
        tenant: Path<TenantName>,
    ) -> Result<Answer<TenantAnswer>, Problem> {
        caller.operator()?;
        self.find(&tenant.0).await.map(|row| Answer::Value(TenantAnswer::of(row)))
    }

    /// Create or replace a tenant
    ///
    /// By its external id: 201 if it is created, 200 if it is replaced. Fields left out take their defaults.
    #[oai(path = "/:tenant", method = "put", operation_id = "put_tenant")]
    async fn put(
        &self,
        caller: AllowedForAll<Admin>,
        /// The tenant, by its external id.
        tenant: Path<TenantName>,
        body: Document<TenantForm>,
    ) -> Result<Written<TenantAnswer>, Problem> {
        let actor = caller.operator()?;
        let TenantName::External(name) = tenant.0 else {
            return Err(Problem::field("/path/tenant", "invalid_external_id", "must be an external id, not a UUID"));
        };
        let mut form = body.read(&self.0.settings.targets)?;
        if form.external_id.replace(name.clone()).is_some_and(|given| given != name) {
            return Err(Problem::field("/external_id", "conflict", "must be the external id in the path"));
        }
        let (row, is_new) = self.0.store.write_tenant(&form.choices()?, true, actor).await?;
        self.0.tenants.forget_tenant(row.tenant.id);
        let answer = TenantAnswer::of(row);
        Ok(if is_new { Written::Created(answer) } else { Written::Replaced(answer) })
    }

    /// Change a tenant
    ///
    /// Fields left out stay. A change that changes nothing is not written: `updated_at` stays.
    #[oai(path = "/:tenant", method = "patch", operation_id = "change_tenant")]
    async fn change(
        &self,
        caller: AllowedForAll<Admin>,
        /// The tenant, by its id or its external id.
        tenant: Path<TenantName>,
        body: Document<TenantPatch>,
    ) -> Result<Answer<TenantAnswer>, Problem> {
        let actor = caller.operator()?;
        let changes = Changes::from(body.read(&self.0.settings.targets)?);
        for _ in 0..CHANGE_TRIES {
            let row = self.find(&tenant.0).await?;
            let current = row.choices();
            let changed = changes.over(current.clone())?;
            if changed == current {
                return Ok(Answer::Value(TenantAnswer::of(row)));
            }
            if let Some(written) = self.0.store.change_tenant(&row, &changed, actor).await? {
                self.0.tenants.forget_tenant(written.tenant.id);
                return Ok(Answer::Value(TenantAnswer::of(written)));
            }
        }
        Err(Problem::Unavailable)
    }

    /// Delete a tenant
    ///
    /// Its subscriptions end, its keys are revoked, and pending deliveries are cancelled. Its data stays until
    /// retention ends. The tenant `default` cannot be deleted.
    #[oai(path = "/:tenant", method = "delete", operation_id = "delete_tenant")]
    async fn delete(
        &self,
        caller: AllowedForAll<Admin>,
        /// The tenant, by its id or its external id.
        tenant: Path<TenantName>,
    ) -> Result<Answer<TenantDeleted>, Problem> {
        let actor = caller.operator()?;
        let (began, id) = (Instant::now(), self.find(&tenant.0).await?.tenant.id);
        if id == DEFAULT_TENANT {
            return Err(Problem::DefaultTenant);
        }
        if !self.0.store.delete_tenant(id, actor).await? {
            return Err(Problem::TenantNotFound);
        }
        self.0.tenants.forget_tenant(id);
        let mut cancelled = CancelledByDeletion::default();
        loop {
            let (ended, now) = self.0.store.end_subscriptions(id, ENDED_AT_ONCE, Some(actor)).await?;
            cancelled = cancelled.and(now);
            if ended < ENDED_AT_ONCE {
                break;
            }
            if began.elapsed() > END_BUDGET {
                // Upkeep ends the others.
                cancelled.more = true;
                break;
            }
        }
        self.0.notify_workers().await;
        Ok(Answer::Value(TenantDeleted::of(id.uuid(), cancelled)))
    }
}

impl TenantsApi {
    async fn find(&self, name: &TenantName) -> Result<TenantRow, Problem> {
        let mut found = self.0.store.find_tenants(std::slice::from_ref(name)).await?;
        found.pop().ok_or(Problem::TenantNotFound)
    }
}
