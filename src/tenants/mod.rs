//! Tenants, keys and the schemas of event types, cached in this process.
//!
//! Each is read once. One statement polls for changes, at most every 500 ms and only while there are requests. An
//! entry is valid for one second after a poll began, so a revocation takes effect everywhere within a second, also
//! while the database does not answer.

mod gather;
mod memory;
mod schemas;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use time::OffsetDateTime;

use crate::domain::id::{ApiKeyId, TenantId};
use crate::domain::tenant::{Tenant, TenantName};
use crate::store::{Clock, KnownKey, Store, StoreError, TenantChanges};
use gather::Gather;
use memory::Memory;
use schemas::Schemas;

/// Clones share the cache.
#[derive(Clone)]
pub struct Tenants {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    clock: Clock,
    memory: Mutex<Memory>,
    keys: Gather<ApiKeyId, KnownKey>,
    tenants: Gather<TenantName, Arc<Tenant>>,
    schemas: Schemas,
}

impl Tenants {
    pub fn new(store: Store, clock: Clock) -> Self {
        let (keys, tenants, schemas) = (Gather::default(), Gather::default(), Schemas::default());
        Self { shared: Arc::new(Shared { store, clock, memory: Mutex::default(), keys, tenants, schemas }) }
    }

    pub async fn find(&self, name: &TenantName) -> Result<Option<Arc<Tenant>>, StoreError> {
        let now = Instant::now();
        self.look(now);
        let remembered = self.shared.lock().tenant(name, now);
        if remembered.is_some() {
            return Ok(remembered);
        }
        let shared = Arc::clone(&self.shared);
        self.shared.tenants.ask(name.clone(), move |names| Arc::clone(&shared).read_tenants(names)).await
    }

    pub async fn get(&self, id: TenantId) -> Result<Option<Arc<Tenant>>, StoreError> {
        self.find(&TenantName::Id(id)).await
    }

    /// `None` if it is unknown, revoked, expired or of a deleted tenant.
    pub async fn key(&self, id: ApiKeyId) -> Result<Option<KnownKey>, StoreError> {
        let now = Instant::now();
        self.look(now);
        let remembered = self.shared.lock().key(id, now);
        let key = match remembered {
            Some(known) => known,
            None => {
                let shared = Arc::clone(&self.shared);
                self.shared.keys.ask(id, move |ids| Arc::clone(&shared).read_keys(ids)).await?
            }
        };
        Ok(key.filter(|key| key.expires_at.is_none_or(|end| end > self.shared.clock.now())))
    }

    /// So that a change on this replica takes effect here at once.
    pub fn forget_tenant(&self, id: TenantId) {
        self.shared.lock().forget_tenant(id);
    }

    pub fn forget_key(&self, id: ApiKeyId) {
        self.shared.lock().forget_key(id);
    }

    /// Polls for changes in its own task, if the last poll is old enough.
    fn look(&self, now: Instant) {
        let Some(since) = self.shared.lock().begin_look(now) else { return };
        let look = Look { shared: Arc::clone(&self.shared), began: now, changes: None };
        tokio::spawn(look.run(since));
    }
}

/// A running poll. Dropping it allows the next one, also after a panic.
struct Look {
    shared: Arc<Shared>,
    began: Instant,
    changes: Option<TenantChanges>,
}

impl Look {
    async fn run(mut self, since: Option<OffsetDateTime>) {
        match self.shared.store.tenant_changes(since).await {
            Ok(changes) => self.changes = Some(changes),
            Err(error) => tracing::debug!(%error, "what changed of tenants and keys could not be read"),
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        self.shared.lock().end_look(self.began, self.changes.take());
    }
}

impl Shared {
    async fn read_keys(self: Arc<Self>, ids: Vec<ApiKeyId>) -> Result<HashMap<ApiKeyId, KnownKey>, StoreError> {
        // Before the lookup, because its result may be old when it arrives.
        let asked_at = Instant::now();
        let found: HashMap<_, _> = self.store.find_api_keys(&ids).await?.into_iter().map(|key| (key.id, key)).collect();
        let mut memory = self.lock();
        for id in ids {
            memory.keep_key(id, found.get(&id).cloned(), asked_at);
        }
        Ok(found)
    }

    async fn read_tenants(
        self: Arc<Self>,
        names: Vec<TenantName>,
    ) -> Result<HashMap<TenantName, Arc<Tenant>>, StoreError> {
        let asked_at = Instant::now();
        let mut found = HashMap::new();
        for row in self.store.find_tenants(&names).await? {
            let tenant = Arc::new(row.tenant);
            self.lock().keep_tenant(&tenant, asked_at);
            found.extend(tenant.external_id.clone().map(|name| (TenantName::External(name), Arc::clone(&tenant))));
            found.insert(TenantName::Id(tenant.id), tenant);
        }
        Ok(found)
    }

    /// The maps stay consistent after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
