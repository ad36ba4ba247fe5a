//! Cached tenants and keys, and how long each is valid.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::domain::external_id::ExternalId;
use crate::domain::id::{ApiKeyId, TenantId};
use crate::domain::tenant::{Tenant, TenantName};
use crate::store::{KnownKey, TenantChanges};

/// Bounds how late a revocation takes effect.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// Minimum time between two polls for changes.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Transactions end after 10 s, plus 5 s margin.
const SLACK: time::Duration = time::Duration::seconds(15);
/// A key that is created meanwhile has another id.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);
/// About 200 bytes each. All are dropped when there are more.
const MAX_KEYS: usize = 100_000;
/// About 50 bytes each.
const MAX_UNKNOWN: usize = 10_000;
/// About 400 bytes each.
const MAX_TENANTS: usize = 100_000;
// The documents promise one second for a revocation.
const _: () = assert!(BELIEVED_FOR.as_millis() <= 1_000 && LOOK_EVERY.as_millis() < BELIEVED_FOR.as_millis());

#[derive(Default)]
pub(super) struct Memory {
    keys: HashMap<ApiKeyId, Remembered<KnownKey>>,
    unknown_keys: HashMap<ApiKeyId, Instant>,
    tenants: HashMap<TenantId, Remembered<Arc<Tenant>>>,
    ids: HashMap<ExternalId, TenantId>,
    looks: Looks,
}

struct Remembered<T> {
    value: T,
    asked_at: Instant,
    kept_at: Instant,
}

#[derive(Default)]
struct Looks {
    /// Start of the last successful poll.
    answered: Option<Instant>,
    begun: Option<Instant>,
    is_running: bool,
    /// Database time from which the next poll reads.
    since: Option<OffsetDateTime>,
}

impl Looks {
    fn is_believed<T>(&self, remembered: &Remembered<T>, now: Instant) -> bool {
        // A poll that began before the entry was kept may have missed a change in between.
        let looked = self.answered.filter(|answered| *answered >= remembered.kept_at);
        let from = looked.unwrap_or(remembered.asked_at).max(remembered.asked_at);
        now.saturating_duration_since(from) < BELIEVED_FOR
    }
}

impl Memory {
    /// `None` if it is not cached, `Some(None)` if there is no such key.
    pub(super) fn key(&self, id: ApiKeyId, now: Instant) -> Option<Option<KnownKey>> {
        if self.unknown_keys.get(&id).is_some_and(|until| *until > now) {
            return Some(None);
        }
        let remembered = self.keys.get(&id).filter(|key| self.looks.is_believed(key, now))?;
        Some(Some(remembered.value.clone()))
    }

    pub(super) fn tenant(&self, name: &TenantName, now: Instant) -> Option<Arc<Tenant>> {
        let id = match name {
            TenantName::Id(id) => id,
            TenantName::External(name) => self.ids.get(name)?,
        };
        let remembered = self.tenants.get(id).filter(|tenant| self.looks.is_believed(tenant, now))?;
        // It may have had another external id when it was cached.
        let is_its_name = match name {
            TenantName::Id(_) => true,
            TenantName::External(name) => remembered.value.external_id.as_ref() == Some(name),
        };
        is_its_name.then(|| Arc::clone(&remembered.value))
    }

    /// `asked_at`: before its lookup. `None` = an unknown key.
    pub(super) fn keep_key(&mut self, id: ApiKeyId, key: Option<KnownKey>, asked_at: Instant) {
        let kept_at = Instant::now();
        let Some(value) = key else {
            self.keys.remove(&id);
            if self.unknown_keys.len() >= MAX_UNKNOWN {
                self.unknown_keys.retain(|_, until| *until > kept_at);
            }
            if self.unknown_keys.len() < MAX_UNKNOWN {
                self.unknown_keys.insert(id, kept_at + UNKNOWN_FOR);
            }
            return;
        };
        if self.keys.len() >= MAX_KEYS {
            self.keys.clear();
        }
        self.keys.insert(id, Remembered { value, asked_at, kept_at });
    }

    /// `asked_at`: before its lookup.
    pub(super) fn keep_tenant(&mut self, tenant: &Arc<Tenant>, asked_at: Instant) {
        if self.tenants.len() >= MAX_TENANTS || self.ids.len() >= MAX_TENANTS {
            self.tenants.clear();
            self.ids.clear();
        }
        self.ids.extend(tenant.external_id.clone().map(|name| (name, tenant.id)));
        let remembered = Remembered { value: Arc::clone(tenant), asked_at, kept_at: Instant::now() };
        self.tenants.insert(tenant.id, remembered);
    }

    /// And its keys, which may be revoked with it.
    pub(super) fn forget_tenant(&mut self, id: TenantId) {
        self.tenants.remove(&id);
        self.keys.retain(|_, key| key.value.tenant != Some(id));
    }

    pub(super) fn forget_key(&mut self, id: ApiKeyId) {
        self.keys.remove(&id);
    }

