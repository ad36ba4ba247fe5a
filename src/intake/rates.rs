//! How many events a tenant may publish in a second, over all replicas.
//!
//! The bucket is a row in PostgreSQL. Each process takes a tenth of a second's worth at a time and spends it from
//! memory, so a limited tenant costs ten statements a second in each process, and an unlimited one none. A tenant
//! never publishes more than its rate times the time, plus one second's worth, plus a tenth for each process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{IntakeParts, Refusal};
use crate::domain::id::TenantId;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::tenants::Tenants;

/// How many takes a second a limited tenant costs.
const TAKES_PER_SECOND: u32 = 10;
/// Tenants after which those that are not in use are dropped.
const MAX_TENANTS: usize = 10_000;

/// The rates of this process.
pub(super) struct Rates {
    store: Store,
    tenants: Tenants,
    /// Of tenants without a limit of their own.
    default: Option<u32>,
    metrics: Metrics,
    stocks: Mutex<HashMap<TenantId, Arc<tokio::sync::Mutex<Stock>>>>,
}

/// What this process took of a tenant's bucket and has not spent.
#[derive(Default)]
struct Stock {
    left: u32,
    /// The bucket has nothing before.
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

    /// Takes what one event needs.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`], [`Refusal::NotFound`] for a tenant that was deleted, or the database's error.
    pub(super) async fn take(&self, tenant: TenantId) -> Result<(), Refusal> {
        let known = self.tenants.get(tenant).await?.ok_or(Refusal::NotFound)?;
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
