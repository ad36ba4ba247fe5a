//! The table `subscriptions`. Secrets pass through sealed; nothing here can open them.

mod list;
mod row;

pub use list::{ListRow, ListRows};
pub use row::{NewVersion, StoredSubscription};

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::audit::changed_by;
use super::connection::Param;
use super::finding::{Searched, given};
use super::sealed::{self, SealedOlder};
use super::{Store, StoreError, sql};
use crate::domain::actor::Actor;
use crate::domain::external_id::ExternalId;
use crate::domain::id::{SubscriptionId, TenantId};
use crate::domain::rotation::{MAX_OLDER, Overlap};
use crate::domain::tenant::TenantName;
use row::{Decided, new_version, stored};

#[derive(Debug, Clone)]
pub enum Rotation {
    Done {
        written: NewVersion,
        /// The older secrets that are live now, newest first.
        older: Vec<SealedOlder>,
    },
    /// Too many older secrets would be live; nothing was written.
    TooMany,
    /// The row has another version, or is gone.
    Outrun,
}

/// Subscriptions that one page of a search looks at.
const MAX_EXAMINED: i64 = 5_000;

pub(super) const MAX_CANCELLED_COUNTED: i64 = 10_000;

/// Which subscriptions of a tenant.
#[derive(Debug, Clone, Default)]
pub struct SubscriptionSearch {
    /// In the target, the external id or the description, in upper or lower case.
    pub text: Option<String>,
    /// `disabled`, or the state of the receiver; empty for all.
    pub states: Vec<&'static str>,
}

/// Deliveries that the deletion of their subscription cancels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CancelledByDeletion {
    pub deliveries: i64,
    pub more: bool,
}

/// Result of creating a subscription.
#[derive(Debug, Clone)]
pub enum Creation {
    /// It is stored.
    Created(NewVersion),
    /// The tenant has as many as it may: the limit.
    LimitReached(u32),
    /// The tenant is deleted.
    NoTenant,
}

impl CancelledByDeletion {
    /// A count that stops at 10,000.
    pub(super) fn counted(count: i64) -> Self {
        Self { deliveries: count.min(MAX_CANCELLED_COUNTED), more: count > MAX_CANCELLED_COUNTED }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let sum = Self::counted(self.deliveries + other.deliveries);
        Self { more: sum.more || self.more || other.more, ..sum }
    }
}

impl Store {
    /// Ignores version, reason and times of `row`.
    pub async fn create_subscription(
        &self,
        row: &StoredSubscription,
        default_limit: Option<u32>,
        actor: &Actor,
    ) -> Result<Creation, StoreError> {
        let (tenant, id) = (row.tenant.uuid(), row.id.uuid());
        let decided = Decided::of(row);
        let key: [Param<'_>; 2] = [(&tenant, Type::UUID), (&id, Type::UUID)];
        let limit = default_limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX));
        let by = changed_by(actor);
        let last: [Param<'_>; 2] = [(&by, Type::TEXT), (&limit, Type::INT4)];
        let params: Vec<_> = key.into_iter().chain(decided.params(row)).chain(last).collect();
        let rows = self.interactive().await?.query(&sql::CREATE_SUBSCRIPTION, &params).await?;
        if let Some(created) = rows.first() {
            return new_version(created).map(Creation::Created);
        }
        let tenant = self.find_tenants(&[TenantName::Id(row.tenant)]).await?.pop().map(|row| row.tenant);
        let limit = tenant.map(|tenant| tenant.limits.max_subscriptions.or(default_limit).unwrap_or_default());
        Ok(limit.map_or(Creation::NoTenant, Creation::LimitReached))
    }

    pub async fn read_subscription(
        &self,
        tenant: TenantId,
        id: SubscriptionId,
    ) -> Result<Option<StoredSubscription>, StoreError> {
        Ok(self.read_subscriptions(tenant, &[id]).await?.pop())
    }

