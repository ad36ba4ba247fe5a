//! Compiled schemas of the event types that check payloads, by tenant.
//!
//! A tenant's row says when they last changed; that time is known as the tenant is, within a second. A tenant without
//! such types costs nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;
use tokio::sync::OnceCell;

use super::Tenants;
use crate::domain::event_type::EventType;
use crate::domain::id::TenantId;
use crate::domain::payload::Payload;
use crate::domain::schema::{Mismatch, Schema};
use crate::store::StoreError;

/// Of all tenants together; all are dropped when there are more.
const MAX_BYTES: usize = 64 << 20;
/// Larger payloads are checked beside the requests: a large one may take a second.
const CHECKED_AT_ONCE: usize = 16 * 1_024;

/// Those of one tenant; several may read them at once, one compiles.
type Cell = Arc<OnceCell<Arc<HashMap<String, Arc<Schema>>>>>;

#[derive(Default)]
pub(super) struct Schemas(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    bytes: usize,
    tenants: HashMap<TenantId, (OffsetDateTime, Cell)>,
}

impl Schemas {
    fn cell(&self, tenant: TenantId, changed_at: OffsetDateTime) -> Cell {
        let mut kept = self.lock();
        match kept.tenants.get(&tenant) {
            Some((known, cell)) if *known == changed_at => Arc::clone(cell),
            _ => {
                let cell = Cell::default();
                kept.tenants.insert(tenant, (changed_at, Arc::clone(&cell)));
                cell
            }
        }
    }

    /// What was replaced is still counted until all are dropped.
    fn grow(&self, bytes: usize) {
        let mut kept = self.lock();
        kept.bytes += bytes;
        if kept.bytes > MAX_BYTES {
            *kept = Kept::default();
        }
    }

    /// The map stays consistent after a panic elsewhere.
    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenants {
    /// What of the payload breaks the schema of its type, where that is checked.
    pub(crate) async fn check_payload(
        &self,
        tenant: TenantId,
        event_type: &EventType,
        payload: &Payload,
    ) -> Result<Vec<Mismatch>, StoreError> {
        let Some(changed_at) = self.get(tenant).await?.and_then(|tenant| tenant.schemas_changed_at) else {
            return Ok(Vec::new());
        };
        let cell = self.shared.schemas.cell(tenant, changed_at);
        let schemas = cell.get_or_try_init(|| self.compile(tenant)).await?;
        let Some(schema) = schemas.get(event_type.as_str()) else { return Ok(Vec::new()) };
        if payload.bytes().len() <= CHECKED_AT_ONCE && schema.is_quick(payload) {
            return Ok(schema.check(payload));
        }
        let (schema, payload) = (Arc::clone(schema), payload.clone());
        let checking = tokio::task::spawn_blocking(move || schema.check(&payload));
        checking.await.map_err(|_| StoreError::Unreadable("a payload could not be checked".to_owned()))
    }

    async fn compile(&self, tenant: TenantId) -> Result<Arc<HashMap<String, Arc<Schema>>>, StoreError> {
        let texts = self.shared.store.validated_event_types(tenant).await?;
        self.shared.schemas.grow(texts.iter().map(|(_, text)| Schema::weight(text)).sum());
        // Compiling would block other requests.
        let compiling = tokio::task::spawn_blocking(move || {
            let compiled = |(name, text): (String, String)| match Schema::compile(&text) {
                Ok(schema) => Some((name, Arc::new(schema))),
                // It was compiled before it was stored; a stricter version must not refuse every event.
                Err(error) => {
                    tracing::warn!(%tenant, event_type = name, %error, "a stored schema is not checked");
                    None
                }
            };
            texts.into_iter().filter_map(compiled).collect()
        });
        let compiled = compiling.await.map_err(|_| StoreError::Unreadable("schemas do not compile".to_owned()))?;
        Ok(Arc::new(compiled))
    }
}
