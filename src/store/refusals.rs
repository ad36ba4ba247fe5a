//! The table `refusals`: requests to publish that were refused.

use std::net::IpAddr;
use std::time::Duration;

use time::OffsetDateTime;
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::connection::Param;
use super::{Searched, Store, StoreError, sql};
use crate::domain::id::{ApiKeyId, SubscriptionId, TenantId};

/// A page with a filter that no index has examines no more rows.
const MAX_EXAMINED: i64 = 20_000;
/// In place of a tenant, where there is none.
const NOBODY: Uuid = Uuid::nil();

/// A refused request that is to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewRefusal {
    pub(crate) id: Uuid,
    pub(crate) at: OffsetDateTime,
    /// `None` if only the key's id or the subscription may tell.
    pub(crate) tenant: Option<TenantId>,
    /// Whether a valid key or signature came with it.
    pub(crate) is_own: bool,
    pub(crate) key: Option<ApiKeyId>,
    pub(crate) subscription: Option<SubscriptionId>,
    /// Id or external id, as in the request.
    pub(crate) subscription_name: Option<String>,
    pub(crate) status: i16,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    pub(crate) route: &'static str,
    pub(crate) event_type: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) request_id: String,
    pub(crate) remote_address: Option<IpAddr>,
    pub(crate) beginning: Option<Vec<u8>>,
}

/// A stored one.
#[derive(Debug, Clone)]
pub(crate) struct RefusalRow {
    pub(crate) id: Uuid,
    pub(crate) at: OffsetDateTime,
    pub(crate) tenant: Option<Uuid>,
    pub(crate) status: i16,
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) route: String,
    pub(crate) subscription: Option<String>,
    pub(crate) subscription_id: Option<Uuid>,
    pub(crate) event_type: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) key: Option<Uuid>,
    pub(crate) remote_address: Option<IpAddr>,
    pub(crate) request_id: String,
    pub(crate) beginning: Option<Vec<u8>>,
}

/// Selects refusals.
#[derive(Debug, Clone)]
pub(crate) struct RefusalFilter {
    /// `None` for all tenants, and for those without one.
    pub(crate) tenant: Option<TenantId>,
    /// Empty for all.
    pub(crate) codes: Vec<String>,
    /// Smallest id; ids contain the time.
    pub(crate) from: Uuid,
    pub(crate) before: Uuid,
    pub(crate) limit: i64,
}

impl Store {
    /// Writes them, and deletes the oldest of each of their tenants above `per_tenant`. Repeating it changes nothing.
    pub(crate) async fn write_refusals(&self, rows: &[NewRefusal], per_tenant: u32) -> Result<(), StoreError> {
        let most = i32::try_from(per_tenant).unwrap_or(i32::MAX);
        macro_rules! column {
            ($row:ident => $value:expr) => {
                rows.iter().map(|$row| $value).collect::<Vec<_>>()
            };
        }
        let params: [Param<'_>; 17] = [
            (&column!(row => row.id), Type::UUID_ARRAY),
            (&column!(row => row.at), Type::TIMESTAMPTZ_ARRAY),
            (&column!(row => row.tenant.map(TenantId::uuid)), Type::UUID_ARRAY),
            (&column!(row => row.is_own), Type::BOOL_ARRAY),
            (&column!(row => row.key.map(ApiKeyId::uuid)), Type::UUID_ARRAY),
            (&column!(row => row.subscription.map(SubscriptionId::uuid)), Type::UUID_ARRAY),
            (&column!(row => row.subscription_name.as_deref()), Type::TEXT_ARRAY),
            (&column!(row => row.status), Type::INT2_ARRAY),
            (&column!(row => row.code), Type::TEXT_ARRAY),
            (&column!(row => row.detail.as_str()), Type::TEXT_ARRAY),
            (&column!(row => row.route), Type::TEXT_ARRAY),
            (&column!(row => row.event_type.as_deref()), Type::TEXT_ARRAY),
            (&column!(row => row.idempotency_key.as_deref()), Type::TEXT_ARRAY),
            (&column!(row => row.request_id.as_str()), Type::TEXT_ARRAY),
            (&column!(row => row.remote_address), Type::INET_ARRAY),
            (&column!(row => row.beginning.as_deref()), Type::BYTEA_ARRAY),
            (&most, Type::INT4),
        ];
        self.interactive().await?.query(&sql::WRITE_REFUSALS, &params).await?;
        Ok(())
    }

    pub(crate) async fn list_refusals(&self, filter: &RefusalFilter) -> Result<Searched<RefusalRow, Uuid>, StoreError> {
        let tenant = filter.tenant.map(TenantId::uuid);
        let codes = Some(&filter.codes).filter(|codes| !codes.is_empty());
        let examined = if codes.is_some() { MAX_EXAMINED } else { filter.limit };
        let params: [Param<'_>; 6] = [
            (&tenant, Type::UUID),
            (&codes, Type::TEXT_ARRAY),
            (&filter.from, Type::UUID),
            (&filter.before, Type::UUID),
            (&filter.limit, Type::INT8),
            (&examined, Type::INT8),
        ];
        let mut page = Searched::default();
        for row in &self.interactive().await?.query(&sql::LIST_REFUSALS, &params).await? {
            page.examined_to = row.try_get("examined_to")?;
            if row.try_get::<_, Option<Uuid>>("id")?.is_some() {
                page.rows.push(refusal_row(row)?);
            }
        }
        Ok(page)
    }

    /// Deletes up to `most` rows that are older. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`] from the database.
    pub async fn forget_refusals(&self, older_than: Duration, most: i64) -> Result<i64, StoreError> {
        let older_than = older_than.as_secs_f64();
        let params: [Param<'_>; 2] = [(&older_than, Type::FLOAT8), (&most, Type::INT8)];
        let rows = self.maintenance().await?.query(&sql::FORGET_REFUSALS, &params).await?;
        Ok(rows.first().map(|row| row.try_get("forgotten")).transpose()?.unwrap_or(0))
    }
}

pub(super) fn refusal_row(row: &Row) -> Result<RefusalRow, StoreError> {
    let tenant: Uuid = row.try_get("tenant_id")?;
    Ok(RefusalRow {
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        tenant: Some(tenant).filter(|tenant| *tenant != NOBODY),
        status: row.try_get("status")?,
        code: row.try_get("code")?,
        detail: row.try_get("detail")?,
        route: row.try_get("route")?,
        subscription: row.try_get("subscription")?,
        subscription_id: row.try_get("subscription_id")?,
        event_type: row.try_get("event_type")?,
        idempotency_key: row.try_get("idempotency_key")?,
        key: row.try_get("key_id")?,
        remote_address: row.try_get("remote_address")?,
        request_id: row.try_get("request_id")?,
        beginning: row.try_get("beginning")?,
    })
}
