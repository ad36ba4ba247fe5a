//! The bodies that write a tenant, and what answers show of one.

use std::collections::BTreeMap;

use poem_openapi::Object;
use serde::Serialize;
use uuid::Uuid;

use crate::api::form::{Field, NotNull, Whole, form};
use crate::api::metadata::{MetadataChanges, MetadataEntries};
use crate::api::problem::Problem;
use crate::api::text::{Moment, Name};
use crate::domain::external_id::ExternalId;
use crate::domain::metadata::Metadata;
use crate::domain::tenant::{MAX_LIMIT, TenantLimits};
use crate::store::{CancelledByDeletion, TenantChoices, TenantRow};

form! {
    /// Limits of a tenant; null is the instance's limit.
    pub(super) struct LimitsForm {
        /// Maximum number of subscriptions.
        max_subscriptions: Field<Whole<1, MAX_LIMIT>>,
        /// Maximum events per second.
        publish_per_second: Field<Whole<1, MAX_LIMIT>>,
    }
}

form! {
    /// A new tenant, or the replacement of one.
    pub(super) struct TenantForm {
        /// A name for people; it need not be unique. Not blank.
        name: Name,
        /// Your own id for it, accepted wherever its id is. Unique, and not a UUID.
        pub(super) external_id: Option<ExternalId>,
        /// Your own notes: at most 50 keys of 1 to 40 characters, values of at most 500.
        metadata: Field<MetadataEntries<false>>,
        /// Its limits; the instance's if left out.
        limits: Option<LimitsForm>,
    }
}

form! {
    /// Changes of a tenant. Fields left out stay.
    pub(super) struct TenantPatch {
        /// A name for people. Not blank.
        name: NotNull<Name>,
        /// Your own id for it; null removes it.
        external_id: Field<ExternalId>,
        /// Keys to write. A key with null is removed; null for the whole object removes all keys.
        metadata: Field<MetadataEntries<true>>,
        /// Its limits: a limit left out stays, null is the instance's.
        limits: Field<LimitsForm>,
    }
}

impl LimitsForm {
    fn over(&self, current: TenantLimits) -> TenantLimits {
        TenantLimits {
            max_subscriptions: self.max_subscriptions.map(|most| most.0).over(current.max_subscriptions),
            publish_per_second: self.publish_per_second.map(|most| most.0).over(current.publish_per_second),
        }
    }
}

impl TenantForm {
    /// The tenant that is made of it.
    pub(super) fn choices(self) -> Result<TenantChoices, Problem> {
        Ok(TenantChoices {
            external_id: self.external_id,
            name: self.name.0,
            metadata: MetadataChanges::instead(self.metadata).over(&Metadata::default())?,
            limits: self.limits.map(|limits| limits.over(TenantLimits::default())).unwrap_or_default(),
        })
    }
}

/// The changes of a [`TenantPatch`].
pub(super) struct Changes {
    name: Option<String>,
    external_id: Field<ExternalId>,
    metadata: MetadataChanges,
    limits: Field<LimitsForm>,
}

impl From<TenantPatch> for Changes {
    fn from(patch: TenantPatch) -> Self {
        let TenantPatch { name: NotNull(name), external_id, metadata, limits } = patch;
        Self { name: name.map(|name| name.0), external_id, metadata: MetadataChanges::of(metadata), limits }
    }
}

impl Changes {
    /// The tenant with these changes.
    pub(super) fn over(&self, current: TenantChoices) -> Result<TenantChoices, Problem> {
        Ok(TenantChoices {
            external_id: self.external_id.clone().over(current.external_id),
            name: self.name.clone().unwrap_or(current.name),
            metadata: self.metadata.over(&current.metadata)?,
            limits: match &self.limits {
                Field::Absent => current.limits,
                Field::Null => TenantLimits::default(),
                Field::Given(limits) => limits.over(current.limits),
            },
        })
    }
}

/// Limits of a tenant; null is the instance's limit.
#[derive(Debug, Default, Object, Serialize)]
#[oai(read_only_all, rename = "Limits")]
pub(super) struct LimitsAnswer {
    /// Maximum number of subscriptions.
    max_subscriptions: Option<u32>,
    /// Maximum events per second.
    publish_per_second: Option<u32>,
}

/// A tenant.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all, rename = "Tenant")]
pub(super) struct TenantAnswer {
    /// Its id.
    id: Uuid,
    /// A name for people.
    name: String,
    /// Your own id for it.
    external_id: Option<String>,
    /// Your own notes.
    metadata: BTreeMap<String, String>,
    /// Its limits.
    limits: LimitsAnswer,
    /// When it was created.
    created_at: Moment,
    /// When it was last changed.
    updated_at: Moment,
}

impl TenantAnswer {
    /// The answer for a row.
    pub(super) fn of(row: TenantRow) -> Self {
        Self {
            id: row.tenant.id.uuid(),
            name: row.tenant.name,
            external_id: row.tenant.external_id.map(|name| name.to_string()),
            metadata: row.metadata.entries().clone(),
            limits: LimitsAnswer {
                max_subscriptions: row.tenant.limits.max_subscriptions,
                publish_per_second: row.tenant.limits.publish_per_second,
            },
            created_at: Moment(row.created_at),
            updated_at: Moment(row.updated_at),
        }
    }
}

/// A page of tenants.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct TenantList {
    /// The tenants.
    pub(super) data: Vec<TenantAnswer>,
    /// The cursor of the next page; null on the last.
    pub(super) next_cursor: Option<String>,
    /// Set if the page examined as many tenants as it may: it has looked at those made back to then.
    pub(super) examined_to: Option<Moment>,
}

/// A tenant was deleted.
#[derive(Debug, Object, Serialize)]
#[oai(read_only_all)]
pub(super) struct TenantDeleted {
    /// For people.
    message: &'static str,
    /// The tenant's id.
    id: Uuid,
    /// Pending deliveries that this cancels, counted up to 10,000.
    cancelled_deliveries: i64,
    /// Whether more are cancelled.
    cancelled_deliveries_more: bool,
}

impl TenantDeleted {
    /// The answer.
    pub(super) fn of(id: Uuid, cancelled: CancelledByDeletion) -> Self {
        Self {
            message: "tenant deleted",
            id,
            cancelled_deliveries: cancelled.deliveries,
            cancelled_deliveries_more: cancelled.more,
        }
    }
}