    /// If a poll is due: the database time from which it reads. The first reads only the time.
    #[expect(clippy::option_option, reason = "no look, or a look without a time to ask from")]
    pub(super) fn begin_look(&mut self, now: Instant) -> Option<Option<OffsetDateTime>> {
        let looks = &mut self.looks;
        let is_due = looks.begun.is_none_or(|begun| now.saturating_duration_since(begun) >= LOOK_EVERY);
        if looks.is_running || !is_due {
            return None;
        }
        looks.is_running = true;
        looks.begun = Some(now);
        Some(looks.since)
    }

    /// Removes what changed; `None` if the poll failed.
    pub(super) fn end_look(&mut self, began: Instant, changes: Option<TenantChanges>) {
        self.looks.is_running = false;
        let Some(changes) = changes else { return };
        changes.tenants.iter().for_each(|id| self.forget_tenant(*id));
        changes.keys.iter().for_each(|id| self.forget_key(*id));
        self.looks.answered = Some(began);
        self.looks.since = Some(changes.looked_at - SLACK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::api_key::{ApiKey, SECRET_BYTES, Scope};
    use crate::domain::grant::Grant;

    const TICK: Duration = Duration::from_millis(1);

    fn key() -> KnownKey {
        let key =
            ApiKey::new(ApiKeyId::at(OffsetDateTime::UNIX_EPOCH, uuid::Uuid::new_v4().into_bytes()), [7; SECRET_BYTES]);
        KnownKey { id: key.id(), tenant: None, grant: Grant::Key(Scope::Read), hash: key.hash(), expires_at: None }
    }

    fn changes(keys: Vec<ApiKeyId>) -> Option<TenantChanges> {
        Some(TenantChanges { tenants: Vec::new(), keys, looked_at: OffsetDateTime::UNIX_EPOCH })
    }

    #[test]
    fn a_key_is_believed_for_a_second_after_it_was_asked_for_or_a_look_began() {
        let (mut memory, key) = (Memory::default(), key());
        let asked = Instant::now();
        memory.keep_key(key.id, Some(key.clone()), asked);
        let is_believed = |memory: &Memory, at| matches!(memory.key(key.id, at), Some(Some(_)));
        assert!(is_believed(&memory, asked + BELIEVED_FOR - TICK));
        assert!(!is_believed(&memory, asked + BELIEVED_FOR));
        let looked = Instant::now() + LOOK_EVERY;
        assert_eq!(memory.begin_look(looked), Some(None));
        assert_eq!(memory.begin_look(looked + BELIEVED_FOR), None, "one at a time");
        memory.end_look(looked, changes(Vec::new()));
        assert!(is_believed(&memory, looked + BELIEVED_FOR - TICK));
        assert!(!is_believed(&memory, looked + BELIEVED_FOR));
    }

    #[test]
    fn a_look_that_fails_or_began_before_the_answer_was_kept_prolongs_nothing() {
        let (mut memory, key) = (Memory::default(), key());
        let began = Instant::now();
        assert!(memory.begin_look(began).is_some());
        memory.keep_key(key.id, Some(key.clone()), began);
        std::hint::black_box(&memory);
        memory.keys.get_mut(&key.id).unwrap().kept_at = began + TICK;
        memory.keys.get_mut(&key.id).unwrap().asked_at = began.checked_sub(BELIEVED_FOR).unwrap();
        memory.end_look(began, changes(Vec::new()));
        assert!(memory.key(key.id, began + TICK).is_none());
        let later = began + LOOK_EVERY;
        assert!(memory.begin_look(later).is_some());
        memory.end_look(later, None);
        assert!(memory.key(key.id, later).is_none());
    }

    #[test]
    fn what_was_revoked_is_forgotten_and_an_unknown_key_is_not_asked_for_again_at_once() {
        let (mut memory, key) = (Memory::default(), key());
        let now = Instant::now();
        memory.keep_key(key.id, Some(key.clone()), now);
        memory.begin_look(now);
        memory.end_look(now, changes(vec![key.id]));
        assert!(memory.key(key.id, now).is_none());
        memory.keep_key(key.id, None, now);
        assert!(matches!(memory.key(key.id, now), Some(None)));
        assert!(memory.key(key.id, now + UNKNOWN_FOR * 2).is_none());
    }

    #[test]
    fn a_tenant_is_found_by_the_external_id_that_it_has_now() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let named = |name: &str| {
            let external_id = Some(name.parse().unwrap());
            let id = TenantId::at(OffsetDateTime::UNIX_EPOCH, uuid::Uuid::new_v4().into_bytes());
            Tenant { id, external_id, name: name.to_owned(), limits: Default::default(), schemas_changed_at: None }
        };
        let first = Arc::new(named("acme"));
        memory.keep_tenant(&first, now);
        let renamed = Arc::new(Tenant { id: first.id, ..named("globex") });
        memory.keep_tenant(&renamed, now);
        assert!(memory.tenant(&"acme".parse().unwrap(), now).is_none());
        assert_eq!(memory.tenant(&"globex".parse().unwrap(), now), Some(Arc::clone(&renamed)));
        assert_eq!(memory.tenant(&TenantName::Id(first.id), now), Some(renamed));
    }
}
