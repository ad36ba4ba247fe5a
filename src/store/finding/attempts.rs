//! Attempts, newest first.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::super::connection::Param;
use super::super::logs::logged;
use super::super::{LoggedAttempt, Store, StoreError, sql};
use super::{MAX_EXAMINED, MAX_EXAMINING_MS, Searched, given};
use crate::domain::id::TenantId;

/// Selects attempts; an empty list means all.
#[derive(Debug, Clone)]
pub(crate) struct AttemptSearch {
    /// `None` for all tenants.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) subscriptions: Vec<Uuid>,
    pub(crate) events: Vec<Uuid>,
    pub(crate) event_types: Vec<String>,
    pub(crate) outcomes: Vec<&'static str>,
    /// Only successes, only failures, or both.
    pub(crate) succeeded: Option<bool>,
    pub(crate) status_codes: Vec<i32>,
    /// The hundreds of their codes.
    pub(crate) status_classes: Vec<i32>,
    /// Smallest id; ids contain the time.
    pub(crate) from: Uuid,
    pub(crate) before: Uuid,
    pub(crate) with_payload: bool,
    pub(crate) limit: i64,
}

impl Store {
    /// A page of attempts, newest first.
    pub(crate) async fn search_attempts(
        &self,
        filter: &AttemptSearch,
    ) -> Result<Searched<LoggedAttempt, Uuid>, StoreError> {
        let tenant = filter.tenant.map(TenantId::uuid);
        let (subscriptions, events) = (given(&filter.subscriptions), given(&filter.events));
        let (types, outcomes) = (given(&filter.event_types), given(&filter.outcomes));
        let (codes, classes) = (given(&filter.status_codes), given(&filter.status_classes));
        let params: [Param<'_>; 14] = [
            (&tenant, Type::UUID),
            (&subscriptions, Type::UUID_ARRAY),
            (&events, Type::UUID_ARRAY),
            (&types, Type::TEXT_ARRAY),
            (&outcomes, Type::TEXT_ARRAY),
            (&filter.succeeded, Type::BOOL),
            (&codes, Type::INT4_ARRAY),
            (&classes, Type::INT4_ARRAY),
            (&filter.from, Type::UUID),
            (&filter.before, Type::UUID),
            (&filter.limit, Type::INT8),
            (&MAX_EXAMINED, Type::INT8),
            (&MAX_EXAMINING_MS, Type::FLOAT8),
            (&filter.with_payload, Type::BOOL),
        ];
        let mut page = Searched::default();
        for row in &self.interactive().await?.query(&sql::SEARCH_ATTEMPTS, &params).await? {
            match row.try_get("is_found")? {
                true => page.rows.push(logged(row)?),
                false => page.examined_to = Some(row.try_get("id")?),
            }
        }
        Ok(page)
    }
}
