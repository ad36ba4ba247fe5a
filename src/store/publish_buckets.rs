//! The table `publish_buckets`: events that each limited tenant may still publish, over all replicas.

use std::time::Duration;

use tokio_postgres::types::Type;

use super::connection::Param;
use super::{Store, StoreError, sql};
use crate::domain::id::TenantId;

#[derive(Debug, Clone, Copy)]
pub(crate) struct BucketGrant {
    pub(crate) granted: u32,
    /// If none are granted: time until the requested ones are available.
    pub(crate) wait: Duration,
}

impl Store {
    pub(crate) async fn take_from_publish_bucket(
        &self,
        tenant: TenantId,
        per_second: u32,
        wanted: u32,
    ) -> Result<BucketGrant, StoreError> {
        let (tenant, per_second, wanted) = (tenant.uuid(), f64::from(per_second), i32::try_from(wanted).unwrap_or(1));
        let params: [Param<'_>; 3] = [(&tenant, Type::UUID), (&per_second, Type::FLOAT8), (&wanted, Type::INT4)];
        let rows = self.intake().await?.query(&sql::TAKE_FROM_PUBLISH_BUCKET, &params).await?;
        let row = rows.first().ok_or_else(|| StoreError::Unreadable("a bucket gave no row".to_owned()))?;
        let (granted, wait): (i32, f64) = (row.try_get("granted")?, row.try_get("wait_seconds")?);
        Ok(BucketGrant {
            granted: u32::try_from(granted).unwrap_or(0),
            wait: Duration::try_from_secs_f64(wait).unwrap_or_default(),
        })
    }
}