    /// Leaves out deleted ones and those of other tenants.
    pub async fn read_subscriptions(
        &self,
        tenant: TenantId,
        ids: &[SubscriptionId],
    ) -> Result<Vec<StoredSubscription>, StoreError> {
        let tenant = tenant.uuid();
        let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
        let params: [Param<'_>; 2] = [(&tenant, Type::UUID), (&ids, Type::UUID_ARRAY)];
        let rows = self.lookup().await?.query(&sql::READ_SUBSCRIPTIONS, &params).await?;
        rows.iter().map(stored).collect()
    }

    /// Of any tenant, for requests without a key. Anybody can send those, so one at a time is looked up: the keys of
    /// others are read on the other connections of this pool.
    pub async fn find_subscription(&self, id: SubscriptionId) -> Result<Option<StoredSubscription>, StoreError> {
        let id = id.uuid();
        let alone = tokio::time::timeout(super::CHECKOUT_LIMIT, self.keyless.acquire()).await;
        let _alone = alone.map_err(|_| StoreError::Unavailable("too many look-ups without a key".to_owned()))?;
        let rows = self.lookup().await?.query(&sql::FIND_SUBSCRIPTION, &[(&id, Type::UUID)]).await?;
        rows.first().map(stored).transpose()
    }

    /// Leaves out deleted ones; in no order.
    pub async fn resolve_subscriptions(
        &self,
        tenant: TenantId,
        names: &[ExternalId],
    ) -> Result<Vec<SubscriptionId>, StoreError> {
        let tenant = tenant.uuid();
        let names: Vec<&str> = names.iter().map(ExternalId::as_str).collect();
        let params: [Param<'_>; 2] = [(&tenant, Type::UUID), (&names, Type::TEXT_ARRAY)];
        let rows = self.lookup().await?.query(&sql::RESOLVE_SUBSCRIPTIONS, &params).await?;
        rows.iter().map(|row| Ok(row.try_get::<_, Uuid>("id")?.into())).collect()
    }

    /// Newest first, with ids below `before`.
    pub(crate) async fn list_subscriptions(
        &self,
        tenant: TenantId,
        search: &SubscriptionSearch,
        before: Option<SubscriptionId>,
        limit: i64,
    ) -> Result<Searched<StoredSubscription, Uuid>, StoreError> {
        let (tenant, before): (Uuid, Option<Uuid>) = (tenant.uuid(), before.map(SubscriptionId::uuid));
        let (text, states) = (search.text.as_deref(), given(&search.states));
        // Without a filter every row that is examined is found: a page examines no more than it shows.
        let is_search = text.is_some() || states.is_some();
        let most = if is_search { MAX_EXAMINED } else { limit };
        let params: [Param<'_>; 6] = [
            (&tenant, Type::UUID),
            (&before, Type::UUID),
            (&limit, Type::INT8),
            (&text, Type::TEXT),
            (&states, Type::TEXT_ARRAY),
            (&most, Type::INT8),
        ];
        let mut page = Searched::default();
        for row in &self.interactive().await?.query(&sql::LIST_SUBSCRIPTIONS, &params).await? {
            page.examined_to = row.try_get::<_, Option<Uuid>>("examined_to")?.filter(|_| is_search);
            if row.try_get::<_, Option<Uuid>>("id")?.is_some() {
                page.rows.push(stored(row)?);
            }
        }
        Ok(page)
    }

    /// `None` if `row.version` is no longer the row's version.
    pub async fn replace_subscription(
        &self,
        row: &StoredSubscription,
        actor: &Actor,
    ) -> Result<Option<NewVersion>, StoreError> {
        let (tenant, id) = (row.tenant.uuid(), row.id.uuid());
        let decided = Decided::of(row);
        let key: [Param<'_>; 3] = [(&tenant, Type::UUID), (&id, Type::UUID), (&row.version, Type::INT8)];
        let (stamp, by) = (self.version_stamp(), changed_by(actor));
        let last: [Param<'_>; 2] = [(&stamp, Type::INT8), (&by, Type::TEXT)];
        let params: Vec<_> = key.into_iter().chain(decided.params(row)).chain(last).collect();
        let rows = self.interactive().await?.query(&sql::REPLACE_SUBSCRIPTION, &params).await?;
        rows.first().map(new_version).transpose()
    }

    /// The replaced secret stays valid for the overlap.
    pub async fn rotate_secret(
        &self,
        row: &StoredSubscription,
        sealed: &[u8],
        overlap: Overlap,
        actor: &Actor,
    ) -> Result<Rotation, StoreError> {
        let (tenant, id, overlap) = (row.tenant.uuid(), row.id.uuid(), overlap.duration().as_secs_f64());
        let (stamp, by) = (self.version_stamp(), changed_by(actor));
        let params: [Param<'_>; 7] = [
            (&tenant, Type::UUID),
            (&id, Type::UUID),
            (&row.version, Type::INT8),
            (&sealed, Type::BYTEA),
            (&overlap, Type::FLOAT8),
            (&stamp, Type::INT8),
            (&by, Type::TEXT),
        ];
        let rows = self.interactive().await?.query(&sql::ROTATE_SECRET, &params).await?;
        let Some(row) = rows.first() else { return Ok(Rotation::Outrun) };
        if row.try_get::<_, Option<i64>>("version")?.is_some() {
            return Ok(Rotation::Done { written: new_version(row)?, older: sealed::older(row)? });
        }
        let older = usize::try_from(row.try_get::<_, i32>("older")?).unwrap_or(0);
        Ok(if older > MAX_OLDER { Rotation::TooMany } else { Rotation::Outrun })
    }

    /// Deletes softly. `None` if there is no such subscription.
    pub async fn delete_subscription(
        &self,
        tenant: TenantId,
        id: SubscriptionId,
        actor: &Actor,
    ) -> Result<Option<CancelledByDeletion>, StoreError> {
        let (tenant, id, stamp) = (tenant.uuid(), id.uuid(), self.version_stamp());
        let by = changed_by(actor);
        let params: [Param<'_>; 5] = [
            (&tenant, Type::UUID),
            (&id, Type::UUID),
            (&stamp, Type::INT8),
            (&MAX_CANCELLED_COUNTED, Type::INT8),
            (&by, Type::TEXT),
        ];
        let rows = self.interactive().await?.query(&sql::DELETE_SUBSCRIPTION, &params).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(CancelledByDeletion::counted(row.try_get("cancelled")?)))
    }

    /// Whether the tenant has or had it.
    pub async fn known_subscription(&self, tenant: TenantId, id: SubscriptionId) -> Result<bool, StoreError> {
        let (tenant, id) = (tenant.uuid(), id.uuid());
        let params: [Param<'_>; 2] = [(&tenant, Type::UUID), (&id, Type::UUID)];
        Ok(!self.interactive().await?.query(&sql::KNOWN_SUBSCRIPTION, &params).await?.is_empty())
    }
}
