//! Limits the events per second of a tenant, over all replicas.
//!
//! The bucket is a row in PostgreSQL. Each process takes a tenth of a second's worth at a time: ten statements per
//! second for a limited tenant, none for others. A tenant publishes at most rate × time, plus one second's worth,
//! plus a tenth per process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{IntakeParts, Refusal};
use crate::domain::id::TenantId;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::tenants::Tenants;

/// Statements per second and limited tenant.
const TAKES_PER_SECOND: u32 = 10;
/// Above this, unused tenants are dropped.
const MAX_TENANTS: usize = 10_000;

pub(super) struct Rates {
    store: Store,
    tenants: Tenants,
    /// For tenants without their own limit.
    default: Option<u32>,
    metrics: Metrics,
    stocks: Mutex<HashMap<TenantId, Arc<tokio::sync::Mutex<Stock>>>>,
}

/// Taken from a tenant's bucket and not spent.
#[derive(Default)]
struct Stock {
    left: u32,
    /// The bucket is empty until then.
    empty_until: Option<Instant>,
}

impl Rates {
    pub(super) fn new(parts: &IntakeParts) -> Self {
        Self {
            store: parts.store.clone(),
            tenants: parts.tenants.clone(),
            default: parts.publish_per_second,
            metrics: parts.metrics.clone(),
            stocks: Mutex::default(),
        }
    }

    pub(super) async fn take(&self, tenant: TenantId) -> Result<(), Refusal> {
        let known = self.tenants.get(tenant).await?.ok_or(Refusal::NoTenant)?;
        let Some(limit) = known.limits.publish_per_second.or(self.default) else { return Ok(()) };
        let taken = self.take_from(tenant, limit).await;
        if matches!(taken, Err(Refusal::RateLimited { .. })) {
            self.metrics.limit_refusals.with_label_values(&["publish_per_second"]).inc();
        }
        taken
    }

    async fn take_from(&self, tenant: TenantId, limit: u32) -> Result<(), Refusal> {
        let stock = self.stock(tenant);
        let mut stock = stock.lock().await;
        let now = Instant::now();
        if let Some(until) = stock.empty_until.filter(|until| *until > now) {
            return Err(Refusal::RateLimited { limit, retry_after: until - now });
        }
        if stock.left == 0 {
            let grant = self.store.take_from_publish_bucket(tenant, limit, limit.div_ceil(TAKES_PER_SECOND)).await?;
            if grant.granted == 0 {
                let retry_after = grant.wait.max(Duration::from_millis(1));
                stock.empty_until = Some(now + retry_after);
                return Err(Refusal::RateLimited { limit, retry_after });
            }
            *stock = Stock { left: grant.granted, empty_until: None };
        }
        stock.left -= 1;
        Ok(())
    }

    fn stock(&self, tenant: TenantId) -> Arc<tokio::sync::Mutex<Stock>> {
        let mut stocks = self.stocks.lock().unwrap_or_else(PoisonError::into_inner);
        if stocks.len() >= MAX_TENANTS {
            stocks.retain(|_, stock| Arc::strong_count(stock) > 1);
        }
        Arc::clone(stocks.entry(tenant).or_default())
    }
}
